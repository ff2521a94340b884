"""Twilio's Media Streams: messages as in Twilio's documentation, and malformed ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidPayload, MalformedMessage, ProtocolError, UnknownEvent
from protocol.twilio import (
    DIGITS,
    MAX_STREAM_MESSAGE_BYTES,
    Clear,
    Connected,
    Digit,
    Mark,
    Media,
    Started,
    Stopped,
    StreamMessage,
    read_stream_message,
    write_stream_message,
)

STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": "AC0",
        "streamSid": STREAM,
        "callSid": "CA0",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"FirstName": "Jane", "RemoteParty": "Bob"},
    },
    "streamSid": STREAM,
}
FROM_TWILIO = [
    ({"event": "connected", "protocol": "Call", "version": "1.0.0"}, Connected()),
    (START, Started(STREAM, "CA0", "AC0", {"FirstName": "Jane", "RemoteParty": "Bob"})),
    (
        {
            "event": "media",
            "sequenceNumber": "3",
            "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": "no+JhoaJjpz"},
            "streamSid": STREAM,
        },
        None,
    ),
    (
        {
            "event": "media",
            "sequenceNumber": "4",
            "media": {"track": "outbound", "chunk": "2", "timestamp": "25", "payload": "/38A"},
            "streamSid": STREAM,
        },
        Media(b"\xff\x7f\x00", "outbound", 25),
    ),
    (
        {
            "event": "dtmf",
            "streamSid": STREAM,
            "sequenceNumber": "5",
            "dtmf": {"track": "inbound_track", "digit": "1"},
        },
        Digit("1"),
    ),
    (
        {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "my label"}},
        Mark("my label"),
    ),
    (
        {
            "event": "stop",
            "sequenceNumber": "5",
            "stop": {"accountSid": "AC0", "callSid": "CA0"},
            "streamSid": STREAM,
        },
        Stopped("CA0"),
    ),
]


@pytest.mark.parametrize(("shown", "meant"), FROM_TWILIO)
def test_messages_are_read_as_twilio_documents_them(
    shown: dict[str, Any], meant: StreamMessage | None
) -> None:
    if meant is None:  # the payload in the documentation is cut off, so it is not valid base64
        with pytest.raises(InvalidPayload, match="payload of media must be base64"):
            read_stream_message(json.dumps(shown))
    else:
        assert read_stream_message(json.dumps(shown)) == meant


def test_messages_are_written_as_twilio_documents_them() -> None:
    assert json.loads(write_stream_message(Media(b"\xff\x7f\x00"), STREAM)) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": "/38A"},
    }
    assert json.loads(write_stream_message(Mark("my label"), STREAM)) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": "my label"},
    }
    assert json.loads(write_stream_message(Clear(), STREAM)) == {"event": "clear", "streamSid": STREAM}


TEXTS = st.text(min_size=1, max_size=40)
MESSAGES = st.one_of(
    st.builds(Connected, TEXTS, TEXTS),
    st.builds(Started, TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, st.text(max_size=40), max_size=4)),
    st.builds(Media, st.binary(min_size=1, max_size=400), st.just("inbound"), st.integers(0, 10**9)),
    st.builds(Digit, st.sampled_from(DIGITS)),
    st.builds(Mark, TEXTS),
    st.just(Clear()),
    st.builds(Stopped, TEXTS),
)


@given(MESSAGES, st.integers(1, 10**6))
def test_a_written_message_is_read_the_same(message: StreamMessage, sequence: int) -> None:
    assert read_stream_message(write_stream_message(message, STREAM, sequence)) == message


WRONG = [
    (b"{}", MalformedMessage, "Twilio sends text, got 2 bytes"),
    ("{", MalformedMessage, "not JSON"),
    ("[]", MalformedMessage, "must be a JSON object, got an array of 0"),
    ("[" * 20_000, MalformedMessage, "not JSON"),
    ("x" * (MAX_STREAM_MESSAGE_BYTES + 1), MalformedMessage, "none of Twilio's"),
    ("{}", UnknownEvent, "event must be one of connected, start, media"),
    ('{"event": ["media"]}', UnknownEvent, "got an array of 1"),
    ('{"event": "future"}', UnknownEvent, "got 'future'"),
    ('{"event": "media"}', InvalidPayload, "media of media must be an object, got None"),
    ('{"event": "media", "media": {"payload": 5}}', InvalidPayload, "media.payload of media must be a text"),
    ('{"event": "media", "media": {"payload": ""}}', InvalidPayload, "media.payload of media must be a text"),
    ('{"event": "media", "media": {"payload": "é"}}', InvalidPayload, "must be base64"),
    (
        '{"event": "media", "media": {"payload": "/w==", "timestamp": "soon"}}',
        InvalidPayload,
        "media.timestamp of media must be a whole number, got 'soon'",
    ),
    (
        '{"event": "dtmf", "dtmf": {"digit": "12"}}',
        InvalidPayload,
        "dtmf.digit of dtmf must be one of 0123456789",
    ),
    ('{"event": "mark", "mark": {}}', InvalidPayload, "mark.name of mark must be a text, got None"),
    ('{"event": "start", "start": {"streamSid": "MZ"}}', InvalidPayload, "start.callSid of start must be"),
    ('{"event": "start", "start": {"callSid": "CA"}}', InvalidPayload, "start.streamSid of start must be"),
]


@pytest.mark.parametrize(("frame", "error", "said"), WRONG)
def test_a_malformed_message_is_refused_with_the_reason(
    frame: str | bytes, error: type[ProtocolError], said: str
) -> None:
    with pytest.raises(error) as raised:
        read_stream_message(frame)
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "encoding",
            "audio/opus",
            "start.mediaFormat.encoding of start must be audio/x-mulaw, got 'audio/opus'",
        ),
        ("sampleRate", 16000, "start.mediaFormat.sampleRate of start must be 8000, got 16000"),
        ("channels", 2, "start.mediaFormat.channels of start must be 1, got 2"),
    ],
)
def test_audio_of_another_kind_is_refused(field: str, value: object, said: str) -> None:
    kind = {**START["start"]["mediaFormat"], field: value}
    frame = json.dumps({**START, "start": {**START["start"], "mediaFormat": kind}})
    with pytest.raises(InvalidPayload) as raised:
        read_stream_message(frame)
    assert raised.value.message == said


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(["event", "media", "start", "mark", "payload", "callSid"]), each
            )
        ),
    )
)
def test_any_frame_is_a_message_or_a_documented_error(content: object) -> None:
    try:
        assert isinstance(read_stream_message(json.dumps(content)), StreamMessage)
    except ProtocolError as error:
        assert error.message


def test_only_messages_can_be_written() -> None:
    with pytest.raises(TypeError, match="StreamMessage is not a message"):
        write_stream_message(StreamMessage(), STREAM)
