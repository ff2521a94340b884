"""Twilio's Media Streams: messages as in Twilio's documentation, and malformed ones."""

from __future__ import annotations

import base64
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
    Manner,
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
        Media(base64.b64decode("no+JhoaJjpz=")),  # the payload in the documentation has no padding
    ),
    (
        {
            "event": "media",
            "sequenceNumber": "4",
            "media": {"track": "outbound", "chunk": "2", "timestamp": "25", "payload": "/38A"},
            "streamSid": STREAM,
        },
        Media(b"\xff\x7f\x00", "outbound"),
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
def test_messages_are_read_as_twilio_documents_them(shown: dict[str, Any], meant: StreamMessage) -> None:
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
    (b"\xff{}", MalformedMessage, "not JSON"),
    (b"{}", UnknownEvent, "event must be one of"),
    ("{", MalformedMessage, "not JSON"),
    ("[]", MalformedMessage, "must be a JSON object, got an array of 0"),
    ("[" * 20_000, MalformedMessage, "not JSON"),
    ("x" * (MAX_STREAM_MESSAGE_BYTES + 1), MalformedMessage, "not one of Twilio's"),
    ("{}", UnknownEvent, "event must be one of connected, start, media"),
    ('{"event": ["media"]}', UnknownEvent, "got an array of 1"),
    ('{"event": "future"}', UnknownEvent, "got 'future'"),
    ('{"event": "media"}', InvalidPayload, "media of media must be an object, got None"),
    ('{"event": "media", "media": {"payload": []}}', InvalidPayload, "media.payload of media must be a text"),
    ('{"event": "media", "media": {"payload": "é"}}', InvalidPayload, "must be base64"),
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
            "the stream's audio is 'audio/opus', and only audio/x-mulaw (PCMU) at 8000 Hz can be taken:"
            " set the carrier's stream to it",
        ),
        ("sampleRate", 16000, "the stream's audio has 16000 Hz, and only 8000 can be taken"),
        ("sampleRate", "16000", "the stream's audio has 16000 Hz, and only 8000 can be taken"),
        ("channels", "2", "the stream's audio has 2 channels, and only 1 can be taken"),
    ],
)
def test_audio_of_another_kind_is_refused(field: str, value: object, said: str) -> None:
    kind = {**START["start"]["mediaFormat"], field: value}
    frame = json.dumps({**START, "start": {**START["start"], "mediaFormat": kind}})
    with pytest.raises(InvalidPayload) as raised:
        read_stream_message(frame)
    assert raised.value.message == said


# --- what carriers send that Twilio does not document -------------------------------------------------------

JUNK: list[object] = [None, 0, 8000, 7162.5, True, "", "soon", "7162.5", [], [1], {}, {"a": {"b": None}}]
UNUSED = [
    ("connected", "protocol"),
    ("connected", "version"),
    ("start", "sequenceNumber"),
    ("start", "start.tracks"),
    ("start", "start.accountSid"),
    ("media", "sequenceNumber"),
    ("media", "media.chunk"),
    ("media", "media.timestamp"),
    ("media", "streamSid"),
    ("dtmf", "dtmf.track"),
    ("stop", "stop.callSid"),
    ("stop", "stop"),
]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize(("event", "path"), UNUSED)
def test_what_is_not_used_is_not_checked(event: str, path: str, junk: object) -> None:
    shown = next(each for each, _ in FROM_TWILIO if each["event"] == event)
    changed = json.loads(json.dumps(shown))
    *outer, name = path.split(".")
    inner = changed
    for each in outer:
        inner = inner[each]
    inner[name] = junk
    read, meant = read_stream_message(json.dumps(changed)), read_stream_message(json.dumps(shown))
    match read, meant:
        case Started(), Started():
            assert (read.stream_sid, read.call_sid, read.parameters) == (
                meant.stream_sid,
                meant.call_sid,
                meant.parameters,
            )
        case Media() | Digit(), _:
            assert read == meant
        case _:
            assert type(read) is type(meant)


def changed_start(**changes: object) -> str:
    return json.dumps({**START, "start": {**START["start"], **changes}})


@pytest.mark.parametrize("rate", [8000, "8000", 8000.0, " 8000 ", "8000.0", None, ""])
@pytest.mark.parametrize("encoding", ["audio/x-mulaw", "PCMU", "mulaw", "ulaw", "audio/PCMU", None])
def test_numbers_may_be_texts_and_the_codec_has_many_names(rate: object, encoding: object) -> None:
    format_ = {"encoding": encoding, "sampleRate": rate, "channels": "1"}
    assert isinstance(read_stream_message(changed_start(mediaFormat=format_)), Started)


def test_parameters_may_be_numbers() -> None:
    given = {"visit": 7, "share": 0.5, "new": True, "nothing": None, "more": {"a": 1}, "name": "Jane"}
    started = read_stream_message(changed_start(customParameters=given))
    assert isinstance(started, Started)
    assert started.parameters == {"visit": "7", "share": "0.5", "new": "true", "name": "Jane"}


@pytest.mark.parametrize("given", [None, [], "x", 5])
def test_parameters_that_are_none_are_no_parameters(given: object) -> None:
    started = read_stream_message(changed_start(customParameters=given))
    assert isinstance(started, Started)
    assert started.parameters == {}


