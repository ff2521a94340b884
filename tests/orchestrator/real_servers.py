"""A real server on a port of the system's choice, with simulated providers that work at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import trio
from attrs import frozen

from orchestrator.server.server import Server
from orchestrator.server.startup import open_listeners, serve_with
from orchestrator.settings.settings import Settings
from orchestrator.simulation import SimulatedProviders, SimulatedTextToSpeech, Synthesis, script
from tests.orchestrator.journal.journals import replays

PATIENCE_S = 120
"""So long a test waits for what must come."""
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n\r\n"
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def quick_providers() -> SimulatedProviders:
    """Whose answers last some tenths of a second, since sockets know no virtual time."""
    return SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=5))))


@frozen
class Running:
    """A server that runs."""

    server: Server
    port: int
    providers: SimulatedProviders
    stop: trio.CancelScope


@asynccontextmanager
async def serving(providers: SimulatedProviders | None = None, **chosen: Any) -> AsyncIterator[Running]:
    """Serve as long as the block runs; then every call's journal is replayed."""
    providers = providers or quick_providers()
    with TemporaryDirectory() as directory:
        usual = {"host": "127.0.0.1", "port": 0, "local_max_calls": 64, "journal_dir": Path(directory)}
        settings = Settings(**{**usual, **chosen})
        async with trio.open_nursery() as nursery:
            listeners = await open_listeners(settings)
            bound = await nursery.start(serve_with, settings, providers.for_calls(), listeners)
            yield Running(bound.server, bound.port, providers, nursery.cancel_scope)
            nursery.cancel_scope.cancel()
        replays(Path(directory))


async def get(running: Running, path: str, method: str = "GET") -> httpx2.Response:
    """The answer to a request."""
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        return await http.request(method, f"http://127.0.0.1:{running.port}{path}")


async def exchange(running: Running, request: bytes) -> bytes:
    """What comes back for these bytes, until the server closes."""
    async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        await stream.send_all(request)
        with trio.fail_after(PATIENCE_S):
            return b"".join([part async for part in stream])


async def eventually(happened: Callable[[], object]) -> None:
    """Return once something has happened that announces itself by no event."""
    with trio.fail_after(PATIENCE_S):
        while not happened():  # noqa: ASYNC110
            await trio.sleep(0.005)
