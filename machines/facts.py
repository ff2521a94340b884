"""Facts: everything that can happen to a conversation, as immutable records.

A fact is all that goes into a machine. It carries the time at which it was noticed (`at_ms`) and the number
of what it is about (a turn, a generation, an utterance, a link attempt), so that a machine can refuse a fact
about something that is no longer current. Facts are made outside (adapters, transport, timers), and the inbox
stamps them: machines never read a clock and never draw an id.

Units: `_ms` is milliseconds; `at_ms` counts from an arbitrary origin that is constant within a conversation.
"""

from __future__ import annotations

import enum
import re
from typing import ClassVar

from attrs import field, frozen

from machines.evidence import VoiceHeard as VoiceHeard
from machines.tools import ToolCall


class TurnMode(enum.Enum):
    """Who decides that the caller's turn is over."""

    MANUAL = "manual"
    """The caller decides, by stopping the recording."""
    AUTOMATIC = "automatic"
    """Voice activity or the speech-to-text provider decides."""


class Role(enum.Enum):
    """What a provider link is needed for."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"


class ErrorClass(enum.Enum):
    """Why a provider failed, as far as it matters for what is done next."""

    FATAL = "fatal"
    """It will fail again, for every call: nothing is paid, bad configuration, unknown model or voice."""
    AUTH = "auth"
    """The key was refused."""
    RATE_LIMIT = "rate_limit"
    TRANSIENT = "transient"
    """An error inside the provider (5xx), or an unknown error."""
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    REFUSED_TEXT = "refused_text"
    """What was said is refused, by a filter for contents: the provider is well, and will refuse it again."""
    REFUSED_REQUEST = "refused_request"
    """What this call asks for is refused, and will be again: its language, its voice, its length. Other calls
    may ask for something else."""
    UNUSABLE_ANSWER = "unusable_answer"
    """An answer came, and nothing in it can be said or done: it is empty, or its call of a tool is malformed.
    The next one is often better."""
    LIMIT_SPENT = "limit_spent"
    """The model spent all of its tokens before its first word, on thinking: it will do so again."""

    @property
    def refuses_everybody(self) -> bool:
        """Whether any other request would be refused as well: the key, the bill or the model is at fault."""
        return self in (ErrorClass.FATAL, ErrorClass.AUTH)

    @property
    def caused_by_request(self) -> bool:
        """Whether what was asked may be the cause, so that it says nothing about the provider."""
        refused = (ErrorClass.REFUSED_TEXT, ErrorClass.REFUSED_REQUEST)
        return self in (*refused, ErrorClass.UNUSABLE_ANSWER, ErrorClass.LIMIT_SPENT)

    @property
    def casts_doubt(self) -> bool:
        """Of what a request may have caused: whether the provider would do so to every request, if it comes
        again and again."""
        return self in (ErrorClass.REFUSED_REQUEST, ErrorClass.UNUSABLE_ANSWER)

    @property
    def retryable(self) -> bool:
        """Whether another attempt can succeed without a change to the configuration."""
        refused = (ErrorClass.REFUSED_TEXT, ErrorClass.REFUSED_REQUEST, ErrorClass.LIMIT_SPENT)
        return not self.refuses_everybody and self not in refused


class EndReason(enum.Enum):
    """Why a conversation ends. The value is what logs, journals and clients see."""

    CALLER_HUNG_UP = "caller_hung_up"
    CALLER_DISCONNECTED = "caller_disconnected"
    OPERATOR_HUNG_UP = "operator_hung_up"
    """Whoever placed a telephone call ended it, or an answering machine took it and was hung up on."""
    CALLER_STOPPED_READING = "caller_stopped_reading"
    IDLE = "idle"
    TOO_OLD = "too_old"
    BUDGET_SPENT = "budget_spent"
    """What the account of the call may cost in a day is used up."""
    SHUTDOWN = "shutdown"
    OVERLOADED = "overloaded"
    """The server was given more calls than it can bear, and this is one of the newest."""
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    MODEL_KEPT_FAILING = "model_kept_failing"
    AGENT_HUNG_UP = "agent_hung_up"
    """The language model ended the call, or a tool that it called."""
    HANDED_OVER = "handed_over"
    """A person takes over: whoever runs the server connects the caller to them."""
    INTERNAL_ERROR = "internal_error"


@frozen
class ProviderFailure:
    """What went wrong at a provider. `message` is for logs and operators, without keys and transcripts."""

    error_class: ErrorClass
    message: str
    retry_after_ms: int | None = None
    idle: bool = False
    """The provider closed a link on which nothing was asked. The provider has not failed."""


@frozen
class Request:
    """A client's request that must be answered on the wire: its event type as sent, and its id."""

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
class LanguageChanged(Fact):
    """The caller stated another language than that of the links.

    The providers that do not know it are named by their places.
    """

    language: str
    unable_stt: tuple[int, ...] = ()
    unable_tts: tuple[int, ...] = ()


