"""Serves TCP connections: each needs a place, and its first request tells what it becomes.

That is an exchange of HTTP, a client's call (`/ws`) or the media stream of a telephone call.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import trio
from attrs import define, field
from starlette.applications import Starlette
from trio_websocket import ConnectionClosed, HandshakeError

from adapters.logs import library_logger, without_secrets
from orchestrator.access.credentials import TOKEN_SUBPROTOCOL
from orchestrator.access.doors import Doors
from orchestrator.access.grants import Grant
from orchestrator.access.limits import CallShare, Limits
from orchestrator.access.refusal import Refusal
from orchestrator.addresses import address_of
from orchestrator.phone.telephone import MEDIA_PATH, Telephone
from orchestrator.server import request_head, socket_door
from orchestrator.server.asgi import serve_request
from orchestrator.server.connection_limits import ConnectionLimits, Place
from orchestrator.server.peer_socket import PeerSocket
from orchestrator.settings.settings import Settings
from protocol import HIERARCHICAL_SUBPROTOCOL, MAX_MESSAGE_BYTES
from protocol.twilio import MAX_START_BYTES, MAX_STREAM_MESSAGE_BYTES

log = library_logger(__name__)

WEBSOCKET_PATH = "/ws"
ServeSocket = Callable[[PeerSocket], Awaitable[None]]
"""Serves an accepted WebSocket until it is closed."""
SEND_BUFFER_BYTES = 32 * 1024
"""The kernel's buffer for one client: audio in it cannot be dropped when the caller interrupts."""
HANDSHAKE_TIMEOUT_S = 60
"""So long accepting a WebSocket may take. Its head was read and the answer fits into the kernel's buffer, so
that it hangs on no peer, only on the processor: a process that stood still for a while (the machine slept, or
was very busy) goes on with those whom it was accepting. It is there so that a fault of ours cannot keep all
others waiting for the lock."""
REFUSAL_S = 0.25
"""So long a connection that has no place may take to read why."""
MOST_REFUSED_AT_ONCE = 16
"""More are closed without a word: each takes a descriptor as long as it is told."""


class Converse(Protocol):
    """Serves the accepted socket of a client that was let in, until its call is over."""

    async def __call__(self, connection: PeerSocket, *, place: Place, grant: Grant, share: CallShare) -> None:
        """The connection has this place; its call is made under this grant, and takes this share."""
        ...


