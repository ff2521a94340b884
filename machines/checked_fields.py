"""Checks the fields of a policy when it is made, and what hosts give to functions.

So an error shows where the wrong value was written.

What a field may be follows from the type that it is declared with. Times, numbers and counts are never
negative; the least and the greatest value of a field may be told by its metadata:
`field(default=10, metadata={"least": 1, "most": 20})`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable
from functools import cache
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

import attrs


def check_fields(made: Any) -> None:
    """Check all fields of an attrs object; to be called in its `__attrs_post_init__`.

    Raises `TypeError` or `ValueError` with one sentence: the field, its value, and what is allowed.

    ```python
    FallbackTexts(first=5)  # first of FallbackTexts is 5, but must be a text
    ```
    """
    for name, kind, least, most in _declared(cast(Hashable, type(made))):
        check_value(name, type(made).__name__, getattr(made, name), kind, least=least, most=most)


def check_value(
    name: str, owner: str, value: object, kind: Any, *, least: float = 0, most: float = math.inf
) -> None:
    """Check one value: the field or argument `name` of `owner`. Raises as `check_fields`.

    ```python
    check_value("text", "say()", 5, str)  # text of say() is 5, but must be a text
    ```
    """
    told = f"{name} of {owner} is {value!r}, but must be"
    if not _is(value, kind):
        raise TypeError(f"{told} {_words(kind)}")
    if any(not (math.isfinite(number) and least <= number <= most) for number in _numbers(value)):
        allowed = f"{least:g} or more, and finite" if most == math.inf else f"from {least:g} to {most:g}"
        raise ValueError(f"{told} {_words(kind)}, {allowed}")


@cache
def _declared(kind: Hashable) -> tuple[tuple[str, Any, float, float], ...]:
    """Name, type, least and greatest value of each field."""
    hints = get_type_hints(kind)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast(Any, kind))
    return tuple(
        (each.name, hints[each.name], each.metadata.get("least", 0), each.metadata.get("most", math.inf))
        for each in fields
    )


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
    if get_origin(kind) is UnionType:
        return " or ".join("None" if each is NoneType else _words(each) for each in get_args(kind))
    if issubclass(kind, enum.Enum):
        return f"one of {', '.join(f'{kind.__name__}.{each.name}' for each in kind)}"
    known = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
    return known.get(kind, f"an object of {kind.__name__}")
