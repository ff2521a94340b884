"""A simulated telephone call over Media Streams: Twilio's end of the WebSocket, and the person at the phone.

It sends frames of 20 ms in real time, with what the person says or silence. It plays the audio it receives in
real time and sends a mark back when all audio before the mark was played. On `clear` it drops the rest and
sends all marks back at once. All times are on Trio's clock, so in virtual time a call of minutes takes
milliseconds.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import trio
from attrs import Factory, define, field, frozen
from websockets.exceptions import ConnectionClosed

from adapters.interfaces import Samples
from adapters.mulaw import SILENCE, from_mulaw, to_mulaw
from adapters.simulators.phone_dialects import TWILIO, PhoneDialect
from adapters.simulators.script import Latency
from adapters.tasks import Signal
from adapters.vendor_socket import OpenStream, VendorSocket, open_vendor_socket
from protocol.twilio import (
    PHONE_RATE,
    Clear,
    Connected,
    Digit,
    Mark,
    Media,
    Started,
    Stopped,
    StreamMessage,
    read_stream_message,
)

FRAME_MS = 20
_FRAME = PHONE_RATE * FRAME_MS // 1000
NO_LATENCY = Latency(0)


@frozen
class Heard:
    """A piece of audio that was played from `at` on, in seconds of Trio's clock."""

    at: float
    audio: bytes

    @property
    def seconds(self) -> float:
        """The length of the audio."""
        return len(self.audio) / PHONE_RATE


