"""Keys and spent tokens as rows of the database. Loads SQLAlchemy; what takes a connection blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from attrs import frozen
from sqlalchemy import Connection, null, select, update

from adapters.storage.tables import api_keys, used_tokens
from orchestrator.access.grants import ApiKey, KeyLimits, Scope
from orchestrator.access.memory_book import Spent

_LIMITS = tuple(each.name for each in attrs.fields(KeyLimits))


@frozen
class KeptKey:
    """A key with what only the database knows of it."""

    key: ApiKey
    digest: bytes
    pepper: str
    """The mark of the pepper under which it was hashed."""


Rows = Sequence[tuple[Any, ...]]


def key_rows(connection: Connection) -> Rows:
    """All keys, oldest first, as they stand in the table."""
    return [tuple(row) for row in connection.execute(_ALL)]


def lasting_rows(connection: Connection) -> Rows:
    """The same without when they were last used: what remains the same while keys are only used."""
    return [tuple(row) for row in connection.execute(_LASTING)]


def kept_keys(rows: Rows) -> list[KeptKey]:
    """The keys that the rows mean."""
    return [_kept(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def insert_key(connection: Connection, kept: KeptKey) -> None:
    """Keep a new key."""
    key = kept.key
    connection.execute(
        api_keys.insert().values(
            key_id=key.key_id,
            digest=kept.digest,
            pepper=kept.pepper,
            name=key.name,
            shown=key.shown,
            scopes=" ".join(sorted(key.scopes)),
            created_ms=key.created_ms,
            **attrs.asdict(key.limits),
        )
    )


def revoke_key(connection: Connection, key_id: str, at_ms: int) -> ApiKey | None:
    """Revoke a key, if it is not revoked already. Returns it as it is then; None if there is no such key."""
    with_id = api_keys.c.key_id == key_id
    connection.execute(
        update(api_keys).where(with_id, api_keys.c.revoked_ms.is_(None)).values(revoked_ms=at_ms)
    )
    found = connection.execute(_ALL.where(with_id)).one_or_none()
    return None if found is None else kept_keys([tuple(found)])[0].key


def spent_tokens(connection: Connection) -> list[Spent]:
    """The tokens that were used and have not been forgotten."""
    columns = used_tokens.c
    rows = connection.execute(select(columns.token_id, columns.expires_ms, columns.uses))
    return [Spent(token_id, expires_ms, uses) for token_id, expires_ms, uses in rows]


_ALL = select(api_keys).order_by(api_keys.c.created_ms, api_keys.c.key_id)
_LAST_USED = api_keys.c.last_used_ms
_LASTING = _ALL.with_only_columns(*(each if each is not _LAST_USED else null() for each in api_keys.c))
_COLUMNS = tuple(api_keys.c.keys())


def _kept(row: dict[str, Any]) -> KeptKey:
    key = ApiKey(
        key_id=row["key_id"],
        name=row["name"],
        shown=row["shown"],
        # A scope of a newer version allows nothing here.
        scopes=frozenset(Scope(name) for name in row["scopes"].split() if name in list(Scope)),
        created_ms=row["created_ms"],
        limits=KeyLimits(**{name: row[name] for name in _LIMITS}),
        last_used_ms=row["last_used_ms"],
        revoked_ms=row["revoked_ms"],
    )
    return KeptKey(key, row["digest"], row["pepper"])
