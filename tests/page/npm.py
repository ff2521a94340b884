"""Packages of the npm registry, as their authors published them."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from typing import NoReturn

import pytest

PACK_SECONDS = 600


def package(name: str, integrity: str, folder: Path) -> dict[str, bytes]:
    """The files of a package (`name@version`) by their paths in it. Fails if another one was pinned.

    `folder` is empty and keeps what is downloaded. Without a registry the test is skipped; on CI (`CI=true`)
    it fails.
    """
    command = ["npm", "pack", name, "--silent"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PACK_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        _unavailable(f"npm pack {name} did not end within {PACK_SECONDS} s")
    except subprocess.CalledProcessError as error:
        _unavailable(f"npm pack {name} failed: {' '.join(error.stderr.split())[:200]}")
    (packed,) = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == integrity
    with tarfile.open(packed) as archive:
        return {
            member.name.removeprefix("package/"): file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"this test must run on CI, but {reason}")
    pytest.skip(reason)
