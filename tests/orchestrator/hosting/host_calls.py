"""What tests of host programs share: a caller on a `MemoryTransport`, and waiting for what happens."""

from __future__ import annotations

import trio

from adapters.interfaces import Samples
from orchestrator import (
    Conversation,
    Event,
    MemoryTransport,
    Outgoing,
)
from orchestrator.simulation.speech import spoken

RATE = 16_000
BLOCK = RATE // 50
LONG = "This is a long answer that goes on and on. " * 10


async def speak(transport: MemoryTransport, samples: Samples) -> None:
    """As a microphone: 20 ms at a time, in real time."""
    for start in range(0, len(samples), BLOCK):
        await trio.sleep(0.02)
        await transport.push(samples[start : start + BLOCK], RATE)


async def take_turn(transport: MemoryTransport, words: str) -> None:
    """A turn by hand, in no time."""
    await transport.start_turn()
    await transport.push(spoken(words, RATE), RATE)
    await transport.end_turn()


async def listen(transport: MemoryTransport, heard: list[Outgoing]) -> None:
    """Take what the caller is sent, until the end of the conversation."""
    async for message in transport:
        heard += [message]


async def until(conversation: Conversation, kind: type[Event]) -> Event:
    """The first event of its kind."""
    async for event in conversation.events():
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__}")
