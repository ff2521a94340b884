"""How a connection is turned away: it is told why, if its dialect has words for it, and closed.

Whoever does not read is not waited for.
"""

from __future__ import annotations

import trio

from orchestrator.clock import epoch_ms
from orchestrator.ids import new_id
from orchestrator.sessions.call_socket import CLOSE_HANDSHAKE_S, MessageSocket
from protocol import Payload, ProtocolError
from protocol.dialects import Dialect


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
