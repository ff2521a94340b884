"""Subjects for tests of the conformance kit: simulated providers, and checks by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from adapters.conformance import Check, LlmUnderTest, SttUnderTest, TtsUnderTest, VadUnderTest
from adapters.interfaces import (
    LanguageModel,
    ProviderError,
    SpeechToText,
    TextToSpeech,
    ToolSpec,
    VoiceActivity,
)
from machines.facts import ErrorClass
from machines.history import Message
from orchestrator.simulation import (
    Fails,
    Opening,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import silence, spoken

WORDS = "how is the weather today please"
SPEECH = np.concatenate([silence(500), spoken(WORDS), silence(500)])
DOWN = script(then=Opening(fault=Fails(ErrorClass.CONNECTION)))

QUICK_VOICE = script(then=Synthesis(ms_per_character=20))


def stt_subject(provider: SpeechToText) -> SttUnderTest:
    return SttUnderTest(provider, SPEECH, WORDS, unreachable=SimulatedSpeechToText(openings=DOWN))


def tts_subject(provider: TextToSpeech) -> TtsUnderTest:
    return TtsUnderTest(provider, unreachable=SimulatedTextToSpeech(openings=DOWN))


def llm_subject(provider: LanguageModel, tool_question: str | None = None) -> LlmUnderTest:
    return LlmUnderTest(provider, unreachable=Down(), tool_question=tool_question)


def vad_subject(provider: VoiceActivity) -> VadUnderTest:
    return VadUnderTest(provider, SPEECH)


class Down:
    """A language model that cannot be reached."""

    name = "down"

    async def check(self) -> None:
        raise ProviderError(ErrorClass.CONNECTION, "down")

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str]]:
        raise ProviderError(ErrorClass.CONNECTION, "down")
        yield


def named(checks: Sequence[Check[Any]], name: str) -> Check[Any]:
    return next(check for check in checks if getattr(check, "__name__", "") == name)
