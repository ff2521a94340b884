"""Our own adapters do what every adapter must."""

from __future__ import annotations

import numpy as np
import pytest
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import Check, Hearing, Noticing, Speaking, Thinking
from adapters.hibari_voice import HibariTextToSpeech
from adapters.moonshine import MoonshineSpeechToText
from adapters.silero import SileroVoiceActivity
from orchestrator.simulation import (
    SimulatedLanguageModel,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    SimulatedVoiceActivity,
)
from orchestrator.simulation.speech import silence
from tests.adapters.conformance.subjects import (
    QUICK_VOICE,
    hearing,
    noticing,
    speaking,
    thinking,
)
from tests.adapters.conftest import Speech


@pytest.mark.parametrize("check", conformance.SPEECH_TO_TEXT)
async def test_simulated_speech_to_text_conforms(check: Check[Hearing], autojump_clock: MockClock) -> None:
    await check(hearing(SimulatedSpeechToText()))


@pytest.mark.parametrize("check", conformance.LANGUAGE_MODEL)
async def test_the_simulated_language_model_conforms(
    check: Check[Thinking], autojump_clock: MockClock
) -> None:
    await check(thinking(SimulatedLanguageModel()))


@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_the_simulated_voice_conforms(check: Check[Speaking], autojump_clock: MockClock) -> None:
    await check(speaking(SimulatedTextToSpeech(QUICK_VOICE)))


@pytest.mark.parametrize("check", conformance.VOICE_ACTIVITY)
async def test_simulated_voice_activity_conforms(check: Check[Noticing], autojump_clock: MockClock) -> None:
    await check(noticing(SimulatedVoiceActivity()))


QUESTION = "What time do you open on Saturday morning?"


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.SPEECH_TO_TEXT)
async def test_embedded_speech_to_text_conforms(
    check: Check[Hearing], moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    await check(Hearing(moonshine, np.concatenate([silence(500), speech(QUESTION), silence(500)]), QUESTION))


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_the_embedded_voice_conforms(check: Check[Speaking], hibari: HibariTextToSpeech) -> None:
    await check(Speaking(hibari))


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.VOICE_ACTIVITY)
async def test_embedded_voice_activity_conforms(
    check: Check[Noticing], silero: SileroVoiceActivity, speech: Speech
) -> None:
    await check(Noticing(silero, speech(QUESTION)))
