"""VAD hysteresis: when voice counts as speech."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.vad_hysteresis import VadHysteresis, VadSettings
from machines.facts import Fact, SpeechStarted, SpeechStopped

WINDOW_MS = 32


def run(gate: VadHysteresis, *probabilities: float) -> list[tuple[int, Fact]]:
    """The facts, each with the ms of audio after which it was emitted."""
    return [
        (number * WINDOW_MS, fact)
        for number, probability in enumerate(probabilities, start=1)
        for fact in gate.take(probability, WINDOW_MS)
    ]


def test_speech_is_announced_within_100_ms_of_its_onset() -> None:
    assert run(VadHysteresis(), 0.0, 0.9, 0.9, 0.9) == [(96, SpeechStarted())]


def test_a_click_is_not_speech() -> None:
    assert run(VadHysteresis(), 0.0, 0.9, 0.0, 0.0, 0.0, 0.0) == []


def test_clicks_far_apart_do_not_add_up_to_speech() -> None:
    assert run(VadHysteresis(), *[0.9, 0.0, 0.0] * 10) == []


def test_the_silence_of_a_plosive_does_not_end_speech() -> None:
    assert run(VadHysteresis(), 0.9, 0.9, 0.1, 0.1, 0.9, 0.9) == [(64, SpeechStarted())]


def test_speech_ends_after_the_hangover_and_reports_its_own_length_without_it() -> None:
    facts = run(VadHysteresis(), *[0.9] * 10, *[0.0] * 5)
    assert facts == [(64, SpeechStarted()), (13 * 32, SpeechStopped(320.0))]


def test_pauses_within_speech_count_as_speech() -> None:
    facts = run(VadHysteresis(), 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.0, 0.0, 0.0)
    assert facts[-1] == (9 * 32, SpeechStopped(6.0 * 32))


def test_between_the_thresholds_nothing_changes() -> None:
    assert run(VadHysteresis(), *[0.4] * 20) == []
    assert run(VadHysteresis(), 0.9, 0.9, *[0.4] * 20) == [(64, SpeechStarted())]


def test_audio_that_ends_while_somebody_speaks_ends_the_speech() -> None:
    gate = VadHysteresis()
    run(gate, 0.9, 0.9, 0.9)
    assert gate.end() == [SpeechStopped(96.0)]
    assert gate.end() == []
    assert run(gate, 0.9) == []


def test_a_longer_onset_can_be_asked_for() -> None:
    gate = VadHysteresis(VadSettings(onset_ms=160))
    assert run(gate, *[0.9] * 5) == [(160, SpeechStarted())]


@given(st.lists(st.floats(0, 1)))
def test_starts_and_stops_alternate_and_speech_is_never_longer_than_the_audio(chances: list[float]) -> None:
    gate = VadHysteresis()
    facts = [fact for _, fact in run(gate, *chances)] + gate.end()
    assert [type(fact) for fact in facts] == [SpeechStarted, SpeechStopped] * (len(facts) // 2)
    spoken_ms = sum(fact.speech_ms for fact in facts if isinstance(fact, SpeechStopped))
    assert spoken_ms <= len(chances) * WINDOW_MS
