"""What of a turn's audio is decoded, and when."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.embedded.turn_audio import Decode, Heard, TurnAudio
from adapters.interfaces import LISTENING_RATE, Samples

WINDOW_MS = 32
VOICE, SILENCE = 0.9, 0.0


def window(loudness: int = 1000) -> Samples:
    return np.full(LISTENING_RATE * WINDOW_MS // 1000, loudness, np.int16)


def take(turn: TurnAudio, ms: float, probability: float) -> None:
    for _ in range(round(ms / WINDOW_MS)):
        turn.take(window(), probability)


def next_decode(turn: TurnAudio) -> Decode:
    decode = turn.next_decode(over=False)
    assert decode is not None
    return decode


def understand(turn: TurnAudio, text: str, *, over: bool = False) -> Decode:
    decode = turn.next_decode(over=over)
    assert decode is not None
    turn.understand(decode, Heard(text, 0.5, len(text.split())))
    return decode


def length_ms(decode: Decode) -> float:
    return len(decode.samples) * 1000 / LISTENING_RATE


def test_the_first_interim_waits_for_a_second_of_voice() -> None:
    turn = TurnAudio()
    take(turn, 960, VOICE)
    assert turn.next_decode(over=False) is None
    take(turn, 64, VOICE)
    assert not next_decode(turn).urgent


def test_interims_follow_each_half_second_of_new_voice() -> None:
    turn = TurnAudio()
    take(turn, 1024, VOICE)
    understand(turn, "one")
    take(turn, 480, VOICE)
    assert turn.next_decode(over=False) is None
    take(turn, 32, VOICE)
    assert next_decode(turn) is not None


def test_a_pause_is_decoded_at_once_and_then_nothing_is_left_to_do_for_the_final() -> None:
    turn = TurnAudio()
    take(turn, 480, VOICE)
    take(turn, 224, SILENCE)
    assert understand(turn, "yes").urgent
    take(turn, 2000, SILENCE)
    assert turn.is_understood
    assert turn.next_decode(over=True) is None
    assert turn.heard.text == "yes"


def test_too_little_voice_is_no_speech() -> None:
    turn = TurnAudio()
    take(turn, 288, VOICE)
    take(turn, 500, SILENCE)
    assert turn.is_understood
    assert turn.next_decode(over=True) is None


def test_long_silence_is_not_decoded() -> None:
    turn = TurnAudio()
    take(turn, 5000, SILENCE)
    take(turn, 480, VOICE)
    take(turn, 5000, SILENCE)
    take(turn, 480, VOICE)
    decode = turn.next_decode(over=True)
    assert decode is not None
    assert length_ms(decode) <= 960 + 4 * 300


def test_silence_around_voice_is_decoded_with_it() -> None:
    turn = TurnAudio()
    take(turn, 5000, SILENCE)
    take(turn, 480, VOICE)
    take(turn, 320, SILENCE)
    assert length_ms(next_decode(turn)) >= 480 + 2 * 280


def test_at_a_pause_long_text_is_settled_and_not_decoded_again() -> None:
    turn = TurnAudio()
    take(turn, 6016, VOICE)
    take(turn, 224, SILENCE)
    assert understand(turn, "the beginning").settles
    take(turn, 1024, VOICE)
    later = understand(turn, "the end")
    assert length_ms(later) < 2000
    assert turn.heard.text == "the beginning the end"


def test_voice_that_comes_during_a_decode_is_not_lost() -> None:
    turn = TurnAudio()
    take(turn, 6016, VOICE)
    take(turn, 224, SILENCE)
    decode = next_decode(turn)
    take(turn, 512, VOICE)
    turn.understand(decode, Heard("first", 0.5, 1))
    assert not turn.is_understood
    understand(turn, "second", over=True)
    assert turn.is_understood
    assert turn.heard.text == "first second"


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    turn = TurnAudio()
    take(turn, 8000, VOICE)
    turn.take(window(loudness=10), VOICE)
    take(turn, 3000, VOICE)
    decode = next_decode(turn)
    assert decode.settles
    assert decode.windows == 8000 // WINDOW_MS + 1


def test_confidence_is_the_mean_over_all_words() -> None:
    assert Heard("a b c", 0.9, 3) + Heard("d", 0.5, 1) == Heard("a b c d", 0.8, 4)
    assert Heard() + Heard() == Heard()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([VOICE, SILENCE]), st.integers(1, 60)), max_size=40))
def test_any_turn_is_decoded_in_bounded_pieces_and_fully_understood(runs: list[tuple[float, int]]) -> None:
    turn = TurnAudio()
    for probability, windows in runs:
        for _ in range(windows):
            turn.take(window(), probability)
            if decode := turn.next_decode(over=False):
                assert length_ms(decode) <= 10_000 + WINDOW_MS
                turn.understand(decode, Heard("word", 1.0, 1))
        assert turn.open_ms <= 10_000 + WINDOW_MS
    while decode := turn.next_decode(over=True):
        turn.understand(decode, Heard("word", 1.0, 1))
    assert turn.is_understood
    assert bool(turn.heard.text) == (turn.voice_ms >= 300)


def test_what_is_settled_says_up_to_where_the_turn_need_not_be_heard_again() -> None:
    turn = TurnAudio()
    take(turn, 4992, SILENCE)
    take(turn, 4800, VOICE)
    understand(turn, "not sure yet")
    assert (turn.settled.text, turn.settled_samples) == ("", 0)
    take(turn, 320, VOICE)
    take(turn, 256, SILENCE)
    assert understand(turn, "one two").settles
    covered = (4992 + 5120 + 256) * LISTENING_RATE // 1000
    assert (turn.settled.text, turn.settled_samples) == ("one two", covered)
    take(turn, 1024, VOICE)
    understand(turn, "three")
    assert (turn.settled.text, turn.settled_samples) == ("one two", covered)
