"""The tables, as the newest migration leaves them (a test compares). Times are in ms since the epoch."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table

REVISION = "0001"
"""The newest migration in `migrations/versions/`."""

REVISION_TABLE = "vantum_revision"
"""The table that says which migration a database has had. Other programs have an `alembic_version`, too."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("shown", String(16), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("calls_at_once", BigInteger),
    Column("calls_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("dials_per_minute", BigInteger),
    Column("micros_per_day", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("last_used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
"""Keys for programs. `digest` is the keyed hash of the secret, `pepper` the mark of the pepper under which it
was hashed, `scopes` their names divided by blanks. Rows are never deleted: it stays known whose calls were
whose."""

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("token_id", String(200), primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("uses", BigInteger, nullable=False),
    Index(None, "expires_ms"),
)
"""How often client tokens were used. Rows are deleted once the token has expired."""
