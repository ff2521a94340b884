"""The check for leftovers finds what is left, and only that."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import trio

from tests import leftovers

Watch = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE_SECONDS", 0.1)


@pytest.mark.slow
def test_a_socket_left_open_is_found(leaves_nothing: Watch) -> None:
    with socket.socket() as kept:
        with pytest.raises(AssertionError, match="left behind: file socket"), leaves_nothing():
            left = socket.socket()
        left.close()
        assert kept.fileno() > 0


@pytest.mark.slow
def test_a_file_left_open_is_found(leaves_nothing: Watch, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"left behind: file .*left\.txt"), leaves_nothing():
        left = (tmp_path / "left.txt").open("w")
    left.close()


@pytest.mark.slow
def test_a_thread_left_running_is_found(leaves_nothing: Watch) -> None:
    stop = threading.Event()
    with pytest.raises(AssertionError, match="left behind: thread lingering"), leaves_nothing():
        left = threading.Thread(target=stop.wait, name="lingering")
        left.start()
    stop.set()
    left.join()


@pytest.mark.slow
def test_a_process_left_running_is_found(leaves_nothing: Watch) -> None:
    with pytest.raises(AssertionError, match=r"left behind: .*process"), leaves_nothing():
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left.communicate()


@pytest.mark.slow
def test_what_is_put_away_is_not_found(leaves_nothing: Watch) -> None:
    async def work() -> None:
        await trio.to_thread.run_sync(gc.collect)

    with leaves_nothing(), socket.socket():
        trio.run(work)
