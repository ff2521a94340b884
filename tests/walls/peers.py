"""A peer that sends whatever bytes it likes, over memory or a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgpack  # type: ignore[import-untyped]
import trio
from attrs import define, field

PATIENCE_S = 120
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-protocol: vantum.v2\r\n\r\n"
)

ACCOUNT: dict[str, Any] = {"twilio_account_sid": "AC" + "0" * 32, "twilio_auth_token": "secret"}
HEAD = (
    b"POST /twilio/voice HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n"
)
HALF = HEAD + b"content-length: 9\r\n\r\nx"
START = b"\x83\xa9eventType\xb1audio.input.start\xa7eventId\xa1x\xa7payload\x80"
SECOND = bytes(32_000)
"""Of silence, at 16 kHz."""


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame as a client sends it, with a mask that changes nothing."""
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65_536
        else b"\xff" + size.to_bytes(8, "big")
    )
    return bytes([(0x80 if final else 0) | opcode]) + length + bytes(4) + payload


def message(event_type: str, **payload: Any) -> bytes:
    """A message of the protocol, in a frame."""
    whole = {"eventType": event_type, "eventId": "x", "payload": payload}
    return frame(BINARY, msgpack.packb(whole, use_bin_type=True))


class Port(Protocol):
    """What can be connected to."""

    async def connect(self) -> trio.abc.Stream:
        """A connection."""
        ...


@define
class Socket:
    """A WebSocket that was accepted."""

    stream: trio.abc.Stream
    _received: bytearray = field(factory=bytearray, init=False)

    async def hears(self, size: int) -> bytes:
        """The next bytes."""
        with trio.fail_after(PATIENCE_S):
            while len(self._received) < size:
                data = await self.stream.receive_some()
                assert data, "the connection has ended"
                self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def next_frame(self) -> tuple[int, bytes]:
        """The opcode and payload of the server's next frame."""
        first, size = await self.hears(2)
        if size >= 126:
            size = int.from_bytes(await self.hears(2 if size == 126 else 8), "big")
        return first & 0x0F, await self.hears(size)

    async def is_closed(self) -> tuple[int, str]:
        """The code and reason with which the server closes, whatever it sends before."""
        while True:
            opcode, payload = await self.next_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()


@asynccontextmanager
async def a_socket(port: Port, path: str = "/ws") -> AsyncIterator[Socket]:
    """A WebSocket of this path."""
    async with await port.connect() as stream:
        socket = Socket(stream)
        await stream.send_all(HANDSHAKE % path.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await socket.hears(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield socket


async def send_all(stream: trio.abc.Stream, data: bytes) -> None:
    """Send, unless the other side has had enough."""
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
