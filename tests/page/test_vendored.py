"""The libraries of the talk page are what their authors published, and the wheel brings them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.page import npm

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "orchestrator" / "server" / "page"
VENDOR = PAGE / "vendor"
PINNED: dict[str, Any] = json.loads((VENDOR / "msgpack.json").read_text(encoding="utf-8"))


def test_each_vendored_file_is_the_one_that_was_pinned() -> None:
    folder = VENDOR / "msgpack"
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == PINNED["files"]
    assert "LICENSE" in found


@pytest.mark.node
def test_the_pinned_files_are_those_that_npm_gives(tmp_path: Path) -> None:
    package = npm.package(f"{PINNED['name']}@{PINNED['version']}", PINNED["integrity"], tmp_path)
    published = {
        path.removeprefix("dist.esm/"): hashlib.sha256(content).hexdigest()
        for path, content in package.items()
        if path == "LICENSE" or path.endswith(".mjs")
    }
    assert published == PINNED["files"]


def test_the_wheel_brings_every_file_of_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = {path.relative_to(ROOT).as_posix() for path in PAGE.rglob("*") if path.is_file()}
    assert files <= set(zipfile.ZipFile(wheel).namelist())
