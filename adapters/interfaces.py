"""The interfaces of providers: voice activity, turn detection, speech to text, language model, text to
speech.

An adapter translates our calls into the vendor's requests, and the vendor's messages into our facts. It
decides nothing: it does not retry, does not fall back, and keeps no state of the conversation. Whatever goes
wrong at the provider is raised as `ProviderError`; cancellation is raised as `trio.Cancelled`.

Audio inside the program is a one-dimensional `numpy.ndarray` of `int16`, mono. Each interface states its
sample rate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from attrs import frozen

from machines.facts import ErrorClass, Fact, ProviderFailure, Word
from machines.history import Message
from machines.tools import ToolCall

Samples = npt.NDArray[np.int16]
"""Mono PCM, one element a sample."""

Emit = Callable[[Fact], None]
"""Puts a fact into the conversation's inbox. Never blocks. To be called from the Trio thread only."""

LISTENING_RATE = 16_000
"""Hz. The sample rate of the audio that voice activity and speech to text are given."""
TELEPHONE_RATE = LISTENING_RATE // 2
"""Hz. The sample rate of telephone networks."""


class ProviderError(Exception):
    """A provider failed. `failure` says how, in terms of the machines."""

    def __init__(
        self, error_class: ErrorClass, message: str, retry_after_ms: int | None = None, *, idle: bool = False
    ) -> None:
        super().__init__(message)
        self.failure = ProviderFailure(error_class, message, retry_after_ms, idle)


# --- what is paid for -------------------------------------------------------------------------------------


@frozen
class Product:
    """What a provider is in a list of prices."""

    vendor: str
    """Who sells it: a name, or the host of a server that models are asked at."""
    model: str = ""


@runtime_checkable
class IsSold(Protocol):
    """A provider that knows what it is in a list of prices. One that does not is listed by its name."""

    product: Product


@frozen
class TokensUsed:
    """What an answer has taken, as the server of the language model counts."""

    prompt: int
    """Tokens that were read, those in the cache included."""
    cached: int
    """Of these, the tokens that the server had read before, which cost less."""
    answer: int
    """Tokens that were written, thoughts included."""


@runtime_checkable
class CountsTokens(Protocol):
    """The pieces of an answer (`LanguageModel.generate`), if the server tells what they have taken."""

    used: TokensUsed | None
    """None as long as it has not: mostly, it does so at the end."""


# --- voice activity ---------------------------------------------------------------------------------------


class VoiceDetector(Protocol):
    """The voice activity of one caller, with that caller's filter state. Made by `VoiceActivity.open()`."""

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        """Take samples at `LISTENING_RATE`; return the windows that are now complete.

        Each is (the window's samples, the probability from 0 to 1 that it holds speech). Samples that do not
        fill a window are kept for the next call, so no sample is lost or returned twice.
        """
        ...


class VoiceActivity(Protocol):
    """A voice activity model, loaded once per process."""

    name: str
    window_ms: float
    """Length of the windows that detectors return."""

    def open(self) -> VoiceDetector: ...


@runtime_checkable
class DetectsOnTelephones(Protocol):
    """Voice activity for the audio of telephone networks as it is, without resampling.

    A model may have this interface besides that of `VoiceActivity`.
    """

    def for_telephones(self) -> VoiceActivity:
        """The same model, whose detectors take audio, and return windows, at `TELEPHONE_RATE`."""
        ...


# --- ends of turns ----------------------------------------------------------------------------------------

TURN_MODEL_MS = 8000
"""A turn model uses at most this much audio, the newest."""


class TurnModel(Protocol):
    """A model that says whether a caller who pauses has finished, loaded once per process."""

    name: str

    async def completeness(self, samples: Samples) -> float:
        """The probability, from 0 to 1, that the turn is over, given its audio up to the pause.

        `samples` are at `LISTENING_RATE`; of a long turn the last `TURN_MODEL_MS` are enough. Any exception
        means that the model failed.
        """
        ...


# --- speech to text ---------------------------------------------------------------------------------------


@frozen
class Settled:
    """The part of a turn whose words are certain, so that another link need not be sent its audio again."""

    text: str = ""
    confidence: float = 0.0
    samples: int = 0
    """`text` has the words of all samples sent on this link up to here. Counted at `LISTENING_RATE` from the
    link's first sample, not from the turn's."""


