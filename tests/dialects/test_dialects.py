"""Every dialect is understood, and `docs/dialects.md` is what a run of all of them gives."""

from __future__ import annotations

import pytest

from adapters.simulators.openai_dialects import DIALECTS
from tests.dialects import telephone
from tests.dialects.run import PATH, Row, all_rows, document


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in all_rows()}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_caller_hears_of_every_dialect_what_is_right(rows: dict[str, Row], name: str) -> None:
    assert rows[name].wrong() == {}


def test_the_document_is_what_a_run_gives(rows: dict[str, Row]) -> None:
    carriers = telephone.section(telephone.all_courses())
    assert PATH.read_text("utf-8") == document(list(rows.values())) + carriers, (
        "run `python -m tests.dialects`"
    )
