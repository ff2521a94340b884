"""A server's port without a network: connections through memory, so that whole calls run in virtual time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import trio
import trio.testing
from attrs import define

from orchestrator.access.peer_process import Ends, Holder
from orchestrator.server.server import Server
from orchestrator.settings.settings import Settings
from orchestrator.simulation import SimulatedProviders


class _Address:
    """What libraries ask of a socket, of one on loopback."""

    family = socket.AF_INET

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def getpeername(self) -> tuple[str, int]:
        return self._peer, 50_000

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 3001

    def setsockopt(self, *args: object) -> None:
        """Memory has no buffers."""


class _Accepted(trio.abc.HalfCloseableStream):
    """The server's end of a connection."""

    def __init__(self, stream: Any, peer: str) -> None:
        self._stream = stream
        self.socket = _Address(peer)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _a_program(ends: Ends) -> Holder:
    """What a kernel would say of a connection through memory: this very process holds it."""
    await trio.lowlevel.checkpoint()
    return Holder.PROGRAM


@define
class MemoryPort:
    """A server that can be reached through memory."""

    server: Server
    nursery: trio.Nursery
    peer: str = "127.0.0.1"
    """Where connections seem to come from."""
    open_connections: int = 0
    closed: bool = False

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection; an `OpenStream`."""
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise ConnectionRefusedError("nobody listens any more")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs, self.peer)
        return ours

    async def serve(self, stream: trio.abc.HalfCloseableStream, peer: str = "127.0.0.1") -> None:
        """Serve a connection of which this is the server's end."""
        self.open_connections += 1
        try:
            await self.server.handle(cast(trio.SocketStream, _Accepted(stream, peer)))
        finally:
            self.open_connections -= 1


@asynccontextmanager
async def memory_port(
    providers: SimulatedProviders, http: httpx2.AsyncClient | None = None, **chosen: Any
) -> AsyncIterator[MemoryPort]:
    """A server with these providers and settings, for as long as the block runs; `http` leads to Twilio."""
    settings = Settings(**{"local_max_calls": 64, **chosen})
    server = Server(settings)
    server.phone.http = http
    server.doors.holder_of = _a_program
    async with trio.open_nursery() as nursery, server.taking_calls(providers.for_calls()):
        port = MemoryPort(server, nursery)
        try:
            yield port
        finally:
            port.closed = nursery.cancel_scope.cancel_called
        with trio.move_on_after(10):
            await server.drain()
        port.closed = True
        nursery.cancel_scope.cancel()
