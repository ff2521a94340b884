"""The head of a connection's first request tells whether it is WebSocket or HTTP, which share one port.

The head is read here and then replayed to the code that serves the connection. Here is also how a connection
is ended, and how a bad request is refused.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import h11
import trio
from attrs import field, frozen

from adapters.streams import HalfCloseableStreamOver
from orchestrator.access.credentials import joined

MAX_HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 10
FINISH_TIMEOUT_S = 2
"""How long a peer may go on sending after it was answered."""
_CHUNK = 4096
_LAST_CHUNK = 64 * 1024
_LAST_PAUSE_S = 0.01


class RequestError(Exception):
    """A request cannot be used. `status` is the HTTP status that says so, `location` where to go instead;
    `headers` are further ones of the answer."""

    def __init__(
        self, status: int, message: str, location: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {**({"location": location} if location else {}), **(headers or {})}


class Kind(enum.Enum):
    """What a connection is used for."""

    WEBSOCKET = "websocket"
    HTTP = "http"


@frozen
class Head:
    """The first request of a connection."""

    kind: Kind
    path: str
    """Without the query."""
    received: bytes
    """All bytes that were read so far, which may be more than the head."""
    headers: Mapping[str, str] = field(factory=dict, eq=False)
    """By names in lower case; several lines of one name are a list."""
    query: str = field(default="", repr=False, eq=False)
    """Behind the path. It may hold a token."""
    length: int = field(default=0, eq=False)
    """Of the bytes that were read, so many are the head."""


async def read_head(stream: trio.abc.ReceiveStream, base_path: str = "") -> Head | None:
    """Read the first request's head; None if the peer closed without sending anything.

    A proxy may serve everything under `base_path` ("/agent") and pass that on: it is taken off the path.

    Raises `RequestError`: 408 if it does not come within `HEAD_TIMEOUT_S`, 431 if it is too large, 400 if it
    is not HTTP.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    received = bytearray()
    with trio.move_on_after(HEAD_TIMEOUT_S):
        while True:
            request = _parse(parser)
            if isinstance(request, h11.Request):
                return _head(request, bytes(received), parser.trailing_data[0], base_path)
            data = await stream.receive_some(_CHUNK)
            if not data and not received:
                return None
            if not data:
                raise RequestError(400, "the connection ended within the request's head")
            received += data
            parser.receive_data(bytes(data))
    raise RequestError(408, f"the request's head did not come within {HEAD_TIMEOUT_S} s")


def _parse(parser: h11.Connection) -> Any:
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        raise RequestError(error.error_status_hint, str(error)) from error


_HOST = re.compile(rb"[A-Za-z0-9._~-]*(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{0,5})?")


