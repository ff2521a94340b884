"""The vendors' adapters pass the conformance kit, against simulators."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from trio.testing import MockClock

from adapters import conformance
from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.conformance import Check, SttUnderTest, TtsUnderTest
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import SpeechToText
from adapters.simulators import simulators
from adapters.simulators.script import Script
from orchestrator.simulation.speech import VOCABULARY, silence, spoken
from tests.adapters.simulated_vendors import KEY, Switchboard

WORDS = "how is the weather today please"
SPEECH = np.concatenate([silence(500), spoken(WORDS), silence(500)])


@pytest.fixture
async def recognising_vendors(switchboard: Switchboard, autojump_clock: MockClock) -> AsyncIterator[None]:
    """Simulators that recognise the words in the audio."""
    async with simulators(keys=[KEY], script=Script(words_by_level=VOCABULARY)) as running:
        switchboard.simulators = running
        yield


@pytest.fixture(params=["nova", "flux"])
def listener(request: pytest.FixtureRequest, nova: DeepgramNova, flux: DeepgramFlux) -> SpeechToText:
    """Both Deepgram adapters."""
    return nova if request.param == "nova" else flux


@pytest.mark.parametrize("check", conformance.SPEECH_TO_TEXT)
async def test_deepgrams_adapters_conform(
    check: Check[SttUnderTest], listener: SpeechToText, recognising_vendors: None, autojump_clock: MockClock
) -> None:
    await check(SttUnderTest(listener, SPEECH, WORDS, speed=1))


@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_cartesias_adapter_conforms(
    check: Check[TtsUnderTest],
    cartesia: CartesiaTextToSpeech,
    recognising_vendors: None,
    autojump_clock: MockClock,
) -> None:
    await check(TtsUnderTest(cartesia))
