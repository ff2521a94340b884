"""`docs/regressions.md` names every test of this folder, and no other."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "regressions.md"
TEST = re.compile(r"\btest_r\d\d_\w+|\bTestR\d\d\w+")


def test_the_document_names_every_test() -> None:
    named = TEST.findall(DOCUMENT.read_text("utf-8"))
    there = [name for path in HERE.glob("test_*.py") for name in TEST.findall(path.read_text("utf-8"))]
    assert len(named) == len(set(named))
    assert set(named) == set(there)
    numbers = re.findall(r"^\| R(\d\d) ", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert numbers == [f"{number:02}" for number in range(1, 28)]
