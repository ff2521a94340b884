"""The WebSocket of one peer, once it is accepted. Whoever takes messages reads the frames, and nobody else.

There is no task and no queue between the socket and its reader: a message costs one wake-up, and what the
reader does not take waits in the peer's own buffers. Frames are read and written by `websockets`' protocol
without I/O. One read may bring ten thousand of them, so other tasks run between each two. Messages have
bounds, and so has what is not a message (pings, pongs, crumbs); beyond them the socket is closed with a code
and a reason.
"""

from __future__ import annotations

import codecs
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio
from attrs import Factory, define, field
from trio_websocket import CloseReason, ConnectionClosed, HandshakeError, wrap_server_stream
from websockets.frames import CONT, TEXT, CloseCode, Frame, Opcode
from websockets.protocol import CLOSING, SERVER, Protocol

from adapters.streams import StreamOver
from adapters.tasks import Signal
from orchestrator.leaky_bucket import LeakyBucket
from orchestrator.server.frame_rules import CONTROL, Complaint, Sizes, sizes_of, wrong_in_header
from orchestrator.server.request_head import receive_to_end

CONTROL_FRAMES = 1000
"""Pings and pongs that a peer may send at once."""
CONTROL_FRAMES_PER_S = 50
"""And so many a second beyond them."""
MOST_FRAGMENTS = 4096
"""Frames of one message. Each costs a piece of memory, even an empty one."""
ADMISSION_S = 1
"""A longer message waits so long to be allowed: it may follow right after what lets the peer in."""
LAST_READ_S = 1
"""So long a peer that is closed is read on, so that it gets to know why."""

_READ_BYTES = 64 * 1024
_LOGGER = logging.Logger("peer sockets", logging.CRITICAL + 1)
"""Logs nothing: what matters of a close is in its reason."""


