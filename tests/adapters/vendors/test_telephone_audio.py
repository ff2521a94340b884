"""Telephone audio is sent to the vendors, and comes from them, at the telephone's own sample rate."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples, Settled, Transcriber
from adapters.simulators import Simulators
from adapters.simulators.telephone import Telephone
from orchestrator.providers.provider_chain import Providers
from orchestrator.simulation import Answer, SimulatedLanguageModel, SimulatedProviders, script
from orchestrator.simulation.speech import silence, spoken
from protocol.twilio import Started
from tests.adapters.vendors.stt_links import Emitted
from tests.orchestrator.memory_port import memory_port

SAID = ("one two three", "four five", "six seven eight nine")
ALL_WORDS = " ".join(SAID)
AUDIO = np.concatenate(
    [part for text in SAID for part in (spoken(text, TELEPHONE_RATE), silence(800, TELEPHONE_RATE))]
)
WINDOW = 256


@pytest.fixture(params=["nova", "flux"])
def provider(request: pytest.FixtureRequest) -> DeepgramNova | DeepgramFlux:
    found: DeepgramNova | DeepgramFlux = request.getfixturevalue(request.param)
    return found.for_telephones()


async def say(transcriber: Transcriber, samples: Samples) -> None:
    """Send the audio in real time."""
    for start in range(0, len(samples), WINDOW):
        window = samples[start : start + WINDOW]
        await transcriber.send(window, 0.9 if np.abs(window).max() > 300 else 0.0)
        await trio.sleep(len(window) / TELEPHONE_RATE)


async def understood(provider: DeepgramNova | DeepgramFlux, samples: Samples) -> str:
    emitted = Emitted()
    async with provider.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await say(transcriber, samples)
        transcriber.finalize(1)
        return (await emitted.final(1)).text


@pytest.mark.parametrize("after_ms", [1500, 2900, 4300])
async def test_no_word_is_lost_or_doubled_when_a_telephones_link_is_cut(
    listeners: Simulators,
    autojump_clock: MockClock,
    provider: DeepgramNova | DeepgramFlux,
    after_ms: int,
) -> None:
    settled = Settled()
    async with provider.open(Emitted(), "en") as transcriber:
        transcriber.begin_turn(1)
        await trio.sleep(17)  # Flux is sent some silence meanwhile, which is not the caller's
        await say(transcriber, AUDIO[: after_ms * TELEPHONE_RATE // 1000])
        settled = transcriber.settled(1)
    assert after_ms < 2000 or settled.text
    rest = AUDIO[settled.samples * TELEPHONE_RATE // LISTENING_RATE :]
    assert f"{settled.text} {await understood(provider, rest)}".strip() == ALL_WORDS
    assert {each.query["sample_rate"][0] for each in listeners.records.at("deepgram")} == {"8000"}


@frozen
class ByVendors:
    """Providers: speech to text by Deepgram, text to speech by Cartesia."""

    nova: DeepgramNova
    cartesia: CartesiaTextToSpeech

    def for_calls(self) -> Providers:
        model = SimulatedLanguageModel(script(then=Answer("How nice.")))
        others = SimulatedProviders(llm=model).for_calls()
        return evolve(others, stt=(self.nova,), tts=(self.cartesia,))


@pytest.mark.slow
async def test_a_call_is_carried_at_8_khz_from_end_to_end(
    listeners: Simulators, autojump_clock: MockClock, nova: DeepgramNova, cartesia: CartesiaTextToSpeech
) -> None:
    vendors = cast(Any, ByVendors(nova, cartesia))
    async with memory_port(vendors, twilio_open_streams=True) as port:
        telephone = Telephone("ws://localhost:3001/twilio/media", Started("MZ1", "CA1"), port.connect)
        async with trio.open_nursery() as nursery:
            await nursery.start(telephone.run)
            await trio.sleep(1)
            telephone.say(AUDIO)
            with trio.fail_after(60):
                await telephone.until(lambda: telephone.heard_seconds() > 0.5)
            telephone.hang_up()
    [stt] = listeners.records.at("deepgram.v1")
    assert (stt.query["sample_rate"], stt.query["encoding"]) == (["8000"], ["linear16"])
    [tts] = listeners.records.at("cartesia.websocket")
    formats = [message["output_format"] for message in tts.messages if "output_format" in message]
    assert {(each["encoding"], each["sample_rate"]) for each in formats} == {("pcm_s16le", 8000)}
