"""The connection to a simulated vendor: HTTP and WebSocket on one stream, with the planned faults."""

from __future__ import annotations

import socket
import struct
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Protocol

import h11
import trio
from attrs import field, frozen
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.http11 import Response as UpgradeResponse
from websockets.protocol import State
from websockets.server import ServerProtocol

from adapters.simulators.faults import Fault, FaultKind

MOST_HEAD_BYTES = 32 * 1024
HALF_OPEN_SECONDS = 30.0
"""A half-open connection is dropped after this, since it cannot detect that its client is gone."""
_READ = 65536
_CLOSE_SECONDS = 1.0


@frozen
class Head:
    """A request without its body."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names are in lower case."""
    target: str = ""

    @property
    def upgrades(self) -> bool:
        """Whether the request asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def key(self) -> str:
        """The key in the `authorization` of the request; empty if there is none."""
        return self.headers.get("authorization", "").partition(" ")[2].strip()


@frozen
class RefusalError(Exception):
    """The vendor refuses a request."""

    status: int
    body: str
    headers: Mapping[str, str] = field(factory=dict)


class HangupError(Exception):
    """The connection is gone: the client closed it, or a fault did."""


class ByteStream:
    """The bytes of a connection, in both directions, with faults at that level."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._lock = trio.Lock()
        self._paused: trio.Event | None = None
        self.drip: Fault | None = None

    async def receive(self) -> bytes:
        """The next bytes; empty at the end. Raises `HangupError`."""
        if self._paused is not None:
            await self._paused.wait()
        try:
            return bytes(await self._stream.receive_some(_READ))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise HangupError from None

    async def send(self, data: bytes) -> None:
        """Send the bytes, at once or a few at a time. Raises `HangupError`."""
        async with self._lock:
            try:
                if self.drip is None:
                    await self._stream.send_all(data)
                    return
                for start in range(0, len(data), self.drip.size):
                    await self._stream.send_all(data[start : start + self.drip.size])
                    await trio.sleep(self.drip.seconds)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise HangupError from None

    def stop_reading(self) -> None:
        """Read nothing from now on, as long as the connection lasts."""
        self._paused = trio.Event()

    async def reset(self) -> None:
        """Reset the connection instead of closing it. Raises `HangupError`."""
        if isinstance(self._stream, trio.SocketStream):
            no_lingering = struct.pack("ii", 1, 0)
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
        await trio.aclose_forcefully(self._stream)
        raise HangupError


class Wire(Protocol):
    """Where messages are sent: a WebSocket, or the body of a streamed answer."""

    bytes: ByteStream

    async def send_message(self, message: str) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


