"""Has a client's WebSocket go on when a ping comes while it is closing."""

from __future__ import annotations

from typing import Any

from trio_websocket import WebSocketConnection
from wsproto.events import Pong
from wsproto.utilities import LocalProtocolError


def ignore_late_pings(socket: WebSocketConnection) -> WebSocketConnection:
    """The same socket, which answers no ping once its own close was sent.

    trio-websocket 0.12.2 answers each ping. After a close its protocol does not allow that: the error ends
    the task that reads, with the nursery in which it runs.
    """
    send = socket._send

    async def send_if_allowed(event: Any) -> None:
        try:
            await send(event)
        except LocalProtocolError:
            if not isinstance(event, Pong):
                raise

    socket._send = send_if_allowed  # type: ignore[method-assign]
    return socket
