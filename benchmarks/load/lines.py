"""The lines that callers use: Twilio's media streams, and the protocol of the page."""

from __future__ import annotations

import base64
import json
from collections import deque
from functools import cache, partial

import msgpack  # type: ignore[import-untyped, unused-ignore]
import numpy as np

import protocol
from adapters.interfaces import Samples
from adapters.mulaw import SILENCE, to_mulaw
from benchmarks.load.callers import Board, Caller, Utterance
from benchmarks.load.sound import FRAME_MS, INTERRUPTIONS, MULAW_LEVEL, QUESTIONS, spoken
from benchmarks.load.websocket import BINARY, frame
from protocol.dialects import dialect_for_subprotocol

PHONE_RATE = 8000
_FRAME = PHONE_RATE * FRAME_MS // 1000
_AUDIBLE = 4
"""A level in 128ths from which a sound is audible."""


@cache
def _samples(text: str, rate: int) -> Samples:
    return spoken(text, rate)


class TelephoneLine(Caller):
    """A call over Twilio's Media Streams: µ-law at 8 kHz, 20 ms a frame.

    A mark comes back when all audio before it was played, within a tick of 20 ms, or when it was cleared.
    """

    silence = base64.b64encode(SILENCE * _FRAME)

    def __init__(self, board: Board, number: int, url: str) -> None:
        super().__init__(board, number, url)
        self._stream = f"MZ{number:032x}"
        self._sequence = 1
        self._marks: deque[tuple[float, str]] = deque()
        self._ending = b'"},"streamSid":"' + self._stream.encode() + b'"}'

    def opened(self) -> None:
        """Say who calls, as Twilio does."""
        call = f"CA{self.number:032x}"
        self.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}).encode())
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": self._stream,
            "callSid": call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": PHONE_RATE, "channels": 1},
            "customParameters": {},
        }
        message = {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self._stream}
        self.send(json.dumps(message).encode())
        self.begin()

    def utterance(self, number: int, *, interrupts: bool) -> Utterance:
        """As `Caller.utterance`."""
        texts = INTERRUPTIONS if interrupts else QUESTIONS
        return _telephone_utterance(texts[number % len(texts)])

    def frame(self, sound: bytes) -> None:
        """As `Caller.frame`."""
        self._sequence += 1
        number = b"%d" % self._sequence
        self.transport.write(
            frame(
                b'{"event":"media","sequenceNumber":"'
                + number
                + b'","media":{"track":"inbound","chunk":"'
                + number
                + b'","timestamp":"%d","payload":"' % (self._sequence * FRAME_MS)
                + sound
                + self._ending,
                masked=True,
            )
        )

    def every_tick(self, now: float) -> None:
        """Send back the marks whose audio was played."""
        while self._marks and self._marks[0][0] <= now:
            self._send_mark(self._marks.popleft()[1])

    def _send_mark(self, name: str) -> None:
        self._sequence += 1
        message = {
            "event": "mark",
            "sequenceNumber": str(self._sequence),
            "mark": {"name": name},
            "streamSid": self._stream,
        }
        self.send(json.dumps(message).encode())

    def message(self, opcode: int, payload: bytes) -> None:
        """As `ClientSocket.message`."""
        # Most messages are audio, and parsing JSON is what costs most.
        found = payload.find(b'"payload"')
        if found >= 0:
            start = payload.index(b'"', found + 9) + 1
            audio = payload[start : payload.index(b'"', start)]
            self.heard(
                (len(audio) * 3 // 4 - audio.count(b"=", -2)) / PHONE_RATE, partial(_is_audible, audio)
            )
            return
        message = json.loads(payload)
        match message["event"]:
            case "mark":
                self._marks.append((self._plays_until, message["mark"]["name"]))
            case "clear":
                self.cleared()
                while self._marks:
                    self._send_mark(self._marks.popleft()[1])

    def say_goodbye(self) -> None:
        """As `Caller.say_goodbye`."""
        stop = {"event": "stop", "stop": {"callSid": f"CA{self.number:032x}"}, "streamSid": self._stream}
        self.send(json.dumps(stop).encode())


def _is_audible(mulaw: bytes) -> bool:
    return max(base64.b64decode(mulaw).translate(MULAW_LEVEL), default=0) >= _AUDIBLE


def _is_audible_pcm(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, "<i2")[::4].astype(np.int32)
    return int(np.abs(samples).max(initial=0)) >= _AUDIBLE * 128


@cache
def _telephone_utterance(text: str) -> Utterance:
    audio = to_mulaw(_samples(text, PHONE_RATE))
    return Utterance(
        tuple(
            base64.b64encode(audio[start : start + _FRAME].ljust(_FRAME, SILENCE))
            for start in range(0, len(audio), _FRAME)
        )
    )


class BrowserLine(Caller):
    """A call of the page: MessagePack, 48 kHz both ways, 20 ms a message.

    A browser is not told when an answer pauses: nothing more comes, and what it has is played. So it is
    silent when that was played, or was cancelled.
    """

    silence = b""  # is made with the first frame

    def __init__(self, board: Board, number: int, url: str) -> None:
        super().__init__(board, number, url, subprotocol=_SUBPROTOCOL)
        self._sent = 0
        self._begun = False
        self.silence = _browser_frame(np.zeros(BROWSER_RATE * FRAME_MS // 1000, np.int16))

    def message(self, opcode: int, payload: bytes) -> None:
        """As `ClientSocket.message`."""
        message = msgpack.unpackb(payload)
        content = message["payload"]
        match message["eventType"]:
            case "audio.output.chunk":
                audio = content["audio"]
                self.heard(len(audio) / 2 / content["samplingRate"], partial(_is_audible_pcm, audio))
            case "audio.output.cancel":
                self.cleared()
            case "connection.lifecycle.ack":
                start = protocol.AudioInputStart(
                    sampling_rate=BROWSER_RATE, turn_mode="automatic", output_sampling_rate=BROWSER_RATE
                )
                self.send(_encoded(start, self._event_id().decode()), BINARY)
            case "audio.input.start" if not self._begun:
                self._begun = True
                self.begin()
            case kind if "error" in kind:
                self.board.error("told of an error", self.number, f"{kind}: {content}"[:200])

    def _event_id(self) -> bytes:
        self._sent += 1
        return b"%08x-0000-7000-8000-%012x" % (self._sent, self.number)

    def utterance(self, number: int, *, interrupts: bool) -> Utterance:
        """As `Caller.utterance`."""
        texts = INTERRUPTIONS if interrupts else QUESTIONS
        return _browser_utterance(texts[number % len(texts)])

    def frame(self, sound: bytes) -> None:
        """As `Caller.frame`."""
        self.transport.write(frame(sound.replace(_PLACE_OF_ID, self._event_id(), 1), BINARY, masked=True))

    def every_tick(self, now: float) -> None:
        """Notice that what was there to be played is over."""
        if self.silent_since_onset(now):
            self.fell_silent()


_SUBPROTOCOL = "vantum.v2"
_PLACE_OF_ID = b"ffffffff-ffff-7fff-8fff-ffffffffffff"
BROWSER_RATE = 48_000


def _encoded(payload: protocol.Payload, event_id: str) -> bytes:
    encoded = dialect_for_subprotocol(_SUBPROTOCOL).encode(payload, session_id=None, event_id=event_id)
    assert encoded is not None
    return encoded


def _browser_frame(samples: Samples) -> bytes:
    return _encoded(protocol.AudioInputChunk(samples.tobytes()), _PLACE_OF_ID.decode())


@cache
def _browser_utterance(text: str) -> Utterance:
    audio, size = _samples(text, BROWSER_RATE), BROWSER_RATE * FRAME_MS // 1000
    pieces = (audio[start : start + size] for start in range(0, len(audio), size))
    return Utterance(tuple(_browser_frame(np.pad(each, (0, size - len(each)))) for each in pieces))


LINES = {"telephone": TelephoneLine, "browser": BrowserLine}
"""By name."""
