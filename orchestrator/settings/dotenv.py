"""Reads a `.env` file: names with their values and lines, and the lines that are neither.

Values are taken as they stand: `pa$$word` and `${this}` are not replaced by anything. Quotes around a value,
`export` before a name, and a comment after a blank and `#`, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from attrs import frozen
from dotenv.parser import Binding, parse_stream


@frozen
class Line:
    """A value and the number of the line that names it."""

    value: str
    number: int


@frozen
class DotEnv:
    """What a file says; a name that is there twice has the last value."""

    names: Mapping[str, Line]
    broken: tuple[int, ...]
    """The numbers of lines that are neither `NAME=value` nor empty nor a comment."""


def read_dotenv(path: Path) -> DotEnv:
    """Read the file; one that does not exist says nothing.

    Raises `OSError` or `UnicodeDecodeError` for one that is not a text file that can be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return DotEnv({}, ())
    names: dict[str, Line] = {}
    broken: list[int] = []
    for binding in parse_stream(StringIO(text)):
        number = _number(binding)
        if binding.error or (binding.key is not None and binding.value is None):
            broken.append(number)
        elif binding.key is not None:
            names[binding.key] = Line(binding.value or "", number)
    return DotEnv(names, tuple(broken))


def _number(binding: Binding) -> int:
    """The line that a binding begins at, without the empty ones that the parser counts to it."""
    written = binding.original.string
    blank = len(written) - len(written.lstrip())
    return binding.original.line + written[:blank].count("\n")
