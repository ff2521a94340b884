"""Brings the tables of a database to what this version of Vantum needs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from adapters.logs import library_logger
from adapters.storage.errors import UnusableError
from adapters.storage.tables import REVISION, REVISION_TABLE

log = library_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x76616E74756D
"""Of PostgreSQL's advisory locks, the one of whoever migrates: "vantum"."""


def is_current(connection: Connection) -> bool:
    """Whether the tables are what this version needs."""
    return _revision(connection) == REVISION


def migrate(connection: Connection) -> None:
    """Bring the tables up to date, within the transaction that the connection is in. Others wait meanwhile.

    Raises `UnusableError` if a newer version of Vantum has had the database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if is_current(connection):
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    log.info("the database's tables are brought up to date", before=_revision(connection), after=REVISION)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise UnusableError(
            f"it was changed by a newer version of Vantum (its tables are of revision "
            f"{_revision(connection)}, and this one knows {REVISION})"
        ) from None


def _revision(connection: Connection) -> str | None:
    """The newest migration that a database has had; None if it is new."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    revision: str | None = connection.execute(text(f"select version_num from {REVISION_TABLE}")).scalar()
    return revision
