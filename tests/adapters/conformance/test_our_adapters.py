"""Our own adapters pass the conformance kit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import (
    Check,
    LlmUnderTest,
    SttUnderTest,
    TtsUnderTest,
    TurnModelUnderTest,
    VadUnderTest,
)
from adapters.embedded.hibari import HibariTextToSpeech
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.embedded.silero import SileroVoiceActivity
from adapters.embedded.smart_turn import SmartTurn
from orchestrator.simulation import (
    SimulatedLanguageModel,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    SimulatedTurnModel,
    SimulatedVoiceActivity,
)
from orchestrator.simulation.speech import silence
from tests.adapters.conformance.subjects import (
    QUICK_VOICE,
    llm_subject,
    stt_subject,
    tts_subject,
    vad_subject,
)
from tests.adapters.conftest import Speech
from tests.adapters.embedded.onnx_files import loudness_of_last_second


@pytest.mark.parametrize("check", conformance.SPEECH_TO_TEXT)
async def test_simulated_speech_to_text_conforms(
    check: Check[SttUnderTest], autojump_clock: MockClock
) -> None:
    await check(stt_subject(SimulatedSpeechToText()))


@pytest.mark.parametrize("check", conformance.LANGUAGE_MODEL)
async def test_the_simulated_language_model_conforms(
    check: Check[LlmUnderTest], autojump_clock: MockClock
) -> None:
    await check(llm_subject(SimulatedLanguageModel()))


@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_the_simulated_voice_conforms(check: Check[TtsUnderTest], autojump_clock: MockClock) -> None:
    await check(tts_subject(SimulatedTextToSpeech(QUICK_VOICE)))


@pytest.mark.parametrize("check", conformance.VOICE_ACTIVITY)
async def test_simulated_voice_activity_conforms(
    check: Check[VadUnderTest], autojump_clock: MockClock
) -> None:
    await check(vad_subject(SimulatedVoiceActivity()))


QUESTION = "What time do you open on Saturday morning?"


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.SPEECH_TO_TEXT)
async def test_embedded_speech_to_text_conforms(
    check: Check[SttUnderTest], moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    await check(
        SttUnderTest(moonshine, np.concatenate([silence(500), speech(QUESTION), silence(500)]), QUESTION)
    )


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_the_embedded_voice_conforms(check: Check[TtsUnderTest], hibari: HibariTextToSpeech) -> None:
    await check(TtsUnderTest(hibari))


@pytest.mark.models
@pytest.mark.parametrize("check", conformance.VOICE_ACTIVITY)
async def test_embedded_voice_activity_conforms(
    check: Check[VadUnderTest], silero: SileroVoiceActivity, speech: Speech
) -> None:
    await check(VadUnderTest(silero, speech(QUESTION)))


# --- turn models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", conformance.TURN_MODEL)
async def test_the_simulated_turn_model_conforms(
    check: Check[TurnModelUnderTest], autojump_clock: MockClock
) -> None:
    await check(TurnModelUnderTest(SimulatedTurnModel()))


@pytest.mark.parametrize("check", conformance.TURN_MODEL)
async def test_the_turn_models_adapter_conforms(check: Check[TurnModelUnderTest], tmp_path: Path) -> None:
    """With a small network instead of Smart-Turn."""
    network = tmp_path / "turn.onnx"
    network.write_bytes(loudness_of_last_second())
    await check(TurnModelUnderTest(SmartTurn(network)))
