"""When words are words: confidence, the voice that they were heard in, and repetition."""

from __future__ import annotations

import pytest

from machines import effects as do
from machines import facts
from machines.evidence import Evidence, VoiceHeard, judge
from machines.facts import TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy
from tests.machines.calls import Call

CLEAR = VoiceHeard(400, 0.88, 400)
"""A short answer, in noise or not."""
DULL = VoiceHeard(1100, 0.69, 1500)
"""A laugh, or voices in the background."""
NOTHING = VoiceHeard(0, 0.0, 0)
LOUD = VoiceHeard(0, 0.0, 900)
"""Speech that voice activity detection does not notice, as under a closed lid."""
POLICY = ConversationPolicy()


def judged(text: str, confidence: float, voice: VoiceHeard | None) -> Evidence:
    return judge(
        text,
        confidence,
        voice,
        least=POLICY.least_confidence,
        sure=POLICY.sure_confidence,
        clear=POLICY.clear_voice,
    )


@pytest.mark.parametrize(
    ("text", "confidence", "voice", "expected"),
    [
        ("Ok,", 0.53, CLEAR, Evidence.SURE),
        ("No.", 0.46, CLEAR, Evidence.SURE),
        ("Dove.", 0.38, CLEAR, Evidence.UNSURE),
        ("Yes, yes, yes, yes,", 0.71, CLEAR, Evidence.SURE),
        ("Yah yah yah y", 0.52, CLEAR, Evidence.UNSURE),
        ("Oh,", 0.58, DULL, Evidence.NOISE),
        ("This is the first time I've ever seen this.", 0.51, DULL, Evidence.NOISE),
        ("Oh, oh, oh, oh, oh.", 0.7, DULL, Evidence.NOISE),
        ("You know, you know, you know, you", 0.8, DULL, Evidence.NOISE),
        ("No, no, no, no, no!", 0.95, DULL, Evidence.SURE),
        ("Stop.", 0.68, DULL, Evidence.SURE),
        ("Okay.", 0.965, NOTHING, Evidence.NOISE),
        ("Thank you for watching.", 0.95, NOTHING, Evidence.NOISE),
        ("ご視聴ありがとうございました", 0.0, NOTHING, Evidence.NOISE),
        ("I need a taxi.", 0.93, LOUD, Evidence.SURE),
        ("Okay.", 0.965, LOUD, Evidence.NOISE),
        ("I need a", 0.8, LOUD, Evidence.NOISE),
        ("Yes.", 0.71, None, Evidence.SURE),
        ("Oh,", 0.41, None, Evidence.NOISE),
        ("Oh,", 0.0, None, Evidence.SURE),
        ("Oh,", 0.0, DULL, Evidence.SURE),
        ("", 0.1, NOTHING, Evidence.SURE),
    ],
)
def test_confidence_voice_and_repetition_decide(
    text: str, confidence: float, voice: VoiceHeard | None, expected: Evidence
) -> None:
    assert judged(text, confidence, voice) is expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("en", "five five five five"),
            ("en", "1 1 1 1"),
            ("", "0 0 0 7"),
            ("de", "zwo zwo zwo"),
            ("zh", "五五五五"),
        ),
        *(
            ("ko", "일 일 일 일"),
            ("ko", "공공공공"),
            ("ar", "٥ ٥ ٥ ٥"),
            ("ru", "пять пять пять"),
            ("sv", "fem fem fem"),
        ),
        *(
            ("hi", "पाँच पाँच पाँच"),
            ("multi", "cinco cinco cinco"),
            ("en", "double five double five double five"),
        ),
    ],
)
def test_digits_may_be_said_again_and_again(language: str, text: str) -> None:
    for voice in (CLEAR, DULL, None):
        assert judge(text, 0.8, voice, least=0.35, sure=0.75, clear=0.8, language=language) is Evidence.SURE


def test_a_confidence_that_is_no_number_is_not_known() -> None:
    assert judged("I need a taxi", float("nan"), None) is Evidence.SURE


def test_everything_counts_if_the_policy_asks_for_no_confidence() -> None:
    assert judge("Oh, oh, oh, oh", 0.1, NOTHING, least=0, sure=0, clear=0) is Evidence.SURE


def automatic() -> Call:
    return Call().listening(TurnMode.AUTOMATIC)


def finalizing() -> Call:
    """A caller has made a sound, and what it is will be known soon."""
    call = automatic()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=900))
    call.deadline_passes()
    assert call.state == "finalizing"
    return call


def awaited(call: Call) -> int:
    turn = call.memory.turns.awaited
    assert turn is not None
    return turn


def test_a_laugh_is_not_answered_and_the_client_is_told() -> None:
    call = finalizing()
    turn = awaited(call)
    effects = call.handle(facts.TranscriptFinal(turn, "Oh, oh, oh, oh", 0.45, 900, voice=DULL)).effects
    assert call.state == "quiet"
    assert do.NotifyLowConfidence(turn, 0.45) in effects
    assert not [each for each in effects if isinstance(each, do.StartGeneration)]