def _head(request: h11.Request, received: bytes, rest: bytes, base_path: str) -> Head:
    """What is known by a head; `rest` are the bytes after it. Raises `RequestError`."""
    if request.http_version not in (b"1.0", b"1.1"):
        raise RequestError(505, "only HTTP/1.1 is spoken here")
    if any(_HOST.fullmatch(value) is None for name, value in request.headers if name == b"host"):
        raise RequestError(400, "the header Host must be a host, or a host and a port")
    target = _without(base_path, request.target)
    upgrade = _is_upgrade(request)
    if upgrade and not all(value.isascii() for name, value in request.headers if _is_of_handshake(name)):
        raise RequestError(400, "the headers of a WebSocket's handshake must be ASCII")
    if target != request.target or (upgrade and not _is_plain(request)):
        received = _written(request, target, upgrade) + rest
    path, _, query = target.decode("ascii", "replace").partition("?")
    headers = joined((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers)
    kind = Kind.WEBSOCKET if upgrade else Kind.HTTP
    return Head(kind, path, received, headers, query, len(received) - len(rest))


def _without(base_path: str, target: bytes) -> bytes:
    base = base_path.encode("ascii")
    return target[len(base) :] if base and target.startswith(base + b"/") else target


def _is_upgrade(request: h11.Request) -> bool:
    """Whether this asks for a WebSocket, by tokens in lists that may be spread over several headers."""
    asked = b"websocket" in _tokens(request, b"upgrade") and b"upgrade" in _tokens(request, b"connection")
    return asked and request.http_version >= b"1.1"


def _tokens(request: h11.Request, wanted: bytes) -> list[bytes]:
    values = [value for name, value in request.headers if name == wanted]
    return [token.strip().lower() for value in values for token in value.split(b",")]


_SUBPROTOCOLS = b"sec-websocket-protocol"


def _is_of_handshake(name: bytes) -> bool:
    return name in (b"upgrade", b"connection") or name.startswith(b"sec-websocket-")


def _is_plain(request: h11.Request) -> bool:
    """Whether wsproto understands the upgrade: it knows one header of each name, and one protocol.

    It decodes names of hosts in other scripts, which raises errors, and takes 0.2 s for a long one.
    """
    hosts = (value.lower() for name, value in request.headers if name == b"host")
    return (
        all(
            len([name for name, _ in request.headers if name == wanted]) == 1
            for wanted in (b"upgrade", b"connection")
        )
        and len([name for name, _ in request.headers if name == _SUBPROTOCOLS]) <= 1
        and _tokens(request, b"upgrade") == [b"websocket"]
        and not any(b"xn--" in host for host in hosts)
    )


def _written(request: h11.Request, target: bytes, upgrade: bool) -> bytes:
    """The head with another target, and as plain as it can be if it is an upgrade."""
    headers = list(request.headers.raw_items())
    if upgrade:
        # Nobody asks for the host of an upgrade, and there must be one.
        offered = b", ".join(value for name, value in headers if name.lower() == _SUBPROTOCOLS)
        written_anew = (b"host", b"upgrade", b"connection", _SUBPROTOCOLS)
        headers = [each for each in headers if each[0].lower() not in written_anew]
        headers += [(b"Sec-WebSocket-Protocol", offered)] if offered else []
        headers += [(b"Host", b"localhost"), (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
    lines = [b"%s %s HTTP/%s" % (request.method, target, request.http_version)]
    lines += [b"%s: %s" % each for each in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def peer_of(socket: trio.socket.SocketType) -> tuple[str, int] | None:
    """The address and port of the other side of a socket; None once it is gone."""
    try:
        host, port, *_ = socket.getpeername()
    except OSError:
        return None
    return host, port


class ReplayedStream(HalfCloseableStreamOver):
    """A socket's stream that first returns again the bytes that were read already.

    Like `trio.SocketStream`, it has the `socket` that HTTP and WebSocket libraries use.
    """

    def __init__(self, stream: trio.SocketStream, received: bytes) -> None:
        super().__init__(stream, received)
        self.socket = stream.socket

    @property
    def peer(self) -> tuple[str, int] | None:
        """The address and port of the other side; None once it is gone."""
        return peer_of(self.socket)

    @property
    def own_address(self) -> tuple[str, int]:
        """The address and port that the peer connected to."""
        host, port, *_ = self.socket.getsockname()
        return host, port


async def finish(stream: trio.abc.HalfCloseableStream) -> None:
    """Send the end of the stream, and wait up to `FINISH_TIMEOUT_S` for the end of the peer's.

    Closing a socket resets the connection if received bytes were not read, and a reset makes the peer lose
    what it has not read yet.
    """
    await stream.send_eof()
    with trio.move_on_after(FINISH_TIMEOUT_S):
        await receive_to_end(stream)


async def receive_to_end(stream: trio.abc.ReceiveStream) -> None:
    """Read and drop what the peer sends, until it ends or is gone."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some(_LAST_CHUNK):  # noqa: ASYNC110 (it waits for bytes)
            # Whoever sends without end must not be read as fast as it can send.
            await trio.sleep(_LAST_PAUSE_S)


async def refuse(
    stream: trio.abc.HalfCloseableStream, error: RequestError, within_s: float = 2 * FINISH_TIMEOUT_S
) -> None:
    """Answer a request that cannot be used, and end the connection."""
    body = f"{error}\n".encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in error.headers.items())
    head = (
        f"HTTP/1.1 {error.status} {_PHRASES.get(error.status, 'Error')}\r\n{more}"
        f"content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with trio.move_on_after(within_s):
        await stream.send_all(head.encode("ascii") + body)
        await finish(stream)


_PHRASES = {
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    408: "Request Timeout",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
