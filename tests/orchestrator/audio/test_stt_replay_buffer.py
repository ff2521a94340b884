"""What is kept of the caller's audio: what each link is sent of it, in which turn; prefixes, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import define, evolve, field

from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples, Settled
from machines.evidence import VoiceHeard
from machines.facts import (
    EagerEndOfTurn,
    EndOfTurn,
    Fact,
    Transcribed,
    TranscriptFinal,
    TranscriptInterim,
    TurnResumed,
)
from orchestrator.audio.caller_audio import CallerAudioCounts, TurnBegins, TurnEnds
from orchestrator.audio.stt_replay_buffer import PRE_ROLL, Cursor, SttReplayBuffer, Window

WINDOW = 512
WINDOW_MS = WINDOW * 1000 / LISTENING_RATE
MOST_WINDOWS = 313
"""In 10 s, the last one begun."""


@define
class Said:
    """A replay buffer, and the caller who fills it: every window holds its own number in all its samples."""

    counts: CallerAudioCounts = field(factory=CallerAudioCounts)
    replay_buffer: SttReplayBuffer = field(init=False)
    windows: int = 0

    def __attrs_post_init__(self) -> None:
        self.replay_buffer = SttReplayBuffer(self.counts)

    def say(self, windows: int) -> range:
        """So many windows more; returns their numbers."""
        numbers = range(self.windows, self.windows + windows)
        for number in numbers:
            self.replay_buffer.add(np.full(WINDOW, number, np.int16), 0.9)
        self.windows += windows
        return numbers

    def complete(self, fact: Transcribed | TurnResumed) -> Fact:
        """The fact as the buffer completes it, without what was heard of the voice."""
        completed = self.replay_buffer.complete_fact(fact)
        return evolve(completed, voice=None) if isinstance(completed, Transcribed) else completed


Told = list[int | str]
"""Numbers of windows and parts of windows, "begin 1" and "end 1"."""


def told(replay_buffer: SttReplayBuffer, cursor: Cursor, most: int = 10_000) -> Told:
    """What the cursor's link is told until there is nothing more, in at most so many items."""
    heard: Told = []
    while len(heard) < most and (item := replay_buffer.take_nowait(cursor)) is not None:
        match item:
            case Window(samples=samples):
                heard.append(number_of(samples))
            case TurnBegins(turn=turn):
                heard.append(f"begin {turn}")
            case TurnEnds(turn=turn):
                heard.append(f"end {turn}")
    return heard


def number_of(samples: Samples) -> int:
    assert len(set(samples.tolist())) == 1
    return int(samples[0])


def nothing_settled(turn: int) -> Settled:
    return Settled()


# --- what a new link is told ------------------------------------------------------------------------------


def test_a_new_link_is_told_all_of_an_unreported_turn_and_then_what_comes() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    first, cursor = said.say(3), said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, cursor) == ["begin 1", *first]
    said.replay_buffer.close_cursor(cursor, nothing_settled)
    meanwhile = said.say(2)
    cursor = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, cursor) == ["begin 1", *first, *meanwhile]
    live = said.say(1)
    said.replay_buffer.end_turn(1)
    assert told(said.replay_buffer, cursor) == [*live, "end 1"]
    assert said.counts.replayed_ms == pytest.approx(3 * WINDOW_MS)


def test_a_reported_turn_is_never_told_again() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(4)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    cursor = said.replay_buffer.open_cursor()
    told(said.replay_buffer, cursor)
    said.complete(TranscriptFinal(1, "yes"))
    said.replay_buffer.close_cursor(cursor, nothing_settled)
    second = said.say(2)
    cursor = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, cursor) == ["begin 2", *second]


def test_two_finished_turns_without_transcripts_are_told_in_order() -> None:
    said = Said()
    expected: Told = []
    for turn in (1, 2):
        said.replay_buffer.begin_turn(turn)
        expected += [f"begin {turn}", *said.say(3), f"end {turn}"]
        said.replay_buffer.end_turn(turn)
    said.replay_buffer.begin_turn(3)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*expected, "begin 3"]


