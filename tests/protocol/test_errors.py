"""Error events: the reference's rules for legacy clients, and event names and payloads for `vantum.v2`."""

from typing import Any

import pytest

from protocol import (
    HIERARCHICAL,
    LEGACY,
    REGISTRY,
    AuthenticationFailed,
    BufferOverflow,
    ConnectionFailure,
    ContextTooLong,
    ErrorPayload,
    HeartbeatTimeout,
    InternalFailure,
    LlmFailed,
    LlmTimeout,
    LlmUnavailable,
    LowConfidence,
    MissingEventId,
    NoSession,
    ProtocolError,
    SessionFailure,
    SttFailed,
    SttUnavailable,
    TelephonyUnavailable,
    TtsUnavailable,
    UnintelligibleAudio,
    legacy_error_event,
    receive,
    receive_from_server,
)
from protocol.payloads import LowConfidencePayload
from tests.protocol.frames import EVENT_ID, FRESH_ID, NOW, SESSION_ID, frame, raw, read

OWN_SESSION = "0190b1b2-0000-7000-8000-0000000000bb"


def legacy(error: ProtocolError) -> dict[str, Any]:
    return read(LEGACY.refuse(error, event_id=FRESH_ID, session_id=OWN_SESSION, timestamp=NOW))


def hierarchical(error: ProtocolError) -> dict[str, Any]:
    return read(HIERARCHICAL.refuse(error, event_id=FRESH_ID, session_id=OWN_SESSION, timestamp=NOW))


def refused(sent: bytes | str) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        receive(sent)
    return caught.value


@pytest.mark.parametrize(
    ("request_type", "error_event"),
    [
        ("voicechat.audio.start", "voicechat.audio.error"),
        ("voicechat.audio.chunk", "voicechat.audio.error"),
        ("voicechat.audio.end", "voicechat.audio.error"),
        ("voicechat.response.start", "voicechat.response.error"),
        ("chat.message.send", "chat.message.error"),
        ("audio.input.start", "audio.input.error"),
        ("error.unknown", "error.error"),
        ("error.connection", "error.error"),
        ("nodots", "error.unknown"),
        ("", "error.unknown"),
        ("trailing.", "trailing.error"),
    ],
)
def test_the_legacy_error_event_is_the_request_with_its_last_part_replaced(
    request_type: str, error_event: str
) -> None:
    assert legacy_error_event(request_type) == error_event


# --- what a client did wrong: each row of the reference's table -------------------------------------------


@pytest.mark.parametrize("sent", [b"\xc1", b"", "text"])
def test_an_undecodable_frame_is_answered_without_a_session_under_a_new_id(sent: bytes | str) -> None:
    error = refused(sent)
    assert error.code == "INVALID_PAYLOAD"
    assert legacy(error) == {
        "eventType": "error.error",
        "eventId": FRESH_ID,
        "requestType": "error.unknown",
        "payload": {"message": str(error)},
    }


@pytest.mark.parametrize("value", [[1, 2], "text", 5, None, b"\0"])
def test_a_frame_that_is_not_a_map_is_answered_the_same_way(value: object) -> None:
    error = refused(raw(value))
    assert error.code == "INVALID_PAYLOAD"
    assert legacy(error)["requestType"] == "error.unknown"
    assert "sessionId" not in legacy(error)


@pytest.mark.parametrize("header", [{"eventType": 5}, {"eventId": 5}, {"eventType": [1]}])
def test_a_header_of_a_wrong_type_is_answered_with_the_session_it_names(header: dict[str, object]) -> None:
    error = refused(frame("voicechat.audio.start", {}, **header))
    answer = legacy(error)
    assert error.code == "INVALID_PAYLOAD"
    assert (answer["eventType"], answer["requestType"]) == ("error.error", "error.unknown")
    assert answer["sessionId"] == SESSION_ID
    assert answer["eventId"] == (FRESH_ID if "eventId" in header else EVENT_ID)
    assert answer["payload"]["message"].startswith(f"{next(iter(header))} must be a string, got ")


def test_a_session_id_of_a_wrong_type_is_not_echoed() -> None:
    answer = legacy(refused(frame("voicechat.audio.start", {}, sessionId=5)))
    assert "sessionId" not in answer
    assert answer["eventId"] == EVENT_ID


@pytest.mark.parametrize(
    ("event_type", "error_event"),
    [("chat.message.send", "chat.message.error"), ("nonsense", "error.unknown"), ("a.b", "a.error")],
)
def test_an_unknown_event_is_answered_under_the_type_it_gave(event_type: str, error_event: str) -> None:
    error = refused(frame(event_type, {}))
    assert error.code == "INVALID_PAYLOAD"
    assert legacy(error) == {
        "eventType": error_event,
        "eventId": EVENT_ID,
        "sessionId": SESSION_ID,
        "requestType": event_type,
        "payload": {"message": f"unknown event type {event_type!r}"},
    }


