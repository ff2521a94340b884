"""The two dialects: how each writes the same payloads, and that both are read."""

from typing import Any

import pytest

from protocol import (
    HIERARCHICAL,
    LEGACY,
    Acknowledgement,
    AudioInputChunk,
    AudioInputStart,
    AudioInputStop,
    AudioOutputCancel,
    AudioOutputChunk,
    AudioOutputComplete,
    AudioOutputStart,
    ConnectionAck,
    ConversationResponseComplete,
    ConversationResponseStart,
    ConversationResponseToken,
    ConversationStateChanged,
    ConversationStateInterrupted,
    Dialect,
    Disconnect,
    ErrorDetail,
    ErrorPayload,
    Heartbeat,
    Payload,
    SystemBusy,
    SystemReady,
    TranscriptResult,
    UnknownEvent,
    dialect_for_subprotocol,
    dialect_of,
    receive,
    receive_from_server,
)
from tests.protocol.frames import EVENT_ID, FRESH_ID, NOW, SESSION_ID, UTTERANCE_ID, frame, read

AUDIO = bytes(range(256)) * 4

LEGACY_MESSAGES: list[tuple[Payload, str, dict[str, Any]]] = [
    (ConnectionAck(SESSION_ID), "connection.ack", {"success": True}),
    (
        AudioOutputStart(UTTERANCE_ID, 48000, NOW),
        "voicechat.response.start",
        {"utteranceId": UTTERANCE_ID, "timestamp": NOW},
    ),
    (
        AudioOutputChunk(AUDIO, UTTERANCE_ID, 48000, NOW),
        "voicechat.response.chunk",
        {"audio": AUDIO, "utteranceId": UTTERANCE_ID, "sampleRate": 48000},
    ),
    (
        AudioOutputComplete(UTTERANCE_ID, 812.5, NOW),
        "voicechat.response.complete",
        {"utteranceId": UTTERANCE_ID},
    ),
    (
        AudioOutputCancel(UTTERANCE_ID, "interrupted", NOW),
        "voicechat.response.interrupt",
        {"utteranceId": UTTERANCE_ID, "timestamp": NOW},
    ),
    (
        AudioOutputCancel(UTTERANCE_ID, "failed", NOW),
        "voicechat.response.stop",
        {"utteranceId": UTTERANCE_ID, "timestamp": NOW},
    ),
    (
        AudioInputStart(44100, "en-US", "v"),
        "voicechat.audio.start",
        {"samplingRate": 44100, "language": "en-US", "voiceId": "v"},
    ),
    (AudioInputChunk(AUDIO, NOW), "voicechat.audio.chunk", {"audio": AUDIO, "isMuted": False}),
    (AudioInputStop("done"), "voicechat.audio.end", {}),
]


@pytest.mark.parametrize(("payload", "event_type", "body"), LEGACY_MESSAGES)
def test_legacy_messages_have_the_references_names_and_fields(
    payload: Payload, event_type: str, body: dict[str, Any]
) -> None:
    assert read(LEGACY.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID)) == {
        "eventType": event_type,
        "eventId": FRESH_ID,
        "sessionId": SESSION_ID,
        "payload": body,
    }


@pytest.mark.parametrize(
    "payload",
    [
        TranscriptResult("hello", 0.9, True, 800.0),
        ConversationStateChanged("LISTENING", "THINKING", NOW),
        ConversationStateInterrupted("One moment", NOW),
        ConversationResponseStart(NOW),
        ConversationResponseToken("Yes", 0),
        ConversationResponseComplete("Yes.", 1, 300.0),
        SystemReady(NOW),
        SystemBusy(4, 4),
        Heartbeat(NOW),
        Disconnect("shutdown", 1001),
    ],
)
def test_legacy_clients_get_only_events_that_they_know(payload: Payload) -> None:
    assert LEGACY.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID) is None
    assert HIERARCHICAL.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID) is not None


def test_hierarchical_audio_carries_the_superset_of_fields() -> None:
    def body(payload: Payload) -> tuple[str, dict[str, Any]]:
        message = read(HIERARCHICAL.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID))
        return message["eventType"], message["payload"]

    utterance = {"utteranceId": UTTERANCE_ID, "timestamp": NOW}
    assert body(AudioOutputStart(UTTERANCE_ID, 24000, NOW)) == (
        "audio.output.start",
        utterance | {"samplingRate": 24000},
    )
    assert body(AudioOutputChunk(AUDIO, UTTERANCE_ID, 24000, NOW)) == (
        "audio.output.chunk",
        utterance | {"audio": AUDIO, "samplingRate": 24000},
    )
    assert body(AudioOutputComplete(UTTERANCE_ID, 812.5, NOW)) == (
        "audio.output.complete",
        utterance | {"duration": 812.5},
    )
    assert body(AudioOutputCancel(UTTERANCE_ID, "interrupted", NOW)) == (
        "audio.output.cancel",
        utterance | {"reason": "interrupted"},
    )


def test_the_connection_ack_names_the_session_at_the_top_and_for_v2_inside_too() -> None:
    legacy = read(LEGACY.encode(ConnectionAck(SESSION_ID), session_id=SESSION_ID, event_id=FRESH_ID))
    hierarchical = read(
        HIERARCHICAL.encode(ConnectionAck(SESSION_ID), session_id=SESSION_ID, event_id=FRESH_ID)
    )
    assert legacy["sessionId"] == hierarchical["sessionId"] == SESSION_ID
    assert legacy["payload"] == {"success": True}
    assert hierarchical["payload"] == {"success": True, "sessionId": SESSION_ID}
    assert hierarchical["eventType"] == "connection.lifecycle.ack"


