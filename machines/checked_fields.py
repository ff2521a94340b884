"""Checks the fields of a policy when it is made, so that an error shows where the wrong value was written.

What a field may be follows from the type that it is declared with. Times, numbers and counts are never
negative; the least value of a field may be told by its metadata: `field(default=10, metadata={"least": 1})`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable
from functools import cache
from typing import Any, cast, get_args, get_origin, get_type_hints

import attrs


def check_fields(made: Any) -> None:
    """Check all fields of an attrs object; to be called in its `__attrs_post_init__`.

    Raises `TypeError` or `ValueError` with one sentence: the field, its value, and what is allowed.

    ```python
    FallbackTexts(first=5)  # first of FallbackTexts is 5, but must be a text
    ```
    """
    for name, kind, least in _declared(cast(Hashable, type(made))):
        value = getattr(made, name)
        told = f"{name} of {type(made).__name__} is {value!r}, but must be"
        if not _is(value, kind):
            raise TypeError(f"{told} {_words(kind)}")
        if any(not (math.isfinite(number) and number >= least) for number in _numbers(value)):
            raise ValueError(f"{told} {_words(kind)}, {least:g} or more, and finite")


@cache
def _declared(kind: Hashable) -> tuple[tuple[str, Any, float], ...]:
    """Name, type and least value of each field."""
    hints = get_type_hints(kind)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast(Any, kind))
    return tuple((each.name, hints[each.name], each.metadata.get("least", 0)) for each in fields)


def _is(value: object, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(each, get_args(kind)[0]) for each in value)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _numbers(value: object) -> list[float]:
    """The numbers in a value. True and False are not numbers."""
    each = value if isinstance(value, tuple) else (value,)
    return [number for number in each if isinstance(number, int | float) and not isinstance(number, bool)]


def _words(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"a tuple, each item of it {_words(get_args(kind)[0])}"
    if issubclass(kind, enum.Enum):
        return f"one of {', '.join(f'{kind.__name__}.{each.name}' for each in kind)}"
    known = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
    return known.get(kind, f"an object of {kind.__name__}")
