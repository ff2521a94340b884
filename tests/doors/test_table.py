"""Every credential at every endpoint is answered as it should be, and `docs/access.md` says so."""

from __future__ import annotations

import pytest
import trio

from tests.doors.table import PATH, PLACES, Row, all_rows, with_table


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return trio.run(all_rows)


def test_everybody_is_answered_as_they_should_be(rows: dict[str, list[Row]]) -> None:
    wrong = {
        f"{row.shown.what} at {place}": (answer, expected)
        for each in rows.values()
        for row in each
        for place, answer, expected in zip(PLACES, row.answers, row.shown.expected, strict=True)
        if answer != expected
    }
    assert wrong == {}


def test_the_document_is_what_a_run_gives(rows: dict[str, list[Row]]) -> None:
    document = PATH.read_text("utf-8")
    assert with_table(document, rows) == document, "run `python -m tests.doors`"
