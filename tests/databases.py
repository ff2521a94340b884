"""Databases for tests: files of SQLite's, and a server of PostgreSQL's for each process that runs tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from attrs import define, field

from adapters.storage.location import Location, location_of

HARMLESS_USER = "nobody"
"""PostgreSQL refuses to run as root."""
_PASSWORD = "p@ss/word"
_numbers = itertools.count(1)


def postgres_programs() -> Path | None:
    """The directory of PostgreSQL's server programs; None if they are not installed."""
    on_path = shutil.which("pg_ctl")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))[
        ::-1
    ]
    return next((each for each in places if (each / "initdb").exists()), None)


@define
class PostgresServer:
    """A server of its own, at a socket in a directory of its own."""

    directory: Path
    running: bool = field(default=False, init=False)

    def make(self) -> None:
        """Make its files."""
        if os.getuid() == 0:
            harmless = pwd.getpwnam(HARMLESS_USER)
            os.chown(self.directory, harmless.pw_uid, harmless.pw_gid)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self.directory / 'log'}", "-o", options)
        self.running = True

    def stop(self, mode: str = "fast") -> None:
        """Stop it; by the mode `immediate` as a crash does."""
        if self.running:
            self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")
            self.running = False

    def new_database(self) -> Location:
        """An empty database, with an address that has a password."""
        import psycopg

        name = f"tests_{os.getpid()}_{next(_numbers)}"
        place = f"host={self.directory} user=tests dbname=postgres"
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        secret = quote(_PASSWORD, safe="")
        return location_of(f"postgresql://tests:{secret}@/{name}?host={self.directory}")

    def _run(self, program: str, *arguments: str) -> None:
        programs = postgres_programs()
        assert programs is not None
        command = [str(programs / program), f"--pgdata={self.directory / 'data'}", *arguments]
        if os.getuid() == 0:
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, user=HARMLESS_USER, extra_groups=()
            )
        else:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _server() -> Iterator[PostgresServer]:
    # Sockets have short paths, and other users can get into this directory.
    with tempfile.TemporaryDirectory(prefix="vantum-tests-", dir="/tmp") as directory:
        server = PostgresServer(Path(directory))
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture(scope="session")
def postgres_of_process() -> Iterator[PostgresServer]:
    """A server that stays for all tests of this process."""
    with _server() as server:
        yield server


@pytest.fixture
def postgres(postgres_of_process: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    yield postgres_of_process
    if not postgres_of_process.running:
        postgres_of_process.start()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return Location(tmp_path / "data" / "vantum.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
