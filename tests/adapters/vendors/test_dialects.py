"""What the real Deepgram and Cartesia do besides what they document: a call goes on, and nobody is blamed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import ProviderError
from adapters.simulators import Fault, FaultKind, Latencies, SttDialect, TtsDialect, simulators
from tests.adapters.simulated_vendors import KEY, Switchboard
from tests.adapters.vendors.stt_links import Emitted, be_silent, speak

CLOSES_IDLE = [SttDialect.NET0001, SttDialect.NET0000, SttDialect.METADATA_CLOSE]


@pytest.mark.parametrize("dialect", CLOSES_IDLE)
async def test_a_link_that_was_sent_nothing_is_closed_idle(
    switchboard: Switchboard,
    autojump_clock: MockClock,
    nova: DeepgramNova,
    emitted: Emitted,
    dialect: SttDialect,
) -> None:
    latencies = Latencies()
    async with simulators(keys=[KEY], stt_dialect=dialect, latencies=latencies) as switchboard.simulators:
        with pytest.raises(ProviderError) as caught:
            async with nova.open(emitted, "en-US"):
                await trio.sleep(60)
    assert caught.value.failure.idle


async def test_a_link_that_is_closed_while_the_caller_speaks_has_failed(
    switchboard: Switchboard, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    cut = Fault(FaultKind.CLOSE, "deepgram", after=2, code=1000)
    async with simulators(keys=[KEY], faults=[cut]) as switchboard.simulators:
        with pytest.raises(ProviderError) as caught:
            async with nova.open(emitted, "en-US") as transcriber:
                transcriber.begin_turn(1)
                await speak(transcriber, 5)
    assert not caught.value.failure.idle


async def test_a_voice_link_without_a_text_is_closed_idle(
    switchboard: Switchboard, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with simulators(keys=[KEY], tts_dialect=TtsDialect.IDLE_CLOSE) as switchboard.simulators:
        with pytest.raises(ProviderError) as caught:
            async with cartesia.open("en-US"):
                await trio.sleep(100)
    assert caught.value.failure.idle


@pytest.mark.parametrize("dialect", [SttDialect.NO_FINALIZE, SttDialect.NO_ALTERNATIVES])
async def test_a_turn_without_a_word_is_over_soon(
    switchboard: Switchboard,
    autojump_clock: MockClock,
    nova: DeepgramNova,
    emitted: Emitted,
    dialect: SttDialect,
) -> None:
    async with (
        simulators(keys=[KEY], stt_dialect=dialect) as switchboard.simulators,
        nova.open(emitted, "en-US") as transcriber,
    ):
        transcriber.begin_turn(1)
        await be_silent(transcriber, 2)
        transcriber.finalize(1)
        with trio.fail_after(1):
            assert (await emitted.final(1)).text == ""
        transcriber.begin_turn(2)
        await speak(transcriber, 1)
        transcriber.finalize(2)
        assert (await emitted.final(2)).text != ""


async def test_words_that_an_empty_final_result_takes_back_are_kept_if_they_were_sure(
    switchboard: Switchboard, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with (
        simulators(keys=[KEY], stt_dialect=SttDialect.TAKEN_BACK) as switchboard.simulators,
        nova.open(emitted, "en-US") as transcriber,
    ):
        transcriber.begin_turn(1)
        await speak(transcriber, 1.5)
        transcriber.finalize(1)
        assert (await emitted.final(1)).text == "Hello, who am I speaking"
