"""The two dialects of the wire protocol: the legacy one, with the reference's `voicechat.*` names, and ours.

Reading accepts both; what is written depends on the dialect. Ours, `vantum.v2`, has hierarchical names. A
dialect has no state and no clock and draws no ids: the caller passes event ids and times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from attrs import frozen

from protocol import payloads
from protocol.envelope import Envelope
from protocol.errors import (
    InvalidPayload,
    LowConfidence,
    MalformedMessage,
    NoSession,
    ProtocolError,
    ProviderFailed,
    TtsUnavailable,
    UnknownEvent,
    describe,
)
from protocol.names import EVENTS
from protocol.payloads import Acknowledgement, ErrorDetail, ErrorPayload, Map, Payload, structure, unstructure
from protocol.registry import DEPRECATED_ALIASES, LEGACY_REGISTRY, REGISTRY, SYNONYMS, Direction, EventSpec

HIERARCHICAL_SUBPROTOCOL = "vantum.v2"
"""The WebSocket subprotocol that a client offers to get hierarchical names."""


class Dialect(ABC):
    """How messages are written for one kind of client."""

    name: ClassVar[Literal["legacy", "hierarchical"]]
    subprotocol: ClassVar[str | None]

    @abstractmethod
    def encode(self, payload: Payload, *, session_id: str | None, event_id: str) -> bytes | None:
        """The frame of `payload`, or None if this dialect has no such event.

        Raises `TypeError` for acknowledgements and errors, whose event names do not follow from the payload:
        `acknowledge` and `refuse` write these.
        """

    def acknowledge(self, wire_type: str, event_id: str, session_id: str) -> bytes:
        """The frame that acknowledges a request: it has the request's own type, as sent, and id."""
        payload = unstructure(Acknowledgement())
        return Envelope(wire_type, event_id, session_id, payload).to_bytes()

    @abstractmethod
    def refuse(
        self, error: ProtocolError, *, event_id: str, session_id: str | None, timestamp: float
    ) -> bytes | None:
        """The frame that reports an error to a client, or None if this dialect does not report it.

        It has the request's own ids; if these are missing, `event_id` and `session_id` (the socket's own).
        `timestamp` is the time of the error in ms since the Unix epoch.
        """


@frozen
class Received:
    """A message from the peer, decoded."""

    event: str
    """The hierarchical name of the event, whatever name was sent."""
    wire_type: str
    """The name that was sent. Acknowledgements repeat it."""
    event_id: str | None
    session_id: str | None
    """The session that the message names. The socket's own session is the one that counts."""
    payload: Payload
    dialect: Dialect
    """The dialect of the name that was sent."""


# --- legacy -----------------------------------------------------------------------------------------------

_LegacyMessage = tuple[str, Map]
"""An event type and its payload."""


def _legacy_connection_ack(payload: payloads.ConnectionAck) -> _LegacyMessage:
    return "connection.ack", {"success": payload.success}


def _legacy_input_start(payload: payloads.AudioInputStart) -> _LegacyMessage:
    return "voicechat.audio.start", unstructure(payload)


def _legacy_input_chunk(payload: payloads.AudioInputChunk) -> _LegacyMessage:
    return "voicechat.audio.chunk", {"audio": payload.audio, "isMuted": payload.is_muted}


def _legacy_input_stop(payload: payloads.AudioInputStop) -> _LegacyMessage:
    return "voicechat.audio.end", {}


def _legacy_output_start(payload: payloads.AudioOutputStart) -> _LegacyMessage:
    return "voicechat.response.start", {
        "utteranceId": payload.utterance_id,
        "timestamp": float(payload.timestamp),
    }


def _legacy_output_chunk(payload: payloads.AudioOutputChunk) -> _LegacyMessage:
    return "voicechat.response.chunk", {
        "audio": payload.audio,
        "utteranceId": payload.utterance_id,
        "sampleRate": payload.sampling_rate,
    }


def _legacy_output_complete(payload: payloads.AudioOutputComplete) -> _LegacyMessage:
    return "voicechat.response.complete", {"utteranceId": payload.utterance_id}


