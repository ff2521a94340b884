"""Effects: everything the machines can ask for, as immutable records.

The performer maps each to one action and judges nothing. `generation` numbers an answer: the text being
generated and the utterance that speaks it share the number. `turn` numbers a stretch of the caller's audio.
"""

from __future__ import annotations

import enum
import re
from typing import ClassVar

from attrs import frozen

from machines.facts import EndReason, ProviderFailure, Request, Role
from machines.history import Message
from machines.tools import ToolCall


@frozen
class Effect:
    """Base of all effects."""

    name: ClassVar[str] = "effect"

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


# --- time -------------------------------------------------------------------------------------------------


@frozen
class ArmDeadline(Effect):
    """Report `DeadlinePassed(number)` in `delay_ms`; replaces the deadline armed before."""

    number: int
    delay_ms: float


@frozen
class DisarmDeadline(Effect):
    """Forget the armed deadline."""


@frozen
class ArmLinkDeadline(Effect):
    """The same for the link machine of `role`."""

    role: Role
    number: int
    delay_ms: float


@frozen
class DisarmLinkDeadline(Effect):
    """The same for the link machine of `role`."""

    role: Role


# --- links ------------------------------------------------------------------------------------------------


@frozen
class OpenLink(Effect):
    """Start attempt number `attempt` to open the link, to the role's provider number `provider`."""

    role: Role
    attempt: int
    provider: int = 0


@frozen
class CloseLink(Effect):
    """Cancel the attempt, or close the open link that came of it."""

    role: Role
    attempt: int


@frozen
class ReleaseLink(Effect):
    """From the conversation to the link machine of `role`: not needed any more."""

    role: Role


@frozen
class ReplaceLink(Effect):
    """From the conversation to the link machine of `role`: what goes over the open link fails or stalls.

    `attempt` names the link that is meant, if it is known.
    """

    role: Role
    failure: ProviderFailure
    attempt: int | None = None


@frozen
class ReportProviderFailure(Effect):
    """Let the process know that the role's provider number `provider` failed."""

    role: Role
    provider: int
    failure: ProviderFailure


@frozen
class ReturnLink(Effect):
    """From the conversation to the link machine of `role`: go back to `provider`, which is well again."""

    role: Role
    provider: int


# --- hearing ----------------------------------------------------------------------------------------------


@frozen
class BeginTurn(Effect):
    """Audio from now on belongs to `turn`; an unfinalized turn's audio is dropped."""

    turn: int


@frozen
class FinalizeTurn(Effect):
    """Report the final transcript of `turn`, the audio taken in so far."""

    turn: int


# --- thinking ---------------------------------------------------------------------------------------------


@frozen
class StartGeneration(Effect):
    """Ask the model to answer `messages`. If `tools`, it may ask for calls of tools instead."""

    generation: int
    messages: tuple[Message, ...]
    tools: bool = False


@frozen
class CancelGeneration(Effect):
    """Stop the model, here and at the provider."""

    generation: int


@frozen
class RunTool(Effect):
    """Run call number `call` of a tool for no longer than `timeout_ms`, once, and report `ToolFinished`."""

    call: int
    asked: ToolCall
    timeout_ms: float


@frozen
class CancelTool(Effect):
    """Stop call number `call`, if it still runs. Its result is not waited for."""

    call: int


# --- speaking ---------------------------------------------------------------------------------------------


@frozen
class Speak(Effect):
    """Say one segment of an answer, after those before it. `text` may hold speech markup.

    With `tones` it is keys of a telephone, and the whole answer is their tones.
    """

    generation: int
    segment: int
    text: str
    tones: bool = False


@frozen
class RestartSpeech(Effect):
    """Take the answer up again with a new stream of the voice: number `attempt`.

    Audio that the voice gave before is still played. Segments that were not voiced are dropped; those to say
    instead follow as `Speak`.
    """

    generation: int
    attempt: int


@frozen
class FinishSpeech(Effect):
    """No segment will follow: report `PlaybackFinished` when everything was heard."""

    generation: int


