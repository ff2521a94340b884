"""How a server starts: it listens, opens the database, loads its providers, and takes calls until it is told
to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from random import Random

import trio
from attrs import frozen

from adapters.logs import library_logger
from adapters.storage.store import open_store
from orchestrator.access.stored_book import open_key_book
from orchestrator.phone.call_key import kept_key
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.providers.selection import open_providers
from orchestrator.server.connection_limits import ask_for_descriptors
from orchestrator.server.garbage import collect_seldom, forget_what_is_loaded
from orchestrator.server.keeping import known_prices, usable_directory
from orchestrator.server.listening import listen
from orchestrator.server.server import Server
from orchestrator.server.signals import drain_on_signal
from orchestrator.settings.settings import Settings
from orchestrator.tools.builtin_tools import built_in

log = library_logger(__name__)


async def serve(
    settings: Settings, announce: Callable[[int], None], sockets: Sequence[socket.socket] = ()
) -> None:
    """Load the providers and serve until SIGTERM, SIGINT or cancellation. Signals drain within the budget.

    The port answers at once; `sockets` are used if they listen on it already. When the server is ready,
    sessions may begin and `announce` is called with the port. Raises `JournalError` if journals cannot be
    written, `ModelsError` if a model file is missing, `SettingsError` if TURN_MODEL is not a usable model or
    if others could reach the server and nobody has a key, `StorageError` if the database is damaged or the
    like, `PepperError` if its keys cannot be read, and `OSError` if the address cannot be listened on.
    """
    journals_at = await trio.to_thread.run_sync(usable_directory, settings)
    prices = await trio.to_thread.run_sync(known_prices, settings)
    listeners = _listeners(sockets) if sockets else await open_listeners(settings)
    ask_for_descriptors()
    server = Server(settings, journals_at=journals_at, prices=prices)
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener)
        # Before anybody is let in. Without a file, nothing is read.
        server.store = await stack.enter_async_context(open_store(settings.database))
        server.doors.use(await stack.enter_async_context(open_key_book(settings, server.store)))
        server.doors.check_reach(_addresses_of(listeners))
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        await nursery.start(drain_on_signal, server, nursery.cancel_scope)
        if journals_at is not None:
            nursery.start_soon(server.store.load)
            nursery.start_soon(trio.to_thread.run_sync, prices.load)
        port = _port_of(listeners)
        server.phone.own_url = f"http://127.0.0.1:{port}"
        stack.enter_context(kept_key(port, server.phone.own_key))
        log.info("listening", host=settings.host, port=port)
        tools = [each.spec for each in built_in(settings.tools)]
        async with open_providers(settings, tools) as providers:
            watch = ProviderWatch(providers, Random(), language=settings.stt_language)
            async with server.taking_calls(providers, watch):
                forget_what_is_loaded()
                nursery.start_soon(server.capacity.measure)
                nursery.start_soon(
                    collect_seldom, lambda: len(server.sessions), lambda: server.session_runner.ended
                )
                log.info("ready", host=settings.host, port=port)
                announce(port)
                await trio.sleep_forever()


async def open_listeners(settings: Settings) -> list[trio.SocketListener]:
    """Listen on the address of the settings. Raises `OSError` if that is impossible."""
    return _listeners(await trio.to_thread.run_sync(listen, settings.host, settings.port))


def _listeners(sockets: Sequence[socket.socket]) -> list[trio.SocketListener]:
    return [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]


@frozen
class Bound:
    """A server and the port on which it listens."""

    server: Server
    port: int


async def serve_with(
    settings: Settings,
    providers: Providers,
    listeners: list[trio.SocketListener],
    watch: ProviderWatch | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on these listeners, with these providers, until cancelled.

    Reports as started when it listens. Without a `watch`, it is ready by then.
    """
    server = Server(settings)
    server.doors.check_reach(_addresses_of(listeners))
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        port = _port_of(listeners)
        server.phone.own_url = f"http://127.0.0.1:{port}"
        task_status.started(Bound(server, port))
        async with server.taking_calls(providers, watch):
            await trio.sleep_forever()


def _addresses_of(listeners: list[trio.SocketListener]) -> list[str]:
    return [str(each.socket.getsockname()[0]) for each in listeners]


def _port_of(listeners: list[trio.SocketListener]) -> int:
    return int(listeners[0].socket.getsockname()[1])
