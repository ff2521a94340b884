"""Values of rows as every database takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

LONGEST_TEXT = 20_000
"""Characters of one text in a row; the journal has all of it."""
_LATEST_MS = 8.64e15
"""The last moment that dates know of, 270,000 years from now: what is later is no time."""


def text_of(value: str, longest: int = LONGEST_TEXT) -> str:
    """A text without what databases refuse: half a character, and the character 0. A long one is cut."""
    if "\0" in value or not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def whole_ms(value: float) -> int:
    """A time, or how long something took, in whole ms. Raises `ValueError` for what is no time."""
    if not math.isfinite(value) or abs(value) > _LATEST_MS:
        raise ValueError(f"{value} ms is no time")
    return round(value)


def real_number(value: float | None) -> float | None:
    """A number as it is; None if there is none, or it is none."""
    return float(value) if value is not None and math.isfinite(value) else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The least of the values that `share` of them do not exceed; None if there are none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None
