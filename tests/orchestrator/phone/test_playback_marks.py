"""Marks: what each that comes back says of the playback, late ones and dropped ones too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.facts import PlaybackAt, PlaybackFinished
from orchestrator.phone.playback_marks import PlaybackMarks


def begun(utterance: int = 1) -> PlaybackMarks:
    marks = PlaybackMarks()
    marks.begin(utterance)
    return marks


def test_a_stretch_begins_and_each_piece_ends_with_a_mark() -> None:
    marks = begun()
    start = marks.before_audio()
    first, second = marks.after_audio(100), None
    assert marks.before_audio() is None, "the stretch goes on"
    second, end = marks.after_audio(60), marks.at_end()
    assert start is not None
    assert marks.returned(start, 0) == PlaybackAt(1, 0, playing=True)
    assert marks.returned(first, 100) == PlaybackAt(1, 100, playing=True)
    assert marks.ending
    assert marks.returned(second, 160) == PlaybackAt(1, 160, playing=False)
    assert marks.returned(end, 160) == PlaybackFinished(1)
    assert not marks.ending


def test_a_line_that_ran_dry_begins_another_stretch_where_it_was() -> None:
    marks = begun()
    marks.before_audio()
    assert marks.returned(marks.after_audio(100), 100) == PlaybackAt(1, 100, playing=False)
    start = marks.before_audio()
    assert start is not None
    marks.after_audio(100)
    assert marks.returned(start, 500) == PlaybackAt(1, 100, playing=True)


def test_a_mark_that_was_lost_is_told_by_the_next() -> None:
    marks = begun()
    marks.before_audio()
    lost, came = marks.after_audio(100), marks.after_audio(100)
    assert marks.returned(came, 200) == PlaybackAt(1, 200, playing=False)
    assert marks.returned(lost, 210) is None


def test_marks_of_dropped_audio_say_nothing() -> None:
    marks = begun()
    names = [marks.before_audio() or "", marks.after_audio(100), marks.after_audio(100), marks.at_end()]
    marks.returned(names[0], 0)
    marks.dropped(50)
    assert [marks.returned(name, 60) for name in names] == [None] * 4
    assert not marks.ending


@pytest.mark.parametrize(("dropped_at", "goes_on_at"), [(0, 0), (50, 50), (130, 130), (500, 200)])
def test_an_answer_that_is_held_goes_on_where_it_was_dropped(dropped_at: float, goes_on_at: float) -> None:
    marks = begun()
    start, first, _ = marks.before_audio() or "", marks.after_audio(100), marks.after_audio(100)
    marks.returned(start, 0)
    if dropped_at > 100:
        marks.returned(first, 100)
    assert marks.dropped(dropped_at) == 200 - goes_on_at
    again = marks.before_audio()
    assert again is not None
    assert marks.returned(again, 900) == PlaybackAt(1, goes_on_at, playing=True)


def test_an_answer_of_which_nothing_was_played_goes_on_at_its_beginning() -> None:
    marks = begun()
    marks.before_audio()
    marks.after_audio(100)
    assert marks.dropped(5000) == 100
    again = marks.before_audio()
    assert again is not None
    assert marks.returned(again, 5000) == PlaybackAt(1, 0, playing=True)


def test_a_mark_that_is_not_ours_says_nothing() -> None:
    assert begun().returned("somebody else's", 0) is None


def test_each_mark_says_something_once() -> None:
    marks = begun()
    end = marks.at_end()
    assert marks.returned(end, 0) == PlaybackFinished(1)
    assert marks.returned(end, 0) is None


@given(st.lists(st.floats(1, 500), min_size=1, max_size=20))
def test_positions_never_go_back_and_end_with_all_that_was_sent(pieces: list[float]) -> None:
    marks = begun()
    names = [marks.before_audio() or ""] + [marks.after_audio(piece) for piece in pieces]
    facts = [marks.returned(name, 0) for name in names]
    positions = [fact.position_ms for fact in facts if isinstance(fact, PlaybackAt)]
    assert positions == sorted(positions)
    assert positions[-1] == pytest.approx(sum(pieces))
    assert [fact.playing for fact in facts if isinstance(fact, PlaybackAt)] == [True] * len(pieces) + [False]


def test_the_machine_is_told_what_it_does_not_take_for_granted() -> None:
    marks = begun()
    names = [marks.before_audio() or "", *(marks.after_audio(100) for _ in range(12))]
    arrivals = [0, 105, 190, 310, 400, 500, 600, 760, 860, 960, 1060, 1160, 1260]
    told = [(at, fact) for at, name in zip(arrivals, names, strict=True) if (fact := marks.news(name, at))]
    assert [at for at, _ in told] == [0, 500, 760, 1260], (
        "at first, as a sign of life, and when it stood still"
    )
    assert told[2][1] == PlaybackAt(1, 700, playing=True, at_ms=0)
    assert told[3][1] == PlaybackAt(1, 1200, playing=False), "the end of the stretch"


def test_after_dropped_audio_the_next_position_is_told() -> None:
    marks = begun()
    start, first = marks.before_audio() or "", marks.after_audio(100)
    assert marks.news(start, 0) is not None
    marks.dropped(50)
    assert marks.news(first, 60) is None, "its audio was dropped"
    again = marks.before_audio() or ""
    marks.after_audio(100)
    assert marks.news(again, 70) == PlaybackAt(1, 50, playing=True)
