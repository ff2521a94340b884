"""An answer that is paused and resumed, for a caller whose side drops what it has not played."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio
from attrs import Factory, define, frozen
from trio.testing import MockClock

from adapters.interfaces import SegmentEnd, SpeechStream, SpokenAudio
from machines.facts import Fact, PlaybackAt
from orchestrator.audio.utterance import Pacing, Utterance
from orchestrator.sessions.session import LEGACY_PACING, hierarchical_pacing
from orchestrator.simulation import SimulatedCaller, SimulatedTextToSpeech
from orchestrator.simulation.caller import Playback

TEXT = "x" * 50
"""Three seconds of speech."""
PIECES = 30
PACINGS = pytest.mark.parametrize("pacing", [LEGACY_PACING, hierarchical_pacing(24_000)])


@frozen
class Spoken:
    """An answer that is being spoken."""

    utterance: Utterance
    caller: SimulatedCaller
    facts: list[Fact]

    @property
    def playback(self) -> Playback:
        return self.caller.playbacks[0]

    def position(self) -> PlaybackAt:
        """Where the caller was said to be last."""
        return [fact for fact in self.facts if isinstance(fact, PlaybackAt)][-1]


@asynccontextmanager
async def speaking(pacing: Pacing) -> AsyncIterator[Spoken]:
    """The answer is spoken to its end, unless the block pauses it."""
    facts: list[Fact] = []
    caller = SimulatedCaller(pacing=pacing, drops_when_paused=True)
    utterance = Utterance(1, caller, pacing, facts.append)
    async with SimulatedTextToSpeech().open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, lambda rate: voice.speak(rate, None))
        utterance.say(0, TEXT)
        utterance.finish()
        yield Spoken(utterance, caller, facts)


@PACINGS
async def test_that_the_caller_hears_nothing_more_is_told_at_once(
    pacing: Pacing, autojump_clock: MockClock
) -> None:
    async with speaking(pacing) as spoken:
        await trio.sleep(0.5)
        spoken.utterance.pause()
        heard_ms = 500 - pacing.settle_ms
        assert spoken.position().position_ms == pytest.approx(heard_ms)
        assert not spoken.position().playing
        await trio.sleep(1)
        assert spoken.playback.heard_ms(1e9) == pytest.approx(heard_ms)
        spoken.utterance.resume()


@PACINGS
@pytest.mark.parametrize("paused_s", [0, 0.01, 0.1, 1])
async def test_whatever_the_pause_all_is_heard_once_and_sent_only_a_little_ahead(
    pacing: Pacing, paused_s: float, autojump_clock: MockClock
) -> None:
    async with speaking(pacing) as spoken:
        for _ in range(3):
            await trio.sleep(0.43)
            spoken.utterance.pause()
            await trio.sleep(paused_s)
            spoken.utterance.resume()
    assert spoken.caller.complaints == []
    assert spoken.playback.heard_ms(1e9) == pytest.approx(3000, abs=1)
    assert spoken.playback.ended_with_ms == pytest.approx(3000, abs=1)
    assert spoken.playback.ahead_ms() <= pacing.lead_ms + pacing.chunk_ms + 1e-3


@PACINGS
async def test_the_end_is_announced_again_when_it_was_dropped_too(
    pacing: Pacing, autojump_clock: MockClock
) -> None:
    async with speaking(pacing) as spoken:
        await trio.sleep(2.9)
        assert spoken.playback.over
        spoken.utterance.pause()
        assert not spoken.playback.over
        await trio.sleep(1)
        spoken.utterance.resume()
    assert spoken.caller.complaints == []
    assert spoken.playback.ended_with_ms == pytest.approx(3000, abs=1)


async def test_an_answer_that_is_paused_twice_goes_on_when_it_is_resumed(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with speaking(LEGACY_PACING) as spoken:
            for _ in range(2):
                await trio.sleep(0.5)
                spoken.utterance.pause()
            await trio.sleep(0.5)
            spoken.utterance.resume()
    assert spoken.playback.ended_with_ms == pytest.approx(3000, abs=1)


@define
class Numbered:
    """A stream whose pieces come just before they are needed; the level of each is its number."""

    given: trio.Event = Factory(trio.Event)
    """Set when a piece was taken."""
    sample_rate: int = 24_000

    async def say(self, segment: int, text: str) -> None:
        pass

    async def end(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        for number in range(1, PIECES + 1):
            yield SpokenAudio(0, np.full(60 * 24, number, np.int16))
            self.given.set()
            self.given = trio.Event()
            await trio.sleep(0.055)
        yield SegmentEnd(0)


@pytest.mark.parametrize("ticks", range(7))
async def test_a_pause_while_a_chunk_is_on_its_way_changes_no_order(
    ticks: int, autojump_clock: MockClock
) -> None:
    voice = Numbered()
    caller = SimulatedCaller(drops_when_paused=True)
    utterance = Utterance(1, caller, caller.pacing, lambda fact: None)

    @asynccontextmanager
    async def stream(rate: int) -> AsyncIterator[SpeechStream]:
        yield voice

    async with trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, stream)
        utterance.say(0, "numbers")
        utterance.finish()
        for _ in range(PIECES):
            await voice.given.wait()
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            utterance.pause()
            utterance.resume()
    heard = np.concatenate([chunk.samples for chunk in caller.playbacks[0].chunks])
    assert np.all(np.diff(heard) >= 0)
    assert len(heard) == pytest.approx(PIECES * 60 * 24, abs=PIECES)
