"""What all tests share: repeatable scheduling, bounded examples, skips that CI does not allow."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import hypothesis
import pytest
import trio

from adapters.embedded import models
from orchestrator.settings.sources import load_settings
from tests import grid, watchdog
from tests.databases import location as location
from tests.databases import postgres as postgres
from tests.databases import postgres_of_process as postgres_of_process
from tests.databases import postgres_programs
from tests.doors.forwarders import NGINX
from tests.grid import pytest_generate_tests as pytest_generate_tests
from tests.grid import stride as stride
from tests.leftovers import Census

TESTS = Path(__file__).parent
THE_WALKS = TESTS / "machines" / "check" / "test_walks.py"
PACKAGES = ("adapters", "machines", "orchestrator", "protocol")
ON_CI = os.environ.get("CI") == "true"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

hypothesis.settings.register_profile(
    "dev",
    max_examples=50,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("dev"), derandomize=True, database=None
)
hypothesis.settings.load_profile("ci" if ON_CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    watchdog.pytest_addoption(parser)
    grid.pytest_addoption(parser)


# --- Trio runs the tasks that are ready in random order; here in the same random order every time ---------


def pytest_configure(config: pytest.Config) -> None:
    watchdog.pytest_configure(config)
    # What servers of tests keep is neither read from nor left in this user's own directory.
    kept = tempfile.TemporaryDirectory(prefix="vantum-tests-")
    config.add_cleanup(kept.cleanup)
    os.environ["XDG_DATA_HOME"] = kept.name
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Coverage is measured in the workers, and not in the processes that tests start: these would be three
        # times as slow, and what they run is tested without a process elsewhere.
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
        os.environ.pop("COVERAGE_PROCESS_START", None)
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]


def pytest_runtest_setup(item: pytest.Item) -> None:
    trio._core._run._r.seed(item.nodeid)


# --- the tracer of coverage triples the time, in vain where the same code runs over and over ---------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Only tests that run something new run with a tracer, and the fixtures that are made for them."""
    tracer = sys.gettrace()
    # A debugger's stays.
    measured = type(tracer).__module__.partition(".")[0] == "coverage"
    if not measured or _runs_something_new(item):
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


_first_cases: dict[tuple[Path, str], pytest.Item] = {}
"""By file and name of a test function, the one of its cases that this process runs first."""


def _runs_something_new(item: pytest.Item) -> bool:
    """Whether a test mirrors a package, is the first case of its function, and no search through many."""
    mirrors = item.path.relative_to(TESTS).parts[0] in PACKAGES
    if not mirrors or item.get_closest_marker("repeats") is not None:
        return False
    function = item.function if isinstance(item, pytest.Function) else None
    if getattr(function, "is_hypothesis_test", False):
        return False
    return _first_cases.setdefault((item.path, getattr(item, "originalname", item.name)), item) is item


# --- looking for what is left behind goes through all objects ----------------------------------------------


def pytest_collection_finish() -> None:
    """What exists before the first test is never garbage: without it, a search takes a tenth of the time."""
    gc.collect()
    gc.freeze()


# --- what may be missing on a developer's machine, and never on CI ----------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_how_short)
    if ON_CI:
        return
    for marker, reason in _lacking().items():
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _how_short(item: pytest.Item) -> int:
    """The longest file comes first, lest one worker alone is left with it; the short tests fill the gaps."""
    if item.path == THE_WALKS:
        return 0
    return 1 if item.get_closest_marker("slow") else 2


def _lacking() -> dict[str, str]:
    """The markers of tests that cannot run here, each with what would make them run."""
    lacking = {}
    directory = load_settings().local_models_dir
    if any(status is not models.Status.PRESENT for _, status in models.installed(directory)):
        lacking["models"] = f"needs the embedded models: `{models.FETCH_COMMAND}`"
    if not any(shutil.which(name) for name in BROWSERS):
        lacking["browser"] = "needs Chromium"
    if not (shutil.which("node") and shutil.which("npm")):
        lacking["node"] = "needs Node.js and npm"
    if postgres_programs() is None:
        lacking["postgres"] = "needs the server programs of PostgreSQL: Debian's package `postgresql`"
    if NGINX is None:
        lacking["nginx"] = "needs nginx: Debian's package `nginx-light`"
    return lacking


# --- nothing left behind ----------------------------------------------------------------------------------


@pytest.fixture
def leaves_nothing() -> Callable[[], AbstractContextManager[None]]:
    """`with leaves_nothing():` fails if more threads, sockets, files or children exist after than before."""

    @contextmanager
    def watch() -> Iterator[None]:
        before = Census.take()
        yield
        before.compare()

    return watch
