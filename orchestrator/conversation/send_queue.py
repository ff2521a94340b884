"""The queue of frames to one client: bounded, with one writer.

A frame that is being sent is never cancelled, since half a frame breaks the socket; audio that still waits
can be dropped. A client that does not take its frames is disconnected rather than buffered for.
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
"""How long sending one frame may take."""
TOGETHER_BYTES = 8 * 1024
"""So much is sent in one piece. What is being sent cannot be dropped any more."""
FLUSH_TIMEOUT_S = 1
"""How long sending the rest may take when the conversation ends."""


@frozen
class Frame:
    """A message, binary or text, and, if it carries audio, the number of its answer."""

    data: bytes | str
    utterance: int | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)


class Sendable(Protocol):
    """An item of a send queue."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def utterance(self) -> int | None:
        """The number of the answer whose audio it carries; None if it carries none."""
        ...


S = TypeVar("S", bound=Sendable)


class Stalled(Exception):  # noqa: N818 (it says what happened)
    """The client does not take what it is sent."""


class SendQueue(Generic[S]):
    """Frames that wait to be sent. `put` never blocks; beyond the limit the client counts as stalled."""

    def __init__(self) -> None:
        self._frames: deque[S] = deque()
        self._waiting_bytes = 0
        self._changed = Signal()
        self._idle = True
        self.overflown = False

    def put(self, frame: S) -> None:
        """Add a frame. Beyond `MAX_WAITING_BYTES` it is dropped and `overflown` is set."""
        if self._waiting_bytes + frame.size > MAX_WAITING_BYTES:
            self.overflown = True
        else:
            self._frames.append(frame)
            self._waiting_bytes += frame.size
        self._changed.wake_all()

    def drop_audio(self, utterance: int) -> None:
        """Remove the audio of an answer that was not sent yet."""
        kept = [frame for frame in self._frames if frame.utterance != utterance]
        self._frames = deque(kept)
        self._waiting_bytes = sum(frame.size for frame in kept)
        self._changed.wake_all()

    async def take(self) -> S:
        """Wait for the next frame and return it. Raises `Stalled` after an overflow."""
        self._idle = True
        self._changed.wake_all()
        while not self._frames and not self.overflown:
            await self._changed.wait()
        if self.overflown:
            raise Stalled(f"more than {MAX_WAITING_BYTES} bytes wait to be sent")
        frame = self._frames.popleft()
        self._waiting_bytes -= frame.size
        self._idle = False
        return frame

    async def send_each(self, send: Callable[[S], Awaitable[None]]) -> NoReturn:
        """Send the frames one after the other, until cancelled.

        Raises `Stalled` after an overflow or if sending a frame takes too long, and what `send` raises.
        """
        while True:
            await _in_time(send(await self.take()))

    async def send_together(self, send: Callable[[list[S]], Awaitable[None]]) -> NoReturn:
        """As `send_each`, but those that wait are sent together, up to `TOGETHER_BYTES`."""
        while True:
            frames = [await self.take()]
            size = frames[0].size
            while self._frames and size + self._frames[0].size <= TOGETHER_BYTES:
                frames.append(self._frames.popleft())
                self._waiting_bytes -= frames[-1].size
                size += frames[-1].size
            await _in_time(send(frames))

    async def flushed(self) -> None:
        """Return when everything was sent."""
        while self._frames or not self._idle:
            await self._changed.wait()


async def _in_time(sending: Awaitable[None]) -> None:
    with trio.move_on_after(SEND_TIMEOUT_S) as scope:
        await sending
    if scope.cancelled_caught:
        raise Stalled(f"one frame was not taken within {SEND_TIMEOUT_S} s")


class Outbox(SendQueue[Frame]):
    """The queue of frames to one socket."""
