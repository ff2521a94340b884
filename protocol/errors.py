"""The errors that clients are told: one tree of exceptions, each with its error code and error event.

Some are raised when a client's message is read; the others are made by the orchestrator to report a failure.
A dialect's `refuse` writes all of them to the wire.
"""
# ruff: noqa: N818 (the names say what happened; `Error` would add nothing)

from __future__ import annotations

import enum
import math
from typing import ClassVar, Literal

from protocol.names import EVENTS

UNKNOWN_REQUEST = "error.unknown"
"""The reference's placeholder for the type of a request that cannot be read."""

CONNECTION_REQUEST = "error.connection"
"""The reference's placeholder for an error of the connection itself."""

TtsErrorType = Literal["connection", "synthesis", "timeout", "rate_limit", "auth", "fatal", "transient"]
"""The `errorType` values of the legacy `voicechat.error`."""


class ErrorCode(enum.StrEnum):
    """The reference's error codes. On the wire for `vantum.v2`, in the logs for legacy clients."""

    CONNECTION_ERROR = "CONNECTION_ERROR"
    INVALID_PAYLOAD = "INVALID_PAYLOAD"
    SESSION_ERROR = "SESSION_ERROR"
    AUDIO_ERROR = "AUDIO_ERROR"
    STT_ERROR = "STT_ERROR"
    LLM_ERROR = "LLM_ERROR"
    TTS_ERROR = "TTS_ERROR"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    UNKNOWN_ERROR = "UNKNOWN_ERROR"


def describe(value: object) -> str:
    """A value from the wire in a few words, for an error message. Takes bounded time."""
    match value:
        case bytes():
            return f"{len(value)} bytes"
        case str():
            return repr(value) if len(value) <= 60 else f"{value[:60]!r}… ({len(value)} characters)"
        case bool() | int() | float() | None:
            return repr(value)
        case list():
            return f"an array of {len(value)}"
        case dict():
            return f"a map of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


