"""Every dialect is understood, and `docs/dialects.md` is what a run of all of them gives."""

from __future__ import annotations

import pytest

from adapters.simulators import SttDialect, TtsDialect
from adapters.simulators.openai_dialects import DIALECTS
from tests.dialects import speech, telephone
from tests.dialects.run import PATH, Row, all_rows, document


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in all_rows()}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_caller_hears_of_every_dialect_what_is_right(rows: dict[str, Row], name: str) -> None:
    assert rows[name].wrong() == {}


@pytest.fixture(scope="module")
def stt_rows() -> dict[str, speech.Row]:
    return {row.name: row for row in speech.stt_rows()}


@pytest.fixture(scope="module")
def tts_rows() -> dict[str, speech.Row]:
    return {row.name: row for row in speech.tts_rows()}


@pytest.mark.slow
@pytest.mark.repeats
@pytest.mark.parametrize("name", [each.value for each in SttDialect])
def test_a_caller_is_understood_by_every_deepgram(stt_rows: dict[str, speech.Row], name: str) -> None:
    assert stt_rows[name].wrong(speech.STT_FEATURES) == {}


@pytest.mark.slow
@pytest.mark.repeats
@pytest.mark.parametrize("name", [each.value for each in TtsDialect])
def test_a_caller_hears_every_cartesia(tts_rows: dict[str, speech.Row], name: str) -> None:
    assert tts_rows[name].wrong(speech.TTS_FEATURES) == {}


@pytest.mark.slow
@pytest.mark.repeats
def test_the_document_is_what_a_run_gives(
    rows: dict[str, Row], stt_rows: dict[str, speech.Row], tts_rows: dict[str, speech.Row]
) -> None:
    spoken = speech.document(list(stt_rows.values()), list(tts_rows.values()))
    carriers = telephone.section(telephone.all_courses())
    expected = f"{document(list(rows.values()))}{carriers}\n{spoken}"
    assert PATH.read_text("utf-8") == expected, "run `python -m tests.dialects`"
