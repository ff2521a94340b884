"""Frames on their way to one client: a bounded queue with one writer.

A frame that is being sent is never cancelled, since half a frame breaks the socket; what is cancelled is the
audio that still waits. A client that does not take its frames is given up, not buffered for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NoReturn, Protocol, TypeVar

import trio
from attrs import frozen

from adapters.tasks import Signal

MAX_WAITING_BYTES = 1024 * 1024
"""Ten seconds of 48 kHz audio."""
SEND_TIMEOUT_S = 10
"""The time that one frame may take to leave."""
FLUSH_TIMEOUT_S = 1
"""What still waits to be sent when the conversation ends may take this long."""


@frozen
class Frame:
    """A message, binary or text, and the answer whose audio it carries, if it does."""

    data: bytes | str
    utterance: int | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)


class Sendable(Protocol):
    """What can wait to be sent."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def utterance(self) -> int | None:
        """The answer whose audio it carries, if it does."""
        ...


S = TypeVar("S", bound=Sendable)


class Stalled(Exception):  # noqa: N818 (it says what happened)
    """The client does not take what is sent to it."""


class SendQueue(Generic[S]):
    """What waits to be sent. `put` never blocks; beyond the bound the client counts as stalled."""

    def __init__(self) -> None:
        self._frames: deque[S] = deque()
        self._waiting_bytes = 0
        self._changed = Signal()
        self._idle = True
        self.overflown = False

    def put(self, frame: S) -> None:
        """Add a frame; once too much waits, it is dropped and `overflown` is set."""
        if self._waiting_bytes + frame.size > MAX_WAITING_BYTES:
            self.overflown = True
        else:
            self._frames.append(frame)
            self._waiting_bytes += frame.size
        self._announce()

    def drop_audio(self, utterance: int) -> None:
        """Forget the audio of an answer that was not sent yet."""
        kept = [frame for frame in self._frames if frame.utterance != utterance]
        self._frames = deque(kept)
        self._waiting_bytes = sum(frame.size for frame in kept)
        self._announce()

    async def take(self) -> S:
        """The next frame. Raises `Stalled` once the bound was passed."""
        self._idle = True
        self._announce()
        while not self._frames and not self.overflown:
            await self._changed.wait()
        if self.overflown:
            raise Stalled(f"more than {MAX_WAITING_BYTES} bytes wait to be sent")
        frame = self._frames.popleft()
        self._waiting_bytes -= frame.size
        self._idle = False
        return frame

    async def send_each(self, send: Callable[[S], Awaitable[None]]) -> NoReturn:
        """Send what waits, one frame after the other, until cancelled.

        Raises `Stalled` once the bound was passed, or a frame was not taken in time; and what `send` raises.
        """
        while True:
            frame = await self.take()
            with trio.move_on_after(SEND_TIMEOUT_S) as sending:
                await send(frame)
            if sending.cancelled_caught:
                raise Stalled(f"one frame was not taken within {SEND_TIMEOUT_S} s")

    async def flushed(self) -> None:
        """Return once everything was sent."""
        while self._frames or not self._idle:
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.wake_all()


class Outbox(SendQueue[Frame]):
    """The frames that wait for one socket."""
