"""Conformance with the reference's real MessagePack library, msgpackr, under Node.js, in both directions."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from protocol import (
    HIERARCHICAL,
    LEGACY,
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
    Disconnect,
    Heartbeat,
    InternalFailure,
    InvalidPayload,
    Latency,
    NoSession,
    Payload,
    ProtocolError,
    QuotaExceeded,
    RateLimitWarning,
    SystemBusy,
    SystemMaintenance,
    SystemReady,
    TranscriptResult,
    TtsUnavailable,
    UserEndCall,
    UserInterrupt,
    UserMute,
    UserSentiment,
    UserUnmute,
    pack,
    receive,
    unpack,
)
from tests.protocol.conftest import RunNode
from tests.protocol.frames import EVENT_ID, FRESH_ID, NOW, SESSION_ID, UTTERANCE_ID, frame, read

pytestmark = pytest.mark.node

PCM = bytes(index & 255 for index in range(8192))

EVERY_MESSAGE: list[Payload] = [
    ConnectionAck(SESSION_ID),
    Heartbeat(NOW),
    Disconnect("shutdown", 1001),
    AudioInputStart(48000, "en-US", "v", "manual"),
    AudioInputChunk(PCM, NOW),
    AudioInputStop(),
    AudioOutputStart(UTTERANCE_ID, 48000, NOW),
    AudioOutputChunk(PCM, UTTERANCE_ID, 48000, NOW),
    AudioOutputComplete(UTTERANCE_ID, 812.5, NOW),
    AudioOutputCancel(UTTERANCE_ID, "interrupted", NOW),
    AudioOutputCancel(UTTERANCE_ID, "ended", NOW),
    TranscriptResult("hel", 0.4, False, turn=1),
    TranscriptResult("hello", 0.9, True, 800.0, 1),
    ConversationStateChanged("LISTENING", "THINKING", NOW, "generating", "turn_ended", 1, 1),
    ConversationStateInterrupted("One", NOW, " moment", UTTERANCE_ID, 320.0),
    ConversationResponseStart(NOW, 1),
    ConversationResponseToken("Grüße 🙂", 0, 2**40),
    ConversationResponseComplete("Yes.", 1, 300.0, 1, Latency(1.0, 2.0, 3.0, 4.0, 10.0)),
    UserInterrupt(NOW),
    UserEndCall("bye"),
    UserMute(NOW),
    UserUnmute(NOW),
    UserSentiment("positive", NOW),
    SystemReady(NOW),
    SystemBusy(4, 4),
    SystemMaintenance(60_000.0),
    RateLimitWarning("llm", 3),
    QuotaExceeded("llm", NOW),
]


def sent_frames() -> list[bytes]:
    """A frame of everything that we send, in both dialects."""
    encoded = [
        dialect.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID)
        for payload in EVERY_MESSAGE
        for dialect in (LEGACY, HIERARCHICAL)
    ]
    errors = [
        dialect.refuse(error, event_id=FRESH_ID, session_id=SESSION_ID, timestamp=NOW)
        for error in (
            InternalFailure("no", wire_type="voicechat.audio.end", event_id=EVENT_ID),
            TtsUnavailable("no", error_type="timeout", retryable=True),
        )
        for dialect in (LEGACY, HIERARCHICAL)
    ]
    acks = [LEGACY.acknowledge("voicechat.audio.start", EVENT_ID, SESSION_ID)]
    return [sent for sent in (*encoded, *errors, *acks) if sent is not None]


def readable(value: object) -> object:
    """A decoded message in the form that `codec.mjs` prints."""
    match value:
        case bytes():
            return {"$bin": value.hex()}
        case dict():
            return {key: readable(item) for key, item in value.items()}
        case _:
            return value


# --- our frames in JavaScript -----------------------------------------------------------------------------


def test_every_frame_of_ours_reads_the_same_in_javascript_and_holds_no_bigint(run_node: RunNode) -> None:
    frames = sent_frames()
    decoded = run_node("codec.mjs", {"decode": [sent.hex() for sent in frames]})
    assert decoded == [readable(read(sent)) for sent in frames]


def test_every_frame_of_ours_survives_javascript_and_back(run_node: RunNode) -> None:
    frames = sent_frames()
    echoed = run_node("codec.mjs", {"echo": [sent.hex() for sent in frames]})
    assert [unpack(bytes.fromhex(back)) for back in echoed] == [unpack(sent) for sent in frames]


# --- frames from JavaScript -------------------------------------------------------------------------------


@pytest.fixture
def from_javascript(run_node: RunNode) -> Any:
    def encode(name: str) -> bytes:
        return bytes.fromhex(run_node("codec.mjs", {"encode": [name]})[0])

    return encode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("null", None),
        ("true", True),
        ("clock value", NOW),
        ("greatest uint32", 2**32 - 1),
        ("above uint32", 2**32),
        ("least int32", -(2**31)),
        ("below int32", -(2**31) - 1),
        ("fraction", 0.25),
        ("nan", math.nan),
        ("text", "voicechat.audio.start"),
        ("long text", "ä" * 300),
        ("no bytes", b""),
        ("255 bytes", PCM[:255]),
        ("8192 bytes", PCM),
        ("65536 bytes", PCM * 8),
        ("array buffer", PCM[:4]),
        ("buffer", PCM[:4]),
    ],
)
def test_a_value_has_the_same_bytes_on_both_sides(from_javascript: Any, name: str, value: object) -> None:
    assert pack(value) == from_javascript(name)


@pytest.mark.parametrize(
    ("name", "head", "value"),
    [
        ("empty map", b"\xde\x00\x00", {}),
        ("map of one", b"\xde\x00\x01", {"a": 1}),
        ("undefined", b"\xd4\x00\x00", None),
        ("undefined field", b"\xde\x00\x01\xa1a\xd4\x00\x00", {"a": None}),
        ("clock value", b"\xcb" + struct.pack(">d", NOW), NOW),
        ("255 bytes", b"\xc4\xff", PCM[:255]),
        ("8192 bytes", b"\xc5\x20\x00", PCM),
        ("65536 bytes", b"\xc6\x00\x01\x00\x00", PCM * 8),
    ],
)
def test_the_references_bytes_are_what_the_reference_says_and_are_read(
    from_javascript: Any, name: str, head: bytes, value: object
) -> None:
    sent = from_javascript(name)
    assert sent.startswith(head)
    assert unpack(sent) == value


@pytest.mark.parametrize(
    ("name", "event", "payload"),
    [
        ("start", "audio.input.start", AudioInputStart(16000, "en-US", "voice")),
        ("start at a fractional rate", "audio.input.start", AudioInputStart(44100)),
        ("start with nothing said", "audio.input.start", AudioInputStart()),
        ("start at NaN", "audio.input.start", AudioInputStart()),
        ("chunk", "audio.input.chunk", AudioInputChunk(PCM)),
        ("chunk of an array buffer", "audio.input.chunk", AudioInputChunk(PCM)),
        ("end", "audio.input.stop", AudioInputStop()),
        ("end without ids", "audio.input.stop", AudioInputStop()),
        ("v2 start", "audio.input.start", AudioInputStart(48000, turn_mode="automatic")),
        ("v2 chunk", "audio.input.chunk", AudioInputChunk(PCM[:1920], NOW)),
        ("v2 end", "audio.input.stop", AudioInputStop()),
        ("v2 interrupt", "user.action.interrupt", UserInterrupt(NOW)),
        ("a wide integer", "user.action.interrupt", UserInterrupt(NOW)),
    ],
)
def test_requests_of_a_javascript_client_are_read(
    from_javascript: Any, name: str, event: str, payload: Payload
) -> None:
    received = receive(from_javascript(name))
    assert (received.event, received.payload) == (event, payload)
    ids = (None, None) if name == "end without ids" else (EVENT_ID, SESSION_ID)
    assert (received.event_id, received.session_id) == ids


def test_a_javascript_date_is_not_a_timestamp(from_javascript: Any) -> None:
    with pytest.raises(InvalidPayload, match="timestamp must be a finite number, got a Timestamp"):
        receive(from_javascript("payload of a date"))


# --- the shipped client -----------------------------------------------------------------------------------


def frames_for_the_shipped_client(*payloads: Payload) -> list[dict[str, str]]:
    encoded = [LEGACY.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID) for payload in payloads]
    return [{"frame": sent.hex()} for sent in encoded if sent is not None]


def test_the_shipped_client_goes_through_a_call(run_node: RunNode) -> None:
    chunk = AudioOutputChunk(b"\x05\x00" * 9600, UTTERANCE_ID, 48000, NOW)
    steps = [
        *frames_for_the_shipped_client(ConnectionAck(SESSION_ID)),
        {"send": "voicechat.audio.start", "eventId": EVENT_ID},
        {"frame": LEGACY.acknowledge("voicechat.audio.start", EVENT_ID, SESSION_ID).hex()},
        {"send": "voicechat.audio.end", "eventId": UTTERANCE_ID},
        {"frame": LEGACY.acknowledge("voicechat.audio.end", UTTERANCE_ID, SESSION_ID).hex()},
        *frames_for_the_shipped_client(
            AudioOutputStart(UTTERANCE_ID, 48000, NOW),
            chunk,
            chunk,
            AudioOutputComplete(UTTERANCE_ID, 400.0, NOW),
        ),
        *frames_for_the_shipped_client(AudioOutputCancel(UTTERANCE_ID, "interrupted", NOW)),
        *frames_for_the_shipped_client(AudioOutputCancel(UTTERANCE_ID, "failed", NOW)),
    ]
    assert run_node("shipped_client.mjs", steps) == [
        f"session {SESSION_ID}",
        "acknowledged voicechat.audio.start",
        "acknowledged voicechat.audio.end",
        "start: playback stopped",
        "plays 9600 samples at 48000 Hz from 5",
        "plays 9600 samples at 48000 Hz from 5",
        "complete",
        "interrupt: playback stopped",
        "stop: playback stopped",
    ]


def test_the_shipped_client_shows_our_errors_and_mistakes_none_for_an_ack(run_node: RunNode) -> None:
    def told(error: ProtocolError) -> dict[str, str]:
        sent = LEGACY.refuse(error, event_id=FRESH_ID, session_id=SESSION_ID, timestamp=NOW)
        assert sent is not None
        return {"frame": sent.hex()}

    def refused(sent: bytes | str) -> dict[str, str]:
        with pytest.raises(ProtocolError) as caught:
            receive(sent)
        return told(caught.value)

    steps = [
        {"send": "voicechat.audio.start", "eventId": EVENT_ID},
        refused(frame("voicechat.audio.start", {"samplingRate": 96000})),
        refused("text"),
        refused(frame("chat.message.send", {})),
        refused(frame("nodots", {})),
        told(NoSession("the call is over", wire_type="voicechat.audio.end")),
        told(TtsUnavailable("the voice is gone", error_type="connection", retryable=True)),
    ]
    assert run_node("shipped_client.mjs", steps) == [
        "voicechat.audio.start: samplingRate must be from 8000 to 48000 Hz, got 96000",
        "error.unknown: a text frame of 4 characters; messages are binary MessagePack",
        "chat.message.send: unknown event type 'chat.message.send'",
        "unhandled event type error.unknown",
        "voicechat.audio.end: the call is over",
        "ERROR: the voice is gone",
        "timed out voicechat.audio.start",
    ]


def test_the_shipped_client_ignores_what_it_does_not_know(run_node: RunNode) -> None:
    payloads = [
        payload
        for payload in EVERY_MESSAGE
        if LEGACY.encode(payload, session_id=None, event_id=FRESH_ID) is None
    ]
    frames = [HIERARCHICAL.encode(payload, session_id=SESSION_ID, event_id=FRESH_ID) for payload in payloads]
    seen = run_node("shipped_client.mjs", [{"frame": sent.hex()} for sent in frames if sent is not None])
    assert len(seen) == len(payloads)
    assert all(line.startswith("unhandled event type ") for line in seen)
