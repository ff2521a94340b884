"""A run that cannot end is ended, with a failure.

A test that hangs is found by `faulthandler_timeout`, which ends its process. What is left is a run in which
no test runs and none will: one that hangs while tests are collected, or in which pytest-xdist and a worker
wait for each other. Whatever any test does starts the clock anew, so a busy machine does not make it run out.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

import pytest

MINUTES = 45
"""More than `faulthandler_timeout`, so that a test that hangs is named by that."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("silent_minutes", "End a run in which nothing happens for so long.", default=str(MINUTES))


def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist ends when the process that started it does; who debugs may think for long.
    if "PYTEST_XDIST_WORKER" not in os.environ and not config.getoption("usepdb"):
        config.pluginmanager.register(Watchdog(float(config.getini("silent_minutes")), _say(config)))


def _say(config: pytest.Config) -> Callable[[str], None]:
    def say(text: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        print(f"\n{text}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr)

    return say


class Watchdog:
    """Ends this process when it has seen nothing for so many minutes."""

    def __init__(self, minutes: float, say: Callable[[str], None]) -> None:
        self._minutes = minutes
        self._say = say
        self._running: set[str] = set()
        self._seen = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def _watch(self) -> None:
        while self._seen.wait(self._minutes * 60):
            if self._over:
                return
            self._seen.clear()
        running = ", ".join(sorted(self._running)) or "none"
        self._say(
            f"Nothing has happened for {self._minutes:g} minutes: this run would not end, and is ended."
            f" Tests that have begun and not ended: {running}."
        )
        os._exit(pytest.ExitCode.INTERNAL_ERROR)

    # --- signs of life ------------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        self._thread.start()

    def pytest_collectreport(self) -> None:
        self._seen.set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running.add(nodeid)
        self._seen.set()

    def pytest_runtest_logreport(self) -> None:
        self._seen.set()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.discard(nodeid)
        self._seen.set()

    def pytest_unconfigure(self) -> None:
        self._over = True
        self._seen.set()
