"""The decode schedule of a turn: which audio is decoded, and when."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.embedded.decode_schedule import Decode, Decoded, DecodeSchedule
from adapters.interfaces import LISTENING_RATE, Samples

WINDOW_MS = 32
VOICE, SILENCE = 0.9, 0.0


def window(loudness: int = 1000) -> Samples:
    return np.full(LISTENING_RATE * WINDOW_MS // 1000, loudness, np.int16)


def add(turn: DecodeSchedule, ms: float, probability: float) -> None:
    for _ in range(round(ms / WINDOW_MS)):
        turn.add(window(), probability)


def next_decode(turn: DecodeSchedule) -> Decode:
    decode = turn.next_decode(over=False)
    assert decode is not None
    return decode


def decode_next(turn: DecodeSchedule, text: str, *, over: bool = False) -> Decode:
    decode = turn.next_decode(over=over)
    assert decode is not None
    turn.add_result(decode, Decoded(text, 0.5, len(text.split())))
    return decode


def length_ms(decode: Decode) -> float:
    return len(decode.samples) * 1000 / LISTENING_RATE


def test_the_first_interim_waits_for_a_second_of_voice() -> None:
    turn = DecodeSchedule()
    add(turn, 960, VOICE)
    assert turn.next_decode(over=False) is None
    add(turn, 64, VOICE)
    assert not next_decode(turn).urgent


def test_interims_follow_each_half_second_of_new_voice() -> None:
    turn = DecodeSchedule()
    add(turn, 1024, VOICE)
    decode_next(turn, "one")
    add(turn, 480, VOICE)
    assert turn.next_decode(over=False) is None
    add(turn, 32, VOICE)
    assert next_decode(turn) is not None


def test_a_pause_is_decoded_at_once_and_then_nothing_is_left_to_do_for_the_final() -> None:
    turn = DecodeSchedule()
    add(turn, 480, VOICE)
    add(turn, 224, SILENCE)
    assert decode_next(turn, "yes").urgent
    add(turn, 2000, SILENCE)
    assert turn.is_decoded
    assert turn.next_decode(over=True) is None
    assert turn.decoded.text == "yes"


def test_a_short_no_is_decoded() -> None:
    turn = DecodeSchedule()
    add(turn, 192, VOICE)
    add(turn, 500, SILENCE)
    assert decode_next(turn, "no").urgent


def test_too_little_voice_is_not_decoded() -> None:
    turn = DecodeSchedule()
    add(turn, 128, VOICE)
    add(turn, 500, SILENCE)
    assert turn.is_decoded
    assert turn.next_decode(over=True) is None


def test_long_silence_is_not_decoded() -> None:
    turn = DecodeSchedule()
    add(turn, 5000, SILENCE)
    add(turn, 480, VOICE)
    add(turn, 5000, SILENCE)
    add(turn, 480, VOICE)
    decode = turn.next_decode(over=True)
    assert decode is not None
    assert length_ms(decode) <= 960 + 4 * 300


def test_silence_around_voice_is_decoded_with_it() -> None:
    turn = DecodeSchedule()
    add(turn, 5000, SILENCE)
    add(turn, 480, VOICE)
    add(turn, 320, SILENCE)
    assert length_ms(next_decode(turn)) >= 480 + 2 * 280


def test_at_a_pause_long_text_is_settled_and_not_decoded_again() -> None:
    turn = DecodeSchedule()
    add(turn, 6016, VOICE)
    add(turn, 224, SILENCE)
    assert decode_next(turn, "the beginning").settles
    add(turn, 1024, VOICE)
    later = decode_next(turn, "the end")
    assert length_ms(later) < 2000
    assert turn.decoded.text == "the beginning the end"


def test_voice_that_comes_during_a_decode_is_not_lost() -> None:
    turn = DecodeSchedule()
    add(turn, 6016, VOICE)
    add(turn, 224, SILENCE)
    decode = next_decode(turn)
    add(turn, 512, VOICE)
    turn.add_result(decode, Decoded("first", 0.5, 1))
    assert not turn.is_decoded
    decode_next(turn, "second", over=True)
    assert turn.is_decoded
    assert turn.decoded.text == "first second"


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    turn = DecodeSchedule()
    add(turn, 8000, VOICE)
    turn.add(window(loudness=10), VOICE)
    add(turn, 3000, VOICE)
    decode = next_decode(turn)
    assert decode.settles
    assert decode.windows == 8000 // WINDOW_MS + 1


def test_confidence_is_the_mean_over_all_words() -> None:
    assert Decoded("a b c", 0.9, 3) + Decoded("d", 0.5, 1) == Decoded("a b c d", 0.8, 4)
    assert Decoded() + Decoded() == Decoded()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([VOICE, SILENCE]), st.integers(1, 60)), max_size=40))
def test_any_turn_is_decoded_completely_in_bounded_pieces(runs: list[tuple[float, int]]) -> None:
    turn = DecodeSchedule()
    for probability, windows in runs:
        for _ in range(windows):
            turn.add(window(), probability)
            if decode := turn.next_decode(over=False):
                assert length_ms(decode) <= 10_000 + WINDOW_MS
                turn.add_result(decode, Decoded("word", 1.0, 1))
        assert turn.open_ms <= 10_000 + WINDOW_MS
    while decode := turn.next_decode(over=True):
        turn.add_result(decode, Decoded("word", 1.0, 1))
    assert turn.is_decoded
    assert bool(turn.decoded.text) == (turn.voice_ms >= 150)


def test_settled_samples_say_up_to_where_the_turn_need_not_be_sent_again() -> None:
    turn = DecodeSchedule()
    add(turn, 4992, SILENCE)
    add(turn, 4800, VOICE)
    decode_next(turn, "not sure yet")
    assert (turn.settled.text, turn.settled_samples) == ("", 0)
    add(turn, 320, VOICE)
    add(turn, 256, SILENCE)
    assert decode_next(turn, "one two").settles
    covered = (4992 + 5120 + 256) * LISTENING_RATE // 1000
    assert (turn.settled.text, turn.settled_samples) == ("one two", covered)
    add(turn, 1024, VOICE)
    decode_next(turn, "three")
    assert (turn.settled.text, turn.settled_samples) == ("one two", covered)
