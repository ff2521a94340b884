"""A run that cannot end by itself ends with a failure, and says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
CONFTEST = "from tests.watchdog import pytest_addoption, pytest_configure\n"
HANGS = "import time\n\ndef test_that_hangs():\n    time.sleep(100_000)\n"
PASS = "import pytest\n\n@pytest.mark.parametrize('n', range(5))\ndef test_that_passes(n): pass\n"
WORKERS = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def run(directory: Path, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run these tests as `make test` does; returns when the run and all its workers have ended."""
    for name, text in {"conftest": CONFTEST, **files}.items():
        (directory / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return subprocess.run(
        [*command, "--rootdir", str(directory), *options, str(directory)],
        cwd=directory,
        env={**plain, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_that_hangs_is_named_and_fails_the_run(tmp_path: Path) -> None:
    """It is the only one of its file: a worker in place of the dead one would wait for a second, for ever."""
    ended = run(tmp_path, *WORKERS, "-o", "faulthandler_timeout=5", test_a=PASS, test_b=PASS, test_c=HANGS)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "crashed while running 'test_c.py::test_that_hangs'" in ended.stdout


def test_a_run_in_which_nothing_happens_is_ended_with_its_workers(tmp_path: Path) -> None:
    hangs = "import time\ntime.sleep(100_000)\n"
    ended = run(tmp_path, *WORKERS, "-o", "silent_minutes=0.1", test_a=hangs)
    assert ended.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert "Nothing has happened for 0.1 minutes: this run would not end" in ended.stderr
