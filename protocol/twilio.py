"""Twilio's Media Streams: the JSON messages of a phone call's WebSocket, in both directions.

Twilio sends `connected`, `start`, `media`, `dtmf`, `mark` and `stop`; we send `media`, `mark` and `clear`.
Audio is µ-law at 8000 Hz, mono. Carriers that speak nearly the same are understood: Telnyx, which has other
names for the stream and the call, and Plivo and Vobiz, which take what we send in other words. This module
reads and writes both directions, so that the simulated Twilio uses it, too.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from protocol.errors import InvalidPayload, MalformedMessage, UnknownEvent, describe

PHONE_RATE = 8_000
"""Hz. The sampling rate of telephone audio."""
ENCODING = "audio/x-mulaw"
"""Twilio's name for G.711 µ-law."""
MULAW_NAMES = ("mulaw", "ulaw", "pcmu", "g711ulaw", "g711mulaw", "g711u")
"""What carriers call it, without `audio/`, `x-`, hyphens, and a rate behind it ("PCMU@8000h")."""
INBOUND = "inbound"
"""The track with the caller's audio."""
MAX_START_BYTES = 64 * 1024
"""A message of a stream that was not let in yet. Twilio's are shorter than 1 KiB, or than 32 KiB with custom
parameters."""
MAX_STREAM_MESSAGE_BYTES = 512 * 1024
"""A message of a call. Some carriers put up to 30 s of audio into one: 320 KiB."""
DIGITS = "0123456789*#ABCD"
"""The keys of a telephone."""


class Manner(enum.Enum):
    """How a carrier words what we send to it."""

    TWILIO = "twilio"
    """`media`, `mark` and `clear`; Telnyx takes them, too."""
    PLIVO = "plivo"
    """`playAudio`, `checkpoint` (answered by `playedStream`) and `clearAudio`."""


@frozen
class StreamMessage:
    """Base class of the messages."""


@frozen
class Connected(StreamMessage):
    """The first message."""

    protocol: str = "Call"
    version: str = "1.0.0"


@frozen
class Started(StreamMessage):
    """The second message, about the call. The parameters are those of TwiML's `<Stream>`."""

    stream_sid: str
    call_sid: str
    account_sid: str = ""
    parameters: Mapping[str, str] = field(factory=dict)
    manner: Manner = Manner.TWILIO


@frozen
class Media(StreamMessage):
    """A piece of µ-law audio, which may be empty. From Twilio: 20 ms of the caller's `inbound` track."""

    audio: bytes
    track: str = INBOUND
    timestamp_ms: int = field(default=0, eq=False)
    """The time since the beginning of the stream. It is written and not read: order is that of arrival."""


@frozen
class Digit(StreamMessage):
    """The caller pressed a key."""

    digit: str


@frozen
class Mark(StreamMessage):
    """To Twilio: a name that it sends back when all audio before it was played, or dropped by `Clear`."""

    name: str


@frozen
class Clear(StreamMessage):
    """To Twilio: drop all audio that was not played yet."""


@frozen
class Stopped(StreamMessage):
    """The stream is over: the call ended, or went on with other TwiML."""

    call_sid: str = ""


# --- reading ----------------------------------------------------------------------------------------------
# Carriers that speak this protocol differ from Twilio in small ways. What is not used is not checked, a
# number may be a text and a text a number, and names may be written with underscores.


def read_stream_message(frame: str | bytes) -> StreamMessage:
    """The message of one frame.

    Raises:
        MalformedMessage: if it is not one JSON object, in a text or binary frame.
        UnknownEvent: if its `event` is not one of this protocol.
        InvalidPayload: if a field that is needed is missing or cannot be used.
    """
    if len(frame) > MAX_STREAM_MESSAGE_BYTES:
        raise MalformedMessage(f"a message of {len(frame)} characters is not one of Twilio's")
    try:
        text = frame.decode() if isinstance(frame, bytes) else frame
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"the message is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise MalformedMessage(f"the message must be a JSON object, got {describe(content)}")
    event = content.get("event")
    if not isinstance(event, str) or event not in _READERS:
        raise UnknownEvent(f"event must be one of {', '.join(_READERS)}, got {describe(event)}")
    return _READERS[event](_Fields(event, "", content))