@define(eq=False)
class PeerSocket:
    """A server's side of an accepted WebSocket. One task at a time may take messages, any may send.

    Cancelling whoever waits for a message loses none. A send that is cancelled may have sent half a frame:
    the socket is gone then.
    """

    stream: trio.abc.Stream
    most_bytes: int
    """Of one message."""
    most_admitted: int = Factory(lambda self: self.most_bytes, takes_self=True)
    """Of one message, once the peer is known to be let in (`admit`)."""
    subprotocol: str | None = field(default=None, init=False)
    """What was agreed upon when it was accepted."""
    closed: CloseReason | None = field(default=None, init=False)
    """Why it is closed, or is being closed; None as long as it is open."""
    _protocol: Protocol = field(factory=lambda: Protocol(SERVER, max_size=None, logger=_LOGGER), init=False)
    _admitted: trio.Event = field(factory=trio.Event, init=False)
    _buffer: bytearray = field(factory=bytearray, init=False)
    """What was read and is no whole frame yet, or follows one."""
    _pieces: list[str | bytes] = field(factory=list, init=False)
    """The frames of a message that is not complete."""
    _text: codecs.IncrementalDecoder | None = field(default=None, init=False)
    """Of that message, if it is text: a character may be cut by frames."""
    _message_bytes: int = field(default=0, init=False)
    _control_frames: LeakyBucket = field(
        factory=lambda: LeakyBucket(CONTROL_FRAMES, CONTROL_FRAMES_PER_S), init=False
    )
    _reading: bool = field(default=False, init=False)
    _pings: dict[bytes, trio.Event] = field(factory=dict, init=False)
    """Those that are not answered, in order."""
    _outgoing: list[bytes] = field(factory=list, init=False)
    _asked: int = field(default=0, init=False)
    """How many pieces were to be sent, ever."""
    _written: int = field(default=0, init=False)
    """How many of them were."""
    _sending: bool = field(default=False, init=False)
    _broken: bool = field(default=False, init=False)
    """Nothing can be sent any more."""
    _changed: Signal = field(factory=Signal, init=False)

    # --- messages -----------------------------------------------------------------------------------------

    async def get_message(self) -> str | bytes:
        """The next message of the peer. Raises `ConnectionClosed` when either side has closed the socket."""
        self._reading = True
        try:
            return await self._next_message()
        finally:
            self._reading = False
            self._changed.wake_all()

    async def send_message(self, message: str | bytes) -> None:
        """Send a message. Raises `ConnectionClosed`."""
        await self.send_messages([message])

    async def send_messages(self, messages: Sequence[str | bytes]) -> None:
        """Send messages, in one piece. Raises `ConnectionClosed`."""
        if self.closed is not None:
            raise ConnectionClosed(self.closed)
        for message in messages:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        await self._flush()

    async def ping(self) -> None:
        """Send a ping and wait for the pong, which somebody must read. Raises `ConnectionClosed`."""
        if self.closed is not None:
            raise ConnectionClosed(self.closed)
        payload, answered = os.urandom(4), trio.Event()
        self._pings[payload] = answered
        self._protocol.send_ping(payload)
        await self._flush()
        await answered.wait()
        if self.closed is not None:
            raise ConnectionClosed(self.closed)

    async def accept(self, head: bytes, following: bytes = b"", subprotocols: Sequence[str] = ()) -> None:
        """Accept the WebSocket that a head asks for, with the first of `subprotocols` that it offers.

        `following` was read behind the head. Raises `HandshakeError` if the request is not as it must be.
        """
        async with trio.open_nursery() as nursery:
            handshake = _HandshakeStream(self.stream, head, nursery.cancel_scope.cancel)
            # No message is read here: the limits of trio-websocket are of no matter.
            request = await wrap_server_stream(nursery, handshake)
            offered = request.proposed_subprotocols
            self.subprotocol = next((each for each in subprotocols if each in offered), None)
            await request.accept(subprotocol=self.subprotocol)
            nursery.cancel_scope.cancel()
        if handshake.closed:
            raise HandshakeError("the upgrade was refused")
        self._buffer += following

    def admit(self) -> None:
        """The peer is let in, and may send longer messages."""
        self.most_bytes = self.most_admitted
        self._admitted.set()

    async def aclose(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close it, and wait for the peer to do the same. If this is cancelled, it is closed all the same."""
        try:
            if self.closed is None:
                self._protocol.send_close(code, reason or "")
                self._note_closed(code, reason)
                with suppress(ConnectionClosed):
                    await self._flush()
                    await self._see_peer_close()
        finally:
            self._broken = True
            await self.stream.aclose()

    # --- frames in ----------------------------------------------------------------------------------------

    async def _next_message(self) -> str | bytes:
        fresh = False
        while self.closed is None:
            if self._buffer and not fresh:
                # However many frames one read has brought, others run between them.
                await trio.lowlevel.checkpoint()
            sizes = sizes_of(self._buffer)
            if self._may_be_allowed(sizes):
                with trio.move_on_after(ADMISSION_S):
                    await self._admitted.wait()
            complaint = self._complaint(sizes)
            if complaint is not None:
                self._protocol.fail(*complaint)
                await self._give_up()
            elif (frame := self._next_frame(sizes)) is None:
                fresh = await self._read()
            else:
                fresh = False
                message = await self._take(frame)
                if message is not None:
                    return message
        raise ConnectionClosed(self.closed)

    async def _read(self) -> bool:
        """Read more. Returns False at the end of what the peer sends."""
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self._lose()
            return False
        self._buffer += data
        return True

    def _may_be_allowed(self, sizes: Sizes | None) -> bool:
        """Whether the next frame is too large for a peer that is not let in, and not for one that is."""
        if sizes is None or self._buffer[0] & CONTROL:
            return False
        return self.most_bytes < self._message_bytes + sizes[1] <= self.most_admitted

    def _complaint(self, sizes: Sizes | None) -> Complaint | None:
        """The close code and reason if the frame that begins here is wrong or too much."""
        wrong = wrong_in_header(self._buffer, sizes, within_message=bool(self._pieces))
        if wrong is not None or sizes is None:
            return wrong
        if self._buffer[0] & CONTROL:
            if self._control_frames.room <= 0:
                return (
                    CloseCode.POLICY_VIOLATION,
                    f"more than {CONTROL_FRAMES_PER_S} pings and pongs a second",
                )
        elif len(self._pieces) >= MOST_FRAGMENTS:
            return CloseCode.POLICY_VIOLATION, f"a message in more than {MOST_FRAGMENTS} frames"
        elif self._message_bytes + sizes[1] > self.most_bytes:
            return CloseCode.MESSAGE_TOO_BIG, f"a message may have {self.most_bytes} bytes here"
        return None

    def _next_frame(self, sizes: Sizes | None) -> bytes | None:
        """The next frame, which has these sizes; None if it has not come yet."""
        if sizes is None or len(self._buffer) < sum(sizes):
            return None
        if self._buffer[0] & CONTROL:
            self._control_frames.add(1)
        frame = bytes(self._buffer[: sum(sizes)])
        del self._buffer[: len(frame)]
        return frame

    async def _take(self, data: bytes) -> str | bytes | None:
        """Take a frame in; return the message that it completes."""
        self._protocol.receive_data(data)
        message = None
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            match event.opcode:
                case Opcode.PING:
                    # The protocol has written the pong.
                    with suppress(ConnectionClosed):
                        await self._flush()
                case Opcode.PONG:
                    self._note_pong(bytes(event.data))
                case Opcode.CLOSE:
                    pass
                case _:
                    message = self._add(event)
        if self._protocol.state is CLOSING:
            await self._give_up()
        return message

    def _add(self, frame: Frame) -> str | bytes | None:
        """Add a frame to its message, and return the message if it is complete."""
        if frame.opcode is not CONT:
            self._text = codecs.getincrementaldecoder("utf-8")() if frame.opcode is TEXT else None
        try:
            piece = (
                bytes(frame.data) if self._text is None else self._text.decode(bytes(frame.data), frame.fin)
            )
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA, "the text of a message must be UTF-8")
            return None
        self._pieces.append(piece)
        self._message_bytes += len(frame.data)
        if not frame.fin:
            return None
        # All pieces are texts, or all are bytes.
        whole: str | bytes = type(piece)().join(self._pieces)  # type: ignore[arg-type]
        self._pieces.clear()
        self._message_bytes = 0
        return whole

    def _note_pong(self, payload: bytes) -> None:
        """A pong answers its ping, and those before it."""
        while payload in self._pings:
            answered = next(iter(self._pings))
            self._pings.pop(answered).set()

    # --- frames out ---------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Write what the protocol has to send, behind what others are writing. Raises `ConnectionClosed`."""
        pieces = [piece for piece in self._protocol.data_to_send() if piece]
        self._outgoing += pieces
        self._asked += len(pieces)
        mine = self._asked
        while self._written < mine:
            if self._sending:
                await self._changed.wait()
            elif self._broken:
                await trio.lowlevel.checkpoint()
                raise ConnectionClosed(self.closed)
            else:
                await self._write()

    async def _write(self) -> None:
        pieces, self._outgoing = self._outgoing, []
        self._sending = True
        whole = False
        try:
            await self.stream.send_all(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            whole = True
            self._written += len(pieces)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._sending = False
            if not whole:
                self._lose()
            self._changed.wake_all()

    # --- the end ------------------------------------------------------------------------------------------

    def _note_closed(self, code: int, reason: str | None) -> None:
        if self.closed is None:
            self.closed = CloseReason(int(code), reason or None)
        for answered in self._pings.values():
            answered.set()
        self._pings.clear()

    def _lose(self) -> None:
        """The connection is over without a close."""
        self._broken = True
        self._note_closed(CloseCode.ABNORMAL_CLOSURE, None)

    async def _give_up(self) -> None:
        """Both sides are closing: the peer wanted it, or broke the protocol. It gets to know why."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        assert close is not None
        self._note_closed(close.code, close.reason)
        scope = trio.CancelScope(deadline=trio.current_time() + LAST_READ_S, shield=True)
        with scope, suppress(ConnectionClosed):
            await self._flush()
            if self._protocol.close_rcvd is None:
                # Bytes that nobody has read would reset the connection, and cost the peer the reason.
                await receive_to_end(self.stream)
        self._broken = True
        await self.stream.aclose()

    async def _see_peer_close(self) -> None:
        """Read on until the peer has closed, too."""
        while self._reading:
            await self._changed.wait()
        while self._protocol.close_rcvd is None:
            sizes = sizes_of(self._buffer)
            if self._complaint(sizes) is not None:
                return
            frame = self._next_frame(sizes)
            if frame is not None:
                self._protocol.receive_data(frame)
                self._protocol.events_received()
                await trio.lowlevel.checkpoint()
            elif not await self._read():
                return


class _HandshakeStream(StreamOver):
    """A request's head, which was read already, and nothing more: trio-websocket would go on to read what
    follows it."""

    def __init__(self, stream: trio.abc.Stream, head: bytes, on_closed: Callable[[], object]) -> None:
        super().__init__(stream, head)
        self._on_closed = on_closed
        self.closed = False
        """Trio-websocket has refused the request. It answers it, closes the stream, and then leaves whoever
        waits for the request waiting for ever."""

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        """Nothing comes."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """As the other stream."""
        self.closed = True
        try:
            await super().aclose()
        finally:
            self._on_closed()