def _legacy_output_cancel(payload: payloads.AudioOutputCancel) -> _LegacyMessage:
    interrupted = payload.reason == payloads.INTERRUPTED
    return f"voicechat.response.{'interrupt' if interrupted else 'stop'}", {
        "utteranceId": payload.utterance_id,
        "timestamp": float(payload.timestamp),
    }


_LEGACY_MESSAGES: Mapping[type[Payload], Callable[..., _LegacyMessage]] = MappingProxyType(
    {
        payloads.ConnectionAck: _legacy_connection_ack,
        payloads.AudioInputStart: _legacy_input_start,
        payloads.AudioInputChunk: _legacy_input_chunk,
        payloads.AudioInputStop: _legacy_input_stop,
        payloads.AudioOutputStart: _legacy_output_start,
        payloads.AudioOutputChunk: _legacy_output_chunk,
        payloads.AudioOutputComplete: _legacy_output_complete,
        payloads.AudioOutputCancel: _legacy_output_cancel,
    }
)


def legacy_error_event(request_type: str) -> str:
    """The legacy error event for a request: its type with the last part replaced by `error`.

    A type without a dot cannot be converted; `error.unknown` stands for it, as in the reference.
    """
    head, dot, _ = request_type.rpartition(".")
    return f"{head}.error" if dot else "error.unknown"


class _Legacy(Dialect):
    """The dialect that the reference's shipped web client understands."""

    name = "legacy"
    subprotocol = None

    def encode(self, payload: Payload, *, session_id: str | None, event_id: str) -> bytes | None:
        _require_own_name(payload)
        message = _LEGACY_MESSAGES.get(type(payload))
        if message is None:
            return None
        event_type, body = message(payload)
        return Envelope(event_type, event_id, session_id, body).to_bytes()

    def refuse(
        self, error: ProtocolError, *, event_id: str, session_id: str | None, timestamp: float
    ) -> bytes | None:
        if isinstance(error, TtsUnavailable):
            return self._speech_failed(error, event_id, session_id)
        if isinstance(error, ProviderFailed) and error.wire_type is None:
            return None
        return Envelope(
            legacy_error_event(error.request_type),
            error.event_id or event_id,
            _session_named(error, session_id),
            {"message": error.message},
            error.request_type,
        ).to_bytes()

    def _speech_failed(self, error: TtsUnavailable, event_id: str, session_id: str | None) -> bytes:
        body = {"errorType": error.error_type, "message": error.message, "retryable": error.retryable}
        return Envelope("voicechat.error", event_id, session_id, body).to_bytes()


# --- hierarchical -----------------------------------------------------------------------------------------


_EVENT_OF_PAYLOAD: Mapping[type[Payload], str] = MappingProxyType(
    {
        spec.payload_type: spec.name
        for spec in REGISTRY.values()
        if not issubclass(spec.payload_type, ErrorPayload | payloads.TranscriptResult)
    }
)


def _event_of(payload: Payload) -> str:
    if isinstance(payload, payloads.TranscriptResult):
        return EVENTS.transcript.final.RESULT if payload.is_final else EVENTS.transcript.interim.RESULT
    return _EVENT_OF_PAYLOAD[type(payload)]


class _Hierarchical(Dialect):
    """The dialect with names `domain.category.action`, with all 44 events."""

    name = "hierarchical"
    subprotocol = HIERARCHICAL_SUBPROTOCOL

    def encode(self, payload: Payload, *, session_id: str | None, event_id: str) -> bytes | None:
        _require_own_name(payload)
        return Envelope(_event_of(payload), event_id, session_id, unstructure(payload)).to_bytes()

    def refuse(
        self, error: ProtocolError, *, event_id: str, session_id: str | None, timestamp: float
    ) -> bytes | None:
        return Envelope(
            error.error_event,
            error.event_id or event_id,
            _session_named(error, session_id),
            unstructure(_error_payload(error, timestamp)),
            error.wire_type,
        ).to_bytes()


def _error_payload(error: ProtocolError, timestamp: float) -> ErrorPayload:
    detail = ErrorDetail(error.message, error.code, timestamp)
    if isinstance(error, LowConfidence):
        return payloads.LowConfidencePayload(
            error.request_type, detail, error.event_id, confidence=error.confidence
        )
    return ErrorPayload(error.request_type, detail, error.event_id)


