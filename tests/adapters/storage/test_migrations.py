"""The tables of a new database, of one that is used already, and of one that a newer version had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from adapters.storage.database import open_database
from adapters.storage.errors import UnusableError
from adapters.storage.location import Location
from adapters.storage.migrate import MIGRATIONS
from adapters.storage.statements import carry_out
from adapters.storage.tables import REVISION, REVISION_TABLE, metadata
from adapters.storage.writes import Put

TOKEN = Put("used_tokens", {"token_id": "t", "expires_ms": 5, "uses": 1})


def test_the_migrations_make_the_tables_that_the_code_knows(location: Location) -> None:
    """If this fails: CONTRIBUTING.md, "Change the tables"."""
    database = open_database(location)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_the_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_opening_again_changes_nothing(location: Location) -> None:
    for _ in range(2):
        database = open_database(location)
        assert carry_out(database, [TOKEN]) == 0
        with database.reading() as connection:
            assert connection.execute(text("select count(*) from used_tokens")).scalar() == 1
        database.close()


def test_several_servers_may_start_at_once(location: Location) -> None:
    with ThreadPoolExecutor(8) as threads:
        databases = list(threads.map(open_database, [location] * 8))
    for database in databases:
        assert carry_out(database, [TOKEN]) == 0
        database.close()


def test_a_database_of_a_newer_version_is_left_alone(location: Location) -> None:
    database = open_database(location)
    with database.writing() as connection:
        connection.execute(text("update vantum_revision set version_num = '9999'"))
    database.close()
    with pytest.raises(
        UnusableError, match=r"^The database .+ cannot be used: it was changed by a newer .*9999"
    ):
        open_database(location)