def test_a_turn_that_another_replaces_leaves_its_last_500_ms_before_the_mark() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    before = said.say(40)
    said.replay_buffer.begin_turn(2)
    after = said.say(2)
    # 500 ms are 15 windows and five eighths of one.
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*before[-16:], "begin 2", *after]


def test_a_link_that_has_heard_the_replaced_turn_is_only_told_of_the_new_one() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(40)
    cursor = said.replay_buffer.open_cursor()
    told(said.replay_buffer, cursor)
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, cursor) == ["begin 2"]


def test_a_link_that_lags_behind_skips_what_was_replaced() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    cursor = said.replay_buffer.open_cursor()
    said.say(60)
    assert told(said.replay_buffer, cursor, most=11) == ["begin 1", *range(10)]
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, cursor) == [*range(44, 60), "begin 2"]


def test_no_audio_of_a_finished_turn_is_taken_into_the_one_that_replaces_the_next() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(30)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    cursor = said.replay_buffer.open_cursor()
    told(said.replay_buffer, cursor)
    said.complete(TranscriptFinal(1, "yes"))
    own = said.say(3)
    said.replay_buffer.begin_turn(3)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*own, "begin 3"]


def test_a_link_that_is_late_and_one_that_is_new_are_each_told_everything() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    late = said.replay_buffer.open_cursor()
    first = said.say(3)
    assert told(said.replay_buffer, late, most=2) == ["begin 1", 0]
    new = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, new) == ["begin 1", *first]
    assert told(said.replay_buffer, late) == [1, 2]
    said.replay_buffer.close_cursor(late, lambda turn: Settled("too late", 1.0, WINDOW))
    said.replay_buffer.close_cursor(new, lambda turn: Settled("one", 1.0, 2 * WINDOW))
    said.replay_buffer.end_turn(1)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == ["begin 1", 2, "end 1"]
    assert said.complete(TranscriptFinal(1, "two", 1.0)) == TranscriptFinal(1, "one two", 1.0)


def test_a_turn_that_a_late_link_reports_ends_where_the_new_link_is_in_it() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(20)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    late = said.replay_buffer.open_cursor()
    told(said.replay_buffer, late)
    new = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, new, most=6) == ["begin 1", *range(5)]
    said.complete(TranscriptFinal(1, "yes"))
    # Ended, or the last 500 ms of it would be taken into turn 2.
    assert told(said.replay_buffer, new) == ["end 1", "begin 2"]


def test_a_transcript_of_a_turn_that_is_not_over_ends_nothing() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    first = said.say(3)
    assert said.complete(TranscriptFinal(1, "yes")) == TranscriptFinal(1, "yes")
    said.replay_buffer.end_turn(1)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == ["begin 1", *first, "end 1"]


# --- what was settled -------------------------------------------------------------------------------------


def dead_link(said: Said, text: str, confidence: float, samples: int) -> None:
    """A link hears all there is, and dies with so much settled of turn 1."""
    cursor = said.replay_buffer.open_cursor()
    told(said.replay_buffer, cursor)
    known = {1: Settled(text, confidence, samples)}
    said.replay_buffer.close_cursor(cursor, lambda turn: known.get(turn, Settled()))


def test_what_a_link_had_settled_is_put_before_the_next_ones_words_and_not_said_again() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    dead_link(said, "how is", 0.75, 4 * WINDOW)
    said.say(2)
    cursor = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, cursor) == ["begin 1", *range(4, 12)]
    complete, whole = said.complete, "how is the weather"
    # Each word counts as much as any other.
    assert complete(TranscriptInterim(1, "the", 0.0)) == TranscriptInterim(1, "how is the", 0.5)
    assert complete(EagerEndOfTurn(1, "the weather", 0.25)) == EagerEndOfTurn(1, whole, 0.5)
    assert complete(TurnResumed(1)) == TurnResumed(1)
    assert complete(EndOfTurn(1, "the weather", 0.25, 320.0)) == EndOfTurn(1, whole, 0.5, 320.0)
    said.replay_buffer.end_turn(1)
    final = TranscriptFinal(1, "the weather", 0.25, 320.0)
    assert complete(final) == TranscriptFinal(1, whole, 0.5, 320.0)
    assert complete(final) == final, "reported twice"


