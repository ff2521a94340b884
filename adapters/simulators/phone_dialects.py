"""How carriers that speak Twilio's protocol differ from Twilio, as profiles of the simulated network.

Each deviation was reported in public, of Twilio itself, of a look-alike, or of a network in between. A call
must go the same way whatever the profile.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen

from adapters.mulaw import SILENCE
from adapters.simulators.faults import ScenarioError
from protocol.twilio import Digit, Media, Started, StreamMessage, write_stream_message


class Payloads(enum.Enum):
    """How audio is written in base64 (RFC 4648)."""

    USUAL = "usual"
    UNPADDED = "unpadded"
    URL_SAFE = "url-safe"
    IN_LINES = "in lines"


class Reports(enum.Enum):
    """In which order, and how often, the statuses of a call are reported."""

    USUAL = "usual"
    RINGING_LATE = "ringing late"
    """`ringing` comes after `answered`."""
    ANSWERED_LAST = "answered last"
    """`answered` comes after `completed`."""
    TWICE = "twice"
    NONE = "none"


class Names(enum.Enum):
    """How messages and their fields are called."""

    TWILIO = "twilio"
    TELNYX = "telnyx"
    """As in Telnyx's document on media streaming."""
    PLIVO = "plivo"
    """As in Plivo's examples and SDKs, and in Vobiz' document."""


class Silence(enum.Enum):
    """What is sent while the caller says nothing."""

    SENT = "sent"
    EMPTY = "empty"
    """Messages without audio."""


@frozen
class PhoneDialect:
    """One carrier's habits; Twilio's own by default."""

    about: str
    early_frames: int = 0
    """So many frames of the caller's audio come before the start."""
    says_connected: bool = True
    underscores: bool = False
    """Names of fields are written with underscores."""
    flat: bool = False
    """A key stands beside its event, and the stream's id beside the start."""
    other_types: bool = False
    """Numbers are texts, times have fractions, and what is a text may be a number."""
    names: Names = Names.TWILIO
    silent_frames: Silence = Silence.SENT
    binary: bool = False
    """Messages come in binary frames, the start with a byte order mark."""
    encoding: str = "audio/x-mulaw"
    unknown_events: bool = False
    """Events that the protocol does not know come between the others."""
    payloads: Payloads = Payloads.USUAL
    track: str | None = "inbound"
    """What the caller's track is called; None: it is not named."""
    both_tracks: bool = False
    """What the caller hears is sent back, too."""
    small_keys: bool = False
    """The keys A to D are small letters."""
    frame_ms: int = 20
    """Length of one message's audio: a multiple of 20 ms."""
    numbered_wrongly: bool = False
    """The numbers of messages do not say their order."""
    stall_s: float = 0.0
    """The network delivers only this often, and then all at once."""
    reports: Reports = Reports.USUAL

    def due_at(self, now: float) -> float:
        """When what is sent now arrives, at the earliest."""
        return math.ceil(now / self.stall_s) * self.stall_s if self.stall_s else now

    def reports_of(self, status: str, before: list[str]) -> list[str]:
        """The statuses to report when a call has become `status`; `before` are those that it had before."""
        match self.reports:
            case Reports.NONE:
                return []
            case Reports.TWICE:
                return [status, status]
            case Reports.RINGING_LATE if status == "ringing":
                return []
            case Reports.RINGING_LATE if "ringing" in before and "in-progress" not in before:
                return [status, "ringing"]
            case Reports.ANSWERED_LAST if status == "in-progress":
                return []
            case Reports.ANSWERED_LAST if "in-progress" in before:
                return [status, "in-progress"]
        return [status]

    def takes(self, frame: str | bytes) -> bool:
        """Whether the carrier understands a message of ours; it drops others."""
        plivos = json.loads(frame)["event"] in ("playAudio", "checkpoint", "clearAudio")
        return plivos == (self.names is Names.PLIVO)

    def written(self, message: StreamMessage, stream_sid: str, sequence: int) -> Iterator[str | bytes]:
        """The frames of a message, as this carrier writes it."""
        content = json.loads(write_stream_message(message, stream_sid, sequence))
        if self.unknown_events and sequence % 3 == 0:
            yield json.dumps({"event": "heartbeat", "heartbeat": {"sequence": sequence}})
        if self.both_tracks and isinstance(message, Media):
            yield json.dumps({**content, "media": {**content["media"], "track": "outbound"}})
        match message:
            case Media():
                self._write_media(content["media"], sequence)
                if self.silent_frames is Silence.EMPTY and set(message.audio) <= {SILENCE[0]}:
                    content["media"]["payload"] = None if sequence % 2 else ""
            case Started():
                self._write_start(content, content["start"])
            case Digit() if self.flat:
                content |= content.pop("dtmf")
        if self.small_keys and isinstance(message, Digit):
            holder = content.get("dtmf", content)
            holder["digit"] = holder["digit"].lower()
        if self.numbered_wrongly:
            content["sequenceNumber"] = str(sequence ^ 3)
        if self.other_types:
            content = _with_other_types(content)
        content = _NAMES[self.names](content, sequence)
        frame = json.dumps(_with_underscores(content) if self.underscores else content)
        yield f"\ufeff{frame}".encode() if self.binary else frame

    def _write_media(self, media: dict[str, Any], sequence: int) -> None:
        if self.track is None:
            del media["track"]
        else:
            media["track"] = self.track
        if self.numbered_wrongly:
            media["chunk"] = str(sequence ^ 3)
        media["payload"] = _BASE64[self.payloads](media["payload"])

    def _write_start(self, content: dict[str, Any], start: dict[str, Any]) -> None:
        start["mediaFormat"]["encoding"] = self.encoding
        if self.flat:
            del start["streamSid"]


