"""A server with simulated providers, in a thread of its own beside a test that drives a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import trio
from attrs import frozen

from orchestrator.server.server import Server
from orchestrator.server.startup import open_listeners
from orchestrator.settings.settings import Settings
from tests.orchestrator.real_servers import quick_providers
from tests.page.proxies import PREFIX, Proxy


@frozen
class Served:
    """A server and, before it, a proxy that serves it under `PREFIX`, and one without WebSockets."""

    port: int
    proxy_port: int
    deaf_proxy_port: int
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
def served(*, at_once: bool = True, **chosen: Any) -> Iterator[Served]:
    """Serve with these settings while the block runs. Calls are taken at once, or when the test says so."""
    started: SimpleQueue[Served] = SimpleQueue()
    over = trio.Event()
    thread = threading.Thread(target=trio.run, args=(_serve, started.put, over, at_once, chosen))
    thread.start()
    running = started.get(timeout=300)
    try:
        yield running
    finally:
        running._token.run_sync_soon(over.set)
        thread.join(60)
        assert not thread.is_alive()


async def _serve(
    announce: Callable[[Served], None], over: trio.Event, at_once: bool, chosen: dict[str, Any]
) -> None:
    settings = Settings(**{"host": "127.0.0.1", "port": 0, "local_max_calls": 8, **chosen})
    server = Server(settings)
    may_begin = trio.Event()
    if at_once:
        may_begin.set()
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        port = listeners[0].socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        under_prefix = await nursery.start(Proxy(port, prefix=PREFIX).serve)
        deaf = await nursery.start(Proxy(port, upgrades=False).serve)
        announce(Served(port, under_prefix, deaf, trio.lowlevel.current_trio_token(), may_begin))

        @nursery.start_soon
        async def take_calls() -> None:
            await may_begin.wait()
            async with server.taking_calls(quick_providers().for_calls()):
                await trio.sleep_forever()

        await over.wait()
        nursery.cancel_scope.cancel()