def test_a_transcripts_event_name_says_whether_it_is_final() -> None:
    def name(payload: TranscriptResult) -> Any:
        return read(HIERARCHICAL.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID))["eventType"]

    assert name(TranscriptResult("hel", 0.4, False)) == "transcript.interim.result"
    assert name(TranscriptResult("hello", 0.9, True, 800.0)) == "transcript.final.result"


@pytest.mark.parametrize("dialect", [LEGACY, HIERARCHICAL])
@pytest.mark.parametrize("wire_type", ["voicechat.audio.start", "audio.input.end"])
def test_an_acknowledgement_repeats_the_requests_type_and_ids(dialect: Dialect, wire_type: str) -> None:
    assert read(dialect.acknowledge(wire_type, EVENT_ID, SESSION_ID)) == {
        "eventType": wire_type,
        "eventId": EVENT_ID,
        "sessionId": SESSION_ID,
        "payload": {"success": True},
    }


@pytest.mark.parametrize("dialect", [LEGACY, HIERARCHICAL])
@pytest.mark.parametrize(
    "payload", [Acknowledgement(), ErrorPayload("error.unknown", ErrorDetail("m", "UNKNOWN_ERROR", NOW))]
)
def test_answers_to_requests_are_not_encoded_by_payload_alone(dialect: Dialect, payload: Payload) -> None:
    with pytest.raises(TypeError, match="use acknowledge"):
        dialect.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID)


# --- choosing ---------------------------------------------------------------------------------------------


def test_the_subprotocol_chooses_and_none_means_legacy() -> None:
    assert dialect_for_subprotocol("vantum.v2") is HIERARCHICAL
    assert dialect_for_subprotocol(None) is LEGACY
    assert dialect_for_subprotocol("chat") is LEGACY
    assert (LEGACY.subprotocol, HIERARCHICAL.subprotocol) == (None, "vantum.v2")
    assert (LEGACY.name, HIERARCHICAL.name) == ("legacy", "hierarchical")


def test_a_name_tells_its_dialect() -> None:
    assert dialect_of("voicechat.audio.end") is LEGACY
    assert dialect_of("audio.input.stop") is HIERARCHICAL
    assert dialect_of("audio.input.end") is HIERARCHICAL
    assert dialect_of("chat.message.send") is None
    assert dialect_of(None) is None


# --- understanding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire_type", "event", "dialect", "body", "payload"),
    [
        (
            "voicechat.audio.start",
            "audio.input.start",
            LEGACY,
            {"samplingRate": 48000, "language": "en-US", "voiceId": "v"},
            AudioInputStart(48000, "en-US", "v"),
        ),
        (
            "voicechat.audio.chunk",
            "audio.input.chunk",
            LEGACY,
            {"audio": AUDIO, "isMuted": False},
            AudioInputChunk(AUDIO),
        ),
        ("voicechat.audio.end", "audio.input.stop", LEGACY, {}, AudioInputStop()),
        (
            "audio.input.start",
            "audio.input.start",
            HIERARCHICAL,
            {"samplingRate": 24000, "turnMode": "automatic"},
            AudioInputStart(24000, turn_mode="automatic"),
        ),
        (
            "audio.input.chunk",
            "audio.input.chunk",
            HIERARCHICAL,
            {"audio": AUDIO, "timestamp": NOW},
            AudioInputChunk(AUDIO, NOW),
        ),
        ("audio.input.stop", "audio.input.stop", HIERARCHICAL, {"reason": "x"}, AudioInputStop("x")),
        ("audio.input.end", "audio.input.stop", HIERARCHICAL, {}, AudioInputStop()),
        (
            "connection.lifecycle.heartbeat",
            "connection.lifecycle.heartbeat",
            HIERARCHICAL,
            {"timestamp": NOW},
            Heartbeat(NOW),
        ),
    ],
)
def test_both_dialects_are_read(
    wire_type: str, event: str, dialect: Dialect, body: dict[str, Any], payload: Payload
) -> None:
    received = receive(frame(wire_type, body))
    assert (received.event, received.wire_type, received.dialect) == (event, wire_type, dialect)
    assert (received.event_id, received.session_id) == (EVENT_ID, SESSION_ID)
    assert received.payload == payload


@pytest.mark.parametrize("missing", [None, ""])
def test_ids_may_be_missing_null_or_empty(missing: object) -> None:
    received = receive(frame("voicechat.audio.end", {}, eventId=missing, sessionId=missing))
    assert (received.event_id, received.session_id) == (None, None)


def test_extra_header_fields_are_ignored() -> None:
    received = receive(frame("audio.input.stop", {}, timestamp=NOW, trace={"id": [1, 2]}, requestType=5))
    assert received.payload == AudioInputStop()


def test_a_client_of_ours_understands_acknowledgements_and_errors() -> None:
    ack = receive_from_server(HIERARCHICAL.acknowledge("audio.input.end", EVENT_ID, SESSION_ID))
    assert (ack.event, ack.event_id, ack.payload) == ("audio.input.stop", EVENT_ID, Acknowledgement())
    with pytest.raises(UnknownEvent, match=r"unknown event type 'connection\.ack'"):
        receive_from_server(frame("connection.ack", {"success": True}))
    with pytest.raises(UnknownEvent, match="no eventType"):
        receive_from_server(frame(None, {}))