class Outlet:
    """Sends messages, with the faults that are planned for the connection."""

    def __init__(self, wire: Wire, faults: tuple[Fault, ...], unknown_message: str, malformed: str) -> None:
        self.sent = 0
        self._wire = wire
        self._faults = faults
        self._unknown = unknown_message
        self._malformed = malformed
        self._held: str | None = None

    async def send(self, message: str) -> None:
        """Send the next message. Raises `HangupError`."""
        number, self.sent = self.sent, self.sent + 1
        for fault in self._faults:
            if number >= fault.after:
                await self._end(fault)
        kinds = {fault.kind for fault in self._faults if fault.strikes(number)}
        if FaultKind.MALFORMED in kinds:
            await self._wire.send_message(self._malformed)
        if FaultKind.UNKNOWN in kinds:
            await self._wire.send_message(self._unknown)
        if FaultKind.TRUNCATE in kinds:
            message = message[: len(message) // 2]
        if FaultKind.REORDER in kinds and self._held is None:
            self._held = message
            return
        await self._wire.send_message(message)
        if FaultKind.DUPLICATE in kinds:
            await self._wire.send_message(message)
        await self.release()

    async def release(self) -> None:
        """Send the message that was delayed, if any. Raises `HangupError`."""
        held, self._held = self._held, None
        if held is not None:
            await self._wire.send_message(held)

    async def before_any(self) -> None:
        """Let the faults happen that come before the first message. Raises `HangupError`."""
        for fault in self._faults:
            if fault.after == 0:
                await self._end(fault)

    async def _end(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.STALL:
                await trio.sleep_forever()
            case FaultKind.HALF_OPEN:
                self._wire.bytes.stop_reading()
                await trio.sleep(HALF_OPEN_SECONDS)
                await self._wire.bytes.reset()
            case FaultKind.RESET:
                await self._wire.bytes.reset()
            case FaultKind.CLOSE:
                await self._wire.close(fault.code, fault.reason)
            case FaultKind.DRIP:
                self._wire.bytes.drip = fault


class WebSocketWire:
    """The vendor's end of a WebSocket, with the protocol implementation of `websockets`."""

    def __init__(self, stream: ByteStream) -> None:
        self.bytes = stream
        self._protocol = ServerProtocol(max_size=2**24)
        self._parts: list[bytes] = []
        self._text = True
        self._over = trio.Event()

    async def accept(self, head: bytes) -> None:
        """Accept the WebSocket that a request asks for, given the bytes of its head. Raises `HangupError`."""
        self._protocol.receive_data(head)
        requests = self._protocol.events_received()
        if not requests or not isinstance(requests[0], UpgradeRequest):
            raise HangupError
        response: UpgradeResponse = self._protocol.accept(requests[0])
        self._protocol.send_response(response)
        await self._flush()
        if self._protocol.state is not State.OPEN:
            raise HangupError

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages, until it hangs up. Raises `HangupError`."""
        try:
            while data := await self.bytes.receive():
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    message = self._assemble(event) if isinstance(event, Frame) else None
                    if message is not None:
                        yield message
                await self._flush()
                # Not as soon as it is closing: a close of ours may still be on its way out.
                if self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None:
                    return
        finally:
            self._over.set()

    async def send_message(self, message: str) -> None:
        """Send a text frame. Raises `HangupError`."""
        try:
            self._protocol.send_text(message.encode())
        except InvalidState:
            raise HangupError from None
        await self._flush()

    async def close(self, code: int, reason: str) -> None:
        """Close with a code, and wait a moment for the client's answer. Raises `HangupError`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            await self._flush()
            with trio.move_on_after(_CLOSE_SECONDS):
                await self._over.wait()
        raise HangupError

    def _assemble(self, frame: Frame) -> str | bytes | None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._text = frame.opcode is Opcode.TEXT
            self._parts = []
        elif frame.opcode is not Opcode.CONT:
            return None
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole = b"".join(self._parts)
        return whole.decode(errors="replace") if self._text else whole

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self.bytes.send(data)


class HttpWire:
    """The vendor's end of an HTTP connection, with the protocol implementation of `h11`."""

    def __init__(self, stream: ByteStream, head: bytes) -> None:
        self.bytes = stream
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._connection.receive_data(head)

    async def next_request(self) -> tuple[Head, bytes] | None:
        """The next request with its body; None when the client is gone. Raises `HangupError`."""
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        elif self._connection.our_state is not h11.IDLE:
            return None
        request: h11.Request | None = None
        body = b""
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError:
                return None
            if event is h11.NEED_DATA:
                self._connection.receive_data(await self.bytes.receive())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return _head_of(request), body
            else:
                return None

    async def watch_for_hangup(self, scope: trio.CancelScope) -> None:
        """Cancel `scope` when the client goes away while it is answered."""
        try:
            while data := await self.bytes.receive():
                self._connection.receive_data(data)
        except HangupError:
            pass  # a reset means the same as an end
        scope.cancel()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of the answer. Raises `HangupError`."""
        reason = HTTPStatus(status).phrase.encode() if status in set(HTTPStatus) else b""
        response = h11.Response(status_code=status, headers=list(headers.items()), reason=reason)
        await self._send(response)

    async def send_message(self, message: str) -> None:
        """Send a piece of the answer's body. Raises `HangupError`."""
        await self._send(h11.Data(data=message.encode()))

    async def send_bytes(self, data: bytes) -> None:
        """Send a piece of the answer's body. Raises `HangupError`."""
        await self._send(h11.Data(data=data))

    async def finish(self) -> None:
        """End the answer. Raises `HangupError`."""
        await self._send(h11.EndOfMessage())

    async def reply(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        """Send a whole answer. Raises `HangupError`."""
        content = body.encode()
        await self.begin(status, {**headers, "content-length": str(len(content))})
        await self.send_bytes(content)
        await self.finish()

    async def close(self, code: int, reason: str) -> None:
        """Break off the answer. Raises `HangupError`."""
        del code, reason  # HTTP has none
        await trio.lowlevel.checkpoint()
        raise HangupError

    async def _send(self, event: h11.Event) -> None:
        await self.bytes.send(self._connection.send(event) or b"")


async def read_head(stream: ByteStream) -> bytes:
    """The bytes of the first request, at least up to the end of its head. Raises `HangupError`."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive()
        data += more
        if not more or len(data) > MOST_HEAD_BYTES:
            raise HangupError
    return data


def parse_head(data: bytes) -> Head:
    """The head of a request. Raises `HangupError` if it is not HTTP."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        raise HangupError from None
    if not isinstance(event, h11.Request):
        raise HangupError
    return _head_of(event)


def _head_of(request: h11.Request) -> Head:
    target = request.target.decode("latin-1")
    path, _, query = target.partition("?")
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
    parsed = urllib.parse.parse_qs(query, keep_blank_values=True)
    return Head(request.method.decode(), path, parsed, headers, target)
