"""The bytes of a WebSocket, one frame at a time: no peer's frames keep other tasks from running.

trio-websocket handles all frames that one read brings before it lets anybody else run, and 64 KiB hold ten
thousand pongs. Here each read brings one frame at most, and lets others run. A message, and what a peer sends
that is no message (pings, pongs, crumbs), have bounds. Beyond them, and where a frame breaks the rules of
WebSockets, trio-websocket is handed a closing frame as if the peer had sent it: it answers with the same code
and reason, which is what the peer gets.
"""

from __future__ import annotations

from collections import deque

import trio
from attrs import define
from trio_websocket import WebSocketConnection

from adapters.tasks import Signal
from orchestrator.server.frame_rules import (
    CLOSE,
    CONTROL,
    FINAL,
    MASK_BYTES,
    MASKED,
    Complaint,
    Texts,
    sizes_of,
    wrong_in_header,
)

CONTROL_FRAMES = 1000
"""Pings and pongs that a peer may send at once."""
CONTROL_FRAMES_PER_S = 50
"""And so many a second beyond them."""
READ_AHEAD_BYTES = 1024 * 1024
"""Messages that were read and not taken yet. With more, nothing is read, as if the peer had sent nothing."""
MOST_FRAGMENTS = 4096
"""Frames of one message. Each costs a piece of memory, even an empty one."""
ADMISSION_S = 1
"""A longer message waits so long to be allowed: it may follow right after what lets the peer in."""
LAST_READ_S = 1
"""So long a peer that is closed is read on, so that it gets to know why."""

POLICY_VIOLATION = 1008
TOO_BIG = 1009

_READ_BYTES = 64 * 1024


