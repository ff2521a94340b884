"""The table of faults: checks of every cell, and that `docs/faults.md` is what a run of all cells gives."""

from __future__ import annotations

import pytest

pytest.importorskip("deepgram")
pytest.importorskip("cartesia")

from adapters.simulators import FaultKind
from machines.policy import ConversationPolicy
from tests.faults.calls import FIRST_WORDS, NEXT_WORDS
from tests.faults.cells import Cell, Role, State, all_cells, dialect_cells
from tests.faults.outcomes import TurnOutcome, TurnResult
from tests.faults.run import UNDISTURBED, document, result_of
from tests.faults.table import PATH

pytestmark = [pytest.mark.slow, pytest.mark.repeats]
POLICY = ConversationPolicy()
LATENCIES_MS = 1200
"""The longest that an answer without faults takes, besides the endpoint delay; also one that drips."""
LEFT_TO_FLUX_MS = POLICY.provider_endpoint_delay_ms - POLICY.endpoint_delay_ms
"""How much longer silence is waited for with Flux, which decides about turns."""
ALONE_MS = {
    Role.NOVA: POLICY.final_transcript_timeout_ms,
    Role.FLUX: POLICY.final_transcript_timeout_ms + LEFT_TO_FLUX_MS,
    Role.MODEL: POLICY.first_segment_timeout_ms,
    Role.VOICE: POLICY.speech_stall_timeout_ms + POLICY.link.attempt_timeout_ms,
}
"""How much longer the caller may wait for the first sound, or the end of the call."""
BACKED_MS = {
    Role.NOVA: max(POLICY.link.attempt_timeout_ms, POLICY.final_transcript_timeout_ms / 2),
    Role.FLUX: POLICY.final_transcript_timeout_ms / 2 + LEFT_TO_FLUX_MS,
    Role.MODEL: POLICY.first_token_timeout_ms,
    Role.VOICE: POLICY.speech_stall_timeout_ms,
}
"""The same with a second provider."""
ANSWERED = (TurnResult.ANSWER, TurnResult.ANSWER_AFTER_RETRY, TurnResult.ANSWER_AFTER_FAILOVER)
LOSES_RESULTS = (FaultKind.STALL, FaultKind.HALF_OPEN, FaultKind.TRUNCATE, FaultKind.REORDER)
CELLS = all_cells()
BACKED = [cell for cell in CELLS if cell.providers > 1]


def named(cell: Cell) -> str:
    return cell.name


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_the_caller_is_not_left_waiting_and_nothing_is_left_behind(cell: Cell) -> None:
    result = result_of(cell)
    assert result.left_behind == ()
    assert result.settled
    assert result.outcome.closing <= POLICY.close_timeout_ms / 1000
    for turn, words in zip(result.outcome.turns, (FIRST_WORDS, NEXT_WORDS), strict=False):
        assert turn.result not in (TurnResult.SILENCE, TurnResult.TOLD), (
            "the caller hears something, or the call ends"
        )
        assert first_wait(turn) * 1000 <= POLICY.endpoint_delay_ms + LATENCIES_MS + patience_ms(cell)
        assert turn.gap * 1000 <= longest_gap_ms(cell, turn)
        assert words.startswith(turn.understood), "no word twice, and none that was not said"
        if turn.result in ANSWERED and not may_lose_words(cell):
            assert turn.understood == words


@pytest.mark.parametrize("cell", dialect_cells(), ids=named)
def test_over_every_dialect_a_fault_that_passes_costs_no_turn(cell: Cell) -> None:
    result = result_of(cell)
    assert result.left_behind == ()
    assert result.settled
    assert len(result.outcome.turns) == 2
    for turn, words in zip(result.outcome.turns, (FIRST_WORDS, NEXT_WORDS), strict=True):
        # Without a system role the prompt stands before the words, which the simulator repeats as a whole.
        repeats_prompt = turn.result is TurnResult.GARBLED and cell.dialect == "vllm-bare"
        assert turn.result in ANSWERED or repeats_prompt
        assert first_wait(turn) * 1000 <= POLICY.endpoint_delay_ms + LATENCIES_MS + patience_ms(cell)
        assert turn.gap * 1000 <= longest_gap_ms(cell, turn)
        assert words.startswith(turn.understood)


@pytest.mark.parametrize("cell", BACKED, ids=named)
def test_with_a_second_provider_every_turn_is_answered(cell: Cell) -> None:
    outcome = result_of(cell).outcome
    assert len(outcome.turns) == 2
    assert all(turn.result in ANSWERED for turn in outcome.turns)
    assert outcome.client_errors == ()


def first_wait(turn: TurnOutcome) -> float:
    """Seconds to the first sound, or until it was certain that none would come."""
    return turn.silence if turn.first_sound is None else turn.first_sound


def patience_ms(cell: Cell) -> float:
    return (ALONE_MS if cell.providers == 1 else BACKED_MS)[cell.role]


def longest_gap_ms(cell: Cell, turn: TurnOutcome) -> float:
    """The longest gap within an answer. If the only text to speech is lost, nothing can be said about it."""
    if cell.providers == 1 and cell.role is Role.VOICE and turn.result in (TurnResult.ENDED, TurnResult.PART):
        return POLICY.link.budget_ms + 1
    return POLICY.speech_stall_timeout_ms + POLICY.link.attempt_timeout_ms


def may_lose_words(cell: Cell) -> bool:
    """Whether words may be lost: a failure after an interim transcript, which is answered then."""
    owes = any(fault.times == 0 or fault.kind in LOSES_RESULTS for fault in cell.faults)
    hears = cell.role in (Role.NOVA, Role.FLUX)
    return hears and cell.providers == 1 and cell.state is State.LISTENING and owes


def test_without_faults_both_turns_are_answered() -> None:
    outcome = result_of(UNDISTURBED).outcome
    assert [turn.result for turn in outcome.turns] == [TurnResult.ANSWER, TurnResult.ANSWER]
    assert outcome.paths == ()
    assert outcome.client_errors == ()


def test_the_document_is_what_a_run_gives() -> None:
    assert PATH.read_text("utf-8") == document(), "run `python -m tests.faults`"
