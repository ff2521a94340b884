"""`vantum diagrams`: writes every diagram and table, and finds stale ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.commands.machines import stale_diagrams, write_diagrams

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_the_files_in_the_repository_are_current() -> None:
    assert stale_diagrams(ROOT / "diagrams") == [], "`make diagrams` draws them anew"


def test_written_files_are_current_until_they_are_touched(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    paths = write_diagrams(directory)
    assert sorted(path.name for path in paths) == [
        "admission.md",
        "admission.mmd",
        "admission.svg",
        "breaker.md",
        "breaker.mmd",
        "breaker.svg",
        "call.md",
        "call.mmd",
        "call.svg",
        "conversation.md",
        "conversation.mmd",
        "conversation.svg",
        "link.md",
        "link.mmd",
        "link.svg",
    ]
    assert stale_diagrams(directory) == []
    paths[0].write_text("something else")
    paths[1].unlink()
    assert stale_diagrams(directory) == paths[:2]
