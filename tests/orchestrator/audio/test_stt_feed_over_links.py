"""Links to speech to text that come late, lag and die while the caller speaks: no word lost, none doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby, pairwise

import numpy as np
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import LISTENING_RATE, Emit, ProviderError, Samples, Settled
from machines.facts import (
    ErrorClass,
    Fact,
    SpeechStarted,
    SpeechStopped,
    TranscriptFinal,
    TranscriptInterim,
)
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.stt_feed import SttFeed
from orchestrator.simulation import SimulatedVoiceActivity
from orchestrator.simulation.speech import silence, spoken, understood

pytestmark = [pytest.mark.slow, pytest.mark.repeats]
WINDOW = 512
WINDOW_S = WINDOW / LISTENING_RATE
CARRIED = 300 * LISTENING_RATE // 1000
FINAL_AFTER_S = 0.1


# --- a link -----------------------------------------------------------------------------------------------


@define
class _Turn:
    number: int
    start: int
    """Samples sent on the link before it."""
    audio: Samples


@define
class Link:
    """A transcriber that understands whole words, and settles each one when the next sound begins."""

    nursery: trio.Nursery
    emit: Emit
    settles: bool
    interims: bool = False
    send_takes_s: float = 0.0
    breaks_after: int | None = None
    """So many samples, then it fails."""
    sent: int = 0
    _recent: Samples = field(factory=lambda: silence(0))
    _turns: dict[int, _Turn] = field(factory=dict)
    """Those without a final transcript."""
    _turn: _Turn | None = None
    _told: str = ""

    def begin_turn(self, turn: int) -> None:
        if self._turn is not None:
            del self._turns[self._turn.number]
        carried = self._recent[-CARRIED:]
        self._turn = self._turns[turn] = _Turn(turn, self.sent - len(carried), carried)

    async def send(self, samples: Samples, speech_probability: float) -> None:
        if self.breaks_after is not None and self.sent >= self.breaks_after:
            raise ProviderError(ErrorClass.CONNECTION, "the cursor is cut")
        self.sent += len(samples)
        self._recent = np.concatenate([self._recent, samples])[-CARRIED:]
        if self._turn is not None:
            self._turn.audio = np.concatenate([self._turn.audio, samples])
            if self.interims and (words := understood(self._turn.audio)) != self._told:
                self._told = words
                self.emit(TranscriptInterim(self._turn.number, words, 0.8))
        await trio.sleep(self.send_takes_s)

    def finalize(self, turn: int) -> None:
        ended, self._turn = self._turn, None
        assert ended is not None
        assert ended.number == turn
        self._recent, self._told = silence(0), ""
        self.nursery.start_soon(self._report, ended)

    async def _report(self, last: _Turn) -> None:
        """In order, as every provider does."""
        await trio.sleep(FINAL_AFTER_S)
        for turn in [turn for turn in self._turns.values() if turn.number <= last.number]:
            del self._turns[turn.number]
            self.emit(TranscriptFinal(turn.number, understood(turn.audio), 0.5))

    def settled(self, turn: int) -> Settled:
        known = self._turns.get(turn)
        if known is None or not self.settles:
            return Settled()
        length = last_change(known.audio)
        return Settled(understood(known.audio[:length]), 0.5, known.start + length if length else 0)


def last_change(audio: Samples) -> int:
    """How many samples come before the sound that is heard last."""
    frames = audio[: len(audio) // 32 * 32].reshape(-1, 32)
    runs = [len(list(run)) for _, run in groupby(np.median(frames, axis=1).tolist())]
    return sum(runs[:-1]) * 32


# --- a caller, and links that come and go -----------------------------------------------------------------


Event = Samples | str
"""A window of audio, or "begin" or "end" and the number of a turn."""


def windows(audio: Samples) -> list[Event]:
    return list(audio[: len(audio) // WINDOW * WINDOW].reshape(-1, WINDOW))


@define
class Phone:
    """A caller and the feed of their audio, with at most one open link."""

    nursery: trio.Nursery
    settles: bool = True
    interims: bool = False
    audio: CallerAudio = field(factory=CallerAudio)
    facts: list[Fact] = field(factory=list)
    feed: SttFeed = field(init=False)
    link: Link | None = None
    _scope: trio.CancelScope = field(factory=trio.CancelScope)
    link_ended: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.feed = SttFeed(self.audio, SimulatedVoiceActivity(), self.facts.append)

    async def open_link(self, send_takes_s: float = 0.0, breaks_after: int | None = None) -> None:
        """Returns when the link has heard everything."""
        self._scope, self.link_ended = trio.CancelScope(), trio.Event()
        self.nursery.start_soon(self._hold_link, self._scope, self.link_ended, send_takes_s, breaks_after)
        await wait_all_tasks_blocked()

    async def _hold_link(
        self, scope: trio.CancelScope, ended: trio.Event, send_takes_s: float, breaks_after: int | None
    ) -> None:
        with scope:
            try:
                async with trio.open_nursery() as nursery:
                    link = Link(
                        nursery, self.feed.report, self.settles, self.interims, send_takes_s, breaks_after
                    )
                    self.link = link
                    await self.feed.send_to(link)
            except* ProviderError:
                pass
        ended.set()

    async def lose_link(self) -> None:
        self._scope.cancel()
        await self.link_ended.wait()

    async def do(self, events: Sequence[Event]) -> None:
        """What the caller and the machine do, at the speed of speech."""
        for event in events:
            if isinstance(event, str):
                what, turn = event.split()
                (self.audio.begin_turn if what == "begin" else self.audio.end_turn)(int(turn))
            else:
                self.audio.push(event, LISTENING_RATE)
                await trio.sleep(WINDOW_S)

    @property
    def finals(self) -> dict[int, str]:
        """By turn: its words, as the first final transcript tells them."""
        finals = [fact for fact in self.facts if isinstance(fact, TranscriptFinal)]
        return {fact.turn: fact.text for fact in reversed(finals)}

    @property
    def interim_texts(self) -> list[str]:
        return [fact.text for fact in self.facts if isinstance(fact, TranscriptInterim)]


@asynccontextmanager
async def phone(*, settles: bool = True, interims: bool = False) -> AsyncIterator[Phone]:
    async with trio.open_nursery() as nursery:
        one = Phone(nursery, settles, interims)
        nursery.start_soon(one.feed.run)
        yield one
        nursery.cancel_scope.cancel()


QUIET = windows(silence(160))
TWO_TURNS: list[Event] = [
    *("begin 1", *QUIET, *windows(spoken("how is the weather")), *QUIET, "end 1"),
    *("begin 2", *QUIET, *windows(spoken("five")), *QUIET, *windows(spoken("six seven")), *QUIET, "end 2"),
    *("begin 3", *QUIET, *QUIET),
]
UNCUT = {1: "how is the weather", 2: "five six seven"}
ALL_BUT_MARKS = [index for index, event in enumerate(TWO_TURNS) if not isinstance(event, str)]


async def hear_two_turns(settles: bool, *cuts: tuple[int, int]) -> Phone:
    """Each cut is (event before which the link dies, event before which the next one opens)."""
    async with phone(settles=settles) as caller:
        await caller.open_link()
        done = 0
        for dies, opens in cuts:
            await caller.do(TWO_TURNS[done:dies])
            await caller.lose_link()
            await caller.do(TWO_TURNS[dies:opens])
            await caller.open_link()
            done = opens
        await caller.do(TWO_TURNS[done:])
        await trio.sleep(1)
    return caller


# --- what was said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("gap", [0, 12, 60])
async def test_a_link_that_dies_anywhere_in_a_turn_costs_no_word(
    autojump_clock: MockClock, stride: int, settles: bool, gap: int
) -> None:
    for dies in range(1, len(TWO_TURNS), stride):
        caller = await hear_two_turns(settles, (dies, min(dies + gap, len(TWO_TURNS))))
        assert caller.finals == UNCUT, f"the link died before event {dies}"
        assert caller.audio.counts.dropped_ms == 0


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("second_lives", [0, 7])
async def test_links_that_die_twice_in_a_row_cost_no_word(
    autojump_clock: MockClock, stride: int, settles: bool, second_lives: int
) -> None:
    last = len(TWO_TURNS)
    for dies in range(1, last, stride):
        opens = min(dies + 3, last)
        again = min(opens + second_lives, last)
        caller = await hear_two_turns(settles, (dies, opens), (again, min(again + 3, last)))
        assert caller.finals == UNCUT, f"the link died before event {dies}"


async def test_links_that_die_all_the_time_cost_no_word(autojump_clock: MockClock) -> None:
    marks = range(1, len(TWO_TURNS), 2)
    caller = await hear_two_turns(True, *pairwise([0, *marks]))
    assert caller.finals == UNCUT


@pytest.mark.parametrize("settles", [True, False])
async def test_a_link_that_breaks_while_it_is_sent_a_window_costs_no_word(
    autojump_clock: MockClock, stride: int, settles: bool
) -> None:
    for samples in range(0, len(ALL_BUT_MARKS) * WINDOW, stride * WINDOW):
        async with phone(settles=settles) as caller:
            await caller.open_link(breaks_after=samples)
            for event in TWO_TURNS:
                await caller.do([event])
                if caller.link_ended.is_set():
                    await caller.open_link()
            await trio.sleep(1)
        assert caller.finals == UNCUT, f"the link broke after {samples} samples"


async def test_a_link_that_opens_late_hears_the_first_word(autojump_clock: MockClock) -> None:
    async with phone() as caller:
        await caller.do(TWO_TURNS)
        await caller.open_link()
        await trio.sleep(1)
    assert caller.finals == UNCUT


async def test_what_is_settled_is_not_said_again(autojump_clock: MockClock) -> None:
    async with phone(interims=True) as caller:
        await caller.open_link()
        await caller.do(["begin 1", *windows(spoken("how is the weather"))])
        await caller.lose_link()
        await caller.open_link()
        assert caller.link is not None
        # All but "weather", which was still going on.
        assert caller.link.sent * 1000 / LISTENING_RATE == pytest.approx(320, abs=20)
        await caller.do([*windows(spoken("today")), "end 1"])
        await trio.sleep(1)
    assert caller.finals == {1: "how is the weather today"}
    later = caller.interim_texts[caller.interim_texts.index("how is the weather") :]
    assert all(text.startswith("how is the") for text in later), "nothing that was understood is taken back"
    assert caller.audio.counts.replayed_ms == pytest.approx(320, abs=40)


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("noticed_after", [2, 9])
async def test_a_turn_that_is_begun_after_its_first_sound_has_it_whichever_link_hears_it(
    autojump_clock: MockClock, stride: int, settles: bool, noticed_after: int
) -> None:
    speech = windows(spoken("stop please"))
    events: list[Event] = [
        *("begin 1", *QUIET, *windows(spoken("yes")), *QUIET, "end 1", "begin 2"),
        *(*windows(spoken("no")), *windows(silence(640)), *speech[:noticed_after]),
        *("begin 3", *speech[noticed_after:], *QUIET, "end 3", "begin 4", *QUIET, *QUIET),
    ]
    for dies in range(1, len(events), stride):
        async with phone(settles=settles) as caller:
            await caller.open_link()
            await caller.do(events[:dies])
            await caller.lose_link()
            await caller.do(events[dies : dies + 4])
            await caller.open_link()
            await caller.do(events[dies + 4 :])
            await trio.sleep(1)
        assert caller.finals == {1: "yes", 3: "stop please"}, f"the link died before event {dies}"


# --- bounds -----------------------------------------------------------------------------------------------


async def test_of_a_long_silence_of_links_the_newest_ten_seconds_are_heard(autojump_clock: MockClock) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    async with phone() as caller:
        await caller.do(["begin 1", *windows(spoken(" ".join(words * 4))), "end 1"])
        await caller.open_link()
        await trio.sleep(1)
    heard = caller.finals[1].split()
    assert heard == (words * 4)[-len(heard) :]
    assert len(heard) == 31
    assert caller.audio.counts.dropped_ms == pytest.approx(12_800 - 10_000, abs=33)


async def test_a_minute_is_heard_over_a_healthy_link(autojump_clock: MockClock) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 19
    async with phone() as caller:
        await caller.open_link()
        await caller.do(["begin 1", *windows(spoken(" ".join(words))), "end 1"])
        await trio.sleep(1)
    assert caller.finals == {1: " ".join(words)}
    assert caller.audio.counts.received_ms > 60_000
    assert caller.audio.counts.dropped_ms == caller.audio.counts.replayed_ms == 0


async def test_a_minute_is_heard_although_the_link_dies_in_it(autojump_clock: MockClock) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 19
    async with phone() as caller:
        await caller.open_link()
        speech = windows(spoken(" ".join(words)))
        await caller.do(["begin 1", *speech[:1405]])
        await caller.lose_link()
        await caller.do(speech[1405:1600])
        await caller.open_link()
        await caller.do([*speech[1600:], "end 1"])
        await trio.sleep(1)
    assert caller.finals == {1: " ".join(words)}
    assert caller.audio.counts.dropped_ms == 0


async def test_a_slow_link_holds_up_neither_voice_activity_nor_the_words(autojump_clock: MockClock) -> None:
    async with phone() as caller:
        await caller.open_link(send_takes_s=WINDOW_S * 3)
        began = trio.current_time()
        await caller.do(["begin 1", *windows(spoken("one two three")), *QUIET])
        assert [fact.name for fact in caller.facts] == ["speech_started", "speech_stopped"]
        assert trio.current_time() - began == pytest.approx(1.12, abs=0.01)
        await caller.do(["end 1"])
        await trio.sleep(5)
    assert caller.finals == {1: "one two three"}
    assert caller.audio.counts.dropped_ms == 0


# --- voice activity ---------------------------------------------------------------------------------------


async def test_speech_is_noticed_while_no_link_is_open(autojump_clock: MockClock) -> None:
    async with phone() as caller:
        await caller.do(["begin 1", *windows(spoken("one two")), *QUIET])
        assert caller.facts == [SpeechStarted(), SpeechStopped(640)]


async def test_speech_is_noticed_alike_wherever_the_link_dies(autojump_clock: MockClock) -> None:
    events: list[Event] = ["begin 1", *QUIET, *windows(spoken("one two")), *QUIET]
    for dies in range(1, len(events)):
        async with phone() as caller:
            await caller.open_link()
            await caller.do(events[:dies])
            await caller.lose_link()
            await caller.open_link()
            await caller.do(events[dies:])
        assert caller.facts == [SpeechStarted(), SpeechStopped(640)]
