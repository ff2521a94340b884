"""What is to be written, as records: they are made where calls run, and become SQL in the writer's thread.

Tables and columns are named as in `tables.py`. Each can be carried out twice without harm, since nobody knows
whether it was carried out when a connection broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

Value = str | int | float | bytes | bool | None
Row = Mapping[str, Value]
"""By column."""
Edge = tuple[int, str, str, str, str, str, str, int]
"""What `edges` counts by: the columns of its primary key, in order."""
Edges = Mapping[Edge, tuple[int, int]]
"""How often, and how long in all, in ms."""


@frozen
class Put:
    """Insert a row, or replace the one with the same primary key."""

    table: str
    row: Row


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


@frozen
class KeepCall:
    """Put a call that is over, with all that is known of it, instead of what was known of it before.

    What it adds to sums over all calls (`edges`) is kept with it, so that it is not added twice.
    """

    call: Row
    """Of the table `calls`."""
    parts: Mapping[str, Sequence[Row]]
    """By table, the rows that belong to the call. Each has its `call_id`."""
    edges: Edges

    @property
    def call_id(self) -> str:
        """The call's."""
        return str(self.call["call_id"])


Write = Put | Raise | Forget | KeepCall


def rows_in(write: Write) -> int:
    """How many rows a write is, by which queues are measured."""
    if not isinstance(write, KeepCall):
        return 1
    return 1 + sum(map(len, write.parts.values())) + len(write.edges)
