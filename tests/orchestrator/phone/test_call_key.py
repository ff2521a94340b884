"""The file with the key of `vantum call`: who may read it, how long it is there, and whom it is sent to."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orchestrator.cli.call import own_key
from orchestrator.phone.call_key import kept_key, key_file, new_key, read_key


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_key_is_there_for_its_user_alone_as_long_as_the_server_runs() -> None:
    with kept_key(3001, "the key"):
        assert stat.S_IMODE(key_file(3001).stat().st_mode) == 0o600
        assert stat.S_IMODE(key_file(3001).parent.stat().st_mode) == 0o700
        assert (read_key(3001), read_key(3002)) == ("the key", None)
    assert read_key(3001) is None
    assert list(key_file(3001).parent.iterdir()) == []


def test_a_key_that_another_server_has_left_or_put_there_is_told_from_ones_own() -> None:
    with kept_key(3001, "left behind"), kept_key(3001, "newer"):
        assert read_key(3001) == "newer"
    with kept_key(3001, "older"):
        key_file(3001).write_text("newer")
    assert read_key(3001) == "newer"


def test_where_it_cannot_be_kept_the_server_runs_without(state: Path) -> None:
    state.write_text("no directory")
    with kept_key(3001, "the key"):
        assert read_key(3001) is None


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://localhost:3001", True),
        ("http://127.0.0.1:3001/", True),
        ("http://[::1]:3001", True),
        ("http://localhost:3002", False),
        ("http://vantum.example:3001", False),
        ("http://localhost:99999", False),
        ("http://[", False),
    ],
)
def test_it_is_sent_to_this_machine_only(url: str, sent: bool) -> None:
    with kept_key(3001, "the key"):
        assert own_key(url) == ("the key" if sent else None)


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100
