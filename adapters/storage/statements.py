"""Turns records of what is to be written into SQL, and carries them out. It blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from attrs import frozen
from sqlalchemy import Connection, Table, bindparam, delete, or_, update
from sqlalchemy.sql import Executable

from adapters.logs import library_logger
from adapters.storage.database import Database
from adapters.storage.errors import RefusedWriteError, UnavailableError, UnusableError
from adapters.storage.kept_calls import inserting, keep_calls
from adapters.storage.tables import metadata
from adapters.storage.writes import Forget, KeepCall, Put, Raise, Write, rows_in

log = library_logger(__name__)


def carry_out(database: Database, writes: Sequence[Write]) -> int:
    """Carry out all of them in one transaction. Returns how many rows were refused, which are logged.

    Raises `UnavailableError` or `UnusableError`; then none was carried out, or nobody knows.
    """
    try:
        with database.writing() as connection:
            _execute(connection, writes)
    except (UnavailableError, UnusableError):
        raise
    except Exception:
        return sum(rows_in(each) for each in writes if not _carried_out_alone(database, each))
    return 0


def _carried_out_alone(database: Database, write: Write) -> bool:
    try:
        with database.writing() as connection:
            _execute(connection, [write])
    except (UnavailableError, UnusableError):
        raise
    except RefusedWriteError as refusal:
        log.error("the database refuses a row", reason=str(refusal), **_shown(write))
        return False
    except Exception as error:
        # Numbers beyond 64 bits, for instance: what no library has a word for is wrong with the row, too.
        log.exception("a row cannot be written", exc_info=error, **_shown(write))
        return False
    return True


def _shown(write: Write) -> dict[str, str]:
    """What the log says of a write: where it goes, and nothing of what is in it."""
    if isinstance(write, KeepCall):
        return {"table": "calls", "call": write.call_id}
    return {"table": write.table}


def _execute(connection: Connection, writes: Sequence[Write]) -> None:
    """Carry out the writes in their order, all alike that follow each other at once."""
    for alike, group in groupby(writes, _likeness):
        if alike is None:
            keep_calls(connection, cast("Iterable[KeepCall]", group))
        else:
            rows = [_parameters(each) for each in group if not isinstance(each, KeepCall)]
            connection.execute(_statement(connection.dialect.name, alike), rows)


RowWrite = Put | Raise | Forget


@frozen
class _Alike:
    """What writes have in common that one statement carries out."""

    kind: type[RowWrite]
    table: str
    columns: tuple[str, ...]


def _likeness(write: Write) -> _Alike | None:
    """None: the write is of a call, and takes several statements."""
    if isinstance(write, KeepCall):
        return None
    columns = tuple(write.row) if isinstance(write, Put) else (write.column,)
    return _Alike(type(write), write.table, columns)


def _statement(dialect: str, alike: _Alike) -> Executable:
    table = metadata.tables[alike.table]
    if alike.kind is Put:
        return _put(dialect, table, alike.columns)
    column = table.c[alike.columns[0]]
    if alike.kind is Raise:
        lower = or_(column.is_(None), column < bindparam("number"))
        return (
            update(table).where(_key(table) == bindparam("key"), lower).values({column: bindparam("number")})
        )
    return delete(table).where(column < bindparam("below"))


def _put(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    insert = inserting(dialect, table)
    keys = [column.name for column in table.primary_key.columns]
    replaced = {name: insert.excluded[name] for name in columns if name not in keys}
    return insert.values({name: bindparam(name) for name in columns}).on_conflict_do_update(
        index_elements=keys, set_=replaced
    )


def _parameters(write: RowWrite) -> dict[str, Any]:
    match write:
        case Put(row=row):
            return _as_given(row)
        case Raise(key=key, number=number):
            return {"key": key, "number": number}
        case Forget(below=below):
            return {"below": below}


def _as_given(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row)


def _key(table: Table) -> Any:
    (column,) = table.primary_key.columns
    return column
