"""A WebSocket to a vendor, on Trio, with one writer, a bounded end and an honest reason when it dies.

The protocol is spoken by `websockets` on a TCP stream that is ours. Sending hands a message to the one task
that writes, so that cancelling whoever sends never leaves half a frame on the wire; that task, and the
closing handshake, outlive a cancelled call for `close_seconds` at most.
"""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from attrs import frozen
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect
from websockets.uri import parse_uri

from adapters.interfaces import ProviderError

OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and port."""

_LOGGER = logging.Logger("vendor sockets", logging.CRITICAL + 1)
"""`websockets` logs requests with their headers, and so keys; what goes wrong comes out as exceptions."""


@frozen
class SocketLimits:
    """How long a vendor may take. In seconds, but for `queued`."""

    connect_seconds: float = 10.0
    """TCP, TLS and the opening handshake together (the reference's `TTS`/`STT` connection time-out)."""
    ping_seconds: float = 5.0
    """A ping is sent this often; the SDKs' own interval of 20 s is too long for a call."""
    pong_seconds: float = 4.0
    """An unanswered ping is the end of the link after this."""
    send_seconds: float = 4.0
    """A message that the vendor does not take off the wire for this long is the end of the link."""
    close_seconds: float = 1.0
    queued: int = 64
    """Messages that wait to be written before `send` blocks."""


class VendorSocket:
    """An open WebSocket as the SDKs expect one: they send to it, receive from it, and parse by themselves."""

    def __init__(self, connection: ClientConnection, limits: SocketLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._outgoing, self._to_write = trio.open_memory_channel[str | bytes](limits.queued)
        self._failure: trio.TooSlowError | None = None

    async def send(self, message: str | bytes) -> None:
        """Hand over a message for writing. Cancelling it means that nothing, or all of it, is sent.

        Raises `trio.BrokenResourceError` once the connection is lost; `recv` says why.
        """
        await self._outgoing.send(message)

    async def recv(self, decode: bool | None = None) -> str | bytes:
        """The next message. Raises `ConnectionClosed`, or `TooSlowError` for a vendor that stopped taking.

        Cancelling it loses nothing.
        """
        try:
            message: str | bytes = await self._connection.recv(decode)
        except ConnectionClosed:
            if self._failure is not None:
                raise self._failure from None
            raise
        return message

    def __aiter__(self) -> VendorSocket:
        return self

    async def __anext__(self) -> str | bytes:
        """As `recv`: also a proper close by the vendor is an exception, since nobody asked it to."""
        return await self.recv()

    async def write_until_closed(self) -> None:
        """The one writer: works until `finish`, or until the connection is lost."""
        with self._to_write:
            async for message in self._to_write:
                with trio.move_on_after(self._limits.send_seconds) as scope:
                    try:
                        await self._connection.send(message)
                    except ConnectionClosed:
                        return
                if scope.cancelled_caught:
                    # Part of a frame may be on the wire: there is no way to go on.
                    self._failure = trio.TooSlowError("takes nothing that is sent to it")
                    await trio.aclose_forcefully(self._connection.stream)
                    return

    def finish(self) -> None:
        """Nothing more will be sent; what waits is still written."""
        self._outgoing.close()


@asynccontextmanager
async def open_vendor_socket(
    url: str,
    headers: Mapping[str, str],
    *,
    limits: SocketLimits | None = None,
    open_stream: OpenStream = trio.open_tcp_stream,
) -> AsyncIterator[VendorSocket]:
    """Connect to a `ws:` or `wss:` URL; leaving the block, also by cancellation, closes the connection.

    Raises `OSError`, `websockets.exceptions.InvalidHandshake` (`InvalidStatus` if the vendor refused), or
    `TimeoutError` on entering; nothing of its own afterwards.
    """
    limits = limits or SocketLimits()
    async with _plain_nursery() as nursery:
        holder = _Holder(url, headers, limits, open_stream)
        socket: VendorSocket = await nursery.start(holder.hold)
        try:
            yield socket
        finally:
            holder.finish(socket)


class _Holder:
    """Holds a connection open in a task of its own, which only `finish` and its deadline can end."""

    def __init__(
        self, url: str, headers: Mapping[str, str], limits: SocketLimits, open_stream: OpenStream
    ) -> None:
        self._url = url
        self._headers = headers
        self._limits = limits
        self._open_stream = open_stream
        self._scope = trio.CancelScope()
        self._finished = trio.Event()

    async def hold(self, task_status: trio.TaskStatus[VendorSocket]) -> None:
        uri = parse_uri(self._url)
        with self._scope:
            deadline = trio.current_time() + self._limits.connect_seconds
            stream = await self._connect_tcp(uri.host, uri.port, deadline)
            try:
                async with self._connect(stream, deadline, secure=uri.secure) as connection:
                    socket = VendorSocket(connection, self._limits)
                    self._scope.shield = True
                    task_status.started(socket)
                    await socket.write_until_closed()
                    await self._finished.wait()
            finally:
                await trio.aclose_forcefully(stream)

    def finish(self, socket: VendorSocket) -> None:
        socket.finish()
        self._finished.set()
        self._scope.deadline = trio.current_time() + self._limits.close_seconds

    async def _connect_tcp(self, host: str, port: int, deadline: float) -> trio.abc.Stream:
        with trio.move_on_at(deadline):
            return await self._open_stream(host, port)
        raise TimeoutError("no TCP connection in time")

    def _connect(self, stream: trio.abc.Stream, deadline: float, *, secure: bool) -> connect:
        return connect(
            self._url,
            stream=stream,
            ssl=tls() if secure else None,
            compression=None,
            additional_headers=self._headers,
            user_agent_header=None,
            proxy=None,
            open_timeout=max(0.0, deadline - trio.current_time()),
            ping_interval=self._limits.ping_seconds,
            ping_timeout=self._limits.pong_seconds,
            close_timeout=self._limits.close_seconds,
            max_size=16 * 2**20,
            max_queue=1024,
            logger=_LOGGER,
        )


@functools.cache
def tls() -> ssl.SSLContext:
    """One for the process. Loading the certificates takes tens of milliseconds: call it at the start."""
    return ssl.create_default_context()


@asynccontextmanager
async def alive_with(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run the block for as long as `task` lives: its `ProviderError` cancels the block and comes out of it.

    An exception of the block comes out as it is; leaving the block ends the task.
    """
    failure: ProviderError | None = None

    async def watch() -> None:
        nonlocal failure
        try:
            await task()
        except ProviderError as error:
            failure = error
            nursery.cancel_scope.cancel()

    async with _plain_nursery() as nursery:
        nursery.start_soon(watch)
        yield
    if failure is not None:
        raise failure


@asynccontextmanager
async def _plain_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that is cancelled with the end of its block, whose exception comes out ungrouped."""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as raised:
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