@define(eq=False)
class Connections:
    """Serves all connections of a server."""

    settings: Settings
    limits: ConnectionLimits
    """How many there may be."""
    access_limits: Limits
    """How many may come from one address."""
    doors: Doors
    """Who is let in."""
    phone: Telephone
    """Serves media streams."""
    app: Starlette
    """Serves HTTP."""
    converse: Converse
    counts: Counter[str]
    _handshakes: trio.Lock = field(factory=trio.Lock, init=False)
    """Held by the connection that becomes a WebSocket: many that come together leave others their turns."""
    _refusing: int = field(default=0, init=False)
    """Connections without a place that are being told so."""

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one TCP connection from its first byte to its close. Its errors do not affect others."""
        async with stream:
            try:
                await self._admit(stream)
            except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed):
                log.debug("connection broke")
            except* Exception as group:
                log.exception("connection failed", exc_info=group)

    async def _admit(self, stream: trio.SocketStream) -> None:
        """Serve the connection if there is a place for it."""
        address = None if self.settings.twilio_trust_proxy else self._address(stream, {})
        try:
            with trio.CancelScope() as scope, self.limits.place(scope.cancel, address) as place:
                if address is not None:
                    await self._know(place, address)
                await self._route(stream, place)
        except request_head.RequestError as error:
            # It has no place: it may not wait for anything, and not many may at once.
            if self._refusing < MOST_REFUSED_AT_ONCE:
                self._refusing += 1
                try:
                    await request_head.refuse(stream, error, REFUSAL_S)
                finally:
                    self._refusing -= 1

    async def _know(self, place: Place, address: str) -> None:
        """The peer's address is known. Raises `RequestError` if too many come from there."""
        place.belongs_to(address)
        try:
            await self.access_limits.connect(address)
        except Refusal as refusal:
            raise socket_door.as_request_error(refusal) from None

    def _address(self, stream: trio.SocketStream, headers: Mapping[str, str]) -> str:
        peer = request_head.peer_of(stream.socket)
        return address_of(peer and peer[0], headers, behind_proxy=self.settings.twilio_trust_proxy)

    async def _route(self, stream: trio.SocketStream, place: Place) -> None:
        try:
            await self._dispatch(stream, place)
        except request_head.RequestError as error:
            log.info("bad request", status=error.status, error=str(error))
            await request_head.refuse(stream, error)

    async def _dispatch(self, stream: trio.SocketStream, place: Place) -> None:
        base_path = self.settings.base_path
        head = await request_head.read_head(stream, base_path)
        if head is None:
            return
        if place.address is None:
            await self._know(place, self._address(stream, head.headers))
        if base_path and head.path == base_path:
            # Addresses in the page are relative to it.
            raise request_head.RequestError(308, f"the page is at {base_path}/", f"{base_path}/")
        if head.kind is request_head.Kind.HTTP:
            await self._serve_http(request_head.ReplayedStream(stream, head.received))
        elif head.path == WEBSOCKET_PATH:
            await self._serve_client(stream, head, place)
        elif head.path == MEDIA_PATH:
            await self._serve_media_stream(stream, head, place)
        else:
            paths = f"{WEBSOCKET_PATH} and {MEDIA_PATH}"
            raise request_head.RequestError(400, f"there is no WebSocket at {head.path}, only at {paths}")

    async def _serve_http(self, stream: request_head.ReplayedStream) -> None:
        try:
            await serve_request(self.app, stream)
        except* trio.TooSlowError:
            log.info("an answer was not taken in time", peer=stream.peer)

    async def _serve_client(self, stream: trio.SocketStream, head: request_head.Head, place: Place) -> None:
        _check_subprotocols(head.headers.get("sec-websocket-protocol", ""))
        with ExitStack() as shares:
            serve = await self._let_in(stream, head, place, shares)
            await self._serve_websocket(stream, head, PeerSocket(stream, MAX_MESSAGE_BYTES), serve)

    async def _let_in(
        self, stream: trio.SocketStream, head: request_head.Head, place: Place, shares: ExitStack
    ) -> ServeSocket:
        """What serves a caller: a conversation, or words why there is none. Raises `RequestError`.

        What a conversation takes of its account is among the `shares`.
        """
        try:
            grant, share = await self.doors.begin_call(socket_door.asked_of(stream, head))
        except Refusal as refusal:
            self.counts["refused"] += 1
            if not socket_door.is_browser(head.headers):
                raise socket_door.as_request_error(refusal) from None
            return partial(socket_door.turn_away, refusal=refusal)
        shares.enter_context(share)
        return partial(self.converse, place=place, grant=grant, share=share)

    async def _serve_media_stream(
        self, stream: trio.SocketStream, head: request_head.Head, place: Place
    ) -> None:
        asked = socket_door.asked_of(stream, head)
        peer = PeerSocket(stream, MAX_START_BYTES, MAX_STREAM_MESSAGE_BYTES)

        def on_admitted() -> None:
            peer.admit()
            place.is_trusted()

        serve = partial(self.phone.serve_stream, asked=asked, on_admitted=on_admitted)
        await self._serve_websocket(stream, head, peer, serve)

    async def _serve_websocket(
        self, stream: trio.SocketStream, head: request_head.Head, peer: PeerSocket, serve: ServeSocket
    ) -> None:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if await self._accept(head, peer):
            await serve(peer)

    async def _accept(self, head: request_head.Head, peer: PeerSocket) -> bool:
        """Whether the WebSocket that the head asks for could be accepted."""
        asked, following = head.received[: head.length], head.received[head.length :]
        accepted = False
        try:
            with trio.fail_after(HANDSHAKE_TIMEOUT_S):
                async with self._handshakes:
                    await peer.accept(asked, following, [HIERARCHICAL_SUBPROTOCOL])
            accepted = True
        except* (HandshakeError, ConnectionClosed, trio.TooSlowError):
            log.info("handshake failed")
        return accepted


def _check_subprotocols(offered: str) -> None:
    """Refuse a client that offers only what nobody knows: a browser would fail without a reason.

    One that offers nothing speaks the legacy dialect.
    """
    names = [name.strip() for name in offered.split(",") if name.strip()]
    if names and HIERARCHICAL_SUBPROTOCOL not in names:
        # A token among them must not come into the log.
        unknown = (
            ", ".join(name for name in names if not name.startswith(TOKEN_SUBPROTOCOL)) or "with a token"
        )
        unknown = without_secrets(unknown)
        raise request_head.RequestError(
            400, f"the subprotocols {unknown} are unknown here: offer {HIERARCHICAL_SUBPROTOCOL}, or none"
        )
