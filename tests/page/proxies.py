"""What stands between a browser and the server: a proxy with a path, without WebSockets, or far away."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue

import trio
from attrs import frozen

from orchestrator.server.request_head import read_head

PREFIX = "/agent/"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@frozen
class Proxy:
    """Passes connections on to a port of this machine; `serve` it."""

    port: int
    prefix: str = "/"
    """What is not under it is not found; it is taken off."""
    upgrades: bool = True
    """It knows WebSockets."""
    delay_s: float = 0.0
    """How long everything takes each way."""

    async def serve(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Reports its own port as started."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._handle, [listener])

    async def _handle(self, client: trio.SocketStream) -> None:
        async with client:
            head = await read_head(client)
            if head is None:
                return
            if not head.path.startswith(self.prefix):
                await client.send_all(NOT_FOUND)
                return
            received = head.received.replace(f" {self.prefix}".encode(), b" /", 1)
            if not self.upgrades:
                received = re.sub(rb"(?i)\r\n(upgrade|connection):[^\r]*", b"", received)
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as server:
                await self._pass_on(client, server, received)

    async def _pass_on(self, client: trio.SocketStream, server: trio.SocketStream, received: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, client, server, received)
            await self._pump(server, client)
            nursery.cancel_scope.cancel()

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream, first: bytes = b"") -> None:
        """Pass on what comes, each piece as late as the one before."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_deliver, receive, target)
            if first:
                send.send_nowait((trio.current_time() + self.delay_s, first))
            try:
                async for data in source:
                    send.send_nowait((trio.current_time() + self.delay_s, bytes(data)))
            except trio.BrokenResourceError:
                nursery.cancel_scope.cancel()
            send.close()


async def _deliver(pieces: trio.MemoryReceiveChannel[tuple[float, bytes]], target: trio.SocketStream) -> None:
    try:
        async for due, data in pieces:
            await trio.sleep_until(due)
            await target.send_all(data)
        await target.send_eof()
    except trio.BrokenResourceError:
        return


@contextmanager
def running(proxy: Proxy) -> Iterator[int]:
    """Serve a proxy in a thread beside the test while the block runs; gives its port."""
    started: SimpleQueue[tuple[int, Callable[[], None]]] = SimpleQueue()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(proxy.serve)
            token = trio.lowlevel.current_trio_token()
            started.put((port, partial(token.run_sync_soon, nursery.cancel_scope.cancel)))

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    port, stop = started.get(timeout=60)
    try:
        yield port
    finally:
        stop()
        thread.join(60)
        assert not thread.is_alive()