@define(eq=False)
class Telephone:
    """One call, which lasts as long as `run`. The person can `say` things, `press` keys and `hang_up`."""

    url: str
    started: Started
    open_stream: OpenStream = trio.open_tcp_stream
    jitter: Latency = NO_LATENCY
    """How late frames and marks reach the server."""
    buffer_s: float = 0.0
    """How long audio that arrives after silence is delayed. A `clear` drops what has not sounded by then."""
    seed: int = 0
    dialect: PhoneDialect = TWILIO
    heard: list[Heard] = Factory(list)
    """The pieces of audio that were played."""
    messages: list[StreamMessage] = Factory(list)
    """The messages of the server other than audio."""
    frames: int = 0
    """The number of the server's audio messages."""
    flushed_marks: list[str] = Factory(list)
    """Marks that were sent back because of a `clear`."""
    over: trio.Event = Factory(trio.Event)
    """Set when the call has ended, by either side."""
    closed_by_server: bool = False

    _speech: deque[bytes] = field(factory=deque, init=False)
    _queue: deque[Media | Mark] = field(factory=deque, init=False)
    """Audio and marks that were not played yet."""
    _playing_until: float = field(default=0.0, init=False)
    _waiting: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Cancelled to end the sound that plays now."""
    _arrived: Signal = field(factory=Signal, init=False)
    _changed: Signal = field(factory=Signal, init=False)
    _outgoing: deque[tuple[float, StreamMessage]] = field(factory=deque, init=False)
    _to_send: Signal = field(factory=Signal, init=False)
    _sequence: int = field(default=0, init=False)
    _cut: trio.Event = field(factory=trio.Event, init=False)
    _stream: trio.abc.Stream | None = field(default=None, init=False)
    _random: random.Random = field(init=False)
    _began_at: float = field(factory=trio.current_time, init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(f"{self.seed} {self.started.call_sid}")

    # --- the person ---------------------------------------------------------------------------------------

    def say(self, samples: Samples, rate: int = PHONE_RATE) -> None:
        """Say this after what was said before. `rate` must be 8000 Hz or a multiple of it."""
        if rate % PHONE_RATE:
            raise ValueError(f"a telephone speaks at {PHONE_RATE} Hz, or a multiple of it, not at {rate} Hz")
        audio = to_mulaw(samples[:: rate // PHONE_RATE])
        for start in range(0, len(audio), _FRAME):
            self._speech.append(audio[start : start + _FRAME].ljust(_FRAME, SILENCE))

    async def said(self) -> None:
        """Return when everything was said, or the call is over."""
        await self.until(lambda: not self._speech)

    def press(self, digit: str) -> None:
        """Press a key."""
        self._send(Digit(digit))

    def hang_up(self) -> None:
        """End the call as a caller does."""
        self._send(Stopped(self.started.call_sid))

    def cut(self) -> None:
        """Break the connection without closing it."""
        self._cut.set()

    def heard_seconds(self, since: float = 0.0) -> float:
        """How much audio was played after `since`, up to now."""
        now = trio.current_time()
        return sum(
            max(0.0, min(piece.at + piece.seconds, now) - max(piece.at, since)) for piece in self.heard
        )

    def quiet_seconds(self) -> float:
        """How long nothing was played: since the last sound, or since the call began."""
        last = self.heard[-1] if self.heard else None
        return trio.current_time() - (last.at + last.seconds if last is not None else self._began_at)

    def heard_samples(self) -> Samples:
        """All audio that was played, without the silence in between."""
        return from_mulaw(b"".join(piece.audio for piece in self.heard))

    async def until(self, happened: Callable[[], object]) -> None:
        """Return once `happened()` or the call is over; it is called after everything sent, got or played."""
        while not happened() and not self.over.is_set():
            await self._changed.wait()

    # --- the call -----------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the call from the opening of its stream until either side ends it.

        Reports when the stream is open. Raises what `open_vendor_socket` raises.
        """
        try:
            async with open_vendor_socket(self.url, {}, open_stream=self._connect) as socket:
                if self.dialect.says_connected:
                    self._send(Connected())
                if not self.dialect.early_frames:
                    self._send(self.started)
                self._began_at = trio.current_time()
                task_status.started()
                await self._serve(socket)
        finally:
            self.over.set()
            self._change()

    async def _connect(self, host: str, port: int) -> trio.abc.Stream:
        self._stream = await self.open_stream(host, port)
        return self._stream

    async def _serve(self, socket: VendorSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, socket, nursery.cancel_scope)
            nursery.start_soon(self._speak)
            nursery.start_soon(self._play)
            nursery.start_soon(self._break, nursery.cancel_scope)
            try:
                while True:
                    frame = await socket.recv()
                    if self.dialect.takes(frame):
                        self._receive(read_stream_message(frame))
            except (ConnectionClosed, trio.TooSlowError):
                self.closed_by_server = True
            nursery.cancel_scope.cancel()

    async def _break(self, call: trio.CancelScope) -> None:
        """Wait for `cut`, and then break the connection."""
        await self._cut.wait()
        assert self._stream is not None
        await trio.aclose_forcefully(self._stream)
        call.cancel()

    async def _speak(self) -> None:
        """Send a frame every 20 ms, or what the dialect makes of it, as long as the call lasts."""
        began, number, audio = trio.current_time(), 0, b""
        while True:
            number += 1
            await trio.sleep_until(began + number * FRAME_MS / 1000)
            audio += self._speech.popleft() if self._speech else SILENCE * _FRAME
            if number * FRAME_MS % self.dialect.frame_ms == 0:
                self._send(Media(audio, timestamp_ms=number * FRAME_MS))
                audio = b""
            if number == self.dialect.early_frames:
                self._send(self.started)
            self._change()

    async def _write(self, socket: VendorSocket, call: trio.CancelScope) -> None:
        """Write messages in order, none before its time; after `stop` the stream is closed."""
        while True:
            while not self._outgoing:
                await self._to_send.wait()
            due, message = self._outgoing.popleft()
            await trio.sleep_until(due)
            self._sequence += 1
            try:
                for frame in self.dialect.written(message, self.started.stream_sid, self._sequence):
                    await socket.send(frame)
            except trio.BrokenResourceError:
                return  # the reader sees that too
            if isinstance(message, Stopped):
                call.cancel()

    def _send(self, message: StreamMessage) -> None:
        due = self.dialect.due_at(trio.current_time() + self.jitter.draw(self._random))
        if self._outgoing:
            due = max(due, self._outgoing[-1][0])
        self._outgoing.append((due, message))
        self._to_send.wake_all()

    # --- playback -----------------------------------------------------------------------------------

    def _receive(self, message: StreamMessage) -> None:
        match message:
            case Media():
                self.frames += 1
                self._queue.append(message)
            case Mark():
                self.messages.append(message)
                self._queue.append(message)
            case Clear():
                self.messages.append(message)
                self._clear()
            case _:
                self.messages.append(message)
        self._arrived.wake_all()
        self._change()

    def _clear(self) -> None:
        marks = [item for item in self._queue if isinstance(item, Mark)]
        self._queue.clear()
        self._stop_playing()
        for mark in marks:
            self.flushed_marks.append(mark.name)
            self._send(mark)

    def _stop_playing(self) -> None:
        """End the sound that plays now."""
        now = trio.current_time()
        if self._playing_until > now:
            if self.heard:
                piece = self.heard[-1]
                self.heard[-1] = Heard(piece.at, piece.audio[: round((now - piece.at) * PHONE_RATE)])
            self._playing_until = now
            self._waiting.cancel()

    async def _play(self) -> None:
        while True:
            if not self._queue:
                await self._arrived.wait()
                if self._playing_until < trio.current_time():
                    self._playing_until = trio.current_time() + self.buffer_s
                continue
            with trio.CancelScope() as self._waiting:
                await trio.sleep_until(self._playing_until)
            if not self._queue:
                continue  # cleared meanwhile
            item = self._queue.popleft()
            if isinstance(item, Mark):
                self._send(item)
            else:
                start = max(self._playing_until, trio.current_time())
                self.heard.append(Heard(start, item.audio))
                self._playing_until = start + len(item.audio) / PHONE_RATE
            self._change()

    def _change(self) -> None:
        self._changed.wake_all()