_BASE64: Mapping[Payloads, Callable[[str], str]] = {
    Payloads.USUAL: lambda text: text,
    Payloads.UNPADDED: lambda text: text.rstrip("="),
    Payloads.URL_SAFE: lambda text: text.translate(str.maketrans("+/", "-_")),
    Payloads.IN_LINES: lambda text: "\r\n".join(re.findall(".{1,76}", text)),
}


def _as_twilio(content: dict[str, Any], sequence: int) -> dict[str, Any]:
    del sequence
    return content


def _as_telnyx(content: dict[str, Any], sequence: int) -> dict[str, Any]:
    named = {
        "event": content["event"],
        "sequence_number": str(sequence),
        "stream_id": content.pop("streamSid", ""),
    }
    match content["event"]:
        case "connected":
            return {"event": "connected", "version": "1.0.0"}
        case "start":
            start = content["start"]
            named["start"] = {
                "user_id": start["accountSid"],
                "call_control_id": start["callSid"],
                "client_state": "",
                "custom_parameters": start["customParameters"],
                "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
            }
        case "stop":
            named["stop"] = {"call_control_id": content["stop"]["callSid"]}
        case event:
            named[event] = content[event]
    return named


def _as_plivo(content: dict[str, Any], sequence: int) -> dict[str, Any]:
    event, stream = content["event"], content.pop("streamSid", "")
    named = {"sequenceNumber": sequence, "event": event, "streamId": stream, "extra_headers": "{}"}
    match event:
        case "start":
            start = content["start"]
            del named["streamId"]
            named["start"] = {
                "callId": start["callSid"],
                "streamId": stream,
                "accountId": start["accountSid"],
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            }
            named["extra_headers"] = json.dumps(
                {f"X-PH-{name}": text for name, text in start["customParameters"].items()}
            )
        case "mark":
            return {"event": "playedStream", "streamId": stream, "name": content["mark"]["name"]}
        case "media" | "dtmf":
            named[event] = content[event]
    return named


