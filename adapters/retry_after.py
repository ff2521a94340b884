"""How long a server that refuses a request asks to wait, by its `Retry-After` headers."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """From `retry-after-ms`, or `retry-after` in seconds or as a date. `headers` have lower-case names."""
    for name, unit_ms in (("retry-after-ms", 1), ("retry-after", 1000)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
            return round(float(value) * unit_ms)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    return max(0, round((date.timestamp() - time.time()) * 1000))
