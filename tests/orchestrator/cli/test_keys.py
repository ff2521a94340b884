"""`vantum keys` and `vantum db`: what they print, what they keep, and what they say if that is impossible."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from orchestrator.access.grants import Scope
from orchestrator.access.keys import has_form
from orchestrator.cli.commands.access import SCOPES
from orchestrator.cli.main import main
from orchestrator.settings.settings import Settings


@pytest.fixture(autouse=True)
def data_dir(plain_logs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    structlog.reset_defaults()  # as commands have it
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "vantum_config"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def vantum(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def listed() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(vantum("keys", "list", "--json").stdout)
    return found


def test_scopes_are_those_that_there_are() -> None:
    assert tuple(Scope) == SCOPES


def test_a_secret_is_shown_once_and_kept_nowhere(data_dir: Path) -> None:
    made = vantum("keys", "create", "--name", "Ann's shop")
    secret = made.stdout.strip()
    assert has_form(secret)
    assert "allows: call. Keep its secret, it is not shown again" in made.stderr
    for shown in (vantum("keys", "list").output, vantum("keys", "list", "--json").output):
        assert secret[:10] in shown
        assert secret not in shown
    assert all(secret.encode() not in file.read_bytes() for file in data_dir.iterdir())


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def nobody() -> int:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full: Linux has one")
@pytest.mark.parametrize(("output", "closed"), [(full_disk, ""), (nobody, ""), (nobody, ">&-")])
def test_a_secret_that_nobody_got_opens_nothing(output: Callable[[], int], closed: str) -> None:
    file = output()
    command = f"{shlex.quote(sys.executable)} -m orchestrator.cli keys create {closed}"
    done = subprocess.run(
        command, shell=True, stdout=file, stderr=subprocess.PIPE, text=True, check=False, timeout=300
    )
    os.close(file)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert [each["revoked"] is not None for each in listed()] == [True]


def test_a_key_has_the_scopes_and_limits_that_were_asked_for() -> None:
    limits = ("--calls-at-once", "5", "--micros-per-day", "2000000")
    made = vantum("keys", "create", "--scope", "dial", "--scope", "call", *limits, "--json")
    key = json.loads(made.stdout)
    assert has_form(key.pop("secret"))
    assert listed() == [key]
    assert key["scopes"] == ["call", "dial"]
    assert key["limits"] == {
        "calls_at_once": 5,
        "calls_per_minute": None,
        "tokens_per_minute": None,
        "dials_per_minute": None,
        "micros_per_day": 2_000_000,
    }
    assert (key["last_used"], key["revoked"]) == (None, None)
    assert "calls_at_once 5, micros_per_day 2000000" in vantum("keys", "list").stdout


def test_a_revoked_key_stays_in_the_list() -> None:
    vantum("keys", "create", "--name", "one")
    vantum("keys", "create", "--name", "two")
    key_id = str(listed()[0]["id"])
    assert vantum("keys", "revoke", key_id).stdout == f"Key {key_id} (one) is revoked.\n"
    revoked = [key["revoked"] for key in listed()]
    assert revoked[0] is not None
    assert revoked[1] is None
    assert vantum("keys", "revoke", key_id).exit_code == 0
    assert [key["revoked"] for key in listed()] == revoked
    last = vantum("keys", "revoke", str(listed()[1]["id"])).stdout
    assert "No key is left, and nobody is let in without one all the same" in last


def test_without_a_key_nothing_is_made(tmp_path: Path) -> None:
    assert vantum("keys", "list").stdout == "There are no keys: `vantum keys create` makes one.\n"
    assert listed() == []
    revoked = vantum("keys", "revoke", "key_none")
    assert revoked.exit_code == 1
    assert revoked.stderr == "Error: There is no key 'key_none': `vantum keys list` lists all.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_name_cannot_order_the_terminal_about() -> None:
    assert vantum("keys", "create", "--name", "\x1b[2J").exit_code == 2
    assert vantum("keys", "create", "--name", "x" * 101).exit_code == 2


def test_the_tables_are_made_by_hand(data_dir: Path) -> None:
    done = vantum("db", "upgrade")
    assert done.stdout == f"The tables of {data_dir / 'vantum.db'} are up to date: revision 0003.\n"
    assert vantum("db", "upgrade").stdout == done.stdout


def test_what_cannot_be_kept_is_told(data_dir: Path) -> None:
    data_dir.write_text("a file")
    done = vantum("keys", "create")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        f"Error: DATA_DIR is '{data_dir}', but key-pepper, under which keys are hashed"
    )


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/calls")
    done = vantum("keys", "list")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "Error: The database postgresql://me:(a secret)@127.0.0.1:1/calls cannot be used"
    )
    assert "hunter2" not in done.output


def test_an_address_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANTUM_DATABASE_URL", "mysql://me:hunter2@db/calls")
    done = vantum("keys", "list")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: VANTUM_DATABASE_URL (from the environment) is (a secret), but must be "
        "the address of a database: postgresql://HOST/NAME or sqlite:///PATH.\n"
    )


def test_the_database_of_another_program_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:hunter2@db/calls")
    done = vantum("keys", "list")
    assert done.exit_code == 0
    assert "names no database of PostgreSQL's or SQLite's and is left out" in done.stderr
    assert "hunter2" not in done.output
