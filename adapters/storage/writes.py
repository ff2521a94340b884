"""What is to be written, as records: they are made where calls run, and become SQL in the writer's thread.

Tables and columns are named as in `tables.py`. Each can be carried out twice without harm, since nobody knows
whether it was carried out when a connection broke.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

Value = str | int | float | bytes | bool | None


@frozen
class Put:
    """Insert a row, or replace the one with the same primary key."""

    table: str
    row: Mapping[str, Value]


@frozen
class Raise:
    """Set a column of the row with this primary key to a number, unless it is greater already.

    Without such a row, nothing is written.
    """

    table: str
    key: str
    column: str
    number: int


@frozen
class Forget:
    """Delete the rows in which a column is below a number."""

    table: str
    column: str
    below: int


Write = Put | Raise | Forget
