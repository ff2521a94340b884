"""Every cell keeps its promises, and `docs/faults.md` is what a run of all cells gives."""

from __future__ import annotations

import pytest

pytest.importorskip("deepgram")
pytest.importorskip("cartesia")

from adapters.simulators.script import CALLER_SAYS
from machines.policy import ConversationPolicy
from tests.faults.cells import Cell, Role, all_cells
from tests.faults.run import UNDISTURBED, document, result_of
from tests.faults.table import PATH

LATENCIES_MS = 1200
"""What an undisturbed answer takes at most, beside the endpoint delay; also one that drips."""
POLICY = ConversationPolicy()
REOPENING_MS = POLICY.link.attempt_timeout_ms * len(POLICY.link.retry_delays_ms) + sum(
    POLICY.link.retry_delays_ms
)
"""A link that cannot be opened is given up after this."""
DEADLINES_MS = {
    Role.NOVA: max(POLICY.final_transcript_timeout_ms, REOPENING_MS),
    Role.FLUX: max(POLICY.final_transcript_timeout_ms, REOPENING_MS),
    Role.MODEL: POLICY.first_segment_timeout_ms,
    Role.VOICE: POLICY.speech_stall_timeout_ms,
}
"""How long a provider may keep the caller waiting, beyond the usual."""


def named(cell: Cell) -> str:
    return cell.name


@pytest.mark.parametrize("cell", all_cells(), ids=named)
def test_the_caller_is_not_left_waiting_and_nothing_is_left_behind(cell: Cell) -> None:
    result = result_of(cell)
    assert result.left_behind == ()
    assert result.settled
    assert result.outcome.closing <= POLICY.close_timeout_ms / 1000
    for turn in result.outcome.turns:
        assert turn.silence * 1000 <= POLICY.endpoint_delay_ms + LATENCIES_MS + DEADLINES_MS[cell.role]
        assert turn.gap * 1000 <= POLICY.speech_stall_timeout_ms + 1
    for turn in result.outcome.turns[:1]:
        assert CALLER_SAYS[0].startswith(turn.understood), "no word twice, and none of its own"


def test_without_faults_both_turns_are_answered() -> None:
    outcome = result_of(UNDISTURBED).outcome
    assert [turn.came.value for turn in outcome.turns] == ["answer", "answer"]
    assert outcome.paths == ()
    assert outcome.troubles == ()


def test_the_document_is_what_a_run_gives() -> None:
    assert PATH.read_text("utf-8") == document(), "run `python -m tests.faults`"
