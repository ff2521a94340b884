"""The feed of speech to text: turns, rates, silence in place of audio that does not come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples, Settled
from machines.facts import Fact, SpeechStopped
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.stt_feed import SILENCE_AFTER_S, SttFeed
from orchestrator.audio.stt_replay_buffer import MOST_AT_ONCE
from orchestrator.simulation import SimulatedVoiceActivity
from orchestrator.simulation.speech import silence, spoken, understood


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
    """Run a feed until everything that `do` sent has reached the notebook."""
    facts: list[Fact] = []
    feed = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(feed.send_to, notebook)
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
    telephone_samples, converted = told
    assert len(telephone_samples) >= 9500
    assert np.array_equal(telephone_samples, samples[: len(telephone_samples)])
    # The filter's tail comes with what follows, or at the end of the turn.
    assert 0 <= 2 * len(telephone_samples) - len(converted) < LISTENING_RATE * 20 // 1000
    assert not np.array_equal(converted[::2], telephone_samples[: len(converted[::2])])


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
    # Two windows of 32 ms, which are sent together, and the filter's tail are still on their way.
    assert 0 <= 3 * 320 * 16 - len(notebook.samples()) < 2 * 512 + 16 * 20


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
    feed = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(feed.send_to, notebook)
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
    feed = SttFeed(queue, SimulatedVoiceActivity(), facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(feed.send_to, notebook)
        queue.begin_turn(1)
        speech = spoken("one two three four five six seven eight")
        for start in range(0, len(speech), 4096):
            queue.push(speech[start : start + 4096], LISTENING_RATE)
            await trio.sleep(0.256)
        assert understood(notebook.samples()) == "one two three four five six seven eight"
        nursery.cancel_scope.cancel()


async def test_ten_seconds_are_said_again_without_holding_up_others() -> None:
    queue, notebook = CallerAudio(), Notebook()
    feed = SttFeed(queue, SimulatedVoiceActivity(), lambda fact: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        queue.begin_turn(1)
        queue.push(silence(9600), LISTENING_RATE)
        await wait_all_tasks_blocked()
        nursery.start_soon(feed.send_to, notebook)
        for others in range(1, 11):
            await trio.lowlevel.checkpoint()
            assert len(notebook.heard) <= MOST_AT_ONCE * (others + 1)
        await wait_all_tasks_blocked()
        assert len(notebook.samples()) == 9600 * 16
        nursery.cancel_scope.cancel()