def test_of_a_turn_that_was_settled_as_a_whole_the_settled_words_are_the_transcript() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    dead_link(said, "how is the weather", 0.9, 10 * WINDOW)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == ["begin 1", "end 1", "begin 2"]
    assert said.complete(TranscriptFinal(1, "")) == TranscriptFinal(1, "how is the weather", 0.9)


def test_links_that_die_one_after_the_other_each_add_what_they_had_settled() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    dead_link(said, "one two", 0.5, 4 * WINDOW)
    dead_link(said, "", 0.0, 0)
    dead_link(said, "three", 0.5, 3 * WINDOW)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == ["begin 1", *range(7, 10)]
    said.replay_buffer.end_turn(1)
    words = said.complete(TranscriptFinal(1, "four", 0.5))
    assert words == TranscriptFinal(1, "one two three four", 0.5)


def test_last_words_of_a_dead_link_are_not_put_behind_what_they_hold_already() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    dead_link(said, "one two", 0.9, 4 * WINDOW)
    late = TranscriptInterim(1, "one two three", 0.9)
    assert said.complete(late) == late


def test_a_part_of_a_window_can_be_settled() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(2)
    dead_link(said, "a", 0.9, 100)
    cursor = said.replay_buffer.open_cursor()
    said.replay_buffer.take_nowait(cursor)
    rest = said.replay_buffer.take_nowait(cursor)
    assert isinstance(rest, Window)
    assert len(rest.samples) == WINDOW - 100


def test_positions_of_a_link_that_skipped_audio_are_its_own() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    cursor = said.replay_buffer.open_cursor()
    said.say(60)
    told(said.replay_buffer, cursor, most=11)
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, cursor) == [*range(44, 60), "begin 2"]
    # Ten windows, the 320 samples that make 15 windows 500 ms, and one window.
    known = {2: Settled("stop", 0.9, 11 * WINDOW + 320)}
    said.replay_buffer.close_cursor(cursor, lambda turn: known.get(turn, Settled()))
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*range(46, 60), "begin 2"]
    assert said.complete(TranscriptInterim(2, "now")) != TranscriptInterim(2, "now")


def test_words_settled_of_a_turn_that_is_replaced_are_said_again_to_the_one_that_replaces_it() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    dead_link(said, "stop", 0.9, 10 * WINDOW)
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*range(10), "begin 2"]
    assert said.complete(TranscriptInterim(2, "stop")) == TranscriptInterim(2, "stop")


# --- what was heard of the voice --------------------------------------------------------------------------


def heard(said: Said, turn: int) -> VoiceHeard:
    """What an interim transcript of this turn tells of its voice."""
    fact = said.replay_buffer.complete_fact(TranscriptInterim(turn, "yes", 0.9))
    assert isinstance(fact, TranscriptInterim)
    assert fact.voice is not None
    return fact.voice


def test_words_come_with_the_voice_and_the_loudness_of_their_turn() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    for level, probability in ((0, 0.1), (1000, 0.3), (1000, 0.9), (1000, 0.7), (20, 0.5)):
        said.replay_buffer.add(np.resize(np.array([level, -level], np.int16), WINDOW), probability)
    voice = heard(said, 1)
    assert (voice.ms, voice.loud_ms) == (3 * WINDOW_MS, 3 * WINDOW_MS)
    assert voice.clarity == pytest.approx(0.7)


