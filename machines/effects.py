"""Effects: everything the machines can ask for, as immutable records.

The performer carries out each of them by one action, and decides nothing. `generation` is the number of an
answer, which its text and the utterance that speaks it share. `turn` is the number of a stretch of the
caller's audio.
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
    """Report `DeadlinePassed(number)` in `delay_ms`. The deadline armed before is forgotten."""

    number: int
    delay_ms: float


@frozen
class DisarmDeadline(Effect):
    """Forget the armed deadline."""


@frozen
class ArmLinkDeadline(Effect):
    """Report `LinkDeadlinePassed(role, number)` in `delay_ms`. The one armed before is forgotten."""

    role: Role
    number: int
    delay_ms: float


@frozen
class DisarmLinkDeadline(Effect):
    """Forget the armed deadline of the link machine of `role`."""

    role: Role


# --- links ------------------------------------------------------------------------------------------------


@frozen
class OpenLink(Effect):
    """Start attempt number `attempt` to open the role's link, to its provider number `provider`."""

    role: Role
    attempt: int
    provider: int = 0


@frozen
class CloseLink(Effect):
    """Cancel attempt number `attempt`, or close the link that it opened."""

    role: Role
    attempt: int


@frozen
class ReleaseLink(Effect):
    """From the conversation to the link machine of `role`: the link is not needed any more."""

    role: Role


@frozen
class ReplaceLink(Effect):
    """From the conversation to the link machine of `role`: requests over the open link fail or stall.

    `attempt` is the number of the link that is meant, if it is known.
    """

    role: Role
    failure: ProviderFailure
    attempt: int | None = None


@frozen
class ReportProviderFailure(Effect):
    """Report to the process that the role's provider number `provider` failed."""

    role: Role
    provider: int
    failure: ProviderFailure


@frozen
class LogFailure(Effect):
    """Write one warning to the log: a caller has waited `waited_ms` because a provider of `role` failed.

    `attempt` is the number of the link that is meant; None: the newest.
    """

    role: Role
    failure: ProviderFailure
    waited_ms: float
    attempt: int | None = None


@frozen
class RenewLink(Effect):
    """From the conversation to the link machine of `role`: open the link again, in another language.

    `unable` are the providers that do not know it.
    """

    role: Role
    unable: tuple[int, ...] = ()


@frozen
class ReturnLink(Effect):
    """From the conversation to the link machine of `role`: return to `provider`, which recovered."""

    role: Role
    provider: int


# --- speech to text ---------------------------------------------------------------------------------------


@frozen
class BeginTurn(Effect):
    """Audio from now on belongs to `turn`. Audio of an earlier turn that was not finalized is dropped."""

    turn: int


@frozen
class FinalizeTurn(Effect):
    """Report the final transcript of `turn`, of the audio so far."""

    turn: int


# --- language model ---------------------------------------------------------------------------------------


@frozen
class StartGeneration(Effect):
    """Ask the model to answer `messages`. If `tools`, it may ask for tool calls."""

    generation: int
    messages: tuple[Message, ...]
    tools: bool = False


@frozen
class CancelGeneration(Effect):
    """Stop the generation, here and at the provider."""

    generation: int


@frozen
class RunTool(Effect):
    """Run tool call number `call` once, for at most `timeout_ms`, and report `ToolFinished`."""

    call: int
    asked: ToolCall
    timeout_ms: float


@frozen
class CancelTool(Effect):
    """Stop tool call number `call` if it still runs. Its result is not waited for."""

    call: int


# --- text to speech ---------------------------------------------------------------------------------------


@frozen
class Speak(Effect):
    """Say one segment of an answer, after the segments before it. `text` may hold speech markup.

    With `tones`, `text` holds keys of a telephone, and the whole answer is their tones.
    """

    generation: int
    segment: int
    text: str
    tones: bool = False


@frozen
class PrepareSpeech(Effect):
    """Synthesize a segment in advance, and send nothing of it.

    If `Speak` follows for the same segment, its audio is sent, and what became of it is reported.
    """

    generation: int
    segment: int
    text: str


