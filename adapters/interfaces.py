"""The narrow interfaces between the orchestrator and providers, one per role.

An adapter translates: our calls into the vendor's requests, the vendor's messages into our facts. It holds no
decision: no retry, no fallback, no state of the conversation. Whatever goes wrong at the provider comes out
as `ProviderError`; cancellation comes out as `trio.Cancelled`.

Audio inside the program is a one-dimensional `numpy.ndarray` of `int16`, mono; its rate is stated by the
interface it passes.
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
"""Puts a fact into the conversation's inbox. Never blocks; may be called from the Trio thread only."""

LISTENING_RATE = 16_000
"""Hz. The rate that voice activity and speech to text are fed with."""
TELEPHONE_RATE = LISTENING_RATE // 2
"""Hz. The rate of telephone networks."""


class ProviderError(Exception):
    """A provider failed. `failure` says how, in terms the machines understand."""

    def __init__(self, error_class: ErrorClass, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.failure = ProviderFailure(error_class, message, retry_after_ms)


# --- voice activity ---------------------------------------------------------------------------------------


class VoiceDetector(Protocol):
    """The voice activity of one caller. Made by `VoiceActivity.open()`; holds that caller's filter state."""

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        """Take samples at `LISTENING_RATE`; return the whole windows they complete.

        Each is (the window's samples, the probability from 0 to 1 that it holds speech). Samples that do not
        fill a window are kept for the next call, so nothing is lost and nothing is returned twice.
        """
        ...


class VoiceActivity(Protocol):
    """A voice activity model, loaded once per process."""

    name: str
    window_ms: float
    """Length of the windows that detectors return."""

    def open(self) -> VoiceDetector: ...


# --- ends of turns ----------------------------------------------------------------------------------------

TURN_MODEL_MS = 8000
"""No more audio than this is heard by a turn model."""


class TurnModel(Protocol):
    """A model that hears whether a caller who pauses has finished, loaded once per process."""

    name: str

    async def completeness(self, samples: Samples) -> float:
        """The probability, from 0 to 1, that nothing follows on `samples`: a turn up to its pause.

        At `LISTENING_RATE`; of a long turn the last `TURN_MODEL_MS` are enough. Any exception means that the
        model failed.
        """
        ...


# --- speech to text ---------------------------------------------------------------------------------------


@frozen
class Settled:
    """What a link has understood of a turn so surely that its audio need not be heard again."""

    text: str = ""
    confidence: float = 0.0
    samples: int = 0
    """All samples sent on this link up to here are accounted for by `text` (or hold none of the turn's
    words); counted from the link's first sample, so not from the turn's beginning, at `LISTENING_RATE`."""


class Transcriber(Protocol):
    """An open speech-to-text link of one conversation.

    Reports by emitting `TranscriptInterim`, `TranscriptFinal` and `TranscriptionFailed` facts, each naming
    its turn. A provider that decides about turns itself (`SpeechToText.ends_turns`) also emits
    `EagerEndOfTurn`, `TurnResumed` and `EndOfTurn`.
    """

    def settled(self, turn: int) -> Settled:
        """What need not be sent again of a turn without a final transcript, should the link have died.

        May be asked at any time, also after the link has ended. A turn it does not know is not settled.
        """
        ...

    def begin_turn(self, turn: int) -> None:
        """Audio sent from now on belongs to `turn`; what was heard of an unfinalized turn is dropped.

        The last few hundred ms of audio already sent are taken into the new turn, since a turn is begun
        only after its first sound was noticed.
        """
        ...

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """Take one window of audio at `LISTENING_RATE`. Blocks only for back-pressure."""
        ...

    def finalize(self, turn: int) -> None:
        """Ask for the `TranscriptFinal` of `turn`, the words of all audio sent before this call.

        Audio sent after it belongs to the turn that `begin_turn` opens next.
        """
        ...


class SpeechToText(Protocol):
    """A speech-to-text provider."""

    name: str
    ends_turns: bool
    """It decides when a turn is over, and says so."""

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """Open a link; entering the context returns when it is usable.

        Raises `ProviderError` on entering; a link that dies later makes the context's body be cancelled and
        `ProviderError` come out of it.
        """
        ...


@runtime_checkable
class HearsTelephones(Protocol):
    """Speech to text that takes in what a telephone network carries as it is, not converted to another rate.

    Its interface besides that of `SpeechToText`, where a provider has it.
    """

    def for_telephones(self) -> SpeechToText:
        """The same provider, whose links are each a `TelephoneTranscriber`."""
        ...


@runtime_checkable
class TelephoneTranscriber(Transcriber, Protocol):
    """A link of which `rate` says at how many Hz `send` takes the windows of a telephone call.

    Either `LISTENING_RATE` or `TELEPHONE_RATE`, and then a window has half as many samples.
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

        The model may ask for calls of `tools`: each comes as a `ToolCall` when it is complete, and calls come
        after all text. Empty pieces are signs of life: a call is being written. Messages tell of earlier
        calls and their results in `Message.calls`; a result that is None is not known yet.

        Leaving the context stops the generation at the provider. Entering or iterating raises
        `ProviderError`.
        """
        ...

    async def check(self) -> None:
        """Return when the provider can be used; raise `ProviderError` otherwise."""
        ...


# --- text to speech ---------------------------------------------------------------------------------------


@frozen
class SpokenAudio:
    """A piece of a segment's audio, in order, at the rate of its `SpeechStream`."""

    segment: int
    samples: Samples


@frozen
class SegmentEnd:
    """All audio of a segment was delivered. `words` is empty where the provider reports no times."""

    segment: int
    words: tuple[Word, ...] = ()
    unsayable: bool = False
    """There is no audio, and that is the text's fault: it is in a language that the voice does not speak, or
    the provider refused this text. Nobody is blamed, and it is not asked for again."""


class SpeechStream(Protocol):
    """The voice of one answer: texts go in segment by segment, audio comes out in the same order."""

    sample_rate: int
    """Hz of the audio that comes out."""

    async def say(self, segment: int, text: str) -> None:
        """Add a segment. Blocks only for back-pressure."""
        ...

    async def end(self) -> None:
        """No more segments will come; iteration ends after the last one's `SegmentEnd`."""
        ...

    def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        """Audio as it is synthesized. Raises `ProviderError`."""
        ...


class Voice(Protocol):
    """An open text-to-speech link of one conversation."""

    def speak(self, sample_rate: int, voice_id: str | None) -> AbstractAsyncContextManager[SpeechStream]:
        """Open a stream for one answer, at `sample_rate` Hz if the provider can, else at its own rate.

        An unknown `voice_id`, or None, means the provider's default voice.
        Leaving the context before the end cancels the synthesis at the provider.
        """
        ...


class TextToSpeech(Protocol):
    """A text-to-speech provider."""

    name: str

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        """Open a link; entering returns when it is usable. Raises `ProviderError`."""
        ...
