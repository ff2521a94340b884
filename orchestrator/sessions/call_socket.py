"""The WebSocket of one conversation: frames in and out, pings, idle and age limits, and the close.

What the frames mean is known to the sessions: `session.py` for clients, `media_stream.py` for telephones.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio
from attrs import Factory, define, field
from trio_websocket import CloseReason, ConnectionClosed

from adapters.logs import library_logger
from machines.facts import EndReason
from orchestrator.conversation.idle_and_age_limits import watch_limits
from orchestrator.conversation.message_share import MessageShare
from orchestrator.conversation.send_queue import FLUSH_TIMEOUT_S, Frame, Outbox, Stalled

log = library_logger(__name__)

PING_INTERVAL_S = 20
PONG_TIMEOUT_S = 20
CLOSE_HANDSHAKE_S = 1


class MessageSocket(Protocol):
    """A WebSocket, or something that acts as one. All methods raise `ConnectionClosed`."""

    @property
    def closed(self) -> CloseReason | None:
        """Why it is closed; None as long as it is open."""
        ...

    async def get_message(self) -> str | bytes:
        """The next message of the peer."""
        ...

    async def send_message(self, message: str | bytes) -> None:
        """Send a message."""
        ...

    async def send_messages(self, messages: Sequence[str | bytes]) -> None:
        """Send messages one after the other; if it can, in one piece."""
        ...

    async def ping(self) -> None:
        """Send a ping and wait for the pong."""
        ...

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it. Raises nothing if it is closed already."""
        ...


TakeFrame = Callable[[bytes | str], Awaitable[None]]
"""Handles one message of the peer. The next one is read when it returns."""


class CloseCode(enum.IntEnum):
    """WebSocket close codes. What our page makes of them is in `server/page/close-codes.js`.

    The shipped client reconnects after all but NORMAL.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY_VIOLATION = 1008
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    NO_CREDENTIAL = 4401
    """No key or token, or none that is valid: as 401, to browsers."""
    NOT_ALLOWED = 4403
    """The page's origin, or what its token allows: as 403."""
    TOO_MUCH = 4429
    """As 429."""


CLOSE_CODES = {
    EndReason.CALLER_HUNG_UP: CloseCode.NORMAL,
    EndReason.CALLER_DISCONNECTED: CloseCode.NORMAL,
    EndReason.OPERATOR_HUNG_UP: CloseCode.NORMAL,
    EndReason.CALLER_STOPPED_READING: CloseCode.GOING_AWAY,
    EndReason.IDLE: CloseCode.NORMAL,
    # A caller who is called back at once would have no longest time.
    EndReason.TOO_OLD: CloseCode.NORMAL,
    # And one who is called back at once would be refused.
    EndReason.BUDGET_SPENT: CloseCode.NORMAL,
    EndReason.SHUTDOWN: CloseCode.GOING_AWAY,
    EndReason.OVERLOADED: CloseCode.TRY_AGAIN_LATER,
    EndReason.PROVIDER_UNAVAILABLE: CloseCode.INTERNAL_ERROR,
    EndReason.MODEL_KEPT_FAILING: CloseCode.NORMAL,
    EndReason.AGENT_HUNG_UP: CloseCode.NORMAL,
    EndReason.HANDED_OVER: CloseCode.NORMAL,
    EndReason.INTERNAL_ERROR: CloseCode.INTERNAL_ERROR,
}


def close_code(reason: EndReason, *, after_goodbye: bool) -> CloseCode:
    """The code for the end of a conversation. After a goodbye no client calls again by itself."""
    return CloseCode.NORMAL if after_goodbye else CLOSE_CODES[reason]


LONGEST_DEPARTURE_S = 0.05
"""An end takes some ms of everybody's time. The next one waits for it, but not for long."""

_departures_of_run: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("departures")


def _departures() -> trio.Lock:
    """Held by the peer that has gone and whose conversation is ending."""
    try:
        return _departures_of_run.get()
    except LookupError:
        _departures_of_run.set(trio.Lock())
        return _departures_of_run.get()