def test_names_may_be_written_with_underscores() -> None:
    start = {
        "event": "start",
        "stream_sid": STREAM,
        "start": {
            "stream_sid": STREAM,
            "call_sid": "CA0",
            "media_format": {"encoding": "PCMU", "sample_rate": "8000"},
            "custom_parameters": {"token": "t"},
        },
    }
    assert read_stream_message(json.dumps(start)) == Started(STREAM, "CA0", "", {"token": "t"})
    start["start"]["media_format"] = {"encoding": "audio/x-raw", "sample_rate": "8000"}  # type: ignore[index]
    with pytest.raises(InvalidPayload, match=r"audio is 'audio/x-raw'.*set the carrier's stream to it"):
        read_stream_message(json.dumps(start))


TELNYX_START = {
    "event": "start",
    "sequence_number": "1",
    "start": {
        "user_id": "u1",
        "call_control_id": "v2:x",
        "client_state": "",
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    },
    "stream_id": "32de",
}
PLIVO_START = {
    "sequenceNumber": 0,
    "event": "start",
    "start": {
        "callId": "c1",
        "streamId": "s1",
        "accountId": "a1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    },
    "extra_headers": '{"X-PH-token": "t"}',
}


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (TELNYX_START, Started("32de", "v2:x", "u1")),
        (PLIVO_START, Started("s1", "c1", "a1", {"token": "t"}, Manner.PLIVO)),
        ({**PLIVO_START, "extra_headers": "{}"}, Started("s1", "c1", "a1", {}, Manner.PLIVO)),
        ({**PLIVO_START, "extra_headers": "a=b"}, Started("s1", "c1", "a1", {}, Manner.PLIVO)),
        ({"event": "stop", "stop": {"call_control_id": "v2:x"}, "stream_id": "32de"}, Stopped("v2:x")),
        ({"event": "dtmf", "dtmf": {"digit": "1"}, "stream_id": "32de"}, Digit("1")),
        ({"event": "mark", "mark": {"name": "a"}, "stream_id": "32de"}, Mark("a")),
        ({"event": "playedStream", "name": "a"}, Mark("a")),
        ({"event": "media", "media": {"payload": "/38A", "track": "inbound"}}, Media(b"\xff\x7f\x00")),
    ],
)
def test_other_carriers_messages_are_understood(content: dict[str, Any], meant: StreamMessage) -> None:
    for frame in (json.dumps(content), json.dumps(content).encode(), "\ufeff" + json.dumps(content)):
        assert read_stream_message(frame) == meant


@pytest.mark.parametrize(
    "encoding",
    ["PCMU@8000h", "audio/mulaw;rate=8000", "audio/PCMU;rate=8000", "G711_ULAW", "mu-law", "g711-ulaw"],
)
def test_the_codec_may_be_named_with_its_rate(encoding: str) -> None:
    assert isinstance(read_stream_message(changed_start(mediaFormat={"encoding": encoding})), Started)


@pytest.mark.parametrize("payload", ["", None, "  "])
def test_a_frame_without_audio_is_no_fault(payload: str | None) -> None:
    frame = json.dumps({"event": "media", "media": {"payload": payload}})
    assert read_stream_message(frame) == Media(b"")


def test_plivo_is_told_in_its_own_words() -> None:
    def written(message: StreamMessage) -> object:
        return json.loads(write_stream_message(message, "s1", manner=Manner.PLIVO))

    media = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": "/38A"}
    assert written(Media(b"\xff\x7f\x00")) == {"event": "playAudio", "media": media, "streamId": "s1"}
    assert written(Mark("a")) == {"event": "checkpoint", "name": "a", "streamId": "s1"}
    assert written(Clear()) == {"event": "clearAudio", "streamId": "s1"}
    for message in (Media(b"\xff"), Mark("a"), Clear()):
        assert read_stream_message(json.dumps(written(message))) == message


@given(st.binary(min_size=1, max_size=200), st.booleans(), st.booleans(), st.booleans())
def test_audio_is_read_in_every_spelling_of_base64(
    audio: bytes, padded: bool, safe: bool, broken: bool
) -> None:
    payload = (base64.urlsafe_b64encode if safe else base64.b64encode)(audio).decode()
    payload = payload if padded else payload.rstrip("=")
    payload = "\r\n".join([payload[:5], payload[5:]]) if broken else payload
    assert read_stream_message(json.dumps({"event": "media", "media": {"payload": payload}})) == Media(audio)


@pytest.mark.parametrize("track", [None, "", "inbound", "inbound_track", "INBOUND", 0])
def test_audio_is_the_callers_unless_its_track_says_otherwise(track: object) -> None:
    media = {"event": "media", "media": {"payload": "/38A", "track": track}}
    if track is None:
        del media["media"]["track"]  # type: ignore[attr-defined]
    assert read_stream_message(json.dumps(media)) == Media(b"\xff\x7f\x00")


@pytest.mark.parametrize(
    "frame",
    [{"dtmf": {"digit": "a"}}, {"digit": "A"}, {"dtmf": None, "digit": "a"}, {"dtmf": {"digit": " A"}}],
)
def test_a_key_is_found_wherever_it_is(frame: dict[str, object]) -> None:
    assert read_stream_message(json.dumps({"event": "dtmf", **frame})) == Digit("A")


def test_a_key_may_be_a_number() -> None:
    assert read_stream_message('{"event": "dtmf", "dtmf": {"digit": 5}}') == Digit("5")


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