@pytest.mark.parametrize("event_type", [None, ""])
def test_a_missing_event_type_is_answered_under_the_placeholder(event_type: object) -> None:
    answer = legacy(refused(frame(event_type, {})))
    assert (answer["eventType"], answer["requestType"]) == ("error.error", "error.unknown")
    assert answer["payload"]["message"] == "the message has no eventType"


@pytest.mark.parametrize(
    "event_type",
    [
        "connection.ack",
        "voicechat.response.chunk",
        "audio.output.start",
        "system.status.ready",
        "voicechat.error",
    ],
)
def test_an_event_that_only_the_server_sends_is_unknown_from_a_client(event_type: str) -> None:
    error = refused(frame(event_type, {"success": True}))
    assert event_type in str(error)
    assert legacy(error)["requestType"] == event_type


@pytest.mark.parametrize(
    ("wire_type", "body"),
    [
        ("voicechat.audio.start", {"samplingRate": -1}),
        ("voicechat.audio.start", {"samplingRate": 96000}),
        ("voicechat.audio.start", {"voiceId": 5}),
        ("voicechat.audio.start", None),
        ("voicechat.audio.chunk", {"audio": "text"}),
        ("voicechat.audio.chunk", {}),
        ("voicechat.audio.end", [1]),
        ("voicechat.audio.end", None),
    ],
)
def test_a_wrong_payload_is_answered_with_the_requests_ids(wire_type: str, body: object) -> None:
    error = refused(frame(wire_type, body))
    assert error.code == "INVALID_PAYLOAD"
    assert legacy(error) == {
        "eventType": "voicechat.audio.error",
        "eventId": EVENT_ID,
        "sessionId": SESSION_ID,
        "requestType": wire_type,
        "payload": {"message": str(error)},
    }


def test_a_request_without_ids_is_answered_with_a_new_id_and_the_sockets_session() -> None:
    answer = legacy(refused(frame("voicechat.audio.chunk", {}, eventId=None, sessionId=None)))
    assert (answer["eventId"], answer["sessionId"]) == (FRESH_ID, OWN_SESSION)


def test_a_rate_out_of_range_names_bounds_and_value() -> None:
    message = legacy(refused(frame("voicechat.audio.start", {"samplingRate": 96000})))["payload"]["message"]
    assert message == "samplingRate must be from 8000 to 48000 Hz, got 96000"


def test_a_request_that_cannot_be_acknowledged_is_an_invalid_payload() -> None:
    error = MissingEventId("voicechat.audio.start", SESSION_ID)
    assert error.code == "INVALID_PAYLOAD"
    assert legacy(error)["eventType"] == "voicechat.audio.error"
    assert legacy(error)["eventId"] == FRESH_ID
    assert hierarchical(MissingEventId("audio.input.stop"))["eventType"] == "audio.error.invalid_format"


def test_a_socket_without_a_session_gets_a_new_event_id_and_no_session() -> None:
    error = NoSession("the call is over", wire_type="voicechat.audio.start")
    assert error.code == "SESSION_ERROR"
    assert legacy(error) == {
        "eventType": "voicechat.audio.error",
        "eventId": FRESH_ID,
        "requestType": "voicechat.audio.start",
        "payload": {"message": "the call is over"},
    }


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        (SttUnavailable, "INTERNAL_ERROR"),
        (InternalFailure, "INTERNAL_ERROR"),
        (SessionFailure, "SESSION_ERROR"),
    ],
)
def test_a_request_that_failed_on_our_side_is_answered_under_its_type(
    error_type: type[ProtocolError], code: str
) -> None:
    error = error_type("no", wire_type="voicechat.audio.start", event_id=EVENT_ID, session_id=SESSION_ID)
    assert error.code == code
    answer = legacy(error)
    assert (answer["eventType"], answer["requestType"]) == ("voicechat.audio.error", "voicechat.audio.start")
    assert (answer["eventId"], answer["sessionId"]) == (EVENT_ID, SESSION_ID)


def test_an_error_of_the_socket_is_answered_under_its_placeholder() -> None:
    error = ConnectionFailure("broken pipe")
    assert error.code == "CONNECTION_ERROR"
    assert (legacy(error)["eventType"], legacy(error)["requestType"]) == ("error.error", "error.connection")


def test_legacy_clients_are_told_of_failing_speech_without_a_request() -> None:
    error = TtsUnavailable("the voice is gone", error_type="synthesis", retryable=True)
    assert error.code == "TTS_ERROR"
    assert legacy(error) == {
        "eventType": "voicechat.error",
        "eventId": FRESH_ID,
        "sessionId": OWN_SESSION,
        "payload": {"errorType": "synthesis", "message": "the voice is gone", "retryable": True},
    }


