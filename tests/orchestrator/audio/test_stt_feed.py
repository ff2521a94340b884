"""The caller's audio on its way: order, bounds, turns, rates, silence in the place of what does not come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples, Settled
from machines.facts import Fact, SpeechStopped
from orchestrator.audio.stt_feed import MAX_QUEUED_MS, SILENCE_AFTER_S, Block, CallerAudio, SttFeed
from orchestrator.audio.stt_replay_buffer import TurnBegins, TurnEnds
from orchestrator.simulation import SimulatedVoiceActivity
from orchestrator.simulation.speech import silence, spoken, understood


def audio(ms: float, level: int = 1) -> Samples:
    return np.full(int(LISTENING_RATE * ms / 1000), level, np.int16)


async def take(queue: CallerAudio) -> object:
    with trio.fail_after(1):
        return await queue.take()


async def taken(queue: CallerAudio, count: int) -> list[object]:
    items = [await take(queue) for _ in range(count)]
    return [int(item.samples[0]) if isinstance(item, Block) else item for item in items]


async def test_audio_before_the_first_turn_waits_for_it_and_belongs_to_it(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.push(audio(20, 1), LISTENING_RATE)
    with trio.move_on_after(1) as waiting:
        await queue.take()
    assert waiting.cancelled_caught
    queue.begin_turn(1)
    queue.push(audio(20, 2), LISTENING_RATE)
    queue.end_turn(1)
    queue.begin_turn(2)
    queue.push(audio(20, 3), LISTENING_RATE)
    assert await taken(queue, 6) == [TurnBegins(1), 1, 2, TurnEnds(1), TurnBegins(2), 3]


async def test_the_oldest_audio_goes_first_when_nobody_takes_it_and_marks_stay(
    autojump_clock: MockClock,
) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    for number in range(600):
        queue.push(audio(20, number + 1), LISTENING_RATE)
        if number == 50:
            queue.end_turn(1)
            queue.begin_turn(2)
    assert queue.counts.received_ms == pytest.approx(12_000)
    assert queue.counts.dropped_ms == pytest.approx(12_000 - MAX_QUEUED_MS)
    assert await taken(queue, 4) == [TurnBegins(1), TurnEnds(1), TurnBegins(2), 101]


async def test_of_one_block_beyond_the_bound_the_newest_is_kept(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    block = np.arange(LISTENING_RATE * 12, dtype=np.int64).astype(np.int16)
    queue.push(block, LISTENING_RATE)
    assert await take(queue) == TurnBegins(1)
    kept = await take(queue)
    assert isinstance(kept, Block)
    assert np.array_equal(kept.samples, block[-LISTENING_RATE * 10 :])
    assert queue.counts.dropped_ms == pytest.approx(2000)


async def test_tiny_blocks_cost_no_more_memory_than_large_ones(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    for number in range(5000):
        queue.push(np.array([number], np.int16), LISTENING_RATE)
    assert len(queue._items) < 100
    assert await take(queue) == TurnBegins(1)
    heard: list[Samples] = []
    while sum(map(len, heard)) < 5000:
        item = await take(queue)
        assert isinstance(item, Block)
        heard.append(item.samples)
    assert np.array_equal(np.concatenate(heard), np.arange(5000))


# --- the feed ----------------------------------------------------------------------------------------------


@define
class Notebook:
    """A transcriber that writes down what it gets."""

    marks: list[str] = field(factory=list)
    heard: list[Samples] = field(factory=list)

    def settled(self, turn: int) -> Settled:
        return Settled()

    def begin_turn(self, turn: int) -> None:
        self.marks.append(f"begin {turn}")

    async def send(self, samples: Samples, speech_probability: float) -> None:
        self.heard.append(samples)

    def finalize(self, turn: int) -> None:
        self.marks.append(f"finalize {turn}")

    def samples(self) -> Samples:
        return np.concatenate([np.empty(0, np.int16), *self.heard])


@define
class TelephoneNotebook(Notebook):
    """One that takes a telephone's audio as it is."""

    rate: int = TELEPHONE_RATE


async def listen(queue: CallerAudio, notebook: Notebook, do: Callable[[], None]) -> list[Fact]:
    """Let an ear listen until everything was heard that `do` sent."""
    facts: list[Fact] = []
    ear = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.run)
        nursery.start_soon(ear.listen, notebook)
        do()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return facts


