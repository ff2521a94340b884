"""How a media stream begins: with the carrier's messages that say which call it belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import trio
from trio_websocket import ConnectionClosed

from adapters.logs import library_logger
from orchestrator.sessions.call_socket import MessageSocket
from protocol import ProtocolError
from protocol.errors import InvalidPayload
from protocol.twilio import PHONE_RATE, Media, Started, Stopped, read_stream_message

log = library_logger(__name__)

START_TIMEOUT_S = 10
"""A media stream must name its call within this time."""
MOST_EARLY = 5 * PHONE_RATE
"""Bytes of audio that are kept from before the start: 5 s."""
MOST_BEFORE_START = 1000
"""Messages in which the start must come."""


class StreamRefused(Exception):  # noqa: N818 (it says what happened)
    """A media stream may not be opened. The text says why; it is not sent to the peer."""


async def read_start(connection: MessageSocket) -> tuple[Started, Sequence[Media]]:
    """The stream's start message, and the caller's audio that came before it.

    Carriers begin with `connected`, with the start or with audio. Raises `StreamRefused` if the stream ends
    before it began, `ProtocolError` for a start that cannot be used, and `trio.TooSlowError`.
    """
    with trio.fail_after(START_TIMEOUT_S):
        return await _read_start(connection)


async def _read_start(connection: MessageSocket) -> tuple[Started, Sequence[Media]]:
    early: deque[Media] = deque()
    for _ in range(MOST_BEFORE_START):
        try:
            message = read_stream_message(await connection.get_message())
        except ConnectionClosed:
            raise StreamRefused("it was closed before it began") from None
        except ProtocolError as error:
            if isinstance(error, InvalidPayload) and error.wire_type == "start":
                raise
            log.debug("message before the start", error=error.message)
            continue
        match message:
            case Started():
                return message, early
            case Stopped():
                raise StreamRefused("it was stopped before it began")
            case Media(track="inbound"):
                early.append(message)
                while sum(len(each.audio) for each in early) > MOST_EARLY:
                    early.popleft()
    raise StreamRefused("it does not begin")
