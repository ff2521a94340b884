"""A link dies within a turn: its settled words and those of the next link are all words, each once."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import LISTENING_RATE, ProviderError, Samples, Settled, Transcriber
from adapters.simulators import Fault, FaultKind, Simulators
from machines.facts import EndOfTurn
from orchestrator.simulation.speech import silence, spoken
from tests.adapters.vendors.stt_links import Emitted, be_silent, loud, send

pytestmark = pytest.mark.slow

SAID = ("one two three", "four five", "six seven eight nine")
ALL_WORDS = " ".join(SAID)
PAUSE_MS = 800
AUDIO = np.concatenate([part for text in SAID for part in (spoken(text), silence(PAUSE_MS))])
SPEEDS = [0.0, 2.0]


@pytest.fixture(params=["nova", "flux"])
def provider(request: pytest.FixtureRequest) -> DeepgramNova | DeepgramFlux:
    found: DeepgramNova | DeepgramFlux = request.getfixturevalue(request.param)
    return found


async def begin_and_send(transcriber: Transcriber, audio: Samples) -> None:
    transcriber.begin_turn(1)
    await send(transcriber, audio)


async def heard_again(
    provider: DeepgramNova | DeepgramFlux, settled: Settled, audio: Samples, speed: float
) -> str:
    """The turn's words, if the next link is sent the audio that is not settled."""
    emitted = Emitted()
    async with provider.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await send(transcriber, audio[settled.samples :], speed)
        transcriber.finalize(1)
        final = await emitted.final(1)
    return f"{settled.text} {final.text}".strip()


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("after_ms", range(100, len(AUDIO) * 1000 // LISTENING_RATE, 350))
async def test_no_word_is_lost_or_doubled_when_a_link_is_cut(
    listeners: Simulators,
    autojump_clock: MockClock,
    provider: DeepgramNova | DeepgramFlux,
    after_ms: int,
    speed: float,
) -> None:
    async with provider.open(Emitted(), "en") as transcriber:
        with trio.move_on_after(after_ms / 1000):
            await begin_and_send(transcriber, AUDIO)
    settled = transcriber.settled(1)
    assert ALL_WORDS.startswith(settled.text)
    assert settled.samples <= after_ms * LISTENING_RATE // 1000
    assert await heard_again(provider, settled, AUDIO, speed) == ALL_WORDS


async def test_silence_that_keeps_a_link_open_is_not_the_callers_audio(
    listeners: Simulators, autojump_clock: MockClock, provider: DeepgramNova | DeepgramFlux
) -> None:
    """Flux is sent a little silence if no audio comes for 5 s. Positions must not count it."""
    async with provider.open(Emitted(), "en") as transcriber:
        transcriber.begin_turn(1)
        await trio.sleep(122)
        await send(transcriber, AUDIO[: len(AUDIO) * 2 // 3])
        await trio.sleep(1)
    settled = transcriber.settled(1)
    assert settled.text
    assert await heard_again(provider, settled, AUDIO, 0.0) == ALL_WORDS


@pytest.mark.repeats
@pytest.mark.grid(after=range(1, 40, 3), kind=[FaultKind.RESET, FaultKind.STALL])
async def test_no_word_is_lost_or_doubled_whatever_message_was_the_last(
    listeners: Simulators,
    autojump_clock: MockClock,
    provider: DeepgramNova | DeepgramFlux,
    kind: FaultKind,
    after: int,
) -> None:
    listeners.fail(Fault(kind, "deepgram", after=after))
    link: Transcriber | None = None
    try:
        async with provider.open(Emitted(), "en") as link:
            await begin_and_send(link, AUDIO)
            await send(link, loud(20))
    except ProviderError:
        pass
    assert link is not None
    assert await heard_again(provider, link.settled(1), AUDIO, 0) == ALL_WORDS


@pytest.mark.repeats
@pytest.mark.grid(after=range(1, 30), kind=[FaultKind.TRUNCATE, FaultKind.REORDER, FaultKind.DUPLICATE])
async def test_a_message_that_was_lost_or_came_late_or_twice_settles_nothing_wrong(
    listeners: Simulators,
    autojump_clock: MockClock,
    provider: DeepgramNova | DeepgramFlux,
    kind: FaultKind,
    after: int,
) -> None:
    listeners.fail(Fault(kind, "deepgram", after=after))
    async with provider.open(Emitted(), "en") as transcriber:
        await begin_and_send(transcriber, AUDIO)
    assert await heard_again(provider, transcriber.settled(1), AUDIO, 0) == ALL_WORDS


async def test_a_turn_that_waits_for_its_final_transcript_is_settled_up_to_there(
    listeners: Simulators, autojump_clock: MockClock, provider: DeepgramNova | DeepgramFlux
) -> None:
    async with provider.open(Emitted(), "en") as transcriber:
        await begin_and_send(transcriber, AUDIO[: -PAUSE_MS * LISTENING_RATE // 1000])
        transcriber.finalize(1)
    settled = transcriber.settled(1)
    assert settled.text == f"{SAID[0]} {SAID[1]}"
    assert settled.confidence > 0.9
    assert await heard_again(provider, settled, AUDIO, 0) == ALL_WORDS


async def test_audio_from_before_a_turn_need_not_be_sent_again(
    listeners: Simulators, autojump_clock: MockClock, provider: DeepgramNova | DeepgramFlux
) -> None:
    earlier = np.concatenate([spoken("stop wait"), silence(2000)])
    async with provider.open(Emitted(), "en") as transcriber:
        await send(transcriber, earlier)
        await begin_and_send(transcriber, spoken("one"))
    settled = transcriber.settled(1)
    assert settled.text == ""
    again = np.concatenate([earlier, AUDIO])
    assert await heard_again(provider, settled, again, 0) == ALL_WORDS


async def test_a_turn_that_is_unknown_dropped_or_final_is_not_settled(
    listeners: Simulators, autojump_clock: MockClock, provider: DeepgramNova | DeepgramFlux
) -> None:
    emitted = Emitted()
    async with provider.open(emitted, "en") as transcriber:
        assert transcriber.settled(7) == Settled()
        await begin_and_send(transcriber, AUDIO)
        transcriber.begin_turn(2)
        assert transcriber.settled(1) == Settled()
        await send(transcriber, spoken("one"))
        await be_silent(transcriber, 1)
        transcriber.finalize(2)
        await emitted.final(2)
        assert transcriber.settled(2) == Settled()


async def test_flux_decides_about_replayed_audio_only_if_the_caller_did_not_go_on(
    listeners: Simulators, autojump_clock: MockClock, flux: DeepgramFlux
) -> None:
    emitted = Emitted()
    async with flux.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await send(transcriber, AUDIO, speed=0)
        await be_silent(transcriber, 1)
    (end,) = [fact for fact in emitted.facts if isinstance(fact, EndOfTurn)]
    assert end.text == ALL_WORDS
