"""Puts calls that are over, as `KeepCall` says it, in the transaction that a connection is in. It blocks.

A sum over all calls must not take a call in twice, though the call may be put again: by `vantum index`, or
because nobody knew whether the first time had succeeded. So each call keeps what it has added (`call_edges`),
and only the difference is added now.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgpack  # type: ignore[import-untyped]
from sqlalchemy import Connection, Insert, Table, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.storage.tables import call_edges, calls, edges, tool_calls, turns, usage
from adapters.storage.writes import Edge, Edges, KeepCall, Row

PARTS = (turns, tool_calls, usage)
"""Tables whose rows belong to a call."""
_EDGE_KEY = tuple(column.name for column in edges.primary_key.columns)


def keep_calls(connection: Connection, writes: Iterable[KeepCall]) -> None:
    """Put these calls; of one that is among them twice, the last counts."""
    # In the order of their ids, so that two servers never wait for each other. PostgreSQL locks a call's row
    # here, so that what others have added of it is known before we add the rest.
    kept = sorted({each.call_id: each for each in writes}.values(), key=lambda each: each.call_id)
    _put(connection, calls, [each.call for each in kept])
    for table in PARTS:
        rows = [row for each in kept for row in each.parts.get(table.name, ())]
        connection.execute(
            delete(table).where(table.c.call_id == bindparam("kept")),
            [{"kept": each.call_id} for each in kept],
        )
        if rows:
            connection.execute(table.insert(), [dict(row) for row in rows])
    _add(connection, _difference(connection, kept))
    packed: list[Row] = [{"call_id": each.call_id, "packed": _packed(each.edges)} for each in kept]
    _put(connection, call_edges, packed)


def _put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    keys = [column.name for column in table.primary_key.columns]
    insert = inserting(connection.dialect.name, table)
    replaced = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        insert.on_conflict_do_update(index_elements=keys, set_=replaced), [dict(row) for row in rows]
    )


def inserting(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An `insert` that knows what to do about rows that are there already."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


# --- sums over all calls ----------------------------------------------------------------------------------


def _difference(connection: Connection, kept: Sequence[KeepCall]) -> dict[Edge, tuple[int, int]]:
    """What is to be added now, without what these calls have added before."""
    ids = [each.call_id for each in kept]
    before = connection.execute(select(call_edges.c.packed).where(call_edges.c.call_id.in_(ids))).scalars()
    sums: dict[Edge, list[int]] = defaultdict(lambda: [0, 0])
    for sign, added in [(1, each.edges) for each in kept] + [(-1, _unpacked(each)) for each in before]:
        for edge, (count, dwell_ms) in added.items():
            total = sums[edge]
            total[0] += sign * count
            total[1] += sign * dwell_ms
    return {edge: (count, dwell) for edge, (count, dwell) in sorted(sums.items()) if count or dwell}


def _add(connection: Connection, difference: Edges) -> None:
    if not difference:
        return
    insert = inserting(connection.dialect.name, edges)
    sums = {name: edges.c[name] + insert.excluded[name] for name in ("count", "dwell_ms")}
    statement: Insert = insert.on_conflict_do_update(index_elements=list(_EDGE_KEY), set_=sums)
    rows = [
        {**dict(zip(_EDGE_KEY, edge, strict=True)), "count": count, "dwell_ms": dwell_ms}
        for edge, (count, dwell_ms) in difference.items()
    ]
    connection.execute(statement, rows)
    hours = {edge[0] for edge, (count, _) in difference.items() if count < 0}
    if hours:
        none_left = edges.c["count"] == 0
        connection.execute(delete(edges).where(none_left, edges.c.hour_ms.in_(sorted(hours))))


def _packed(edges_of_call: Edges) -> bytes:
    packed: bytes = msgpack.packb([[*edge, *sums] for edge, sums in sorted(edges_of_call.items())])
    return zlib.compress(packed)


def _unpacked(packed: bytes) -> Edges:
    return {tuple(edge): (count, dwell) for *edge, count, dwell in msgpack.unpackb(zlib.decompress(packed))}
