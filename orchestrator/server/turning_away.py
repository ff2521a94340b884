"""How a connection is turned away: it is told why, if its dialect has words for it, and closed.

Whoever does not read is not waited for.
"""

from __future__ import annotations

import trio

from orchestrator.clock import epoch_ms
from orchestrator.ids import new_id
from orchestrator.sessions.call_socket import CLOSE_HANDSHAKE_S, CloseCode, MessageSocket
from protocol import (
    HIERARCHICAL,
    ConnectionFailure,
    Payload,
    ProtocolError,
    SystemBusy,
    SystemMaintenance,
)
from protocol.dialects import Dialect

BUSY_RETRY_MS = 10_000
"""A caller for whom there is no room is asked to call again after this; calls do not end every second."""
BUSY_CLOSE = f"busy; retry={BUSY_RETRY_MS}"
"""The reason of the close that says so."""


async def as_busy(connection: MessageSocket, dialect: Dialect, *, sessions: int, capacity: int) -> None:
    """There is no room for a client: so many sessions run, of so many. It is told in words for its user."""
    if not await tell(connection, dialect, SystemBusy(sessions, capacity)):
        await refuse(connection, dialect, ConnectionFailure("the server is busy, please try again later"))
    await close(connection, CloseCode.TRY_AGAIN_LATER, BUSY_CLOSE)


async def as_not_ready(connection: MessageSocket, dialect: Dialect) -> None:
    """A client came before calls can be made. It may try again: to the shipped client this is no error."""
    if dialect is HIERARCHICAL:
        error = ConnectionFailure("the server is not ready, please try again in a moment")
        await refuse(connection, dialect, error)
    await close(connection, CloseCode.TRY_AGAIN_LATER, "not ready")


async def as_stopping(connection: MessageSocket, dialect: Dialect) -> None:
    """A client came while the server stops. Another one may take its call."""
    await tell(connection, dialect, SystemMaintenance())
    await close(connection, CloseCode.GOING_AWAY, "the server is stopping")


async def tell(connection: MessageSocket, dialect: Dialect, payload: Payload) -> bool:
    """Send this event; returns False if the dialect has none like it."""
    frame = dialect.encode(payload, session_id=None, event_id=new_id())
    await _send(connection, frame)
    return frame is not None


async def refuse(connection: MessageSocket, dialect: Dialect, error: ProtocolError) -> None:
    """Send this error."""
    await _send(connection, dialect.refuse(error, event_id=new_id(), session_id=None, timestamp=epoch_ms()))


async def close(connection: MessageSocket, code: int, reason: str) -> None:
    """Close with this code and reason."""
    with trio.move_on_after(CLOSE_HANDSHAKE_S):
        await connection.aclose(code, reason)


async def _send(connection: MessageSocket, frame: bytes | None) -> None:
    with trio.move_on_after(CLOSE_HANDSHAKE_S):
        if frame is not None:
            await connection.send_message(frame)
