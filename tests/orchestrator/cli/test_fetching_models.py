"""`vantum models fetch`: the progress that is shown on a terminal and in a pipe."""

from __future__ import annotations

import io

from rich.console import Console

from adapters.embedded.models import Action, Progress
from orchestrator.cli.models import telling

STEPS = [
    Progress(Action.KEPT, "old.bin", 5, 5),
    *(Progress(Action.DOWNLOADING, "package==1.0", done * 1_000_000, 8_000_000) for done in range(9)),
    Progress(Action.INSTALLED, "new.bin", 5, 5),
]


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    with telling(Console(file=out, force_terminal=terminal, width=120)) as report:
        for step in STEPS:
            report(step)
    return out.getvalue()


def test_a_pipe_gets_a_line_for_each_quarter_and_each_file() -> None:
    quarters = [f"  package==1.0: {percent}% of 8 MB" for percent in (25, 50, 75, 100)]
    assert shown(terminal=False).splitlines() == [*quarters, "  new.bin"]


def test_a_terminal_gets_a_bar_with_sizes() -> None:
    text = shown(terminal=True)
    assert "package==1.0" in text
    assert "8.0/8.0 MB" in text
