"""Fixtures: the real msgpackr under Node.js, installed once for the test run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

SOURCES = Path(__file__).parent / "node"
INSTALL = ("install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--no-package-lock")

RunNode = Callable[[str, object], Any]
"""Runs one of our scripts with a value as JSON on stdin, and returns the value that it prints."""


@pytest.fixture(scope="session")
def run_node(tmp_path_factory: pytest.TempPathFactory) -> RunNode:
    """Node.js with msgpackr, in a temporary directory or in `VANTUM_NODE_CACHE`, which is kept.

    Without Node.js, npm or a registry the tests that need it are skipped; on CI (`CI=true`) they fail.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _unavailable("node and npm are not installed")
    cache = os.environ.get("VANTUM_NODE_CACHE")
    folder = Path(cache) if cache else tmp_path_factory.mktemp("node")
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    if not _installed(folder):
        _install(npm, folder)

    def run(script: str, value: object) -> Any:
        finished = subprocess.run(
            [node, folder / script], input=json.dumps(value), capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    return run


def _installed(folder: Path) -> bool:
    """Whether the right version of msgpackr is installed."""
    asked = json.loads((folder / "package.json").read_text())["dependencies"]["msgpackr"]
    found = folder / "node_modules" / "msgpackr" / "package.json"
    return found.exists() and json.loads(found.read_text())["version"] == asked


def _install(npm: str, folder: Path) -> None:
    try:
        subprocess.run([npm, *INSTALL], cwd=folder, capture_output=True, text=True, timeout=600, check=True)
    except subprocess.TimeoutExpired:
        _unavailable("npm install did not end within 180 s")
    except subprocess.CalledProcessError as error:
        _unavailable(f"npm install failed: {' '.join(error.stderr.split())[:200]}")


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the msgpackr conformance tests must run on CI, but {reason}")
    pytest.skip(f"msgpackr conformance: {reason}")