@frozen
class RecordingStopped(Fact):
    """The caller's side ended its audio (`audio.input.stop`): in manual mode, the turn is over."""

    request: Request | None = None


@frozen
class InterruptRequested(Fact):
    """The caller interrupted by other means than voice (`user.action.interrupt`)."""


@frozen
class HungUp(Fact):
    """The conversation must end, for `reason`. The machine decides what is still done before."""

    reason: EndReason


# --- the host ---------------------------------------------------------------------------------------------


class SayMode(enum.Enum):
    """When a text of the host is said. It never begins while the caller has the word."""

    QUEUE = "queue"
    """After what is being said and answered now."""
    INTERRUPT = "interrupt"
    """At once, instead of an answer that is being given or prepared."""
    WHEN_IDLE = "when_idle"
    """When nobody speaks and nothing waits to be answered."""


@frozen
class SayRequested(Fact):
    """The host program wants `text` said. It is not entered into the history."""

    text: str
    mode: SayMode = SayMode.QUEUE
    interruptible: bool = True
    """The caller's voice may interrupt it."""
    then: EndReason | None = None
    """Why the call ends after the text was heard; None: the call goes on."""
    tones: bool = False
    """`text` holds keys of a telephone, and the caller hears their tones."""


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
    """The words of turn `turn` so far: all of them, replacing earlier interim text."""

    turn: int
    text: str
    confidence: float = 0.0
    voice: VoiceHeard | None = field(default=None, kw_only=True)


@frozen
class TranscriptFinal(Fact):
    """All words of turn `turn`, after it was finalized; empty if nothing was understood."""

    turn: int
    text: str
    confidence: float = 0.0
    speech_ms: float = 0.0
    voice: VoiceHeard | None = field(default=None, kw_only=True)


@frozen
class EagerEndOfTurn(Fact):
    """The speech-to-text provider expects that turn `turn` is over, with `text` as all its words.

    `EndOfTurn` or `TurnResumed` follows.
    """

    turn: int
    text: str
    confidence: float = 0.0
    voice: VoiceHeard | None = field(default=None, kw_only=True)


@frozen
class TurnResumed(Fact):
    """The caller goes on with turn `turn` after an `EagerEndOfTurn`."""

    turn: int


@frozen
class EndOfTurn(Fact):
    """The speech-to-text provider decided that turn `turn` is over, with `text` as all its words."""

    turn: int
    text: str
    confidence: float = 0.0
    speech_ms: float = 0.0
    voice: VoiceHeard | None = field(default=None, kw_only=True)


Transcribed = TranscriptInterim | TranscriptFinal | EagerEndOfTurn | EndOfTurn
"""The facts that hold words of the caller."""


@frozen
class TurnScored(Fact):
    """The turn model has judged turn `turn` up to the pause that began just now.

    `completeness` is the probability, from 0 to 1, that the caller has finished.
    """

    turn: int
    completeness: float


@frozen
class TranscriptionFailed(Fact):
    """Turn `turn` cannot be transcribed further."""

    turn: int
    failure: ProviderFailure


# --- language model ---------------------------------------------------------------------------------------


@frozen
class SegmentReady(Fact):
    """Segment number `segment` (from 0) of an answer: text that can be spoken by itself."""

    generation: int
    segment: int
    text: str
    markup: str = ""
    """The text with the model's speech markup, for voices that understand it; empty if it has none. Markup is
    spoken and never remembered."""


@frozen
class GenerationAlive(Fact):
    """The model goes on, though no segment is complete. At most one such fact comes in 500 ms."""

    generation: int


@frozen
class GenerationFinished(Fact):
    """The model finished its answer. Every segment of it was reported before.

    `calls` are the tool calls whose results the model wants to see before it goes on.
    """

    generation: int
    calls: tuple[ToolCall, ...] = ()


@frozen
class GenerationFailed(Fact):
    """The model refused, failed or broke off. `link_attempt` is the link it was asked over, if any."""

    generation: int
    failure: ProviderFailure
    link_attempt: int | None = None


# --- tools ------------------------------------------------------------------------------------------------


@frozen
class ToolFinished(Fact):
    """Tool call number `call` is over. `result` is its result or, if it `failed`, why there is none.

    The model reads either.
    """

    call: int
    result: str
    failed: bool = field(default=False, kw_only=True)


# --- text to speech and playback --------------------------------------------------------------------------