def _require_own_name(payload: Payload) -> None:
    if isinstance(payload, Acknowledgement | ErrorPayload):
        raise TypeError(f"{type(payload).__name__} has no event of its own: use acknowledge() or refuse()")


def _session_named(error: ProtocolError, session_id: str | None) -> str | None:
    """The session that an error message names: the request's, else the socket's own.

    If the request could not be read, or belongs to no session, only what was read of it is named, as by the
    reference.
    """
    if isinstance(error, MalformedMessage | NoSession):
        return error.session_id
    return error.session_id or session_id


LEGACY: Dialect = _Legacy()
HIERARCHICAL: Dialect = _Hierarchical()


def dialect_for_subprotocol(subprotocol: str | None) -> Dialect:
    """The dialect for the negotiated WebSocket subprotocol: ours for `vantum.v2`, else legacy."""
    return HIERARCHICAL if subprotocol == HIERARCHICAL_SUBPROTOCOL else LEGACY


def dialect_of(wire_type: str | None) -> Dialect | None:
    """The dialect that an event type belongs to; None if neither has it."""
    if wire_type in LEGACY_REGISTRY:
        return LEGACY
    if wire_type in REGISTRY or wire_type in SYNONYMS:
        return HIERARCHICAL
    return None


# --- reading ----------------------------------------------------------------------------------------------


def _client_events() -> Mapping[str, tuple[EventSpec, Dialect]]:
    """Every name that a client may send, with its event and dialect."""
    hierarchical = {spec.name: spec for spec in REGISTRY.values() if spec.from_client}
    hierarchical |= {synonym: REGISTRY[name] for synonym, name in SYNONYMS.items()}
    legacy = {
        event.name: REGISTRY[DEPRECATED_ALIASES[event.name]]
        for event in LEGACY_REGISTRY.values()
        if event.direction is Direction.CLIENT_TO_SERVER
    }
    return {name: (spec, HIERARCHICAL) for name, spec in hierarchical.items()} | {
        name: (spec, LEGACY) for name, spec in legacy.items()
    }


_CLIENT_EVENTS = MappingProxyType(_client_events())


def receive(frame: bytes | str) -> Received:
    """Read a client's frame, in either dialect.

    Raises `MalformedMessage`, `UnknownEvent` or `InvalidPayload` (including `UnsupportedRate`), each with the
    ids of the message as far as they can be read. A dialect's `refuse` writes the answer.
    """
    envelope = Envelope.from_bytes(frame)
    spec, dialect = _CLIENT_EVENTS.get(envelope.event_type or "", (None, LEGACY))
    if spec is None or envelope.event_type is None:
        raise _unknown(envelope)
    return _understood(envelope, envelope.event_type, spec.name, spec.payload_type, dialect)


def receive_from_server(frame: bytes | str) -> Received:
    """Read a server's frame as a client of the hierarchical dialect. Raises the same as `receive`.

    An acknowledgement is the request's own event with an `Acknowledgement` as payload.
    """
    envelope = Envelope.from_bytes(frame)
    spec = REGISTRY.get(SYNONYMS.get(envelope.event_type or "", envelope.event_type or ""))
    if spec is None or envelope.event_type is None:
        raise _unknown(envelope)
    payload_type = spec.payload_type if spec.from_server else Acknowledgement
    return _understood(envelope, envelope.event_type, spec.name, payload_type, HIERARCHICAL)


def _unknown(envelope: Envelope) -> UnknownEvent:
    missing = envelope.event_type is None
    return UnknownEvent(
        "the message has no eventType" if missing else f"unknown event type {describe(envelope.event_type)}",
        wire_type=envelope.event_type,
        event_id=envelope.event_id,
        session_id=envelope.session_id,
    )


def _understood(
    envelope: Envelope, wire_type: str, event: str, payload_type: type[Payload], dialect: Dialect
) -> Received:
    try:
        payload = structure(payload_type, envelope.payload)
    except InvalidPayload as error:
        error.wire_type = wire_type
        error.event_id = envelope.event_id
        error.session_id = envelope.session_id
        raise
    return Received(event, wire_type, envelope.event_id, envelope.session_id, payload, dialect)