def test_voice_just_before_a_turn_is_of_the_turn_and_that_after_it_is_not() -> None:
    said = Said()
    said.say(100)
    said.replay_buffer.begin_turn(1)
    said.say(10)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    said.say(5)
    # The window that the 500 ms before a turn begin in counts whole.
    assert heard(said, 1).ms == 26 * WINDOW_MS
    assert heard(said, 2).ms == 5 * WINDOW_MS


def test_voice_of_long_ago_does_not_speak_for_words_of_now() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    for _ in range(MOST_WINDOWS):
        said.replay_buffer.add(np.zeros(WINDOW, np.int16), 0.1)
    assert heard(said, 1) == VoiceHeard(0, 0, 0)


# --- turns that the provider ends -------------------------------------------------------------------------


def test_what_was_sent_when_the_provider_ended_the_turn_is_let_go_and_the_rest_is_the_next_turns() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    cursor = said.replay_buffer.open_cursor()
    said.say(8)
    assert told(said.replay_buffer, cursor, most=6) == ["begin 1", *range(5)]
    said.complete(EndOfTurn(1, "yes"))
    assert told(said.replay_buffer, cursor, most=1) == [5]
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, cursor) == ["begin 2", 6, 7]
    said.replay_buffer.close_cursor(cursor, nothing_settled)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [5, "begin 2", 6, 7]


def test_a_turn_that_goes_on_although_the_provider_ended_it_is_kept_as_a_whole() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    cursor = said.replay_buffer.open_cursor()
    said.say(4)
    told(said.replay_buffer, cursor)
    said.complete(EndOfTurn(1, "yes"))
    said.say(4)
    said.replay_buffer.end_turn(1)
    told(said.replay_buffer, cursor)
    said.replay_buffer.close_cursor(cursor, nothing_settled)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == ["begin 1", *range(8), "end 1"]


def test_a_new_link_in_the_midst_of_a_turn_that_the_old_one_ended_does_not_carry_it_over() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    old = said.replay_buffer.open_cursor()
    said.say(8)
    told(said.replay_buffer, old)
    said.complete(EndOfTurn(1, "yes"))
    said.replay_buffer.close_cursor(old, nothing_settled)
    new = said.replay_buffer.open_cursor()
    assert told(said.replay_buffer, new, most=4) == ["begin 1", 0, 1, 2]
    after = said.say(2)
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, new) == ["end 1", "begin 2", *after]


# --- bounds -----------------------------------------------------------------------------------------------


def test_of_a_long_turn_without_a_link_the_last_ten_seconds_are_kept_and_the_rest_is_counted() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(1000)
    said.replay_buffer.end_turn(1)
    kept = [
        item for item in told(said.replay_buffer, said.replay_buffer.open_cursor()) if isinstance(item, int)
    ]
    assert kept == list(range(1000 - 313, 1000))
    assert len(kept) * WINDOW_MS >= 10_000
    assert said.counts.dropped_ms == pytest.approx((1000 - 313) * WINDOW_MS)
    assert said.counts.replayed_ms == 0


def test_a_turn_whose_audio_was_all_dropped_is_still_finalized() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(100)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    said.say(400)
    heard = told(said.replay_buffer, said.replay_buffer.open_cursor())
    assert heard == ["begin 1", "end 1", "begin 2", *range(500 - 313, 500)]


def test_audio_that_was_sent_falls_out_of_memory_without_being_counted() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    cursor, heard = said.replay_buffer.open_cursor(), Told()
    for _ in range(1900):
        said.say(1)
        heard += told(said.replay_buffer, cursor)
    assert heard == ["begin 1", *range(1900)]
    assert said.counts == CallerAudioCounts()
    assert len(said.replay_buffer._windows) == 313


def test_the_audio_of_a_replaced_turn_takes_no_room_from_an_earlier_one() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    first = said.say(100)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    last = said.say(200)[-16:]
    said.replay_buffer.begin_turn(3)
    third = said.say(190)
    expected = ["begin 1", *first, "end 1", *last, "begin 3", *third]
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == expected
    assert said.counts.dropped_ms == 0


