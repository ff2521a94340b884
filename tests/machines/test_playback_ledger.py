"""The playback ledger: what was heard, in time and in words."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from machines.facts import PlaybackAt, SegmentVoiced, Word
from machines.playback_ledger import SPEAKING_RATE, PlaybackLedger


def ledger(*texts: str) -> PlaybackLedger:
    made = PlaybackLedger()
    for number, text in enumerate(texts):
        assert made.add(text) == number
    return made


def voiced(made: PlaybackLedger, segment: int, duration_ms: float, *words: Word) -> None:
    made.voiced(SegmentVoiced(1, segment, duration_ms, words))


def at(position_ms: float, at_ms: float, *, playing: bool = True) -> PlaybackAt:
    return PlaybackAt(1, position_ms, playing, at_ms=at_ms)


def test_before_playback_nothing_was_heard() -> None:
    made = ledger("one two")
    assert made.split(1_000_000) == ("", "one two")
    assert made.heard_ms(1_000_000) == 0


def test_playback_goes_on_in_real_time_between_two_positions() -> None:
    made = ledger("one two")
    voiced(made, 0, 1000)
    made.moved(at(100, at_ms=5000))
    assert made.heard_ms(5300) == 400
    assert made.remaining_ms(5300) == 600


def test_paused_playback_stands_still() -> None:
    made = ledger("one two")
    made.moved(at(100, at_ms=5000, playing=False))
    assert made.heard_ms(9000) == 100
    assert made.started_at is None


def test_no_more_is_heard_than_there_is() -> None:
    made = ledger("one two")
    voiced(made, 0, 1000)
    made.moved(at(0, at_ms=0))
    assert made.heard_ms(60_000) == 1000
    assert made.split(60_000) == ("one two", "")
    assert made.remaining_ms(60_000) == 0


def test_words_are_cut_at_the_voices_own_times() -> None:
    made = ledger("one two three")
    voiced(made, 0, 1000, Word("one", 0, 100), Word("two", 100, 900), Word("three", 900, 1000))
    made.moved(at(899, at_ms=0, playing=False))
    assert made.split(0) == ("one", "two three")


def test_without_times_words_share_the_segment_by_their_letters() -> None:
    made = ledger("a bbbbbbb")
    voiced(made, 0, 1000)
    made.moved(at(250, at_ms=0, playing=False))
    assert made.split(0) == ("a", "bbbbbbb")


def test_a_segment_without_audio_yet_is_assumed_to_be_spoken_at_the_usual_rate() -> None:
    made = ledger("one two")
    made.moved(at(len("one two") / SPEAKING_RATE, at_ms=0, playing=False))
    assert made.split(0) == ("one two", "")


def test_words_after_an_unheard_word_are_unheard() -> None:
    made = ledger("one two")
    voiced(made, 0, 1000, Word("one", 500, 900), Word("two", 0, 100))
    made.moved(at(200, at_ms=0, playing=False))
    assert made.split(0) == ("", "one two")


def test_everything_heard_is_everything_said() -> None:
    made = ledger("one", "two")
    voiced(made, 0, 500)
    made.all_heard = True
    assert made.split(0) == ("one two", "")
    assert made.heard_ms(0) == 500


def test_the_first_sound_is_when_playback_first_ran() -> None:
    made = ledger("one")
    made.moved(at(0, at_ms=300))
    made.moved(at(50, at_ms=400))
    assert made.started_at == 300


def test_words_without_any_sound_were_not_heard() -> None:
    made = ledger("one two")
    voiced(made, 0, 0.0)
    assert made.split(0) == ("", "one two")


words = st.text("abcdefgh", min_size=1, max_size=8)
texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
durations = st.one_of(st.none(), st.floats(0, 5000))
segments = st.lists(st.tuples(texts, durations), min_size=1, max_size=5)


@st.composite
def ledgers(draw: st.DrawFn) -> PlaybackLedger:
    """An answer of several segments, some of them voiced, at some playback position."""
    made = PlaybackLedger()
    for number, (text, duration) in enumerate(draw(segments)):
        made.add(text)
        if duration is not None:
            made.voiced(SegmentVoiced(1, number, duration))
    made.moved(at(draw(st.floats(0, 10_000)), at_ms=0, playing=draw(st.booleans())))
    return made


times = st.floats(0, 60_000)


@given(ledgers(), times)
def test_heard_and_unheard_words_are_all_words_in_order(made: PlaybackLedger, at_ms: float) -> None:
    heard, unheard = made.split(at_ms)
    assert [*heard.split(), *unheard.split()] == made.text().split()


@given(ledgers(), st.lists(times, min_size=2, max_size=5).map(sorted))
def test_what_was_heard_never_becomes_unheard(made: PlaybackLedger, moments: list[float]) -> None:
    for before, later in itertools.pairwise(moments):
        assert made.heard_ms(before) <= made.heard_ms(later)
        assert made.split(later)[0].startswith(made.split(before)[0])
        assert made.remaining_ms(before) >= made.remaining_ms(later)


# --- words only move a mark -------------------------------------------------------------------------------


def heard_of(text: str, position_ms: float, *reported: Word, duration_ms: float = 1000) -> tuple[str, str]:
    made = ledger(text)
    voiced(made, 0, duration_ms, *reported)
    made.moved(at(position_ms, at_ms=0, playing=False))
    return made.split(0)


def evenly(*texts: str) -> list[Word]:
    return [Word(text, 100.0 * place, 100.0 * place + 100) for place, text in enumerate(texts)]


def test_words_of_a_script_without_blanks_leave_the_text_as_it_was() -> None:
    words = evenly("您", "好", "，", "感", "谢", "您的", "来电", "。")
    text = "您好，感谢您的来电。"
    assert heard_of(text, 0, *words) == ("", text)
    assert heard_of(text, 200, *words) == ("您好，", "感谢您的来电。")
    assert heard_of(text, 550, *words) == ("您好，感谢", "您的来电。")
    assert heard_of(text, 1000, *words) == (text, "")


def test_pieces_of_words_are_no_words_of_their_own() -> None:
    words = evenly("That", "is", "per", "fect", "ly", "fine")
    assert heard_of("That is perfectly fine.", 300, *words, duration_ms=600) == (
        "That is per",
        "fectly fine.",
    )
    assert heard_of("That is perfectly fine.", 500, *words, duration_ms=600) == ("That is perfectly", "fine.")


def test_what_a_voice_makes_of_a_number_moves_the_mark_by_its_time() -> None:
    words = evenly("it", "costs", "five", "dollars", "at", "noon")
    heard, unheard = heard_of("It costs $5 at noon.", 500, *words, duration_ms=600)
    assert (heard, unheard) == ("It costs $5 at", "noon.")
    assert heard_of("It costs $5 at noon.", 600, *words, duration_ms=600) == ("It costs $5 at noon.", "")


def test_what_no_word_was_reported_for_is_heard_at_the_end() -> None:
    assert heard_of("One two three.", 500, *evenly("One", "two")) == ("One two", "three.")
    assert heard_of("One two three.", 1000, *evenly("One", "two")) == ("One two three.", "")


def test_other_scripts_take_the_time_they_take() -> None:
    """A Chinese character takes about three times as long as a letter."""
    made = ledger("六点关门六点关门")
    made.moved(at(4 * 3 / SPEAKING_RATE + 60, at_ms=0, playing=False))
    assert made.split(0) == ("六点关门", "六点关门")


def test_segments_of_chinese_are_put_together_without_blanks() -> None:
    made = ledger("您好。", "请问您几点过来？", "Thank you.")
    assert made.text() == "您好。请问您几点过来？Thank you."


def test_what_a_voice_cannot_say_was_not_heard() -> None:
    made = ledger("您好。")
    made.voiced(SegmentVoiced(1, 0, 0.0, unsayable=True))
    made.all_heard = True
    assert made.split(0) == ("", "您好。")


def test_what_a_voice_cannot_say_in_the_middle_of_an_answer_was_not_heard() -> None:
    made = ledger("Hello.", "您好。", "Thank you.")
    made.voiced(SegmentVoiced(1, 0, 400.0))
    made.voiced(SegmentVoiced(1, 1, 0.0, unsayable=True))
    made.voiced(SegmentVoiced(1, 2, 600.0))
    made.moved(PlaybackAt(1, 800.0, playing=False))
    assert made.split(0) == ("Hello. Thank", "you.")
    made.all_heard = True
    assert made.split(0) == ("Hello. Thank you.", "")


ANY_TEXT = st.text(alphabet="ab c,.您好，हैं$5はโม'", min_size=1, max_size=30).map(str.strip).filter(bool)
REPORTED = st.lists(
    st.tuples(st.text(alphabet="ab您好हैंc5は", max_size=4), st.floats(0, 2000), st.floats(0, 2000)), max_size=8
)


@given(ANY_TEXT, REPORTED, st.floats(0, 3000), st.floats(0, 3000))
def test_what_was_heard_is_a_beginning_of_the_text(
    text: str, reported: list[tuple[str, float, float]], duration_ms: float, position_ms: float
) -> None:
    words = [Word(*each) for each in reported]
    heard, unheard = heard_of(text, position_ms, *words, duration_ms=duration_ms)
    assert text.startswith(heard)
    assert text.endswith(unheard)
    assert (heard + unheard).replace(" ", "") == text.replace(" ", "")
