"""While a peer attacks, over real sockets, the call of a bystander takes whole turns and loses nothing.

In full, with what each attack costs the bystander in time: `benchmarks/walls.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import trio
from attrs import frozen

from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.simulation.speech import spoken
from protocol import MAX_MESSAGE_BYTES
from tests.orchestrator.real_servers import Running, eventually, serving
from tests.orchestrator.wire_clients import Client, connect
from tests.walls.peers import (
    ACCOUNT,
    BINARY,
    HALF,
    HANDSHAKE,
    PING,
    PONG,
    SECOND,
    START,
    Port,
    a_socket,
    frame,
    message,
    send_all,
)

WORDS = "how is the weather"


@frozen
class Door:
    """The port of a server that runs."""

    number: int

    async def connect(self) -> trio.abc.Stream:
        """A connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.number)


Attack = Callable[[Port], Awaitable[None]]


def floods(path: str, data: bytes, sockets: int = 5) -> Attack:
    """Send this without end over some sockets; who is closed comes again."""

    async def flood(port: Port) -> None:
        while True:
            try:
                async with a_socket(port, path) as socket, trio.open_nursery() as nursery:
                    nursery.start_soon(read_all, socket.stream)
                    while True:
                        await socket.stream.send_all(data)
            except* (trio.BrokenResourceError, AssertionError):
                await trio.lowlevel.checkpoint()

    async def attack(port: Port) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(sockets):
                nursery.start_soon(flood, port)

    return attack


def holds(count: int, request: bytes) -> Attack:
    """Open so many connections that send this and nothing more."""

    async def attack(port: Port) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(count):
                stream = await stack.enter_async_context(await port.connect())
                await send_all(stream, request)
            await trio.sleep_forever()

    return attack


async def read_all(stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some():
            pass


UNFINISHED = frame(BINARY, bytes(MAX_MESSAGE_BYTES))[:-1]
ATTACKS: dict[str, Attack] = {
    "pongs at /ws": floods("/ws", frame(PONG) * 500),
    "pongs at /twilio/media": floods("/twilio/media", frame(PONG) * 500),
    "pings": floods("/ws", frame(PING) * 500),
    "crumbs": floods("/ws", frame(BINARY, b"\x81", final=False) + frame(0, final=False) * 500),
    "rubbish": floods("/ws", frame(BINARY, b"\xc1") * 50),
    "audio": floods("/ws", frame(BINARY, START) + message("audio.input.chunk", audio=SECOND) * 10),
    "unfinished messages": holds(20, HANDSHAKE % b"/ws" + UNFINISHED),
    "unfinished requests": holds(50, HALF),
    "nothing": holds(200, b""),
    "callers": holds(60, HANDSHAKE % b"/ws"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
async def test_a_bystanders_turns_are_whole(name: str) -> None:
    chosen: dict[str, Any] = {**ACCOUNT, "twilio_base_url": "http://127.0.0.1:1", "max_sessions": 100}
    async with serving(**chosen) as running, connect(running.port, v2=True) as bystander:
        await bystander.send("audio.input.start", {"turnMode": "manual"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ATTACKS[name], Door(running.port))
            for number in (1, 2):
                await a_whole_turn(bystander, running, number)
            nursery.cancel_scope.cancel()
        assert await bystander.is_alive()


async def a_whole_turn(bystander: Client, running: Running, number: int) -> None:
    """Say something; all of it is understood, and all of the answer is heard."""
    audio = pcm_to_bytes(spoken(WORDS))
    for start in range(0, len(audio), 640):
        await bystander.send("audio.input.chunk", {"audio": audio[start : start + 640]})
    await bystander.send("audio.input.stop")
    complete = await bystander.hears("conversation.response.complete", number)
    await bystander.hears("audio.output.complete", number)
    await eventually(lambda: len(bystander.named("transcript.final.result")) == number)
    assert bystander.named("transcript.final.result")[-1]["payload"]["text"] == WORDS
    assert complete["payload"]["fullResponse"]
    sent_ms = sum(each["payload"]["duration"] for each in bystander.named("audio.output.complete"))
    heard = sum(
        len(each["payload"]["audio"]) / 2 / each["payload"]["samplingRate"]
        for each in bystander.named("audio.output.chunk")
    )
    assert heard * 1000 == pytest.approx(sent_ms, abs=1)
    assert not bystander.named("audio.error.buffer_overflow")
    await bystander.send("audio.input.start", {"turnMode": "manual"})
