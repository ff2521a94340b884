"""The libraries of the talk page are what their authors published, and the wheel brings them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import pytest

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
def test_the_pinned_package_is_the_one_that_npm_gives(tmp_path: Path) -> None:
    packed = _pack(f"{PINNED['name']}@{PINNED['version']}", tmp_path)
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == PINNED["integrity"]
    assert _published(packed) == PINNED["files"]


def _pack(package: str, folder: Path) -> Path:
    command = ["npm", "pack", package, "--silent"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=True)
    except subprocess.TimeoutExpired:
        _unavailable("npm pack did not end within 180 s")
    except subprocess.CalledProcessError as error:
        _unavailable(f"npm pack failed: {' '.join(error.stderr.split())[:200]}")
    (packed,) = folder.glob("*.tgz")
    return packed


def _published(packed: Path) -> dict[str, str]:
    """The licence and the ES modules of a package by their paths, each with its SHA-256."""
    hashes = {}
    with tarfile.open(packed) as archive:
        for member in archive:
            path = PurePosixPath(member.name).relative_to("package")
            if path.suffix == ".mjs":
                path = path.relative_to("dist.esm")
            elif path.name != "LICENSE":
                continue
            content = archive.extractfile(member)
            assert content is not None
            hashes[str(path)] = hashlib.sha256(content.read()).hexdigest()
    return hashes


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the vendored library must be compared with its package on CI, but {reason}")
    pytest.skip(f"vendored library: {reason}")


def test_the_wheel_brings_every_file_of_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = {path.relative_to(ROOT).as_posix() for path in PAGE.rglob("*") if path.is_file()}
    assert files <= set(zipfile.ZipFile(wheel).namelist())