@frozen
class DropSpeech(Effect):
    """Cancel what `PrepareSpeech` began: it will not be said. Nobody was told of it, and nobody is."""

    generation: int


@frozen
class RestartSpeech(Effect):
    """Continue the answer with a new stream of text to speech, attempt number `attempt`.

    Audio that was synthesized before is still played. Segments that were not synthesized are dropped: those
    to say instead follow as `Speak`.
    """

    generation: int
    attempt: int


@frozen
class FinishSpeech(Effect):
    """No further segment will follow. Report `PlaybackFinished` when everything was heard."""

    generation: int


@frozen
class PauseSpeech(Effect):
    """Pause: send no more audio, and drop nothing that was not heard."""

    generation: int


@frozen
class ResumeSpeech(Effect):
    """Go on where `PauseSpeech` paused, at the same sample."""

    generation: int


class StopCause(enum.Enum):
    """Why an answer's audio is stopped before its end."""

    INTERRUPTED = "interrupted"
    FAILED = "failed"
    ENDED = "ended"


@frozen
class StopSpeech(Effect):
    """Stop at once: cancel the synthesis, drop buffered audio, and tell the client to stop playing."""

    generation: int
    cause: StopCause


# --- what the client is told ------------------------------------------------------------------------------


class ClientError(enum.Enum):
    """What the client is told went wrong. The values follow the error events of the protocol."""

    TRANSCRIPTION_FAILED = "transcription_failed"
    MODEL_FAILED = "model_failed"
    MODEL_LATE = "model_late"
    VOICE_FAILED = "voice_failed"
    UNSAYABLE = "unsayable"
    """The voice does not speak the language or script of the answer."""
    STT_UNAVAILABLE = "stt_unavailable"
    LLM_UNAVAILABLE = "llm_unavailable"
    TTS_UNAVAILABLE = "tts_unavailable"


@frozen
class Acknowledge(Effect):
    """The client's request was carried out."""

    request: Request


@frozen
class Refuse(Effect):
    """The client's request could not be carried out.

    `message` is for the log and for hosts. `error` is what went wrong; None: the conversation is over.
    """

    request: Request
    message: str
    error: ClientError | None = None


@frozen
class NotifyState(Effect):
    """The conversation moved: from room `source` to room `target` (they may be the same), in `substate`."""

    source: str
    target: str
    substate: str
    cause: str


class LinkNews(enum.Enum):
    """What the client is told about a link that did not open at the first attempt, or did not stay up."""

    TRYING = "trying"
    WAITING = "waiting"
    """The link waits for the next round of attempts."""
    UP = "up"
    DOWN = "down"
    """The link is lost for good."""


@frozen
class NotifyLink(Effect):
    """The link of `role`, to its provider number `provider`, is retried, waits, is up again or is lost."""

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
class NotifyLowConfidence(Effect):
    """The transcript of `turn` has so little confidence, from 0 to 1, that it does not count as words."""

    turn: int
    confidence: float


@frozen
class NotifyAnswerStarted(Effect):
    """The model was asked for an answer."""

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
    """From that decision to the final transcript."""
    first_segment_ms: float | None
    """From the final transcript to the model's first segment."""
    first_audio_ms: float | None
    """From the first segment to the first audio sent."""
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


@frozen
class NotifyClientError(Effect):
    """Tell the client that something went wrong. `retryable`: trying again may help.

    `message` is for the log and for hosts. Callers get a sentence of their own for each `error`.
    """

    error: ClientError
    message: str
    retryable: bool


# --- the end ----------------------------------------------------------------------------------------------


@frozen
class CloseConversation(Effect):
    """Close the client's side as `reason` calls for, and report `EverythingClosed`.

    `after_goodbye`: the caller has heard last words, and shall not call again by itself.
    """

    reason: EndReason
    after_goodbye: bool = False


@frozen
class AbandonConversation(Effect):
    """Cancel whatever is left: the time for closing is over."""