@frozen
class Word:
    """A spoken word with its times, in ms from the start of its segment's audio."""

    text: str
    start_ms: float
    end_ms: float


@frozen
class SegmentVoiced(Fact):
    """All audio of one segment was synthesized. `words` is empty if the voice reports no times.

    `attempt` is the number of the attempt at saying the answer: 1 until a `RestartSpeech`.
    """

    utterance: int
    segment: int
    duration_ms: float
    words: tuple[Word, ...] = ()
    attempt: int = field(default=1, kw_only=True)
    unsayable: bool = field(default=False, kw_only=True)
    """There is no audio, since this voice cannot say the text."""


@frozen
class PlaybackAt(Fact):
    """At `at_ms` the caller has heard `position_ms` of the utterance, and goes on hearing it if `playing`.

    Sources, from best to worst: marks of the transport, acknowledgements of the client, the playback clock.
    """

    utterance: int
    position_ms: float
    playing: bool


@frozen
class PlaybackFinished(Fact):
    """The caller has heard all of the utterance, and it gets no more audio."""

    utterance: int


@frozen
class SynthesisFailed(Fact):
    """Text to speech cannot go on with this utterance.

    What was synthesized before is still played: all segments reported as voiced, and `voiced_ms` of the next.
    """

    utterance: int
    failure: ProviderFailure
    voiced_ms: float = 0.0
    attempt: int = field(default=1, kw_only=True)
    link_attempt: int | None = field(default=None, kw_only=True)
    """The number of the link over which text to speech was asked, if any."""


# --- links ------------------------------------------------------------------------------------------------
# A role may have several providers, in order of preference: `provider` is the place in that order, from 0.


@frozen
class LinkWanted(Fact):
    """A link for the role must be opened."""

    role: Role


@frozen
class LinkReleased(Fact):
    """The role's link must be closed: it is not needed any more."""

    role: Role


@frozen
class LinkOpened(Fact):
    """Attempt number `attempt` to open the link succeeded."""

    role: Role
    attempt: int
    ends_turns: bool = False
    """The provider decides about ends of turns (`EndOfTurn`)."""


@frozen
class LinkFailed(Fact):
    """Attempt number `attempt`, or the link that it opened, failed."""

    role: Role
    attempt: int
    failure: ProviderFailure
    draw: float = 0.5
    """A random number from 0 to 1, for the jitter of the wait that may follow."""


@frozen
class LinkReplacementWanted(Fact):
    """From the conversation to a link machine: requests over the open link fail or stall.

    `attempt` is the number of the link that is meant; None means the open one.
    """

    role: Role
    failure: ProviderFailure
    attempt: int | None = None


@frozen
class LinkReturnWanted(Fact):
    """From the conversation to a link machine: return to `provider`, which recovered."""

    role: Role
    provider: int


@frozen
class LinkRenewalWanted(Fact):
    """From the conversation to a link machine: open the link again, in another language.

    `unable` are the providers that do not know it.
    """

    role: Role
    unable: tuple[int, ...] = ()


@frozen
class LinkNeeded(Fact):
    """Within the system, to a link machine: the link is about to be used, and an idle one is to be opened."""

    role: Role


@frozen
class LinkUp(Fact):
    """From a link machine to the conversation: the role can be used (again)."""

    role: Role
    fallback_ready: bool = False
    """Another provider is ready if this one fails."""
    ends_turns: bool = False
    """The provider decides about ends of turns (`EndOfTurn`)."""


@frozen
class LinkLost(Fact):
    """From a link machine to the conversation: the role cannot be used until its link is up again."""

    role: Role
    failure: ProviderFailure


@frozen
class LinkDown(Fact):
    """From a link machine to the conversation: the role is lost for good."""

    role: Role
    failure: ProviderFailure


@frozen
class PreferredProviderRecovered(Fact):
    """From a link machine to the conversation: `provider` recovered, and is preferred to the one in use."""

    role: Role
    provider: int


@frozen
class ProviderDown(Fact):
    """The process knows that a provider of the role is down: it should not be tried."""

    role: Role
    provider: int


@frozen
class ProviderRecovered(Fact):
    """A health check found that a provider of the role works again."""

    role: Role
    provider: int


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
    draw: float = 0.5
    """A random number from 0 to 1, for the jitter of the wait that may follow."""


@frozen
class EverythingClosed(Fact):
    """All tasks, links and the client's socket of this conversation are closed."""


# --- the phone --------------------------------------------------------------------------------------------


@frozen
class DigitPressed(Fact):
    """The caller pressed a key of the telephone: one of `0` to `9`, `*`, `#`, `A` to `D`."""

    digit: str