@frozen
class PauseSpeech(Effect):
    """Silence for the moment: nothing more is sent, and nothing is dropped that was not heard."""

    generation: int


@frozen
class ResumeSpeech(Effect):
    """Go on where `PauseSpeech` broke off, at the same word."""

    generation: int


class StopCause(enum.Enum):
    """Why an answer's audio is stopped before its end."""

    INTERRUPTED = "interrupted"
    FAILED = "failed"
    ENDED = "ended"


@frozen
class StopSpeech(Effect):
    """Silence at once: cancel the synthesis, drop what is buffered, tell the client to stop playing."""

    generation: int
    cause: StopCause


# --- what the client is told ------------------------------------------------------------------------------


@frozen
class Acknowledge(Effect):
    """The client's request was carried out."""

    request: Request


@frozen
class Refuse(Effect):
    """The client's request could not be carried out."""

    request: Request
    message: str


@frozen
class NotifyState(Effect):
    """The conversation moved: from room `source` to room `target` (they may be the same), in `substate`."""

    source: str
    target: str
    substate: str
    cause: str


class LinkNews(enum.Enum):
    """What is told of a link that did not come up at the first attempt, or did not stay up."""

    TRYING = "trying"
    WAITING = "waiting"
    """For the next round of attempts."""
    UP = "up"
    DOWN = "down"
    """For good."""


@frozen
class NotifyLink(Effect):
    """The link of `role`, to its provider number `provider`, is retried, moved, up again or lost."""

    role: Role
    news: LinkNews
    provider: int
    cause: str


@frozen
class NotifyTranscript(Effect):
    """What the caller was understood to say in `turn`."""

    turn: int
    text: str
    confidence: float
    is_final: bool
    speech_ms: float = 0.0


@frozen
class NotifyAnswerStarted(Effect):
    """The model was asked."""

    generation: int


@frozen
class NotifySegment(Effect):
    """One segment of the answer's text, about to be spoken."""

    generation: int
    segment: int
    text: str
    gap: str = ""
    """What stands between it and the segment before: a blank, but not in Chinese."""


@frozen
class TurnLatency:
    """Where the time went between the end of the caller's speech and the answer, in ms; None if unknown."""

    endpoint_ms: float | None
    """From the end of voice to the decision that the turn is over."""
    transcript_ms: float | None
    """From there to the final transcript."""
    first_segment_ms: float | None
    """From there to the model's first speakable text."""
    first_audio_ms: float | None
    """From there to the first audio sent."""
    total_ms: float | None
    """From the end of voice (or of the recording) to the first audio sent."""


@frozen
class NotifyAnswerEnded(Effect):
    """The answer is over. `text` is all that was generated, whether heard or not."""

    generation: int
    text: str
    segments: int
    duration_ms: float
    latency: TurnLatency


@frozen
class NotifyInterrupted(Effect):
    """The caller cut the answer off after `heard`."""

    generation: int
    heard: str
    unheard: str
    heard_ms: float


class ClientError(enum.Enum):
    """What a client is told went wrong, named after the error events of the protocol."""

    TRANSCRIPTION_FAILED = "transcription_failed"
    MODEL_FAILED = "model_failed"
    MODEL_LATE = "model_late"
    VOICE_FAILED = "voice_failed"
    STT_UNAVAILABLE = "stt_unavailable"
    LLM_UNAVAILABLE = "llm_unavailable"
    TTS_UNAVAILABLE = "tts_unavailable"


@frozen
class NotifyClientError(Effect):
    """Something went wrong that the caller's side should show. `retryable`: trying again may help."""

    error: ClientError
    message: str
    retryable: bool


# --- the end ----------------------------------------------------------------------------------------------


@frozen
class CloseConversation(Effect):
    """Close the client's socket with what `reason` calls for, and report `EverythingClosed`."""

    reason: EndReason


@frozen
class AbandonConversation(Effect):
    """The time for closing is over: cancel whatever is left."""
