"""A real server on a port of the system's choice, with simulated providers that work at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from attrs import frozen

from orchestrator.server.server import Server
from orchestrator.server.startup import open_listeners, serve_with
from orchestrator.settings.settings import Settings
from orchestrator.simulation import SimulatedProviders, SimulatedTextToSpeech, Synthesis, script
from tests.orchestrator.journal.journals import replays


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


async def eventually(happened: Callable[[], object]) -> None:
    """Return once something has happened that announces itself by no event."""
    with trio.fail_after(120):
        while not happened():  # noqa: ASYNC110
            await trio.sleep(0.005)
