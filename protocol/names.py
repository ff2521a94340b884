"""The wire names of the 44 hierarchical events, as one nested constant: `EVENTS.audio.input.START`.

The categories are classes, so that the type checker finds misspelt names. Their names are in lower case, as
on the wire.
"""
# ruff: noqa: N801

from __future__ import annotations

from typing import Final


class _Connection:
    class lifecycle:
        ACK: Final = "connection.lifecycle.ack"
        HEARTBEAT: Final = "connection.lifecycle.heartbeat"
        DISCONNECT: Final = "connection.lifecycle.disconnect"

    class error:
        GENERAL: Final = "connection.error.general"
        TIMEOUT: Final = "connection.error.timeout"
        AUTH_FAILED: Final = "connection.error.auth_failed"


class _Audio:
    class input:
        START: Final = "audio.input.start"
        CHUNK: Final = "audio.input.chunk"
        STOP: Final = "audio.input.stop"

    class output:
        START: Final = "audio.output.start"
        CHUNK: Final = "audio.output.chunk"
        COMPLETE: Final = "audio.output.complete"
        CANCEL: Final = "audio.output.cancel"

    class error:
        INVALID_FORMAT: Final = "audio.error.invalid_format"
        UNSUPPORTED_RATE: Final = "audio.error.unsupported_rate"
        BUFFER_OVERFLOW: Final = "audio.error.buffer_overflow"


class _Transcript:
    class interim:
        RESULT: Final = "transcript.interim.result"

    class final:
        RESULT: Final = "transcript.final.result"

    class error:
        LOW_CONFIDENCE: Final = "transcript.error.low_confidence"
        STT_FAILED: Final = "transcript.error.stt_failed"


class _Conversation:
    class state:
        CHANGED: Final = "conversation.state.changed"
        INTERRUPTED: Final = "conversation.state.interrupted"

    class response:
        START: Final = "conversation.response.start"
        TOKEN: Final = "conversation.response.token"
        COMPLETE: Final = "conversation.response.complete"

    class error:
        LLM_TIMEOUT: Final = "conversation.error.llm_timeout"
        LLM_FAILED: Final = "conversation.error.llm_failed"
        CONTEXT_TOO_LONG: Final = "conversation.error.context_too_long"


class _User:
    class action:
        INTERRUPT: Final = "user.action.interrupt"
        END_CALL: Final = "user.action.end_call"
        MUTE: Final = "user.action.mute"
        UNMUTE: Final = "user.action.unmute"

    class feedback:
        SENTIMENT: Final = "user.feedback.sentiment"


class _System:
    class status:
        READY: Final = "system.status.ready"
        BUSY: Final = "system.status.busy"
        MAINTENANCE: Final = "system.status.maintenance"

    class notification:
        RATE_LIMIT_WARNING: Final = "system.notification.rate_limit_warning"
        QUOTA_EXCEEDED: Final = "system.notification.quota_exceeded"


class _Error:
    class general:
        UNKNOWN: Final = "error.general.unknown"
        INTERNAL_SERVER_ERROR: Final = "error.general.internal_server_error"

    class service:
        STT_UNAVAILABLE: Final = "error.service.stt_unavailable"
        LLM_UNAVAILABLE: Final = "error.service.llm_unavailable"
        TTS_UNAVAILABLE: Final = "error.service.tts_unavailable"
        TELEPHONY_UNAVAILABLE: Final = "error.service.telephony_unavailable"


class EVENTS:
    """All hierarchical event names, by domain and category."""

    connection = _Connection
    audio = _Audio
    transcript = _Transcript
    conversation = _Conversation
    user = _User
    system = _System
    error = _Error