class Transcriber(Protocol):
    """An open speech-to-text link of one conversation.

    It emits `TranscriptInterim`, `TranscriptFinal` and `TranscriptionFailed` facts, each of which names its
    turn. A provider that decides about turns itself (`SpeechToText.ends_turns`) also emits `EagerEndOfTurn`,
    `TurnResumed` and `EndOfTurn`.
    """

    def settled(self, turn: int) -> Settled:
        """The part of a turn, which has no final transcript, that a new link need not be sent again.

        May be called at any time, also after the link has ended. Of an unknown turn nothing is settled.
        """
        ...

    def begin_turn(self, turn: int) -> None:
        """Audio sent from now on belongs to `turn`. The words of a turn that was not finalized are dropped.

        The last few hundred ms of audio sent before belong to the new turn, too, since a turn begins only
        after its first sound was detected.
        """
        ...

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """Send one window of audio at `LISTENING_RATE`. Blocks only for back-pressure."""
        ...

    def finalize(self, turn: int) -> None:
        """Ask for the `TranscriptFinal` of `turn`: the words of all audio sent before this call.

        Audio sent after this call belongs to the turn that `begin_turn` begins next.
        """
        ...


class SpeechToText(Protocol):
    """A speech-to-text provider."""

    name: str
    ends_turns: bool
    """Whether it decides itself when a turn is over, and emits facts about that."""

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """Open a link; entering the context returns when the link can be used.

        Raises `ProviderError` on entering. If the link dies later, the body of the context is cancelled and
        `ProviderError` is raised from it.
        """
        ...


@runtime_checkable
class KnowsLanguages(Protocol):
    """A provider of speech, listening or speaking, that knows which languages it can be opened with.

    One that does not have this interface is opened with any language, and refuses it or not.
    """

    def knows(self, language: str) -> bool:
        """Whether it can be opened with `language`, a tag such as `de-DE`, or `multi` for several."""
        ...


@runtime_checkable
class HearsTelephones(Protocol):
    """Speech to text that takes the audio of telephone networks as it is, without resampling.

    A provider may have this interface besides that of `SpeechToText`.
    """

    def for_telephones(self) -> SpeechToText:
        """The same provider, whose links are each a `TelephoneTranscriber`."""
        ...


@runtime_checkable
class TelephoneTranscriber(Transcriber, Protocol):
    """A link whose `rate` is the sample rate, in Hz, of the windows that `send` takes in a telephone call.

    It is `LISTENING_RATE`, or `TELEPHONE_RATE` with windows of half as many samples.
    """

    rate: int


# --- language model ---------------------------------------------------------------------------------------


@frozen
class ToolSpec:
    """A tool as it is described to a language model."""

    name: str
    """Letters, digits, `_` and `-`, at most 64."""
    description: str
    parameters: Mapping[str, object]
    """The JSON schema of an object, whose properties are the arguments."""


class LanguageModel(Protocol):
    """A language model provider."""

    name: str

    def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[str | ToolCall]]:
        """Stream the answer to `messages` (system message first), in pieces of text as they arrive.

        The model may ask for calls of `tools`. Each is yielded as a `ToolCall` when it is complete, after all
        text; empty pieces mean that the model thinks or writes a call. `Message.calls` holds earlier calls
        with their results; a result that is None is not known yet.

        Leaving the context stops the generation at the provider. Entering and iterating may raise
        `ProviderError`.
        """
        ...

    async def check(self) -> None:
        """Return if the provider can be used; raise `ProviderError` otherwise."""
        ...


# --- text to speech ---------------------------------------------------------------------------------------


@frozen
class SpokenAudio:
    """A piece of a segment's audio, in order, at the rate of its `SpeechStream`."""

    segment: int
    samples: Samples


@frozen
class SegmentEnd:
    """All audio of a segment was delivered. `words` is empty if the provider does not report times."""

    segment: int
    words: tuple[Word, ...] = ()
    unsayable: bool = False
    """There is no audio because of the text: it is in a language that the voice does not speak, or
    the provider refused this text. Nobody is blamed, and it is not asked for again."""


class SpeechStream(Protocol):
    """The speech of one answer: texts go in segment by segment, audio comes out in the same order."""

    sample_rate: int
    """Hz of the audio that comes out."""

    async def say(self, segment: int, text: str) -> None:
        """Add a segment. Blocks only for back-pressure."""
        ...

    async def end(self) -> None:
        """Say that no more segments will come. Iteration ends after the `SegmentEnd` of the last one."""
        ...

    def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        """Audio as it is synthesized. Raises `ProviderError`."""
        ...


class Voice(Protocol):
    """An open text-to-speech link of one conversation."""

    def speak(self, sample_rate: int, voice_id: str | None) -> AbstractAsyncContextManager[SpeechStream]:
        """Open a stream for one answer, at `sample_rate` Hz if the provider can, else at its own rate.

        None or an unknown `voice_id` stands for the provider's default voice. Leaving the context before the
        end cancels the synthesis at the provider.
        """
        ...


class TextToSpeech(Protocol):
    """A text-to-speech provider."""

    name: str

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        """Open a link; entering the context returns when it can be used. Raises `ProviderError`."""
        ...
