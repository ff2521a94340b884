"""The registry of events: which events exist, who may send them, and their payloads.

`REGISTRY` holds the 44 hierarchical events of the event-system document; each names the legacy events it
replaces. `registry_table()` renders it for the documentation.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from attrs import frozen

from protocol import payloads
from protocol.errors import UnknownEvent, describe
from protocol.names import EVENTS
from protocol.payloads import ErrorPayload, Payload, wire_name


class Direction(enum.Enum):
    """Who may send an event."""

    CLIENT_TO_SERVER = "client-to-server"
    SERVER_TO_CLIENT = "server-to-client"
    BIDIRECTIONAL = "bidirectional"


class Priority(enum.Enum):
    """How important an event is. Only descriptive: messages are never reordered."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@frozen
class EventSpec:
    """One hierarchical event.

    `legacy_names` are its names in the legacy protocol; `synonyms` are other hierarchical names that are
    accepted for it and never sent.
    """

    name: str
    direction: Direction
    priority: Priority
    payload_type: type[Payload]
    description: str
    legacy_names: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    version: str = "1.0.0"
    not_sent_yet: str = ""
    """Of an event that the server has no occasion to send so far: what happens instead."""

    @property
    def from_client(self) -> bool:
        """Whether a client may send it."""
        return self.direction is not Direction.SERVER_TO_CLIENT

    @property
    def from_server(self) -> bool:
        """Whether the server may send it."""
        return self.direction is not Direction.CLIENT_TO_SERVER


@frozen
class LegacyEvent:
    """One name of the legacy protocol. `direction` is its own: no legacy event goes both ways.

    `replaced_by` lists the hierarchical events that took its place, the closest first.
    """

    name: str
    direction: Direction
    replaced_by: tuple[str, ...]


_IN = Direction.CLIENT_TO_SERVER
_OUT = Direction.SERVER_TO_CLIENT
_BOTH = Direction.BIDIRECTIONAL
_CRITICAL, _HIGH, _NORMAL, _LOW = Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW

_CONNECTION_EVENTS = (
    EventSpec(
        EVENTS.connection.lifecycle.ACK,
        _OUT,
        _CRITICAL,
        payloads.ConnectionAck,
        "The socket is accepted; names the session. Sent once, first.",
        ("connection.ack",),
    ),
    EventSpec(
        EVENTS.connection.lifecycle.HEARTBEAT,
        _BOTH,
        _HIGH,
        payloads.Heartbeat,
        "A sign of life; the server echoes the client's, with its event id.",
    ),
    EventSpec(
        EVENTS.connection.lifecycle.DISCONNECT,
        _BOTH,
        _HIGH,
        payloads.Disconnect,
        "The sender is about to close the socket.",
    ),
    EventSpec(
        EVENTS.connection.error.GENERAL,
        _OUT,
        _HIGH,
        ErrorPayload,
        "An error of the connection or the session.",
        ("error.error",),
    ),
    EventSpec(
        EVENTS.connection.error.TIMEOUT,
        _OUT,
        _HIGH,
        ErrorPayload,
        "The client has begun nothing in time: it sent no audio and started no recording. The socket is "
        "closed with 1013.",
    ),
    EventSpec(
        EVENTS.connection.error.AUTH_FAILED,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "The client is not allowed in.",
    ),
)

