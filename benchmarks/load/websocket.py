"""WebSocket frames for asyncio's protocols, with as little work for each as Python allows.

Callers and vendors share one core, so a frame must cost them less than it costs the server that is measured.
Nothing is compressed; fragments are joined; pings are answered.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from typing import cast

from websockets.speedups import apply_mask

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_MASK = b"\0\0\0\0"
"""Clients must mask what they send. With this key, which any server takes, there is nothing to compute."""


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool = False) -> bytes:
    """One whole frame."""
    length, mask = len(payload), _NO_MASK if masked else b""
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes((0x80 | opcode, bit | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, bit | 126, length >> 8, length & 255))
    else:
        head = bytes((0x80 | opcode, bit | 127)) + length.to_bytes(8, "big")
    return head + mask + payload


class FrameReader:
    """Gives whole messages to `take(opcode, payload)`."""

    def __init__(self, take: Callable[[int, bytes], None]) -> None:
        self._take = take
        self._rest = b""
        self._parts: list[bytes] = []
        self._kind = TEXT

    def feed(self, data: bytes) -> None:
        """Process what came."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            first, second = data[at], data[at + 1]
            length, start = second & 127, at + 2
            if length == 126:
                if end - start < 2:
                    break
                length = data[start] << 8 | data[start + 1]
                start += 2
            elif length == 127:
                if end - start < 8:
                    break
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            if second & 128:
                body = start + 4
                if end - body < length:
                    break
                payload = apply_mask(data[body : body + length], data[start:body]) if length else b""
                at = body + length
            else:
                if end - start < length:
                    break
                payload = data[start : start + length]
                at = start + length
            self._frame(first, payload)
        self._rest = data[at:]

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & 15
        if opcode >= CLOSE:
            self._take(opcode, payload)
            return
        if opcode:
            self._kind = opcode
        if first & 128 and not self._parts:
            self._take(self._kind, payload)
            return
        self._parts.append(payload)
        if first & 128:
            whole, self._parts = b"".join(self._parts), []
            self._take(self._kind, whole)


def accept_key(key: bytes) -> bytes:
    """The answer to a client's `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def accepted(key: bytes, more: bytes = b"") -> bytes:
    """The head with which a server takes a WebSocket."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: " + accept_key(key) + b"\r\n" + more + b"\r\n"
    )


class ClientSocket(asyncio.Protocol):
    """A client's end. Subclasses have `opened`, `message` and `lost`."""

    transport: asyncio.Transport

    def __init__(self, host: str, path: str, subprotocol: str = "") -> None:
        self._request = (host, path, subprotocol)
        self._head: bytes | None = b""
        self._reader = FrameReader(self._take)
        self.closing = False
        """We have closed it."""
        self.close_code: int | None = None

    # --- for subclasses ---

    def opened(self) -> None:
        """The server has taken the WebSocket."""

    def message(self, opcode: int, payload: bytes) -> None:
        """A message came."""

    def lost(self, reason: str) -> None:
        """The connection is over, or was never taken."""

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send a message."""
        self.transport.write(frame(payload, opcode, masked=True))

    def hang_up(self) -> None:
        """Close the connection."""
        self.closing = True
        self.transport.write(frame((1000).to_bytes(2, "big"), CLOSE, masked=True))
        self.transport.close()

    # --- asyncio's ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's have another class
        host, path, subprotocol = self._request
        key = base64.b64encode(os.urandom(16)).decode()
        wanted = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        self.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{wanted}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Read the answer to the request, and then frames."""
        if self._head is not None:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = None
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.lost(head.split(b"\r\n")[0].decode("latin-1"))
                self.closing = True
                self.transport.close()
                return
            self.opened()
        if data:
            self._reader.feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Report it, unless we have closed it."""
        if not self.closing:
            self.closing = True
            code = f"closed with {self.close_code}" if self.close_code else "closed without a word"
            self.lost(str(error) if error else code)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode <= BINARY:
            self.message(opcode, payload)
        elif opcode == PING:
            self.send(payload, PONG)
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            self.transport.close()
