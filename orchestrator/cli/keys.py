"""The bodies of `vantum keys` and `vantum db`: they open the database themselves, beside servers that run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import attrs
from attrs import frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.neutral import neutral
from adapters.storage.database import Database, open_database
from adapters.storage.tables import REVISION
from orchestrator.access.grants import ApiKey, KeyLimits, Scope
from orchestrator.access.key_rows import KeptKey, insert_key, kept_keys, key_rows, revoke_key
from orchestrator.access.keys import new_key_id, new_secret, shown_of
from orchestrator.access.pepper import kept_pepper
from orchestrator.clock import epoch_ms
from orchestrator.settings.settings import Settings

_NEVER_WRAPPED = 1000
"""Columns of output that is not a terminal."""
_COLUMNS = ("id", "name", "secret", "allows", "limits", "made", "last used", "revoked")


@frozen
class Made:
    """A new key, with its secret, which is nowhere else."""

    key: ApiKey
    secret: str = attrs.field(repr=False)


def create_key(settings: Settings, name: str, scopes: Sequence[str], limits: KeyLimits) -> Made:
    """Make a key and keep it. Raises `StorageError` or `PepperError`."""
    secret = new_secret()
    key = ApiKey(
        key_id=new_key_id(),
        name=name,
        shown=shown_of(secret),
        scopes=frozenset(Scope(scope) for scope in scopes),
        created_ms=round(epoch_ms()),
        limits=limits,
    )
    pepper = kept_pepper(settings)
    digest = pepper.digest(secret)
    assert digest is not None
    with _opened(settings) as database, database.writing() as connection:
        insert_key(connection, KeptKey(key, digest, pepper.mark))
    return Made(key, secret)


def all_keys(settings: Settings) -> list[ApiKey]:
    """All keys, oldest first; none if there is no database yet. Raises `StorageError`."""
    if not settings.database.may_exist():
        return []
    with _opened(settings) as database, database.reading() as connection:
        return [each.key for each in kept_keys(key_rows(connection))]


def revoke(settings: Settings, key_id: str) -> ApiKey | None:
    """Revoke a key. Returns it as it is then; None if there is no such key. Raises `StorageError`."""
    if not settings.database.may_exist():
        return None
    with _opened(settings) as database, database.writing() as connection:
        return revoke_key(connection, key_id, round(epoch_ms()))


def any_valid(settings: Settings) -> bool:
    """Whether there is a key that is not revoked. Raises `StorageError`."""
    return any(key.revoked_ms is None for key in all_keys(settings))


def upgrade(settings: Settings) -> str:
    """Bring the tables up to date. Returns their revision; raises `StorageError`."""
    with _opened(settings):
        return REVISION


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings.database)
    try:
        yield database
    finally:
        database.close()


# --- output -----------------------------------------------------------------------------------------------


def as_json(keys: Sequence[ApiKey]) -> str:
    """A list of objects, with times in ISO 8601."""
    return json.dumps([_object(key) for key in keys], indent=2)


def created_as_json(made: Made) -> str:
    """The same of one key, with its secret."""
    return json.dumps({**_object(made.key), "secret": made.secret}, indent=2)


def _object(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.key_id,
        "name": key.name,
        "shown": key.shown,
        "scopes": sorted(key.scopes),
        "limits": attrs.asdict(key.limits),
        "created": _time(key.created_ms),
        "last_used": _time(key.last_used_ms),
        "revoked": _time(key.revoked_ms),
    }


def show(keys: Sequence[ApiKey], console: Console | None = None) -> None:
    """Print a table for people; not on a terminal, a line for each key."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _NEVER_WRAPPED
    table = Table(*_COLUMNS, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for key in keys:
        table.add_row(*(Text(neutral(cell)) for cell in _cells(key)))
    with console.capture() as capture:
        console.print(table)
    console.file.write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def _cells(key: ApiKey) -> tuple[str, ...]:
    limits = (f"{name} {most}" for name, most in attrs.asdict(key.limits).items() if most is not None)
    return (
        key.key_id,
        key.name or "-",
        f"{key.shown}…",
        " ".join(sorted(key.scopes)),
        ", ".join(limits) or "-",
        _time(key.created_ms) or "-",
        _time(key.last_used_ms) or "never",
        _time(key.revoked_ms) or "-",
    )


def _time(ms: int | None) -> str | None:
    """In UTC, to the second."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")
