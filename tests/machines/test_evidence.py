"""When words are words: confidence and repetition."""

from __future__ import annotations

import pytest

from machines import effects as do
from machines import facts
from machines.evidence import Evidence, judge
from machines.facts import TurnMode
from tests.machines.calls import Call


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("Oh,", 0.41, Evidence.NOISE),
        ("Oh,", 0.58, Evidence.UNSURE),
        ("Oh, oh, oh, oh, oh.", 0.58, Evidence.NOISE),
        ("You know, you know, you know, you", 0.8, Evidence.NOISE),
        ("No, no, no, no, no!", 0.95, Evidence.SURE),
        ("Yes.", 0.71, Evidence.SURE),
        ("I would like a table for two", 0.6, Evidence.SURE),
        ("Yes, yes.", 0.8, Evidence.SURE),
        ("Oh,", 0.0, Evidence.SURE),
        ("", 0.1, Evidence.SURE),
    ],
)
def test_confidence_and_repetition_decide(text: str, confidence: float, expected: Evidence) -> None:
    assert judge(text, confidence, 0.5, 0.65) is expected


def test_everything_counts_if_the_policy_asks_for_no_confidence() -> None:
    assert judge("Oh, oh, oh, oh", 0.1, 0, 0) is Evidence.SURE


def automatic() -> Call:
    return Call().listening(TurnMode.AUTOMATIC)


def test_a_laugh_is_not_answered_and_the_client_is_told() -> None:
    call = automatic()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=900))
    call.deadline_passes()
    awaited = call.memory.turns.awaited
    assert awaited is not None
    effects = call.handle(facts.TranscriptFinal(awaited, "Oh, oh, oh, oh", 0.45, 900)).effects
    assert call.state == "quiet"
    assert do.NotifyLowConfidence(awaited, 0.45) in effects
    assert not [each for each in effects if isinstance(each, do.StartGeneration)]


def test_a_cough_over_an_answer_does_not_interrupt_it() -> None:
    call = Call().speaking(mode=TurnMode.AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "Oh,", 0.4))
    call.handle(facts.SpeechStopped(speech_ms=500))
    awaited = call.memory.turns.awaited
    assert awaited is not None
    effects = call.handle(facts.TranscriptFinal(awaited, "Oh,", 0.4, 500)).effects
    assert call.state == "speaking"
    assert [each for each in effects if isinstance(each, do.ResumeSpeech)]
    assert do.NotifyLowConfidence(awaited, 0.4) in effects


def test_a_turn_by_hand_is_taken_as_it_was_heard() -> None:
    call = Call().finalizing()
    awaited = call.memory.turns.awaited
    assert awaited is not None
    call.handle(facts.TranscriptFinal(awaited, "Oh,", 0.4, 500))
    assert call.state == "generating"
