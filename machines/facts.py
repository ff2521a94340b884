"""Facts: everything that can happen to a conversation, as immutable records.

A fact is what goes into a machine. It carries the time it was noticed at (`at_ms`), and names what it is
about (a turn, a generation, an utterance, a link attempt), so that a machine can refuse one that speaks of
something no longer current. Facts are made outside (adapters, transport, timers) and stamped by the inbox;
the machines never read a clock and never draw an id.

Units: `_ms` is milliseconds; `at_ms` counts from an arbitrary origin that is constant within a conversation.
"""

from __future__ import annotations

import enum
import re
from typing import ClassVar

from attrs import field, frozen


class TurnMode(enum.Enum):
    """Who decides that the caller's turn is over."""

    MANUAL = "manual"
    """The caller does, by stopping the recording."""
    AUTOMATIC = "automatic"
    """Voice activity does, after an endpoint delay."""


class Role(enum.Enum):
    """What a provider link is needed for."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"


class ErrorClass(enum.Enum):
    """Why a provider failed, as far as it matters for what to do next."""

    FATAL = "fatal"
    """Will fail again: bad configuration, unknown model, malformed request."""
    AUTH = "auth"
    """The key was refused."""
    RATE_LIMIT = "rate_limit"
    TRANSIENT = "transient"
    """The provider's own trouble (5xx) or an unknown one."""
    CONNECTION = "connection"
    TIMEOUT = "timeout"

    @property
    def retryable(self) -> bool:
        """Whether another attempt can succeed without anybody changing anything."""
        return self not in (ErrorClass.FATAL, ErrorClass.AUTH)


class EndReason(enum.Enum):
    """Why a conversation ends. The value is what logs, journals and clients see."""

    CALLER_HUNG_UP = "caller_hung_up"
    CALLER_DISCONNECTED = "caller_disconnected"
    CALLER_STOPPED_READING = "caller_stopped_reading"
    IDLE = "idle"
    TOO_OLD = "too_old"
    SHUTDOWN = "shutdown"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    MODEL_KEPT_FAILING = "model_kept_failing"
    INTERNAL_ERROR = "internal_error"


@frozen
class ProviderFailure:
    """What went wrong at a provider. `message` is for logs and operators: no key, no transcript."""

    error_class: ErrorClass
    message: str
    retry_after_ms: int | None = None


@frozen
class Request:
    """A client request that wants an answer on the wire: its event type as sent, and its id."""

    event_type: str
    event_id: str


@frozen
class Fact:
    """Base of all facts. `at_ms` is stamped by the inbox when the fact is taken in."""

    name: ClassVar[str] = "fact"
    at_ms: float = field(default=0.0, kw_only=True)

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


# --- the caller and the transport -------------------------------------------------------------------------


@frozen
class RecordingStarted(Fact):
    """The caller's side begins to send audio (`audio.input.start`)."""

    turn_mode: TurnMode
    request: Request | None = None


@frozen
class RecordingStopped(Fact):
    """The caller's side ended its audio (`audio.input.stop`): in manual mode, the turn is over."""

    request: Request | None = None


@frozen
class InterruptRequested(Fact):
    """The caller asked for silence by other means than voice (`user.action.interrupt`)."""


@frozen
class HungUp(Fact):
    """The conversation must end, for `reason`; the machine decides what is still done before."""

    reason: EndReason


# --- voice activity ---------------------------------------------------------------------------------------


@frozen
class SpeechStarted(Fact):
    """Voice activity began in the caller's audio."""


@frozen
class SpeechStopped(Fact):
    """Voice activity ended, after `speech_ms` of voice."""

    speech_ms: float


# --- speech to text ---------------------------------------------------------------------------------------


@frozen
class TranscriptInterim(Fact):
    """What turn `turn` sounds like so far: the whole turn's text, replacing earlier interim text."""

    turn: int
    text: str
    confidence: float = 0.0


@frozen
class TranscriptFinal(Fact):
    """All words of turn `turn`, after it was finalized; empty if nothing was understood."""

    turn: int
    text: str
    confidence: float = 0.0
    speech_ms: float = 0.0


@frozen
class TranscriptionFailed(Fact):
    """Turn `turn` cannot be transcribed further."""

    turn: int
    failure: ProviderFailure


# --- language model ---------------------------------------------------------------------------------------


@frozen
class SegmentReady(Fact):
    """Segment number `segment` (from 0) of an answer: text that can be spoken as it stands."""

    generation: int
    segment: int
    text: str


@frozen
class GenerationFinished(Fact):
    """The model ended its answer properly; every segment of it was reported before."""

    generation: int


@frozen
class GenerationFailed(Fact):
    """The model refused, died or broke off."""

    generation: int
    failure: ProviderFailure


# --- text to speech and playback --------------------------------------------------------------------------


@frozen
class Word:
    """A spoken word with its times, in ms from the start of its segment's audio."""

    text: str
    start_ms: float
    end_ms: float


@frozen
class SegmentVoiced(Fact):
    """All audio of one segment was synthesized. `words` is empty where the voice reports no times."""

    utterance: int
    segment: int
    duration_ms: float
    words: tuple[Word, ...] = ()


@frozen
class PlaybackAt(Fact):
    """At `at_ms` the caller has heard `position_ms` of the utterance, and goes on hearing if `playing`.

    Sources, from best to worst: marks of the transport, acknowledgements of the client, a playback clock.
    """

    utterance: int
    position_ms: float
    playing: bool


@frozen
class PlaybackFinished(Fact):
    """The caller has heard everything of the utterance, which will get no more audio."""

    utterance: int


@frozen
class SynthesisFailed(Fact):
    """The voice cannot go on with this utterance."""

    utterance: int
    failure: ProviderFailure


# --- links ------------------------------------------------------------------------------------------------


@frozen
class LinkWanted(Fact):
    """The role is needed: a connection must be opened."""

    role: Role


@frozen
class LinkReleased(Fact):
    """The role is not needed any more: the connection must be closed."""

    role: Role


@frozen
class LinkOpened(Fact):
    """Attempt number `attempt` to open the link succeeded."""

    role: Role
    attempt: int


@frozen
class LinkFailed(Fact):
    """Attempt number `attempt`, or the open link that came of it, failed."""

    role: Role
    attempt: int
    failure: ProviderFailure


@frozen
class LinkUp(Fact):
    """Told by a link machine to the conversation: the role can be used (again)."""

    role: Role


@frozen
class LinkDown(Fact):
    """Told by a link machine to the conversation: the role is lost for good."""

    role: Role
    failure: ProviderFailure


# --- time and ends ----------------------------------------------------------------------------------------


@frozen
class DeadlinePassed(Fact):
    """The deadline that was armed under this number has passed."""

    number: int


@frozen
class LinkDeadlinePassed(Fact):
    """The deadline that a link machine armed under this number has passed."""

    role: Role
    number: int


@frozen
class EverythingClosed(Fact):
    """All tasks, links and the client's socket of this conversation are closed."""