_NAMES: Mapping[Names, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    Names.TWILIO: _as_twilio,
    Names.TELNYX: _as_telnyx,
    Names.PLIVO: _as_plivo,
}


def _with_underscores(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with other names, except those that the customer has given."""
    return {
        re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name): _with_underscores(value)
        if isinstance(value, dict) and name != "customParameters"
        else value
        for name, value in content.items()
    }


def _with_other_types(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with numbers as texts, and texts of digits as numbers."""

    def other(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _with_other_types(value)
        if isinstance(value, int):
            return str(value)
        if name == "timestamp":
            return f"{value}.5"
        return int(value) if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,8}", value) else value

    return {name: other(name, value) for name, value in content.items()}


TWILIO = PhoneDialect("Twilio itself.")
PHONE_DIALECTS: Mapping[str, PhoneDialect] = {
    "twilio": TWILIO,
    "audio-first": PhoneDialect(
        "Vobiz, Asterisk: the caller's audio comes before the start.", early_frames=25, says_connected=False
    ),
    "snake-case": PhoneDialect(
        "Exotel's names with underscores, and the codec by its other name, as SignalWire has it.",
        underscores=True,
        encoding="PCMU",
    ),
    "flat": PhoneDialect(
        "A key beside its event, the stream's id beside the start, no track.",
        flat=True,
        underscores=True,
        track=None,
        small_keys=True,
    ),
    "telnyx": PhoneDialect(
        "Telnyx, as documented: `stream_id`, `call_control_id`, `PCMU`.", names=Names.TELNYX
    ),
    "plivo": PhoneDialect(
        "Plivo and Vobiz, as in their examples: `callId`, `playAudio`, `checkpoint`, `clearAudio`.",
        names=Names.PLIVO,
        says_connected=False,
    ),
    "empty-frames": PhoneDialect("Frames without audio while nobody speaks.", silent_frames=Silence.EMPTY),
    "binary": PhoneDialect("JSON in binary frames, with a byte order mark.", binary=True),
    "other-types": PhoneDialect(
        "Numbers as texts, texts as numbers, times with fractions.", other_types=True
    ),
    "new-events": PhoneDialect("Events that nobody has heard of yet.", unknown_events=True),
    "unpadded": PhoneDialect("Base64 without its padding.", payloads=Payloads.UNPADDED),
    "url-safe": PhoneDialect("Base64 for addresses.", payloads=Payloads.URL_SAFE),
    "in-lines": PhoneDialect("Base64 in lines, as in letters.", payloads=Payloads.IN_LINES, frame_ms=60),
    "both-tracks": PhoneDialect(
        "`both_tracks`: what the caller hears comes back, too.", both_tracks=True, track="inbound_track"
    ),
    "large-frames": PhoneDialect(
        "Telnyx: long frames, whose numbers do not say their order.", frame_ms=400, numbered_wrongly=True
    ),
    "huge-frames": PhoneDialect("Telnyx again: 8 s of audio in one message.", frame_ms=8000),
    "bursts": PhoneDialect("A network that stalls, and then delivers all at once.", stall_s=0.6),
    "late-reports": PhoneDialect("`ringing` is reported after `answered`.", reports=Reports.RINGING_LATE),
    "answered-last": PhoneDialect("`answered` is reported after `completed`.", reports=Reports.ANSWERED_LAST),
    "repeated-reports": PhoneDialect("Each status is reported twice.", reports=Reports.TWICE),
    "no-reports": PhoneDialect("No status is reported at all.", reports=Reports.NONE),
}
"""By the names of `--phone-dialect`."""


def phone_dialect_named(name: str | None) -> PhoneDialect:
    """Twilio's own for None. Raises `ScenarioError` for a name that is none."""
    if name is not None and name not in PHONE_DIALECTS:
        raise ScenarioError(f"phone_dialect is {name!r}, but must be one of {', '.join(PHONE_DIALECTS)}")
    return PHONE_DIALECTS[name] if name else TWILIO