_LEGACY_AUDIO_ERROR = ("voicechat.audio.error",)
_AUDIO_EVENTS = (
    EventSpec(
        EVENTS.audio.input.START,
        _IN,
        _HIGH,
        payloads.AudioInputStart,
        "Begin a recording cycle. Acknowledged.",
        ("voicechat.audio.start",),
    ),
    EventSpec(
        EVENTS.audio.input.CHUNK,
        _IN,
        _NORMAL,
        payloads.AudioInputChunk,
        "A block of the caller's audio. Never acknowledged.",
        ("voicechat.audio.chunk",),
    ),
    EventSpec(
        EVENTS.audio.input.STOP,
        _IN,
        _HIGH,
        payloads.AudioInputStop,
        "End the recording cycle. Acknowledged.",
        ("voicechat.audio.end",),
        synonyms=("audio.input.end",),
    ),
    EventSpec(
        EVENTS.audio.output.START,
        _OUT,
        _HIGH,
        payloads.AudioOutputStart,
        "Audio of an utterance is about to follow.",
        ("voicechat.response.start",),
    ),
    EventSpec(
        EVENTS.audio.output.CHUNK,
        _OUT,
        _NORMAL,
        payloads.AudioOutputChunk,
        "A piece of an utterance's audio.",
        ("voicechat.response.chunk",),
    ),
    EventSpec(
        EVENTS.audio.output.COMPLETE,
        _OUT,
        _NORMAL,
        payloads.AudioOutputComplete,
        "All audio of an utterance was sent.",
        ("voicechat.response.complete",),
    ),
    EventSpec(
        EVENTS.audio.output.CANCEL,
        _OUT,
        _HIGH,
        payloads.AudioOutputCancel,
        "Stop playing the utterance now.",
        ("voicechat.response.interrupt", "voicechat.response.stop"),
    ),
    EventSpec(
        EVENTS.audio.error.INVALID_FORMAT,
        _OUT,
        _HIGH,
        ErrorPayload,
        "An audio message is malformed, or its audio is not what it is said to be.",
        _LEGACY_AUDIO_ERROR,
    ),
    EventSpec(
        EVENTS.audio.error.UNSUPPORTED_RATE,
        _OUT,
        _HIGH,
        ErrorPayload,
        "The sampling rate is out of range.",
        _LEGACY_AUDIO_ERROR,
    ),
    EventSpec(
        EVENTS.audio.error.BUFFER_OVERFLOW,
        _OUT,
        _HIGH,
        ErrorPayload,
        "More audio came than can be buffered.",
        _LEGACY_AUDIO_ERROR,
    ),
)

_TRANSCRIPT_EVENTS = (
    EventSpec(
        EVENTS.transcript.interim.RESULT,
        _OUT,
        _NORMAL,
        payloads.TranscriptResult,
        "An interim transcript of the turn.",
    ),
    EventSpec(
        EVENTS.transcript.final.RESULT,
        _OUT,
        _HIGH,
        payloads.TranscriptResult,
        "The final transcript of the turn.",
    ),
    EventSpec(
        EVENTS.transcript.error.LOW_CONFIDENCE,
        _OUT,
        _NORMAL,
        payloads.LowConfidencePayload,
        "A transcript too uncertain to act on.",
    ),
    EventSpec(
        EVENTS.transcript.error.STT_FAILED, _OUT, _HIGH, ErrorPayload, "The turn could not be transcribed."
    ),
)

_CONVERSATION_EVENTS = (
    EventSpec(
        EVENTS.conversation.state.CHANGED,
        _OUT,
        _HIGH,
        payloads.ConversationStateChanged,
        "The conversation moved to another state or substate.",
    ),
    EventSpec(
        EVENTS.conversation.state.INTERRUPTED,
        _OUT,
        _HIGH,
        payloads.ConversationStateInterrupted,
        "The caller cut the answer off; what was heard of it.",
    ),
    EventSpec(
        EVENTS.conversation.response.START,
        _OUT,
        _HIGH,
        payloads.ConversationResponseStart,
        "The language model was asked.",
    ),
    EventSpec(
        EVENTS.conversation.response.TOKEN,
        _OUT,
        _NORMAL,
        payloads.ConversationResponseToken,
        "A piece of the answer's text.",
    ),
    EventSpec(
        EVENTS.conversation.response.COMPLETE,
        _OUT,
        _HIGH,
        payloads.ConversationResponseComplete,
        "The answer's whole text, with its times.",
    ),
    EventSpec(
        EVENTS.conversation.error.LLM_TIMEOUT, _OUT, _HIGH, ErrorPayload, "The language model was too late."
    ),
    EventSpec(EVENTS.conversation.error.LLM_FAILED, _OUT, _HIGH, ErrorPayload, "The language model failed."),
    EventSpec(
        EVENTS.conversation.error.CONTEXT_TOO_LONG,
        _OUT,
        _HIGH,
        ErrorPayload,
        "The conversation outgrew the model's context.",
        not_sent_yet="the history is shortened and the model asked again; if that fails, it is an "
        "`llm_failed`",
    ),
)