def test_the_audio_of_a_reported_turn_is_not_held() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(100)
    said.replay_buffer.end_turn(1)
    said.replay_buffer.begin_turn(2)
    said.say(1)
    told(said.replay_buffer, said.replay_buffer.open_cursor())
    said.complete(TranscriptFinal(1, "yes"))
    assert len(said.replay_buffer._windows) == 1


def test_a_window_does_not_keep_the_block_that_it_was_cut_from() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    block = np.zeros(WINDOW * 1000, np.int16)
    said.replay_buffer.add(block[:WINDOW], 0.0)
    assert said.replay_buffer._windows[0].window.samples.base is None


def test_between_turns_only_what_the_next_turn_may_take_in_is_told_to_a_new_link() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(5)
    said.replay_buffer.end_turn(1)
    cursor = said.replay_buffer.open_cursor()
    told(said.replay_buffer, cursor)
    said.complete(TranscriptFinal(1, "yes"))
    between = said.say(40)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*between[-16:]]
    said.replay_buffer.begin_turn(2)
    assert told(said.replay_buffer, said.replay_buffer.open_cursor()) == [*between[-16:], "begin 2"]


# --- for a turn model -------------------------------------------------------------------------------------


def so_far(replay_buffer: SttReplayBuffer, most_ms: int = 8000) -> tuple[int, list[int]] | None:
    """The open turn, and the numbers of the windows in its audio."""
    opened = replay_buffer.current_turn_audio(most_ms)
    return opened and (opened[0], list(dict.fromkeys(opened[1].tolist())))


def test_the_open_turn_is_told_with_the_500_ms_before_its_mark() -> None:
    said = Said()
    said.say(100)
    said.replay_buffer.begin_turn(1)
    said.say(20)
    opened = said.replay_buffer.current_turn_audio(8000)
    assert opened is not None
    assert len(opened[1]) == LISTENING_RATE // 2 + 20 * WINDOW
    assert so_far(said.replay_buffer) == (1, list(range(84, 120)))


def test_of_a_long_open_turn_only_the_end_is_told() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(200)
    opened = said.replay_buffer.current_turn_audio(1000)
    assert opened is not None
    assert len(opened[1]) == LISTENING_RATE
    assert so_far(said.replay_buffer, 1000) == (1, list(range(168, 200)))
    assert len(opened[1]) < len((said.replay_buffer.current_turn_audio(60_000) or (1, []))[1]) == 200 * WINDOW


def test_an_open_turn_holds_nothing_of_the_turn_before_it() -> None:
    said = Said()
    said.replay_buffer.begin_turn(1)
    said.say(10)
    said.replay_buffer.end_turn(1)
    assert so_far(said.replay_buffer) is None
    said.replay_buffer.begin_turn(2)
    assert so_far(said.replay_buffer) == (2, [])
    said.say(3)
    assert so_far(said.replay_buffer) == (2, [10, 11, 12])


def test_no_turn_is_open_before_the_first() -> None:
    assert so_far(SttReplayBuffer(CallerAudioCounts())) is None


def test_a_telephones_audio_is_cut_where_the_turn_begins_as_well() -> None:
    replay_buffer = SttReplayBuffer(CallerAudioCounts(), TELEPHONE_RATE)
    for number in range(20):
        window = np.arange(number * WINDOW, (number + 1) * WINDOW, 2).astype(np.int16)
        replay_buffer.add(window, 0.9)
    replay_buffer.begin_turn(1)
    cursor = replay_buffer.open_cursor()
    told: list[Samples] = []
    while (item := replay_buffer.take_nowait(cursor)) is not None:
        if isinstance(item, Window):
            told.append(item.samples)
    assert np.array_equal(np.concatenate(told), np.arange(20 * WINDOW - PRE_ROLL, 20 * WINDOW, 2))
