"""A WebSocket to a vendor, on Trio: one task writes, closing takes bounded time, and errors say why it died.

`websockets` implements the protocol on a TCP stream of ours. Sending hands a message to the one task that
writes, so cancelling the sender never leaves half a frame on the wire. That task and the closing handshake
outlive a cancelled call by `close_seconds` at most.
"""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import frozen
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidProxy, ProxyError
from websockets.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from websockets.trio.client import ClientConnection, connect, read_connect_response
from websockets.uri import WebSocketURI, parse_uri

from adapters.http_clients import LOOPBACK
from adapters.interfaces import ProviderError
from adapters.streams import HalfCloseableStreamOver, StreamOver
from machines.bounds import LONGEST_MESSAGE

_SIP_BYTES = 4096
"""Read at once. All frames in it are handled before anybody else runs; the shortest have two bytes."""
_READ_AHEAD = 64
"""Messages that may wait to be processed; more are not read from the network."""
OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and port."""

_LOGGER = logging.Logger("vendor sockets", logging.CRITICAL + 1)
"""Logs nothing: `websockets` would log request headers with the keys in them. Errors are raised anyway."""


@frozen
class SocketLimits:
    """How long a vendor may take, in seconds; `queued` is a number of messages."""

    connect_seconds: float = 10.0
    """For TCP, TLS and the opening handshake together (the reference's `TTS`/`STT` connection time-out)."""
    ping_seconds: float = 5.0
    """The interval of pings. That of the SDKs, 20 s, is too long for a call."""
    pong_seconds: float = 4.0
    """A ping that is not answered within this ends the link."""
    send_seconds: float = 4.0
    """A message that cannot be written within this ends the link."""
    close_seconds: float = 1.0
    queued: int = 64
    """Messages that may wait to be written before `send` blocks."""


class _Sips(StreamOver):
    """A stream that is read in sips."""

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        """A sip."""
        return await super()._receive(min(max_bytes or _SIP_BYTES, _SIP_BYTES))


class _HalfCloseableSips(_Sips, HalfCloseableStreamOver):
    """One that can end what it sends."""


class _SippingConnection(ClientConnection):
    """A connection that lets others run between the frames of a vendor."""

    def __init__(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, protocol: ClientProtocol, **options: Any
    ) -> None:
        sips = (
            _HalfCloseableSips(stream) if isinstance(stream, trio.abc.HalfCloseableStream) else _Sips(stream)
        )
        super().__init__(nursery, sips, protocol, **options)


class VendorSocket:
    """An open WebSocket as the SDKs expect it: they send to it, receive from it, and parse the messages."""

    def __init__(self, connection: ClientConnection, limits: SocketLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._outgoing, self._to_write = trio.open_memory_channel[str | bytes](limits.queued)
        self._failure: trio.TooSlowError | None = None

    async def send(self, message: str | bytes) -> None:
        """Hand over a message for writing. If this is cancelled, all of the message is sent or nothing.

        Raises `trio.BrokenResourceError` once the connection is lost; `recv` says why.
        """
        try:
            self._outgoing.send_nowait(message)
        except trio.WouldBlock:
            await self._outgoing.send(message)

    async def recv(self, decode: bool | None = None) -> str | bytes:
        """The next message. Raises `ConnectionClosed`, or `TooSlowError` if the vendor stopped reading.

        Cancelling this loses no message.
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
        """As `recv`. A proper close by the vendor is an exception, too, since nobody asked for it."""
        return await self.recv()

    async def write_until_closed(self) -> None:
        """Write the messages, until `finish` or until the connection is lost."""
        with self._to_write:
            async for message in self._to_write:
                with trio.move_on_after(self._limits.send_seconds) as scope:
                    try:
                        await self._connection.send(message)
                    except ConnectionClosed:
                        return
                if scope.cancelled_caught:
                    # Part of a frame may be on the wire, so the connection cannot be used any more.
                    self._failure = trio.TooSlowError("takes nothing that is sent to it")
                    await trio.aclose_forcefully(self._connection.stream)
                    return

    def finish(self) -> None:
        """Say that no more messages will be sent. Those that wait are still written."""
        self._outgoing.close()


@asynccontextmanager
async def open_vendor_socket(
    url: str,
    headers: Mapping[str, str],
    *,
    limits: SocketLimits | None = None,
    open_stream: OpenStream = trio.open_tcp_stream,
) -> AsyncIterator[VendorSocket]:
    """Connect to a `ws:` or `wss:` URL. Leaving the block, also by cancellation, closes the connection.

    Entering raises `OSError`, `TimeoutError` or `websockets.exceptions.InvalidHandshake` (`InvalidStatus` if
    the vendor refused). Nothing is raised afterwards.
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
    """Keeps a connection open in a task of its own, which only `finish` and the deadline after it can end."""

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
            stream = await self._connect_tcp(uri, deadline)
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

    async def _connect_tcp(self, uri: WebSocketURI, deadline: float) -> trio.abc.Stream:
        proxy = _proxy_to(uri)
        with trio.move_on_at(deadline):
            if proxy is None:
                return await self._open_stream(uri.host, uri.port)
            return await self._connect_through(proxy, uri)
        raise TimeoutError("no TCP connection in time" + (f" through {_address(proxy)}" if proxy else ""))

    async def _connect_through(self, proxy: Proxy, uri: WebSocketURI) -> trio.abc.Stream:
        stream = await self._open_stream(proxy.host, proxy.port)
        try:
            if proxy.scheme == "https":
                stream = trio.SSLStream(stream, tls(), server_hostname=proxy.host, https_compatible=True)
            await stream.send_all(prepare_connect_request(proxy, uri, None))
            await read_connect_response(stream)
        except (ProxyError, trio.BrokenResourceError) as error:
            await trio.aclose_forcefully(stream)
            raise OSError(f"the proxy {_address(proxy)} gave no connection: {error}") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    def _connect(self, stream: trio.abc.Stream, deadline: float, *, secure: bool) -> connect:
        return connect(
            self._url,
            stream=stream,
            create_connection=_SippingConnection,
            ssl=tls() if secure else None,
            compression=None,
            additional_headers=self._headers,
            user_agent_header=None,
            proxy=None,
            open_timeout=max(0.0, deadline - trio.current_time()),
            ping_interval=self._limits.ping_seconds,
            ping_timeout=self._limits.pong_seconds,
            close_timeout=self._limits.close_seconds,
            max_size=LONGEST_MESSAGE,
            max_queue=_READ_AHEAD,
            logger=_LOGGER,
        )


def _proxy_to(uri: WebSocketURI) -> Proxy | None:
    """The proxy of the environment for this address; None for none. This machine is never asked of one."""
    url = None if uri.host in (*LOOPBACK, "::1") else get_proxy(uri)
    if url is None:
        return None
    try:
        proxy = parse_proxy(url if "://" in url else f"http://{url}")
    except InvalidProxy:
        proxy = None
    if proxy is None or not proxy.scheme.startswith("http"):
        raise OSError(
            "HTTPS_PROXY or HTTP_PROXY is no HTTP proxy's address, and cannot be used: "
            "unset it, or set it to an HTTP proxy"
        )
    return proxy


def _address(proxy: Proxy) -> str:
    """Where the proxy is, without the password that its address may hold."""
    return f"{proxy.scheme}://{proxy.host}:{proxy.port}"


@functools.cache
def tls() -> ssl.SSLContext:
    """The TLS context of the process. Loading the certificates takes tens of ms, so call it at the start."""
    return ssl.create_default_context()


@asynccontextmanager
async def alive_with(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `task` beside the block. A `ProviderError` of the task cancels the block and is raised from it.

    An exception of the block is raised as it is. Leaving the block cancels the task.
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
    """A nursery that is cancelled at the end of the block. An exception of the block is raised ungrouped."""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as raised:
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