@define(eq=False)
class CallSocket:
    """A socket that is read strictly in order and written from a bounded queue; `run` it.

    It calls `hang_up` when the conversation must end: the peer closed, is silent or does not read, or a limit
    was reached. `hang_up` may be called more than once.
    """

    socket: MessageSocket
    hang_up: Callable[[EndReason], None]
    idle_timeout_s: float
    max_duration_s: float
    started_at: float = Factory(trio.current_time)
    gone: bool = field(default=False, init=False)
    """The socket is closed or broken: nothing more can be sent."""
    _outbox: Outbox = field(factory=Outbox, init=False)
    _last_activity: float = field(factory=trio.current_time, init=False)
    _share: MessageShare = field(factory=MessageShare, init=False)

    async def run(self, take: TakeFrame) -> None:
        """Serve the socket until cancelled; `take` handles the peer's messages."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._read, take)
            nursery.start_soon(self._ping)
            nursery.start_soon(self._watch_limits)

    def note_activity(self) -> None:
        """Restart the idle limit: one of the two sides does something."""
        self._last_activity = trio.current_time()

    def send(self, data: bytes | str, utterance: int | None = None) -> None:
        """Queue a message, unless the socket is gone. `drop_audio` can remove one with an `utterance`."""
        if not self.gone:
            self._outbox.put(Frame(data, utterance))

    def drop_audio(self, utterance: int) -> None:
        """Remove the messages of an answer that were not sent yet."""
        self._outbox.drop_audio(utterance)

    async def discard(self) -> None:
        """Read and ignore what the peer still sends, until it closes."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.get_message()

    async def flush(self) -> None:
        """Return when all queued messages were sent, or after `FLUSH_TIMEOUT_S`."""
        if not self.gone:
            with trio.move_on_after(FLUSH_TIMEOUT_S):
                await self._outbox.flushed()

    async def close(self, code: CloseCode, why: str) -> None:
        """Send the queued messages, then close with this code and reason."""
        if self.gone:
            return
        await self.flush()
        with trio.move_on_after(CLOSE_HANDSHAKE_S):
            await self.socket.aclose(code, why)

    async def _read(self, take: TakeFrame) -> None:
        """Handle messages until the socket closes."""
        try:
            while True:
                frame = await self.socket.get_message()
                self.note_activity()
                await self._share.take(len(frame))
                await take(frame)
        except ConnectionClosed as closed:
            self.gone = True
            code = closed.reason.code if closed.reason else None
            log.info("socket closed", code=code)
            normal = code == CloseCode.NORMAL
            await self._leave(EndReason.CALLER_HUNG_UP if normal else EndReason.CALLER_DISCONNECTED)

    async def _leave(self, reason: EndReason) -> None:
        """End the conversation of a peer that has gone. Of many who go together, one after the other does."""
        async with _departures():
            self.hang_up(reason)
            with trio.move_on_after(LONGEST_DEPARTURE_S):
                await trio.sleep_forever()

    async def _write(self) -> None:
        """Send frames one after the other. A send is never cancelled while the socket is open."""
        try:
            await self._outbox.send_together(
                lambda frames: self.socket.send_messages([frame.data for frame in frames])
            )
        except Stalled as stalled:
            self.gone = True
            log.warning("client does not read", reason=str(stalled))
            self.hang_up(EndReason.CALLER_STOPPED_READING)
        except ConnectionClosed:
            self.gone = True

    async def _ping(self) -> None:
        """Detect a half-open connection by a missing pong."""
        try:
            while True:
                await trio.sleep(PING_INTERVAL_S)
                with trio.move_on_after(PONG_TIMEOUT_S) as waiting:
                    await self.socket.ping()
                if waiting.cancelled_caught:
                    log.info("no pong", seconds=PONG_TIMEOUT_S)
                    self.gone = True
                    self.hang_up(EndReason.CALLER_DISCONNECTED)
        except ConnectionClosed:
            return  # `_read` reports it

    async def _watch_limits(self) -> None:
        """Hang up when the idle or age limit is reached."""
        await watch_limits(
            self.hang_up,
            lambda: self._last_activity,
            idle_timeout_s=self.idle_timeout_s,
            ends_at=self.started_at + self.max_duration_s,
        )