@pytest.mark.parametrize(
    "error",
    [
        SttUnavailable("x"),
        SttFailed("x"),
        LlmFailed("x"),
        LlmTimeout("x"),
        LlmUnavailable("x"),
        ContextTooLong("x"),
    ],
)
def test_other_provider_failures_are_only_logged_for_legacy_clients(error: ProtocolError) -> None:
    assert LEGACY.refuse(error, event_id=FRESH_ID, session_id=OWN_SESSION, timestamp=NOW) is None


# --- hierarchical -----------------------------------------------------------------------------------------

HIERARCHICAL_ERRORS: list[tuple[ProtocolError, str, str]] = [
    (refused_error, name, code)
    for name, code, refused_error in [
        ("connection.error.general", "CONNECTION_ERROR", ConnectionFailure("x")),
        ("connection.error.timeout", "CONNECTION_ERROR", HeartbeatTimeout("x")),
        ("connection.error.auth_failed", "CONNECTION_ERROR", AuthenticationFailed("x")),
        ("audio.error.buffer_overflow", "AUDIO_ERROR", BufferOverflow("x", wire_type="audio.input.chunk")),
        ("audio.error.invalid_format", "AUDIO_ERROR", UnintelligibleAudio("x")),
        ("transcript.error.low_confidence", "STT_ERROR", LowConfidence("x", 0.2)),
        ("transcript.error.stt_failed", "STT_ERROR", SttFailed("x")),
        ("conversation.error.llm_timeout", "LLM_ERROR", LlmTimeout("x")),
        ("conversation.error.llm_failed", "LLM_ERROR", LlmFailed("x")),
        ("conversation.error.context_too_long", "LLM_ERROR", ContextTooLong("x")),
        ("error.general.unknown", "UNKNOWN_ERROR", ProtocolError("x")),
        ("error.general.internal_server_error", "INTERNAL_ERROR", InternalFailure("x")),
        ("error.service.stt_unavailable", "INTERNAL_ERROR", SttUnavailable("x")),
        ("error.service.llm_unavailable", "LLM_ERROR", LlmUnavailable("x")),
        (
            "error.service.tts_unavailable",
            "TTS_ERROR",
            TtsUnavailable("x", error_type="fatal", retryable=False),
        ),
        ("error.service.telephony_unavailable", "CONNECTION_ERROR", TelephonyUnavailable("x")),
    ]
]


@pytest.mark.parametrize(("error", "name", "code"), HIERARCHICAL_ERRORS)
def test_an_error_without_a_request_has_its_own_event(error: ProtocolError, name: str, code: str) -> None:
    sent = hierarchical(error)
    assert (sent["eventType"], sent["eventId"], sent["sessionId"]) == (name, FRESH_ID, OWN_SESSION)
    assert sent["payload"]["error"] == {"message": "x", "code": code, "timestamp": NOW}
    assert "requestEventId" not in sent["payload"]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"\xc1", "error.general.unknown"),
        (frame("weather.forecast.get", {}), "error.general.unknown"),
        (frame("audio.input.start", {"samplingRate": "fast"}), "audio.error.invalid_format"),
        (frame("audio.input.start", {"samplingRate": 96000}), "audio.error.unsupported_rate"),
        (frame("voicechat.audio.chunk", {}), "audio.error.invalid_format"),
        (frame("user.action.mute", {}), "error.general.unknown"),
        (frame("connection.lifecycle.heartbeat", {}), "connection.error.general"),
    ],
)
def test_a_wrong_message_is_answered_by_the_error_event_of_its_domain(sent: bytes, name: str) -> None:
    assert hierarchical(refused(sent))["eventType"] == name


def test_a_hierarchical_error_names_the_request_it_is_about() -> None:
    sent = hierarchical(refused(frame("audio.input.start", {"samplingRate": 96000})))
    assert (sent["eventId"], sent["sessionId"], sent["requestType"]) == (
        EVENT_ID,
        SESSION_ID,
        "audio.input.start",
    )
    assert sent["payload"] == {
        "requestType": "audio.input.start",
        "requestEventId": EVENT_ID,
        "error": {
            "message": "samplingRate must be from 8000 to 48000 Hz, got 96000",
            "code": "INVALID_PAYLOAD",
            "timestamp": NOW,
        },
    }


def test_low_confidence_says_how_low() -> None:
    frame = HIERARCHICAL.refuse(
        LowConfidence("unclear", 0.25), event_id=FRESH_ID, session_id=None, timestamp=NOW
    )
    assert frame is not None
    payload = receive_from_server(frame).payload
    assert isinstance(payload, LowConfidencePayload)
    assert payload.confidence == 0.25


def test_every_hierarchical_error_event_has_an_error_that_causes_it() -> None:
    caused = {name for _, name, _ in HIERARCHICAL_ERRORS} | {
        "audio.error.invalid_format",
        "audio.error.unsupported_rate",
    }
    assert caused == {spec.name for spec in REGISTRY.values() if issubclass(spec.payload_type, ErrorPayload)}
