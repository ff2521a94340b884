"""Providers as they are, with a record of what they were given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
from attrs import Factory, define, field

from adapters.interfaces import Emit, LanguageModel, Samples, SpeechToText, Transcriber
from machines.history import Message
from tests.simulation.speech import understood


@define
class RecordedModel:
    """A language model, and what it was asked."""

    _model: LanguageModel
    requests: list[tuple[Message, ...]]
    name: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.name = self._model.name

    def generate(self, messages: Sequence[Message]) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """As `LanguageModel.generate`."""
        self.requests.append(tuple(messages))
        return self._model.generate(messages)

    async def check(self) -> None:
        """As `LanguageModel.check`."""
        await self._model.check()


@define
class RecordedHearing:
    """A speech-to-text provider, and the words that were in the audio of each turn that was finalized."""

    _provider: SpeechToText
    finalized: list[str]
    """Oldest first. What the simulated caller said: not what the simulated vendor understands."""
    name: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.name = self._provider.name

    @asynccontextmanager
    async def open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        """As `SpeechToText.open`."""
        async with self._provider.open(emit, language) as transcriber:
            yield _Recording(transcriber, self.finalized)


@define
class _Recording:
    _transcriber: Transcriber
    _finalized: list[str]
    _sent: list[Samples] = Factory(list)
    """On this link since the last finalized turn."""

    def begin_turn(self, turn: int) -> None:
        self._transcriber.begin_turn(turn)

    async def send(self, samples: Samples, speech_probability: float) -> None:
        self._sent.append(samples)
        await self._transcriber.send(samples, speech_probability)

    def finalize(self, turn: int) -> None:
        self._finalized.append(understood(np.concatenate(self._sent)) if self._sent else "")
        self._sent.clear()
        self._transcriber.finalize(turn)
