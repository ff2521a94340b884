"""A server with simulated providers, in a thread of its own beside a test that drives a browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue

import trio
from attrs import frozen

from orchestrator.server.request_head import read_head
from orchestrator.server.server import Server, open_listeners
from orchestrator.settings.settings import Settings
from tests.orchestrator.real_servers import quick_providers

PREFIX = "/agent/"


@frozen
class Served:
    """A server and, before it, a proxy that serves it under `PREFIX`."""

    port: int
    proxy_port: int
    deaf_proxy_port: int
    """Of a proxy that drops the Upgrade header."""
    _token: trio.lowlevel.TrioToken
    _may_begin: trio.Event

    @property
    def page(self) -> str:
        """The address of the page."""
        return f"http://localhost:{self.port}/"

    @property
    def proxied_page(self) -> str:
        """The address of the page behind the proxy."""
        return f"http://localhost:{self.proxy_port}{PREFIX}"

    @property
    def page_without_sockets(self) -> str:
        """The address of the page behind a proxy that drops the Upgrade header."""
        return f"http://localhost:{self.deaf_proxy_port}/"

    def begin(self) -> None:
        """Let the server take calls."""
        self._token.run_sync_soon(self._may_begin.set)


@contextmanager
def served(*, at_once: bool = True) -> Iterator[Served]:
    """Serve while the block runs. Calls are taken at once, or when the test says so."""
    started: SimpleQueue[Served] = SimpleQueue()
    over = trio.Event()
    thread = threading.Thread(target=trio.run, args=(_serve, started.put, over, at_once))
    thread.start()
    running = started.get(timeout=300)
    try:
        yield running
    finally:
        running._token.run_sync_soon(over.set)
        thread.join(60)
        assert not thread.is_alive()


async def _serve(announce: Callable[[Served], None], over: trio.Event, at_once: bool) -> None:
    settings = Settings(host="127.0.0.1", port=0, local_max_calls=8)
    server = Server(settings)
    may_begin = trio.Event()
    if at_once:
        may_begin.set()
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        port = listeners[0].socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        proxies = []
        for pass_on in (_pass_on_under_prefix, _pass_on_without_upgrade):
            (proxy,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, partial(pass_on, port), [proxy])
            proxies.append(proxy.socket.getsockname()[1])
        announce(Served(port, *proxies, trio.lowlevel.current_trio_token(), may_begin))

        @nursery.start_soon
        async def take_calls() -> None:
            await may_begin.wait()
            async with server.taking_calls(quick_providers().for_calls()):
                await trio.sleep_forever()

        await over.wait()
        nursery.cancel_scope.cancel()


async def _pass_on_under_prefix(port: int, client: trio.SocketStream) -> None:
    """One connection through a proxy: what is not under the prefix is not found."""
    async with client:
        head = await read_head(client)
        if head is None:
            return
        if not head.path.startswith(PREFIX):
            await client.send_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        await _pass_on(client, head.received.replace(f" {PREFIX}".encode(), b" /", 1), port)


async def _pass_on_without_upgrade(port: int, client: trio.SocketStream) -> None:
    """One connection through a proxy that does not know WebSockets."""
    async with client:
        head = await read_head(client)
        if head is not None:
            await _pass_on(client, re.sub(rb"(?i)\r\n(upgrade|connection):[^\r]*", b"", head.received), port)


async def _pass_on(client: trio.SocketStream, received: bytes, port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as server, trio.open_nursery() as nursery:
        await server.send_all(received)
        nursery.start_soon(_pump, client, server)
        await _pump(server, client)
        nursery.cancel_scope.cancel()


async def _pump(source: trio.SocketStream, target: trio.SocketStream) -> None:
    try:
        async for data in source:
            await target.send_all(data)
        await target.send_eof()
    except trio.BrokenResourceError:
        return
