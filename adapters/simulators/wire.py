"""The wire of a simulated vendor: HTTP and WebSocket on one stream, and all that can go wrong on it."""

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
"""A half-open connection cannot see its client leave: it is dropped after this."""
_READ = 65536
_CLOSE_SECONDS = 1.0


@frozen
class Head:
    """A request without its body."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Lower-case names."""
    target: str = ""

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def key(self) -> str:
        """The key that the request carries in its `authorization`; empty if there is none."""
        return self.headers.get("authorization", "").partition(" ")[2].strip()


@frozen
class RefusalError(Exception):
    """The vendor refuses a request."""

    status: int
    body: str
    headers: Mapping[str, str] = field(factory=dict)


class HangupError(Exception):
    """The connection is gone: by the client's will, or by a fault."""


class ByteStream:
    """The bytes of a connection, in both directions, with the faults of that level."""

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
        """All of it, or drop by drop. Raises `HangupError`."""
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
        """Nothing is read from now on, for as long as the connection lasts."""
        self._paused = trio.Event()

    async def reset(self) -> None:
        """End the connection so that the client gets a reset instead of an end. Raises `HangupError`."""
        if isinstance(self._stream, trio.SocketStream):
            no_lingering = struct.pack("ii", 1, 0)
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
        await trio.aclose_forcefully(self._stream)
        raise HangupError


class Wire(Protocol):
    """Where messages go out: a WebSocket, or the body of a streamed answer."""

    bytes: ByteStream

    async def send_message(self, message: str) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


class Outlet:
    """Sends messages, with the faults that were planned for this connection."""

    def __init__(self, wire: Wire, faults: tuple[Fault, ...], unknown_message: str, malformed: str) -> None:
        self.sent = 0
        self._wire = wire
        self._faults = faults
        self._unknown = unknown_message
        self._malformed = malformed
        self._held: str | None = None

    async def send(self, message: str) -> None:
        """The next message. Raises `HangupError`."""
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
        """Send what was held back, if anything is. Raises `HangupError`."""
        held, self._held = self._held, None
        if held is not None:
            await self._wire.send_message(held)

    async def before_any(self) -> None:
        """The faults that strike before the first message. Raises `HangupError`."""
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
    """The vendor's end of a WebSocket; the protocol is spoken by `websockets`."""

    def __init__(self, stream: ByteStream) -> None:
        self.bytes = stream
        self._protocol = ServerProtocol(max_size=2**24)
        self._parts: list[bytes] = []
        self._text = True
        self._over = trio.Event()

    async def accept(self, head: bytes) -> None:
        """Open the WebSocket that the bytes of a request's head ask for. Raises `HangupError`."""
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
        """What the client sends, until it hangs up. Raises `HangupError`."""
        try:
            while data := await self.bytes.receive():
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    message = self._assemble(event) if isinstance(event, Frame) else None
                    if message is not None:
                        yield message
                await self._flush()
                if self._protocol.state in (State.CLOSING, State.CLOSED):
                    return
        finally:
            self._over.set()

    async def send_message(self, message: str) -> None:
        """A text frame. Raises `HangupError`."""
        try:
            self._protocol.send_text(message.encode())
        except InvalidState:
            raise HangupError from None
        await self._flush()

    async def close(self, code: int, reason: str) -> None:
        """Close with a code; waits a moment for the client to answer. Raises `HangupError`."""
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
    """The vendor's end of an HTTP connection; the protocol is spoken by `h11`."""

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
        """Cancel `scope` when the client goes away while it is being answered."""
        try:
            while data := await self.bytes.receive():
                self._connection.receive_data(data)
        except HangupError:
            pass  # a reset says the same as an end
        scope.cancel()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer. Raises `HangupError`."""
        reason = HTTPStatus(status).phrase.encode() if status in set(HTTPStatus) else b""
        response = h11.Response(status_code=status, headers=list(headers.items()), reason=reason)
        await self._send(response)

    async def send_message(self, message: str) -> None:
        """A piece of the answer's body. Raises `HangupError`."""
        await self._send(h11.Data(data=message.encode()))

    async def send_bytes(self, data: bytes) -> None:
        """A piece of the answer's body. Raises `HangupError`."""
        await self._send(h11.Data(data=data))

    async def finish(self) -> None:
        """The end of the answer. Raises `HangupError`."""
        await self._send(h11.EndOfMessage())

    async def reply(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        """A whole answer. Raises `HangupError`."""
        content = body.encode()
        await self.begin(status, {**headers, "content-length": str(len(content))})
        await self.send_bytes(content)
        await self.finish()

    async def close(self, code: int, reason: str) -> None:
        """Break the answer off. Raises `HangupError`."""
        del code, reason  # HTTP has none
        await trio.lowlevel.checkpoint()
        raise HangupError

    async def _send(self, event: h11.Event) -> None:
        await self.bytes.send(self._connection.send(event) or b"")


async def read_head(stream: ByteStream) -> bytes:
    """The bytes of a connection's first request, up to the end of its head at least. Raises `HangupError`."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive()
        data += more
        if not more or len(data) > MOST_HEAD_BYTES:
            raise HangupError
    return data


def parse_head(data: bytes) -> Head:
    """Raises `HangupError` for what is no HTTP."""
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
