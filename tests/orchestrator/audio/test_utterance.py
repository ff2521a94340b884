"""Speaking in virtual time: how audio is cut, how far it runs ahead, what is reported, and how it stops."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import trio
from attrs import define, evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import Samples, SegmentEnd, SpeechStream, SpokenAudio, Voice
from machines.effects import StopCause
from machines.facts import (
    Fact,
    PlaybackAt,
    PlaybackFinished,
    SegmentVoiced,
    SynthesisFailed,
)
from orchestrator.audio.playback_clock import PlaybackClock
from orchestrator.audio.utterance import (
    RUNNING_OUT_S,
    SHORTEST_CHUNK_MS,
    OpenSpeech,
    Pacing,
    Utterance,
)
from orchestrator.sessions.session import LEGACY_PACING, hierarchical_pacing
from orchestrator.simulation import (
    Delay,
    Ends,
    Fails,
    SimulatedCaller,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    script,
)
from orchestrator.simulation.caller import SMALL_CHUNKS, Playback

TEXT = "x" * 50
"""Three seconds of speech."""


def numbered(count: int, start: int = 0) -> Samples:
    return np.arange(start, start + count, dtype=np.int16)


async def speak(
    caller: SimulatedCaller, speaking: Synthesis, *texts: str, gap_s: float = 0
) -> tuple[Playback, list[Fact]]:
    """One answer from its first segment to its end."""
    facts: list[Fact] = []
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    async with (
        SimulatedTextToSpeech(script(then=speaking)).open("en-US") as voice,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(utterance.run, streams_of(voice))
        for number, text in enumerate(texts):
            utterance.say(number, text)
            await trio.sleep(gap_s)
        utterance.finish()
    return caller.playbacks[0], facts


def streams_of(voice: Voice) -> OpenSpeech:
    """What an utterance opens its streams with."""
    return lambda rate: voice.speak(rate, None)


def durations(playback: Playback) -> list[float]:
    return [round(chunk.duration_ms, 3) for chunk in playback.chunks]


@pytest.mark.parametrize("pacing", [LEGACY_PACING, hierarchical_pacing(24_000), hierarchical_pacing(8000)])
async def test_audio_is_sent_in_full_chunks_and_only_a_little_ahead(
    pacing: Pacing, autojump_clock: MockClock
) -> None:
    playback, _ = await speak(SimulatedCaller(pacing=pacing), Synthesis(), TEXT)
    assert set(durations(playback)[:-1]) == {pacing.chunk_ms}
    assert pacing.lead_ms < playback.ahead_ms() <= pacing.lead_ms + pacing.chunk_ms + 1e-6
    assert playback.sent_ms() == playback.ended_with_ms == pytest.approx(3000)


async def test_the_shipped_client_gets_a_pause_before_the_first_chunk(autojump_clock: MockClock) -> None:
    playback, _ = await speak(SimulatedCaller(pacing=LEGACY_PACING), Synthesis(), TEXT)
    assert playback.chunks[0].at_ms - playback.begun_at_ms == pytest.approx(50)


@pytest.mark.parametrize("voice_rate", [16_000, 22_050, 24_000, 44_100, 48_000])
async def test_resampling_to_the_wire_loses_and_adds_nothing(
    voice_rate: int, autojump_clock: MockClock
) -> None:
    caller = SimulatedCaller(pacing=LEGACY_PACING)
    playback, facts = await speak(caller, Synthesis(rate=voice_rate), TEXT, "y" * 17, "z" * 31)
    assert sum(len(chunk.samples) for chunk in playback.chunks) == 48 * 60 * (50 + 17 + 31)
    assert [fact.duration_ms for fact in facts if isinstance(fact, SegmentVoiced)] == [3000, 1020, 1860]


async def test_a_slow_voice_is_sent_as_it_comes(autojump_clock: MockClock) -> None:
    """Audio that comes slower than it is played is not held back for a full chunk."""
    playback, facts = await speak(SimulatedCaller(), Synthesis(between=Delay(130)), TEXT)
    assert min(durations(playback)[:-1]) >= SHORTEST_CHUNK_MS
    assert playback.sent_ms() == pytest.approx(3000)
    started = [fact for fact in facts if isinstance(fact, PlaybackAt) and fact.playing]
    assert len(started) > 10


async def test_a_caller_who_runs_out_between_segments_is_known_to(autojump_clock: MockClock) -> None:
    caller = SimulatedCaller()
    playback, facts = await speak(caller, Synthesis(), "x" * 10, "y" * 10, gap_s=2)
    told = [fact for fact in facts if isinstance(fact, PlaybackAt)]
    assert [fact.position_ms for fact in told if not fact.playing] == pytest.approx([600, 1200])
    [dry] = [place for place, fact in enumerate(told[:-1]) if not fact.playing]
    assert told[0].position_ms == 0
    assert told[dry + 1].playing
    assert told[dry + 1].position_ms == pytest.approx(600)
    assert isinstance(facts[-1], PlaybackFinished)
    assert playback.heard_ms(1e12) == pytest.approx(1200)


async def test_speech_in_advance_is_neither_sent_nor_reported_until_it_is_said(
    autojump_clock: MockClock,
) -> None:
    caller, facts = SimulatedCaller(), list[Fact]()
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    voice = SimulatedTextToSpeech(script(then=Synthesis(first=Delay(80))))
    async with voice.open("en-US") as link, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(link))
        utterance.prepare(0, TEXT)
        await trio.sleep(0.5)
        assert not caller.playbacks
        assert not facts
        said_ms = trio.current_time() * 1000
        utterance.say(0, TEXT)
        utterance.say(1, "y" * 10)
        utterance.finish()
    [playback] = caller.playbacks
    assert playback.chunks[0].at_ms == pytest.approx(said_ms), "no time is waited for"
    assert playback.sent_ms() == pytest.approx(3600), "once, and the rest after it"
    assert [fact.duration_ms for fact in facts if isinstance(fact, SegmentVoiced)] == [3000, 600]
    assert isinstance(facts[-1], PlaybackFinished)


async def test_speech_that_fails_in_advance_is_reported_when_it_is_said(autojump_clock: MockClock) -> None:
    caller, facts = SimulatedCaller(), list[Fact]()
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    voice = SimulatedTextToSpeech(script(Synthesis(fault=Fails(), after=2), then=Synthesis()))
    async with voice.open("en-US") as link, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(link))
        utterance.prepare(0, TEXT)
        await trio.sleep(0.5)
        assert not facts
        utterance.say(0, TEXT)
        [failed] = facts
        assert isinstance(failed, SynthesisFailed)
        assert failed.voiced_ms == 200
        nursery.cancel_scope.cancel()


async def test_the_end_is_reported_when_everything_was_played_not_when_it_was_sent(
    autojump_clock: MockClock,
) -> None:
    began = trio.current_time()
    await speak(SimulatedCaller(), Synthesis(), TEXT)
    assert trio.current_time() - began == pytest.approx(3.0)


async def test_a_caller_who_acknowledges_playback_is_not_spoken_for(autojump_clock: MockClock) -> None:
    pacing = Pacing(rate=8000, chunk_ms=100, lead_ms=100, acknowledged=True)
    slow = Synthesis(between=Delay(130))
    playback, facts = await speak(SimulatedCaller(pacing=pacing), slow, TEXT)
    assert playback.ended_with_ms == pytest.approx(3000)
    assert [type(fact) for fact in facts] == [SegmentVoiced]


async def test_a_voice_is_not_heard_ahead_without_limit(autojump_clock: MockClock) -> None:
    """Half a minute of audio waits here, more waits at the voice."""
    caller = SimulatedCaller()
    facts: list[Fact] = []
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    async with (
        SimulatedTextToSpeech().open("en-US") as voice,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(utterance.run, streams_of(voice))
        for number in range(100):
            utterance.say(number, TEXT)
        await wait_all_tasks_blocked()
        voiced = sum(fact.duration_ms for fact in facts if isinstance(fact, SegmentVoiced))
        assert 30_000 <= voiced <= 33_000
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("chunks", [0, 1, 5])
async def test_no_audio_follows_a_stop_at_the_very_moment_a_chunk_is_due(
    seed: int, chunks: int, autojump_clock: MockClock
) -> None:
    trio._core._run._r.seed(seed)
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, lambda fact: None)
    async with SimulatedTextToSpeech().open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        utterance.say(0, TEXT)
        await wait_all_tasks_blocked()
        # The sender's own sums, so that both wake up in the same instant.
        clock = PlaybackClock()
        for _ in range(3 + chunks):
            clock.sent(caller.pacing.chunk_ms)
        await clock.wait_until_left(caller.pacing.lead_ms)
        nursery.cancel_scope.cancel()
        caller.stop_audio(1, StopCause.INTERRUPTED)
    assert caller.complaints == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("checkpoints", range(4))
async def test_no_audio_follows_a_stop_at_the_very_moment_audio_arrives_from_the_voice(
    seed: int, checkpoints: int, autojump_clock: MockClock
) -> None:
    trio._core._run._r.seed(seed)
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, lambda fact: None)
    slow = SimulatedTextToSpeech(script(then=Synthesis(first=Delay(1000), between=Delay(1000))))
    async with slow.open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        utterance.say(0, TEXT)
        await trio.sleep(2)
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        caller.stop_audio(1, StopCause.INTERRUPTED)
    assert caller.complaints == []


@pytest.mark.parametrize("seed", range(6))
async def test_an_answer_that_is_stopped_at_once_never_begins(seed: int, autojump_clock: MockClock) -> None:
    trio._core._run._r.seed(seed)
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, lambda fact: None)
    async with SimulatedTextToSpeech().open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        nursery.cancel_scope.cancel()
        caller.stop_audio(1, StopCause.INTERRUPTED)
    assert caller.complaints == []


@pytest.mark.parametrize(
    "speaking",
    [
        Synthesis(ms_per_character=0),
        Synthesis(fault=Ends()),
        Synthesis(fault=Ends(), after=7),
        Synthesis(fault=Fails(), after=7),
        Synthesis(misnumbered=True),
    ],
    ids=["no audio", "ends before any audio", "ends in a segment", "fails in a segment", "wrong segment"],
)
async def test_a_voice_that_does_not_say_everything_has_failed(
    speaking: Synthesis, autojump_clock: MockClock
) -> None:
    facts: list[Fact] = []
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    async with SimulatedTextToSpeech(script(then=speaking)).open("en-US") as voice:
        utterance.say(0, TEXT)
        utterance.say(1, TEXT)
        utterance.finish()
        with trio.move_on_after(60):
            await utterance.run(streams_of(voice))
    [failed] = [fact for fact in facts if isinstance(fact, SynthesisFailed)]
    assert (failed.utterance, failed.attempt) == (1, 1)
    assert not any(isinstance(fact, PlaybackFinished) for fact in facts)


@pytest.mark.parametrize(("text", "unsayable"), [("您好。", True), ("👍", False), ("...", False)])
async def test_a_text_that_has_no_sound_in_this_voice_is_no_failure_of_the_voice(
    text: str, unsayable: bool, autojump_clock: MockClock
) -> None:
    facts: list[Fact] = []
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, facts.append, "en-US")
    soundless = SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=0)))
    async with soundless.open("en-US") as voice:
        utterance.say(0, text)
        utterance.finish()
        with trio.fail_after(60):
            await utterance.run(streams_of(voice))
    assert [fact for fact in facts if isinstance(fact, SegmentVoiced)] == [
        SegmentVoiced(1, 0, 0.0, facts[0].words, unsayable=unsayable)  # type: ignore[attr-defined]
    ]
    assert isinstance(facts[-1], PlaybackFinished)
    assert not any(isinstance(fact, SynthesisFailed) for fact in facts)


async def test_what_a_failed_voice_gave_is_played_and_the_next_take_follows_without_a_seam(
    autojump_clock: MockClock,
) -> None:
    """The first voice dies after 700 ms of the second segment; the machine asks for the rest."""
    facts: list[Fact] = []
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    provider = SimulatedTextToSpeech(script(Synthesis(fault=Fails(), after=37), then=Synthesis()))
    async with provider.open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        utterance.say(0, TEXT)
        utterance.say(1, TEXT)
        utterance.finish()
        await wait_all_tasks_blocked()
        [failed] = [fact for fact in facts if isinstance(fact, SynthesisFailed)]
        assert failed.voiced_ms == pytest.approx(700)
        utterance.restart(2)
        utterance.say(2, "x" * 10)
        utterance.finish()
    [playback] = caller.playbacks
    assert playback.sent_ms() == playback.ended_with_ms == pytest.approx(3000 + 700 + 600)
    assert playback.heard_ms(playback.begun_at_ms + 4300) == pytest.approx(4300), "there is no gap"
    voiced = [(fact.segment, fact.attempt) for fact in facts if isinstance(fact, SegmentVoiced)]
    assert voiced == [(0, 1), (2, 2)]
    assert isinstance(facts[-1], PlaybackFinished)


async def test_a_take_that_is_given_up_leaves_nothing_of_it_behind(autojump_clock: MockClock) -> None:
    """A voice that stalls: what it was given goes to the next take, and its stream is closed."""
    caller = SimulatedCaller()
    facts: list[Fact] = []
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    provider = SimulatedTextToSpeech(script(Synthesis(fault=Stalls()), then=Synthesis()))
    async with provider.open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        utterance.say(0, TEXT)
        utterance.finish()
        await trio.sleep(5)
        assert provider.running == 1
        utterance.restart(2)
        utterance.say(0, TEXT)
        utterance.finish()
        await wait_all_tasks_blocked()
        assert provider.running == 0
    assert caller.playbacks[0].sent_ms() == pytest.approx(3000)
    assert not any(isinstance(fact, SynthesisFailed) for fact in facts)


async def test_a_long_segment_shows_signs_of_life_while_it_is_played(autojump_clock: MockClock) -> None:
    """Its end is known only when all of it came; until then whoever waits must know that it goes on."""
    _, facts = await speak(SimulatedCaller(), Synthesis(between=Delay(80)), "x" * 100)
    heard = [fact.position_ms for fact in facts if isinstance(fact, PlaybackAt) and fact.playing]
    assert heard == sorted(heard)
    assert max(b - a for a, b in itertools.pairwise(heard)) <= 1200


# --- paused -----------------------------------------------------------------------------------------------


@define
class Counting:
    """A voice whose samples are numbered throughout, so that none can be missed, doubled or out of order."""

    samples: int
    sample_rate: int = SMALL_CHUNKS.rate

    @asynccontextmanager
    async def speak(self, rate: int) -> AsyncIterator[SpeechStream]:
        """The one stream."""
        assert rate == self.sample_rate
        yield self

    async def say(self, segment: int, text: str) -> None:
        await trio.lowlevel.checkpoint()

    async def end(self) -> None:
        await trio.lowlevel.checkpoint()

    async def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        for start in range(0, self.samples, 2000):
            await trio.sleep(0.02)
            yield SpokenAudio(0, numbered(min(2000, self.samples - start), start))
        yield SegmentEnd(0)


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("pause_at_ms", [0, 10, 59.99, 60, 123.4567, 333, 1000, 1180, 1220, 1290])
@pytest.mark.parametrize("for_ms", [0, 5, 37, 250, 2000])
async def test_after_a_pause_every_sample_is_heard_once_and_in_order(
    for_ms: float, pause_at_ms: float, drops: bool, autojump_clock: MockClock
) -> None:
    voice = Counting(samples=24 * 1300)
    caller = SimulatedCaller(drops_when_paused=drops)
    facts: list[Fact] = []
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, voice.speak)
        utterance.say(0, TEXT)
        utterance.finish()
        await trio.sleep(pause_at_ms / 1000)
        utterance.pause()
        paused_ms = trio.current_time() * 1000
        await trio.sleep(for_ms / 1000)
        utterance.resume()
    [playback] = caller.playbacks
    heard = np.concatenate([chunk.samples for chunk in playback.chunks])
    assert np.array_equal(heard, numbered(24 * 1300))
    assert [each for each in playback.chunks if 1e-6 < each.at_ms - paused_ms < for_ms - 1e-6] == []
    assert caller.complaints == []
    # A sample is 0.04 ms, and pauses do not last a whole number of samples.
    assert playback.ahead_ms() <= caller.pacing.lead_ms + caller.pacing.chunk_ms + 0.05
    assert isinstance(facts[-1], PlaybackFinished)


async def test_an_answer_that_is_paused_before_its_first_sound_does_not_begin(
    autojump_clock: MockClock,
) -> None:
    caller = SimulatedCaller()
    utterance = Utterance(1, caller, caller.pacing, lambda fact: None)
    async with SimulatedTextToSpeech().open("en-US") as voice, trio.open_nursery() as nursery:
        utterance.say(0, TEXT)
        utterance.finish()
        utterance.pause()
        nursery.start_soon(utterance.run, streams_of(voice))
        await trio.sleep(10)
        assert caller.playbacks == []
        utterance.resume()
    assert caller.playbacks[0].sent_ms() == pytest.approx(3000)


@pytest.mark.parametrize("drops", [False, True])
async def test_while_an_answer_is_paused_it_is_known_where_the_caller_is(
    drops: bool, autojump_clock: MockClock
) -> None:
    caller = SimulatedCaller(drops_when_paused=drops)
    facts: list[Fact] = []
    utterance = Utterance(1, caller, caller.pacing, facts.append)
    async with SimulatedTextToSpeech().open("en-US") as voice, trio.open_nursery() as nursery:
        nursery.start_soon(utterance.run, streams_of(voice))
        utterance.say(0, TEXT)
        await trio.sleep(1)
        utterance.pause()
        await trio.sleep(1)
        last = [fact for fact in facts if isinstance(fact, PlaybackAt)][-1]
        assert not last.playing
        assert last.position_ms == pytest.approx(caller.playbacks[0].heard_ms(1e12))
        assert (last.position_ms == pytest.approx(1000)) is drops
        nursery.cancel_scope.cancel()


def test_the_caller_is_served_before_running_out() -> None:
    for pacing in (LEGACY_PACING, hierarchical_pacing(24_000)):
        assert pacing.lead_ms / 1000 > RUNNING_OUT_S


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"rate": 0}, "rate of Pacing is 0 Hz, but must be from 8000 to 48000"),
        ({"chunk_ms": 0}, "chunk_ms of Pacing is 0, but must be from 1 to 10000"),
        ({"lead_ms": -1}, "lead_ms of Pacing is -1, but must be a number, 0 or more, and finite"),
    ],
)
def test_what_no_caller_can_play_is_refused_when_the_pacing_is_made(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError) as caught:
        evolve(Pacing(rate=8000, chunk_ms=20, lead_ms=100), **fields)
    assert str(caught.value) == told