@frozen
class _Fields:
    """A JSON object at `path` in a message."""

    event: str
    path: str
    content: Mapping[str, Any]

    def value(self, *names: str) -> Any:
        """The value of the first of these fields that is there, also written with underscores; or None."""
        for name in names:
            for written in (name, _CAPITAL.sub(_with_underscore, name)):
                if (value := self.content.get(written)) is not None:
                    return value
        return None

    def inner(self, name: str) -> _Fields:
        value = self.value(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object", value)
        return _Fields(self.event, f"{self.path}{name}.", value)

    def inner_if_any(self, name: str) -> _Fields:
        """As `inner`; without fields if there is no such object."""
        value = self.value(name)
        return _Fields(self.event, f"{self.path}{name}.", value if isinstance(value, dict) else {})

    def text(self, name: str, default: str | None = None) -> str:
        """A text, or a number as text. Without one, the default; None: there must be one."""
        text = _as_text(self.value(name)) or default
        if text is None:
            raise self.wrong(name, "a text", self.value(name))
        return text

    def texts(self, name: str) -> dict[str, str]:
        """All fields of an object that are texts or numbers, as texts."""
        read = {key: _as_text(value) for key, value in self.inner_if_any(name).content.items()}
        return {key: text for key, text in read.items() if text is not None}

    def wrong(self, name: str, wanted: str, value: object) -> InvalidPayload:
        return self.refused(f"{self.path}{name} of {self.event} must be {wanted}, got {describe(value)}")

    def refused(self, text: str) -> InvalidPayload:
        return InvalidPayload(text, wire_type=self.event)


_CAPITAL = re.compile("[A-Z]")


def _with_underscore(capital: re.Match[str]) -> str:
    return f"_{capital[0].lower()}"


def _as_text(value: object) -> str | None:
    """A text, number or truth value as text; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _connected(fields: _Fields) -> Connected:
    return Connected(fields.text("protocol", "Call"), fields.text("version", "1.0.0"))


def _started(fields: _Fields) -> Started:
    start = fields.inner("start")
    _check_format(start.inner_if_any("mediaFormat"))
    call = _as_text(start.value(*_CALL)) or _as_text(fields.value(*_CALL))
    return Started(
        start.text("streamSid", _as_text(start.value(*_STREAM)) or _as_text(fields.value(*_STREAM))),
        start.text("callSid", call),
        start.text("accountSid", _as_text(start.value(*_ACCOUNT)) or ""),
        start.texts("customParameters") or _extra_headers(fields),
        Manner.PLIVO if start.value("callSid") is None and start.value("callId") else Manner.TWILIO,
    )


def _extra_headers(fields: _Fields) -> dict[str, str]:
    """Plivo's parameters: a text with a JSON object, whose names may begin with "X-PH-"."""
    try:
        headers = json.loads(fields.text("extraHeaders", "{}")[:MAX_START_BYTES])
    except (ValueError, RecursionError):
        return {}
    texts = _Fields(fields.event, "", {"headers": headers}).texts("headers")
    return {re.sub("^x-ph-", "", name, flags=re.IGNORECASE): text for name, text in texts.items()}


_STREAM = ("streamSid", "streamId")
_CALL = ("callSid", "callId", "callControlId")
_ACCOUNT = ("accountSid", "accountId", "userId")
"""Names of one thing: Twilio's, Plivo's, Telnyx's."""


def _check_format(format_: _Fields) -> None:
    encoding = format_.text("encoding", ENCODING)
    name = re.split("[;@]", encoding.strip().lower())[0].removeprefix("audio/").removeprefix("x-")
    if re.sub("[-_ ]", "", name) not in MULAW_NAMES:
        raise format_.refused(
            f"the stream's audio is {describe(encoding)}, and only {ENCODING} (PCMU) at {PHONE_RATE} Hz"
            " can be taken: set the carrier's stream to it"
        )
    for field_, unit, wanted in (("sampleRate", "Hz", PHONE_RATE), ("channels", "channels", 1)):
        found = format_.text(field_, str(wanted))
        if not _is_number(found, wanted):
            raise format_.refused(
                f"the stream's audio has {found[:20]} {unit}, and only {wanted} can be taken"
            )


def _is_number(text: str, number: int) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False


def _media(fields: _Fields) -> Media:
    media = fields.inner("media")
    # An empty frame holds nothing, as in a pause of a carrier that saves silence.
    payload = "" if media.value("payload") in (None, "") else media.text("payload")
    try:
        audio = binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        audio = _unusual_base64(media, payload)
    track = media.text("track", INBOUND).lower()
    return Media(audio, track if track.startswith("outbound") else INBOUND)


def _unusual_base64(media: _Fields, payload: str) -> bytes:
    """Base64 of another alphabet, with blanks, or without its end."""
    plain = "".join(payload.split()).translate(_USUAL_BASE64).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise media.wrong("payload", "base64", payload) from None


_USUAL_BASE64 = str.maketrans("-_", "+/")


def _digit(fields: _Fields) -> Digit:
    dtmf = fields.inner_if_any("dtmf")
    digit = dtmf.text("digit", fields.text("digit", "")).strip().upper()
    if len(digit) != 1 or digit not in DIGITS:
        raise dtmf.wrong("digit", f"one of {DIGITS}", digit)
    return Digit(digit)


def _mark(fields: _Fields) -> Mark:
    return Mark(fields.inner("mark").text("name"))


def _checkpoint(fields: _Fields) -> Mark:
    return Mark(fields.text("name"))


def _clear(fields: _Fields) -> Clear:
    del fields
    return Clear()


def _stopped(fields: _Fields) -> Stopped:
    return Stopped(_as_text(fields.inner_if_any("stop").value(*_CALL)) or "")


_READERS = {
    "connected": _connected,
    "start": _started,
    "media": _media,
    "dtmf": _digit,
    "mark": _mark,
    "clear": _clear,
    "stop": _stopped,
    # Plivo's: from it, and to it
    "playedStream": _checkpoint,
    "playAudio": _media,
    "checkpoint": _checkpoint,
    "clearAudio": _clear,
}


# --- writing ----------------------------------------------------------------------------------------------


def write_stream_message(
    message: StreamMessage,
    stream_sid: str,
    sequence: int | None = None,
    manner: Manner = Manner.TWILIO,
) -> str:
    """The frame of a message. `sequence` is the number of a message from Twilio; `manner` is that of what we
    send."""
    if manner is Manner.PLIVO:
        return json.dumps({**_for_plivo(message), "streamId": stream_sid})
    if sequence is None and isinstance(message, Media):
        # Fifty a second for each call: written by hand, they take half of the time.
        payload = base64.b64encode(message.audio).decode("ascii")
        quoted = json.dumps(stream_sid)
        return f'{{"event": "media", "media": {{"payload": "{payload}"}}, "streamSid": {quoted}}}'
    match message:
        case Connected(protocol=protocol, version=version):
            return json.dumps({"event": "connected", "protocol": protocol, "version": version})
        case Started():
            start = {
                "accountSid": message.account_sid,
                "streamSid": message.stream_sid,
                "callSid": message.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": ENCODING, "sampleRate": PHONE_RATE, "channels": 1},
                "customParameters": dict(message.parameters),
            }
            content: dict[str, Any] = {"event": "start", "start": start}
        case Media(audio=audio):
            media = {
                "payload": base64.b64encode(audio).decode("ascii"),
                "track": message.track,
                "chunk": str(sequence),
                "timestamp": str(message.timestamp_ms),
            }
            content = {"event": "media", "media": media}
        case Digit(digit=digit):
            content = {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}}
        case Mark(name=name):
            content = {"event": "mark", "mark": {"name": name}}
        case Clear():
            content = {"event": "clear"}
        case Stopped(call_sid=call_sid):
            content = {"event": "stop", "stop": {"callSid": call_sid}}
        case _:
            raise TypeError(f"{type(message).__name__} is not a message of Media Streams")
    if sequence is not None:
        content["sequenceNumber"] = str(sequence)
    return json.dumps({**content, "streamSid": stream_sid})


def _for_plivo(message: StreamMessage) -> dict[str, Any]:
    match message:
        case Media(audio=audio):
            payload = base64.b64encode(audio).decode("ascii")
            media = {"contentType": ENCODING, "sampleRate": PHONE_RATE, "payload": payload}
            return {"event": "playAudio", "media": media}
        case Mark(name=name):
            return {"event": "checkpoint", "name": name}
        case Clear():
            return {"event": "clearAudio"}
        case _:
            raise TypeError(f"{type(message).__name__} is not a message to Plivo")