_USER_EVENTS = (
    EventSpec(EVENTS.user.action.INTERRUPT, _IN, _HIGH, payloads.UserInterrupt, "The caller wants silence."),
    EventSpec(EVENTS.user.action.END_CALL, _IN, _CRITICAL, payloads.UserEndCall, "The caller hangs up."),
    EventSpec(EVENTS.user.action.MUTE, _IN, _NORMAL, payloads.UserMute, "The caller's microphone was muted."),
    EventSpec(
        EVENTS.user.action.UNMUTE, _IN, _NORMAL, payloads.UserUnmute, "The caller's microphone is live again."
    ),
    EventSpec(
        EVENTS.user.feedback.SENTIMENT,
        _IN,
        _LOW,
        payloads.UserSentiment,
        "How the caller feels about the call.",
    ),
)

_SYSTEM_EVENTS = (
    EventSpec(EVENTS.system.status.READY, _OUT, _HIGH, payloads.SystemReady, "The call can begin."),
    EventSpec(
        EVENTS.system.status.BUSY, _OUT, _NORMAL, payloads.SystemBusy, "There is no room for this call."
    ),
    EventSpec(
        EVENTS.system.status.MAINTENANCE,
        _OUT,
        _CRITICAL,
        payloads.SystemMaintenance,
        "The server is about to go away.",
    ),
    EventSpec(
        EVENTS.system.notification.RATE_LIMIT_WARNING,
        _OUT,
        _NORMAL,
        payloads.RateLimitWarning,
        "A provider's quota is nearly used up.",
        not_sent_yet="quotas are the operator's business: what providers say of them is in the log",
    ),
    EventSpec(
        EVENTS.system.notification.QUOTA_EXCEEDED,
        _OUT,
        _HIGH,
        payloads.QuotaExceeded,
        "The money that the calls of an account may cost today is used up: the call ends with last words.",
    ),
)

_ERROR_EVENTS = (
    EventSpec(
        EVENTS.error.general.UNKNOWN,
        _OUT,
        _HIGH,
        ErrorPayload,
        "A message that cannot be read, or of an unknown event.",
        ("error.unknown", "error.error"),
    ),
    EventSpec(
        EVENTS.error.general.INTERNAL_SERVER_ERROR,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "A request failed on the server's side.",
        ("voicechat.audio.error", "voicechat.response.error"),
    ),
    EventSpec(
        EVENTS.error.service.STT_UNAVAILABLE,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "Speech to text cannot be reached.",
    ),
    EventSpec(
        EVENTS.error.service.LLM_UNAVAILABLE,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "The language model cannot be reached.",
    ),
    EventSpec(
        EVENTS.error.service.TTS_UNAVAILABLE,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "Text to speech failed.",
        ("voicechat.error",),
    ),
    EventSpec(
        EVENTS.error.service.TELEPHONY_UNAVAILABLE,
        _OUT,
        _CRITICAL,
        ErrorPayload,
        "The telephone network cannot be reached.",
        not_sent_yet="no client of this protocol dials; `POST /calls` answers with an HTTP status",
    ),
)

_EVENTS = (
    *_CONNECTION_EVENTS,
    *_AUDIO_EVENTS,
    *_TRANSCRIPT_EVENTS,
    *_CONVERSATION_EVENTS,
    *_USER_EVENTS,
    *_SYSTEM_EVENTS,
    *_ERROR_EVENTS,
)

REGISTRY: Mapping[str, EventSpec] = MappingProxyType({spec.name: spec for spec in _EVENTS})
"""The hierarchical events by name, in the order of the event-system document."""


def _legacy_events() -> Iterator[LegacyEvent]:
    names = dict.fromkeys(name for spec in REGISTRY.values() for name in spec.legacy_names)
    for name in names:
        specs = [spec for spec in REGISTRY.values() if name in spec.legacy_names]
        yield LegacyEvent(name, specs[0].direction, tuple(spec.name for spec in specs))


LEGACY_REGISTRY: Mapping[str, LegacyEvent] = MappingProxyType(
    {event.name: event for event in _legacy_events()}
)
"""The legacy events by name."""

DEPRECATED_ALIASES: Mapping[str, str] = MappingProxyType(
    {event.name: event.replaced_by[0] for event in LEGACY_REGISTRY.values()}
)
"""The closest hierarchical name for each legacy name."""

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {synonym: spec.name for spec in REGISTRY.values() for synonym in spec.synonyms}
)
"""Other hierarchical names that are accepted, and what they mean."""