def test_a_short_answer_in_noise_is_answered() -> None:
    call = finalizing()
    call.handle(facts.TranscriptFinal(awaited(call), "No.", 0.46, 400, voice=CLEAR))
    assert call.state == "generating"


def test_a_caller_who_spoke_clearly_and_was_not_understood_is_asked_again() -> None:
    call = finalizing()
    turn = awaited(call)
    effects = call.handle(facts.TranscriptFinal(turn, "Dove.", 0.38, 400, voice=CLEAR)).effects
    assert call.state == "speaking"
    assert [each.text for each in effects if isinstance(each, do.Speak)] == [POLICY.fallback.unheard]
    assert do.NotifyLowConfidence(turn, 0.38) in effects


def test_so_is_one_whose_turn_was_ended_by_the_provider() -> None:
    call = automatic()
    call.handle(facts.LinkFailed(facts.Role.STT, 1, facts.ProviderFailure(facts.ErrorClass.CONNECTION, "")))
    call.handle(facts.LinkOpened(facts.Role.STT, attempt=2, ends_turns=True))
    call.handle(facts.SpeechStarted())
    turn = call.memory.turns.current
    effects = call.handle(facts.EndOfTurn(turn, "Dove.", 0.38, 400, voice=CLEAR)).effects
    assert call.state == "speaking"
    assert [each.text for each in effects if isinstance(each, do.Speak)] == [POLICY.fallback.unheard]


def test_the_own_answer_that_comes_back_unclearly_is_not_asked_about() -> None:
    call = Call().speaking(mode=TurnMode.AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=500))
    turn = awaited(call)
    call.handle(facts.PlaybackFinished(call.memory.answer.generation))
    assert call.state == "finalizing"
    call.handle(facts.TranscriptFinal(turn, "Yet in dead.", 0.3, 500, voice=CLEAR))
    assert call.state == "quiet"


def test_a_cough_over_an_answer_does_not_interrupt_it() -> None:
    call = Call().speaking(mode=TurnMode.AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "Oh,", 0.4, voice=DULL))
    call.handle(facts.SpeechStopped(speech_ms=500))
    turn = awaited(call)
    effects = call.handle(facts.TranscriptFinal(turn, "Oh,", 0.4, 500, voice=DULL)).effects
    assert call.state == "speaking"
    assert [each for each in effects if isinstance(each, do.ResumeSpeech)]
    assert do.NotifyLowConfidence(turn, 0.4) in effects


def test_words_that_are_noise_are_neither_shown_nor_used_when_no_final_ones_come() -> None:
    call = automatic()
    call.handle(facts.SpeechStarted())
    turn = call.memory.turns.current
    effects = call.handle(facts.TranscriptInterim(turn, "Oh, oh, oh", 0.5, voice=DULL)).effects
    assert not [each for each in effects if isinstance(each, do.NotifyTranscript)]
    assert not call.memory.turns.interim


def test_what_is_heard_in_silence_is_not_shown() -> None:
    call = automatic()
    effects = call.handle(
        facts.TranscriptInterim(call.memory.turns.current, "Okay.", 0.965, voice=NOTHING)
    ).effects
    assert call.state == "quiet"
    assert not [each for each in effects if isinstance(each, do.NotifyTranscript)]


def test_a_caller_whose_voice_is_not_noticed_is_answered() -> None:
    call = automatic()
    turn = call.memory.turns.current
    call.handle(facts.TranscriptInterim(turn, "I need", 0.93, voice=LOUD))
    assert call.state == "endpointing"
    call.handle(facts.TranscriptInterim(turn, "I need a taxi.", 0.93, voice=LOUD), after_ms=1000)
    call.deadline_passes()
    assert call.now >= 2200, "the turn goes on as long as words come"
    call.handle(facts.TranscriptFinal(turn, "I need a taxi.", 0.93, 0, voice=LOUD))
    assert call.state == "generating"
    asked = [each for each in call.last.effects if isinstance(each, do.StartGeneration)]
    assert [message.text for message in asked[0].messages if message.speaker is Speaker.USER] == [
        "I need a taxi."
    ]


def test_the_echo_of_an_answer_without_voice_is_not_a_turn() -> None:
    call = Call().speaking("How can I help you today?", mode=TurnMode.AUTOMATIC)
    call.handle(facts.PlaybackFinished(call.memory.answer.generation))
    assert call.state == "quiet"
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "help you today?", 0.95, voice=LOUD))
    assert call.state == "quiet"


def test_a_turn_by_hand_is_taken_as_it_was_heard() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptFinal(awaited(call), "Oh,", 0.4, 500, voice=DULL))
    assert call.state == "generating"