class ProtocolError(Exception):
    """Base of the tree. `message` is for the client; the other fields say which request it is about.

    `wire_type`, `event_id` and `session_id` are the request's own, as sent. They are None if the request had
    none, could not be read, or there was no request.
    """

    code: ClassVar[ErrorCode] = ErrorCode.UNKNOWN_ERROR
    hierarchical_name: ClassVar[str] = EVENTS.error.general.UNKNOWN
    """The error event for `vantum.v2`."""
    placeholder: ClassVar[str] = UNKNOWN_REQUEST
    """What stands for the request's type if there is none."""

    def __init__(
        self,
        message: str,
        *,
        wire_type: str | None = None,
        event_id: str | None = None,
        session_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.wire_type = wire_type
        self.event_id = event_id
        self.session_id = session_id

    @property
    def error_event(self) -> str:
        """The hierarchical name of this error's event."""
        return self.hierarchical_name

    @property
    def request_type(self) -> str:
        """The type of the request that this is about, as sent, or the placeholder."""
        return self.wire_type or self.placeholder


# --- the client's message is wrong ------------------------------------------------------------------------


class MalformedMessage(ProtocolError):
    """The frame is not binary with one MessagePack map whose header fields are strings.

    `wire_type` is None even if it could be read: the reference answers such messages under its placeholder.
    """

    code = ErrorCode.INVALID_PAYLOAD


class UnknownEvent(ProtocolError):
    """The event type is missing, unknown, or not one that a client may send."""

    code = ErrorCode.INVALID_PAYLOAD


class InvalidPayload(ProtocolError):
    """The payload is not valid for its event."""

    code = ErrorCode.INVALID_PAYLOAD

    @property
    def error_event(self) -> str:
        match (self.wire_type or "").removeprefix("voicechat.").split(".")[0]:
            case "audio":
                return EVENTS.audio.error.INVALID_FORMAT
            case "connection":
                return EVENTS.connection.error.GENERAL
            case _:
                return EVENTS.error.general.UNKNOWN


class MissingEventId(InvalidPayload):
    """A request that must be acknowledged has no event id."""

    def __init__(self, wire_type: str, session_id: str | None = None) -> None:
        super().__init__(
            f"{wire_type} has no eventId, so it cannot be acknowledged",
            wire_type=wire_type,
            session_id=session_id,
        )


class UnsupportedRate(InvalidPayload):
    """The sampling rate is a valid number, but out of the accepted range. Rates are in Hz."""

    def __init__(self, field: str, rate: float, lowest: int, highest: int) -> None:
        shown = int(rate) if math.isfinite(rate) and rate == int(rate) else rate
        super().__init__(f"{field} must be from {lowest} to {highest} Hz, got {shown}")
        self.field = field
        """The field's name on the wire."""
        self.rate = rate
        self.lowest = lowest
        self.highest = highest

    def worded(self, message: str) -> UnsupportedRate:
        """This error with another message: of a payload with several wrong rates."""
        self.args = (message,)
        self.message = message
        return self

    @property
    def error_event(self) -> str:
        return EVENTS.audio.error.UNSUPPORTED_RATE


# --- the request was right, but cannot be carried out -----------------------------------------------------


class BufferOverflow(ProtocolError):
    """More audio arrived than can be buffered."""

    code = ErrorCode.AUDIO_ERROR
    hierarchical_name = EVENTS.audio.error.BUFFER_OVERFLOW


class UnintelligibleAudio(ProtocolError):
    """The audio can be read, but not as what it is said to be: nobody would understand it."""

    code = ErrorCode.AUDIO_ERROR
    hierarchical_name = EVENTS.audio.error.INVALID_FORMAT


class NoSession(ProtocolError):
    """The socket has no conversation, or none any more. Sent with a new event id and no session id."""

    code = ErrorCode.SESSION_ERROR
    hierarchical_name = EVENTS.connection.error.GENERAL

    def __init__(self, message: str, *, wire_type: str | None = None) -> None:
        super().__init__(message, wire_type=wire_type)


class SessionFailure(ProtocolError):
    """The session's record cannot be updated."""

    code = ErrorCode.SESSION_ERROR
    hierarchical_name = EVENTS.error.general.INTERNAL_SERVER_ERROR


class InternalFailure(ProtocolError):
    """Something went wrong on our side."""

    code = ErrorCode.INTERNAL_ERROR
    hierarchical_name = EVENTS.error.general.INTERNAL_SERVER_ERROR


class ConnectionFailure(ProtocolError):
    """An error of the socket."""

    code = ErrorCode.CONNECTION_ERROR
    hierarchical_name = EVENTS.connection.error.GENERAL
    placeholder = CONNECTION_REQUEST


class HeartbeatTimeout(ConnectionFailure):
    """The client's heartbeat did not come."""

    hierarchical_name = EVENTS.connection.error.TIMEOUT


class NothingBegun(ConnectionFailure):
    """The client holds a line and begins nothing."""

    hierarchical_name = EVENTS.connection.error.TIMEOUT


class AuthenticationFailed(ConnectionFailure):
    """The client is not allowed in."""

    hierarchical_name = EVENTS.connection.error.AUTH_FAILED


# --- a provider failed ------------------------------------------------------------------------------------


class ProviderFailed(ProtocolError):
    """A provider failed. Legacy clients are told only if a request is the reason, or speech failed."""


class SttUnavailable(ProviderFailed):
    """Speech to text cannot be reached. Its code is that of internal errors, as in the reference."""

    code = ErrorCode.INTERNAL_ERROR
    hierarchical_name = EVENTS.error.service.STT_UNAVAILABLE


class SttFailed(ProviderFailed):
    """A turn could not be transcribed."""

    code = ErrorCode.STT_ERROR
    hierarchical_name = EVENTS.transcript.error.STT_FAILED


class LowConfidence(ProviderFailed):
    """A turn was transcribed with a `confidence` (0 to 1) too low to act on."""

    code = ErrorCode.STT_ERROR
    hierarchical_name = EVENTS.transcript.error.LOW_CONFIDENCE

    def __init__(self, message: str, confidence: float) -> None:
        super().__init__(message)
        self.confidence = confidence


class LlmUnavailable(ProviderFailed):
    """The language model cannot be reached."""

    code = ErrorCode.LLM_ERROR
    hierarchical_name = EVENTS.error.service.LLM_UNAVAILABLE


class LlmFailed(ProviderFailed):
    """The language model refused the request, or broke off its answer."""

    code = ErrorCode.LLM_ERROR
    hierarchical_name = EVENTS.conversation.error.LLM_FAILED


class LlmTimeout(ProviderFailed):
    """The language model was too late."""

    code = ErrorCode.LLM_ERROR
    hierarchical_name = EVENTS.conversation.error.LLM_TIMEOUT


class ContextTooLong(ProviderFailed):
    """The conversation does not fit into the language model's context."""

    code = ErrorCode.LLM_ERROR
    hierarchical_name = EVENTS.conversation.error.CONTEXT_TOO_LONG


class TtsUnavailable(ProviderFailed):
    """Text to speech failed. The only provider failure that legacy clients are told, as `voicechat.error`."""

    code = ErrorCode.TTS_ERROR
    hierarchical_name = EVENTS.error.service.TTS_UNAVAILABLE

    def __init__(self, message: str, *, error_type: TtsErrorType, retryable: bool) -> None:
        super().__init__(message)
        self.error_type: TtsErrorType = error_type
        self.retryable = retryable


class TelephonyUnavailable(ProviderFailed):
    """The telephone network cannot be reached."""

    code = ErrorCode.CONNECTION_ERROR
    hierarchical_name = EVENTS.error.service.TELEPHONY_UNAVAILABLE