def event_spec(name: str) -> EventSpec:
    """The registry's entry for a hierarchical name. Raises `UnknownEvent`."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise UnknownEvent(f"unknown event type {describe(name)}", wire_type=name) from None


def get_event_domain(name: str) -> str:
    """`audio` of `audio.input.start`. Raises `UnknownEvent`, like the functions below."""
    return event_spec(name).name.split(".")[0]


def get_event_category(name: str) -> str:
    """`input` of `audio.input.start`."""
    return event_spec(name).name.split(".")[1]


def get_event_action(name: str) -> str:
    """`start` of `audio.input.start`."""
    return event_spec(name).name.split(".")[2]


def is_client_event(name: str) -> bool:
    """Whether only a client sends it."""
    return event_spec(name).direction is Direction.CLIENT_TO_SERVER


def is_server_event(name: str) -> bool:
    """Whether only the server sends it."""
    return event_spec(name).direction is Direction.SERVER_TO_CLIENT


def is_bidirectional_event(name: str) -> bool:
    """Whether both sides send it."""
    return event_spec(name).direction is Direction.BIDIRECTIONAL


def is_critical_event(name: str) -> bool:
    """Whether its priority is critical."""
    return event_spec(name).priority is Priority.CRITICAL


def get_events_for_domain(domain: str) -> tuple[EventSpec, ...]:
    """All events of a domain; empty if there is no such domain."""
    return tuple(spec for spec in REGISTRY.values() if spec.name.split(".")[0] == domain)


def get_all_client_events() -> tuple[EventSpec, ...]:
    """All events that a client may send, including those that both sides send."""
    return tuple(spec for spec in REGISTRY.values() if spec.from_client)


def get_all_server_events() -> tuple[EventSpec, ...]:
    """All events that the server may send, including those that both sides send."""
    return tuple(spec for spec in REGISTRY.values() if spec.from_server)


def registry_table() -> str:
    """The registry as Markdown: the hierarchical events, the legacy events, and the payloads' fields."""
    sections = (
        "## Hierarchical events",
        _table(
            ("Event", "Direction", "Priority", "Payload", "Meaning", "Legacy names", "Synonyms", "Version"),
            (
                (
                    f"`{spec.name}`",
                    spec.direction.value,
                    spec.priority.value,
                    f"`{spec.payload_type.__name__}`",
                    _meaning(spec),
                    _names(spec.legacy_names),
                    _names(spec.synonyms),
                    spec.version,
                )
                for spec in REGISTRY.values()
            ),
        ),
        "## Legacy events (deprecated)",
        _table(
            ("Event", "Direction", "Replaced by"),
            (
                (f"`{event.name}`", event.direction.value, _names(event.replaced_by))
                for event in LEGACY_REGISTRY.values()
            ),
        ),
        "## Payloads",
        _table(
            ("Payload", "Fields (optional ones end in `?`)"),
            (
                (f"`{payload_type.__name__}`", _fields(payload_type))
                for payload_type in dict.fromkeys(spec.payload_type for spec in REGISTRY.values())
            ),
        ),
    )
    return "\n\n".join(sections) + "\n"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _meaning(spec: EventSpec) -> str:
    return (
        f"{spec.description} *Not sent yet*: {spec.not_sent_yet}." if spec.not_sent_yet else spec.description
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fields(payload_type: type) -> str:
    return ", ".join(
        f"`{wire_name(attribute)}{_optional_mark(attribute)}`: {_type(attribute.type)}"
        for attribute in attrs.fields(payload_type)
    )


def _optional_mark(attribute: attrs.Attribute[Any]) -> str:
    return "" if attribute.default is attrs.NOTHING else "?"


_TYPE_NAMES = {"bytes": "bin", "str": "string", "float": "number", "int": "whole number", "bool": "boolean"}


def _type(hint: object) -> str:
    """A type as the documentation shows it: by its choices, or its fields, if it has any."""
    alternatives = [alternative for alternative in typing.get_args(hint) if alternative is not types.NoneType]
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f'"{value}"' for value in alternatives)
    if alternatives:
        return _type(alternatives[0])
    if isinstance(hint, type) and attrs.has(hint):
        return f"map of ({_fields(hint)})"
    return _TYPE_NAMES[getattr(hint, "__name__", "")]
