"""The command that installs an extra: one that works in a clone, and one for everybody else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.cli.installing import install_command


def test_in_a_clone_the_clone_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    assert install_command("local", tmp_path) == ".venv/bin/python -m pip install -e '.[local]'"
    monkeypatch.chdir("/")
    assert f"-e '{str(tmp_path)[1:]}[local]'" in install_command("local", tmp_path)


def test_without_a_clone_no_distribution_is_named_that_does_not_exist(tmp_path: Path) -> None:
    assert "'vantum[local] @ git+" in install_command("local", tmp_path)
