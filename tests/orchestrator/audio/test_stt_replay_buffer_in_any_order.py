"""What each link is sent in any order of audio, turns, links that come and go, and reports."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.interfaces import Settled
from machines.facts import TranscriptFinal
from orchestrator.audio.caller_audio import TurnBegins, TurnEnds
from orchestrator.audio.stt_replay_buffer import PRE_ROLL, Cursor, Window
from tests.orchestrator.audio.test_stt_replay_buffer import MOST_WINDOWS, WINDOW, Said, number_of

pytestmark = pytest.mark.slow


@define
class Link:
    """A link, and what it was sent: (turn or None, first position, position behind)."""

    cursor: Cursor
    settled_before: dict[int, int]
    """By turn: the position from which it must be sent audio."""
    audio: list[tuple[int | None, int, int]] = field(factory=list)
    begun: list[int] = field(factory=list)
    ended: list[int] = field(factory=list)
    turn: int | None = None

    def take(self, item: Window | TurnBegins | TurnEnds) -> None:
        match item:
            case Window(start=start, end=end, samples=samples):
                assert number_of(samples) == start // WINDOW
                self.audio.append((self.turn, start, end))
            case TurnBegins(turn=turn):
                self.begun.append(turn)
                self.turn = turn
            case TurnEnds(turn=turn):
                assert turn == self.turn
                self.ended.append(turn)
                self.turn = None

    def sent_in(self, turn: int) -> list[tuple[int, int]]:
        return [(start, end) for within, start, end in self.audio if within == turn]


class AnyCall(RuleBasedStateMachine):
    """A caller who talks, turns that begin and end, links that come and go and report, in any order."""

    @initialize()
    def the_first_turn_begins(self) -> None:
        self.said = Said()
        self.begins: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.over: set[int] = set()
        """Turns that were reported or replaced."""
        self.settled: dict[int, int] = {}
        self.link: Link | None = None
        self.begin_turn()

    @property
    def now(self) -> int:
        return self.said.windows * WINDOW

    @property
    def turn(self) -> int:
        return len(self.begins)

    def begin_turn(self) -> None:
        if self.begins and self.turn not in self.ends:
            self.over.add(self.turn)
        self.begins[self.turn + 1] = self.now
        self.said.replay_buffer.begin_turn(self.turn)

    @rule(windows=st.integers(1, 40))
    def the_caller_talks(self, windows: int) -> None:
        self.said.say(windows)

    @rule()
    def the_turn_ends(self) -> None:
        self.ends[self.turn] = self.now
        self.said.replay_buffer.end_turn(self.turn)
        self.begin_turn()

    @rule()
    def another_turn_replaces_it(self) -> None:
        self.begin_turn()

    @precondition(lambda self: self.link is None)
    @rule()
    def a_link_opens(self) -> None:
        self.link = Link(self.said.replay_buffer.open_cursor(), dict(self.settled))

    @precondition(lambda self: self.link is not None)
    @rule(items=st.integers(1, 100))
    def the_link_is_told(self, items: int) -> None:
        assert self.link is not None
        for _ in range(items):
            item = self.said.replay_buffer.take_nowait(self.link.cursor)
            if item is None:
                assert {turn for turn in self.begins if turn not in self.over} <= set(self.link.begun)
                return
            self.link.take(item)

    @precondition(lambda self: self.link is not None and set(self.link.ended) - self.over)
    @rule()
    def the_link_reports(self) -> None:
        assert self.link is not None
        turn = min(set(self.link.ended) - self.over)
        self.said.replay_buffer.complete_fact(TranscriptFinal(turn, "words"))
        self.over |= set(range(1, turn + 1))

    @precondition(lambda self: self.link is not None)
    @rule(share=st.floats(0, 1))
    def the_link_dies(self, share: float) -> None:
        """It has settled some of what it was sent."""
        assert self.link is not None
        link, self.link = self.link, None
        self.said.replay_buffer.close_cursor(link.cursor, lambda turn: self.settle(link, turn, share))

    def settle(self, link: Link, turn: int, share: float) -> Settled:
        count = round(len(link.sent_in(turn)) * share)
        if not count:
            return Settled()
        start, end = link.sent_in(turn)[count - 1]
        self.settled[turn] = end
        index = link.audio.index((turn, start, end))
        return Settled("words", 0.5, sum(end - start for _, start, end in link.audio[: index + 1]))

    @invariant()
    def nothing_is_sent_twice_or_out_of_order(self) -> None:
        if self.link is not None:
            ends = [0, *(end for _, _, end in self.link.audio)]
            starts = [*(start for _, start, _ in self.link.audio), self.now]
            assert all(start >= end for end, start in zip(ends, starts, strict=True))

    @invariant()
    def each_turn_is_sent_without_gaps_from_where_it_was_settled(self) -> None:
        for turn in set(self.link.begun) - self.over if self.link is not None else ():
            assert self.link is not None
            sent = self.link.sent_in(turn)
            gaps = [one[1] != next_one[0] for one, next_one in pairwise(sent)]
            assert not any(gaps) or self.said.counts.dropped_ms
            first = max(self.begins[turn], self.link.settled_before.get(turn, 0))
            if sent:
                assert sent[0][0] >= first
                assert sent[0][0] == first or self.said.windows > MOST_WINDOWS
            if turn in self.link.ended:
                reached = sent[-1][1] if sent else first
                forgotten = self.said.counts.dropped_ms if sent else self.said.windows > MOST_WINDOWS
                assert reached == self.ends[turn] or forgotten

    @invariant()
    def before_a_turn_at_most_500_ms_are_sent_and_none_of_a_finished_turn(self) -> None:
        for turn, start, end in self.link.audio if self.link is not None else ():
            if turn is None:
                begins = min((at for at in self.begins.values() if at >= end), default=self.now)
                assert begins - start <= PRE_ROLL
                assert all(over <= start or over >= begins for over in self.ends.values())

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        if hasattr(self, "said"):
            assert len(self.said.replay_buffer._windows) <= MOST_WINDOWS


TestAnyCall = AnyCall.TestCase
TestAnyCall.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
