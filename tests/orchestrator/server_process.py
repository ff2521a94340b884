"""A server with simulated providers in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import frozen

SERVER = """
import sys, trio
from orchestrator.server import startup
from orchestrator.settings.settings import Settings, SettingsError
from tests.orchestrator.real_servers import quick_providers
from contextlib import asynccontextmanager

@asynccontextmanager
async def simulated(settings, tools):
    yield quick_providers().for_calls()

startup.open_providers = simulated

def announce(port):
    print(port, flush=True)

trio.run(startup.serve, Settings(host="127.0.0.1", port=0), announce)
"""
"""Prints the port when it is ready."""


@frozen
class ServerProcess:
    """A process that serves on this port."""

    process: trio.Process
    port: int


@asynccontextmanager
async def server_process(program: str = SERVER) -> AsyncIterator[ServerProcess]:
    """Run the program as long as the block runs; it is ready by then."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", program], stdin=None, stdout=-1, stderr=-1, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with trio.fail_after(300):
            told = b""
            while b"\n" not in told or not told.split(b"\n")[-2].isdigit():
                part = await process.stdout.receive_some()
                assert part, (await process.stderr.receive_some()).decode()
                told += part
        yield ServerProcess(process, int(told.split(b"\n")[-2]))
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()
        await process.stderr.aclose()