async def test_a_telephones_audio_goes_as_it_came_to_whom_can_take_it() -> None:
    samples = np.random.default_rng(1).integers(-5000, 5000, 10_000, np.int16)
    told: list[Samples] = []
    for notebook in (TelephoneNotebook(), TelephoneNotebook(rate=LISTENING_RATE)):
        queue = CallerAudio(telephone=True)

        def say(queue: CallerAudio = queue) -> None:
            for start in range(0, len(samples), 160):
                queue.push(samples[start : start + 160], TELEPHONE_RATE)
                if start == 4800:
                    queue.begin_turn(1)

        await listen(queue, notebook, say)
        told.append(notebook.samples())
    as_it_came, converted = told
    assert len(as_it_came) >= 9500
    assert np.array_equal(as_it_came, samples[: len(as_it_came)])
    assert len(converted) == 2 * len(as_it_came)
    assert not np.array_equal(converted[::2], as_it_came)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
async def test_any_rate_is_heard_at_the_listening_rate(rate: int) -> None:
    queue, notebook = CallerAudio(), Notebook()

    def say() -> None:
        queue.begin_turn(1)
        samples = spoken("one two three", rate)
        for start in range(0, len(samples), 777):
            queue.push(samples[start : start + 777], rate)

    await listen(queue, notebook, say)
    assert understood(notebook.samples()) == "one two three"
    # A window of 32 ms and the filter's tail are still on their way.
    assert 0 <= 3 * 320 * 16 - len(notebook.samples()) < 512 + 16 * 20


async def test_a_change_of_rate_loses_nothing() -> None:
    queue, notebook = CallerAudio(), Notebook()

    def say() -> None:
        queue.begin_turn(1)
        for word, rate in (("one", 48_000), ("two", 8000), ("three", 16_000), ("four", 44_100)):
            queue.push(spoken(word, rate), rate)
        queue.push(silence(200), LISTENING_RATE)

    await listen(queue, notebook, say)
    assert understood(notebook.samples()) == "one two three four"


async def test_the_end_of_a_turn_is_the_end_of_its_speech() -> None:
    queue, notebook = CallerAudio(), Notebook()

    def say() -> None:
        queue.begin_turn(1)
        queue.push(spoken("one two"), LISTENING_RATE)
        queue.end_turn(1)
        queue.begin_turn(2)

    facts = await listen(queue, notebook, say)
    assert [fact.name for fact in facts] == ["speech_started", "speech_stopped"]
    assert notebook.marks == ["begin 1", "finalize 1", "begin 2"]


async def test_a_speaking_caller_whose_audio_stays_away_falls_silent(autojump_clock: MockClock) -> None:
    queue, notebook, facts = CallerAudio(), Notebook(), list[Fact]()
    ear = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.run)
        nursery.start_soon(ear.listen, notebook)
        queue.begin_turn(1)
        queue.push(spoken("one"), LISTENING_RATE)
        await trio.sleep(SILENCE_AFTER_S - 0.01)
        assert [fact.name for fact in facts] == ["speech_started"]
        await trio.sleep(0.02)
        assert facts[1] == SpeechStopped(320)
        heard = len(notebook.samples())
        await trio.sleep(10)
        assert len(notebook.samples()) == heard, "a silent caller is not filled in for"
        nursery.cancel_scope.cancel()


async def test_blocks_of_the_shipped_client_are_no_gaps(autojump_clock: MockClock) -> None:
    queue, notebook, facts = CallerAudio(), Notebook(), list[Fact]()
    ear = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.run)
        nursery.start_soon(ear.listen, notebook)
        queue.begin_turn(1)
        speech = spoken("one two three four five six seven eight")
        for start in range(0, len(speech), 4096):
            queue.push(speech[start : start + 4096], LISTENING_RATE)
            await trio.sleep(0.256)
        assert understood(notebook.samples()) == "one two three four five six seven eight"
        nursery.cancel_scope.cancel()


async def test_ten_seconds_are_said_again_without_holding_up_others() -> None:
    queue, notebook = CallerAudio(), Notebook()
    ear = SttFeed(queue, SimulatedVoiceActivity(), lambda fact: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.run)
        queue.begin_turn(1)
        queue.push(silence(9600), LISTENING_RATE)
        await wait_all_tasks_blocked()
        nursery.start_soon(ear.listen, notebook)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            assert len(notebook.heard) <= 10
        await wait_all_tasks_blocked()
        assert len(notebook.samples()) == 9600 * 16
        nursery.cancel_scope.cancel()
