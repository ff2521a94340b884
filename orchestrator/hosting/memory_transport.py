"""A transport in memory: the host's own code, or a test, is the caller.

Both directions are bounded queues. `push` waits while 100 pieces of audio are queued, and the conversation
waits while 100 messages are queued. A host that then takes nothing for 10 s loses the conversation
(`EndReason.CALLER_STOPPED_READING`).
"""

from __future__ import annotations

import trio

from adapters.interfaces import Samples
from machines.facts import EndReason
from orchestrator.audio.utterance import Pacing
from orchestrator.hosting.transport import (
    AudioIn,
    HungUp,
    Incoming,
    Interrupted,
    KeyPressed,
    Outgoing,
    TransportClosed,
    TurnEnded,
    TurnStarted,
)

MOST_WAITING = 100
"""The limit of pieces or messages in each queue."""
DEFAULT_PACING = Pacing(rate=24_000, chunk_ms=60, lead_ms=140)
"""Text to speech's own rate; at most 200 ms are left to play after an interruption."""


class MemoryTransport:
    """A `Transport` whose caller is the host's own code. Iterate over it for what the caller is sent.

    ```python
    transport = MemoryTransport()
    async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
        await transport.start_turn()
        await transport.push(spoken("hello", 16_000), 16_000)
        await transport.end_turn()
        async for message in transport:
            if isinstance(message, AudioEnds):
                break
        await transport.hang_up()
    assert message.duration_ms > 0
    ```
    """

    def __init__(self, pacing: Pacing = DEFAULT_PACING) -> None:
        """`pacing`: how the caller's side wants its audio."""
        self.pacing = pacing
        self.closed_for: EndReason | None = None
        """Why the conversation ended; None as long as it goes on."""
        self._to_conversation, self._incoming = trio.open_memory_channel[Incoming](MOST_WAITING)
        self._outgoing, self._from_conversation = trio.open_memory_channel[Outgoing](MOST_WAITING)

    # --- the caller's side --------------------------------------------------------------------------------

    async def push(self, samples: Samples, rate: int) -> None:
        """Say this, at `rate` Hz. Waits while the queue is full.

        Raises `TransportClosed` after the end of the conversation, as do the other methods of this side.
        """
        await self._put(AudioIn(samples, rate))

    async def start_turn(self) -> None:
        """Begin a turn, in `TurnMode.MANUAL`."""
        await self._put(TurnStarted())

    async def end_turn(self) -> None:
        """End the turn, in `TurnMode.MANUAL`."""
        await self._put(TurnEnded())

    async def interrupt(self) -> None:
        """Stop the answer, by other means than voice."""
        await self._put(Interrupted())

    async def press(self, keys: str) -> None:
        """Press keys of a telephone, such as `42#`. Raises `ValueError` for anything but keys."""
        for key in keys:
            await self._put(KeyPressed(key))

    async def hang_up(self) -> None:
        """End the conversation."""
        await self._put(HungUp())

    def drop(self) -> None:
        """Disconnect without hanging up, like a broken line."""
        self._to_conversation.close()
        self._from_conversation.close()

    def __aiter__(self) -> MemoryTransport:
        """Iterate over what the caller is sent, to the end of the conversation."""
        return self

    async def __anext__(self) -> Outgoing:
        try:
            return await self._from_conversation.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None

    async def _put(self, incoming: Incoming) -> None:
        try:
            await self._to_conversation.send(incoming)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise TransportClosed("the conversation is over") from None

    # --- the conversation's side --------------------------------------------------------------------------

    async def receive(self) -> Incoming:
        """Wait for what the caller does next."""
        try:
            return await self._incoming.receive()
        except trio.EndOfChannel:
            raise TransportClosed("the caller dropped out") from None

    async def send(self, message: Outgoing) -> None:
        """Queue it for the caller."""
        try:
            await self._outgoing.send(message)
        except trio.BrokenResourceError:
            raise TransportClosed("the caller dropped out") from None

    async def close(self, reason: EndReason) -> None:
        """Let the caller's iteration end after what was sent."""
        self.closed_for = reason
        self._outgoing.close()
        self._incoming.close()
        await trio.lowlevel.checkpoint()