class FrameStream(trio.abc.Stream):
    """A server's socket, read as trio-websocket reads it: the request's head, then frame by frame."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        head_bytes: int,
        most_bytes: int,
        most_admitted: int | None = None,
        *,
        counts_taken: bool = False,
    ) -> None:
        """The first `head_bytes` of the stream are the request's head; they must have been read already.

        Messages may have `most_bytes`, and `most_admitted` once the peer is known to be let in (`admit`).
        With `counts_taken`, whoever takes messages does so from a `CountedSocket`.
        """
        self._counts_taken = counts_taken
        self._stream = stream
        self._most_bytes = most_bytes
        self._most_admitted = most_bytes if most_admitted is None else most_admitted
        self._admitted = trio.Event()
        self._accepted = trio.Event()
        self._head_bytes = head_bytes
        self._buffer = bytearray()
        self._message_bytes = 0
        self._fragments = 0
        self._texts = Texts()
        self._ahead: deque[int] = deque()
        """The sizes of the messages that were read and not taken yet."""
        self._ahead_bytes = 0
        self._taken = Signal()
        self._control_frames = 0.0
        self._counted_at = trio.current_time()
        self._refused = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The head, then one frame; less if the peer's end is in its middle. At the end: nothing."""
        del max_bytes  # a frame has its own bound
        if self._head_bytes:
            head = bytes(await self._stream.receive_some(self._head_bytes))
            self._head_bytes -= len(head)
            return head
        # trio-websocket would take frames before that all at once, and some of them late.
        await self._accepted.wait()
        while self._ahead_bytes > READ_AHEAD_BYTES:
            await self._taken.wait()
        while not self._refused:
            if self._may_be_allowed():
                with trio.move_on_after(ADMISSION_S):
                    await self._admitted.wait()
            frame = self._next_frame()
            if frame is not None:
                await trio.lowlevel.checkpoint()
                return frame
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                rest, self._buffer = bytes(self._buffer), bytearray()
                return rest
            self._buffer += data
        await self._drain()
        return b""

    def accept(self) -> None:
        """The WebSocket is accepted: frames may come."""
        self._accepted.set()

    def note_taken(self) -> None:
        """The oldest message that was read was taken."""
        if self._ahead:
            self._ahead_bytes -= self._ahead.popleft()
            self._taken.wake_all()

    def admit(self) -> None:
        """The peer is let in, and may send longer messages."""
        self._most_bytes = self._most_admitted
        self._admitted.set()

    def _may_be_allowed(self) -> bool:
        """Whether the next frame is too large for a peer that is not let in, and not for one that is."""
        sizes = sizes_of(self._buffer)
        if sizes is None or self._buffer[0] & CONTROL:
            return False
        return self._most_bytes < self._message_bytes + sizes[1] <= self._most_admitted

    def _next_frame(self) -> bytes | None:
        """The next frame, or the closing one that stands for it; None if it has not come yet."""
        sizes = sizes_of(self._buffer)
        complaint = wrong_in_header(self._buffer, within_message=self._fragments > 0)
        if complaint is None and sizes is not None:
            complaint = self._complaint_of(self._buffer[0], sizes[1])
        if complaint is not None:
            return self._refusal(complaint)
        if sizes is None or len(self._buffer) < sum(sizes):
            return None
        frame = bytes(self._buffer[: sum(sizes)])
        complaint = self._texts.wrong_in_payload(frame[0], frame[sizes[0] - MASK_BYTES :])
        if complaint is not None:
            return self._refusal(complaint)
        self._count(frame[0], sizes[1])
        del self._buffer[: len(frame)]
        return frame

    def _refusal(self, complaint: Complaint) -> bytes:
        """The closing frame that stands for the next one. Nothing more is taken."""
        self._refused = True
        self._buffer.clear()
        return _closing_frame(*complaint)

    def _complaint_of(self, first_byte: int, payload_bytes: int) -> Complaint | None:
        """The close code and reason if this frame is too much."""
        if first_byte & CONTROL:
            now = trio.current_time()
            passed = (now - self._counted_at) * CONTROL_FRAMES_PER_S
            self._control_frames, self._counted_at = max(0.0, self._control_frames - passed), now
            if self._control_frames >= CONTROL_FRAMES:
                return POLICY_VIOLATION, f"more than {CONTROL_FRAMES_PER_S} pings and pongs a second"
        elif self._fragments >= MOST_FRAGMENTS:
            return POLICY_VIOLATION, f"a message in more than {MOST_FRAGMENTS} frames"
        elif self._message_bytes + payload_bytes > self._most_bytes:
            return TOO_BIG, f"a message may have {self._most_bytes} bytes here"
        return None

    def _count(self, first_byte: int, payload_bytes: int) -> None:
        if first_byte & CONTROL:
            self._control_frames += 1
        elif first_byte & FINAL:
            if self._counts_taken:
                self._ahead.append(self._message_bytes + payload_bytes)
                self._ahead_bytes += self._ahead[-1]
            self._fragments = self._message_bytes = 0
        else:
            self._fragments += 1
            self._message_bytes += payload_bytes

    async def _drain(self) -> None:
        while await self._stream.receive_some(_READ_BYTES):
            pass

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the socket's stream."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the socket's stream."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the socket. Unread bytes in it would cost the peer the closing frame: they are read first."""
        try:
            if self._refused:
                with trio.CancelScope(deadline=trio.current_time() + LAST_READ_S, shield=True):
                    await self._drain()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await self._stream.aclose()


@define(eq=False)
class CountedSocket:
    """A `MessageSocket` that tells its stream which messages were taken."""

    connection: WebSocketConnection
    frames: FrameStream

    async def get_message(self) -> str | bytes:
        """The next message of the peer."""
        message = await self.connection.get_message()
        self.frames.note_taken()
        return message

    async def send_message(self, message: str | bytes) -> None:
        """Send a message."""
        await self.connection.send_message(message)

    async def ping(self) -> None:
        """Send a ping and wait for the pong."""
        await self.connection.ping()

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it."""
        await self.connection.aclose(code, reason)


def _closing_frame(code: int, reason: str) -> bytes:
    """A closing frame, as a client sends it: masked, with a mask that changes nothing."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([FINAL | CLOSE, MASKED | len(payload)]) + bytes(MASK_BYTES) + payload
