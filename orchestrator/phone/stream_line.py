"""The WebSocket of a call's media stream, which the carrier may close and open anew in mid-call.

To press keys, Twilio has to end the stream: it presses them, and connects the call to another one. The
conversation goes on over that, and notices nothing but a time in which nobody says anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio
from attrs import define, field
from trio_websocket import CloseReason, ConnectionClosed

from adapters.tasks import Signal
from orchestrator.sessions.call_socket import MessageSocket


@define(eq=False)
class StreamLine:
    """A `MessageSocket` over one WebSocket after the other."""

    connection: MessageSocket
    """The present one. It may be closed."""
    awaits_another: bool = field(default=False, init=False)
    """The end of the present one is not the end of the call: another one will come."""
    ended: bool = field(default=False, init=False)
    """The carrier has said that the present one is over. Not every carrier closes it then."""
    _over: bool = field(default=False, init=False)
    _changed: Signal = field(factory=Signal, init=False)

    def await_another(self) -> None:
        """The carrier is about to end the present stream and to open another one."""
        self.awaits_another = True

    def keep(self) -> bool:
        """If the present stream is still open, no other one is awaited any more. Returns whether it is."""
        if self.connection.closed is None and not self.ended:
            self.awaits_another = False
            self._changed.wake_all()
            return True
        return False

    def replace(self, connection: MessageSocket) -> None:
        """Here is the other stream."""
        self.connection = connection
        self.awaits_another = self.ended = False
        self._changed.wake_all()

    async def is_there(self) -> None:
        """Return when no other stream is awaited."""
        while self.awaits_another and not self._over:
            await self._changed.wait()

    def release(self) -> None:
        """The call needs no stream any more."""
        self._over = True
        self._changed.wake_all()

    async def needs(self, connection: MessageSocket) -> None:
        """Return when this connection is not needed any more."""
        while self.connection is connection and not self._over:
            await self._changed.wait()

    # --- as a `MessageSocket` -----------------------------------------------------------------------------

    async def get_message(self) -> str | bytes:
        """The next message of the carrier, over whichever stream it comes."""
        while True:
            connection = self.connection
            try:
                return await connection.get_message()
            except ConnectionClosed:
                while self.awaits_another and self.connection is connection:
                    await self._changed.wait()
                if self.connection is connection:
                    raise

    @property
    def closed(self) -> CloseReason | None:
        """Why the present stream is closed; None as long as it is open."""
        return self.connection.closed

    async def send_message(self, message: str | bytes) -> None:
        """Send a message. What a stream that ends does not take is lost with it."""
        await self.send_messages([message])

    async def send_messages(self, messages: Sequence[str | bytes]) -> None:
        """Send messages, as `send_message`."""
        connection = self.connection
        try:
            await connection.send_messages(messages)
        except ConnectionClosed:
            if not self._may_end(connection):
                raise

    async def ping(self) -> None:
        """Send a ping and wait for the pong, if there is a stream."""
        connection = self.connection
        try:
            await connection.ping()
        except ConnectionClosed:
            if not self._may_end(connection):
                raise

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the present stream."""
        await self.connection.aclose(code, reason)

    def _may_end(self, connection: MessageSocket) -> bool:
        return self.awaits_another or self.connection is not connection


async def close_quietly(connection: MessageSocket, within_s: float) -> None:
    """Close a stream that is not needed any more, if the carrier has not done so."""
    with trio.move_on_after(within_s):
        await connection.aclose()
