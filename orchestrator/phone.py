"""Telephone calls of the server: who may open a media stream, and what becomes of the call."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import structlog
import trio
from attrs import define
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest

from orchestrator.call_options import OptionError, read_options
from orchestrator.call_socket import CLOSE_HANDSHAKE_S, CloseCode
from orchestrator.logs import bind_session
from orchestrator.media_stream import MediaStream
from orchestrator.sessions import ServedSession, SessionSettings
from orchestrator.settings import Settings
from protocol import ProtocolError
from protocol.twilio import Connected, Started, read_stream_message

log = structlog.get_logger(__name__)

MEDIA_PATH = "/twilio/media"
START_TIMEOUT_S = 10
"""A media stream says whose it is within this."""


class StreamRefused(Exception):  # noqa: N818 (it says what happened)
    """A media stream may not be opened; the text says why, and is not for the peer."""


class Host(Protocol):
    """The server, as its telephone sees it."""

    settings: Settings
    counts: Counter[str]

    @property
    def session_settings(self) -> SessionSettings:
        """What sessions need of the settings."""
        ...

    def no_room(self) -> str | None:
        """Why no call can be taken now, in words; None if one can."""
        ...

    async def hold(self, connection: WebSocketConnection, session: ServedSession) -> None:
        """Run a session until it is over; there must be room for it."""
        ...


@define(eq=False)
class Phone:
    """The telephone of a server."""

    server: Host

    async def serve_stream(
        self, request: WebSocketRequest, connection: WebSocketConnection, *, local: bool
    ) -> None:
        """One media stream, from its first message to its close."""
        try:
            with trio.fail_after(START_TIMEOUT_S):
                started = await _read_start(connection)
            await self._serve(connection, started, local)
        except (StreamRefused, ProtocolError, trio.TooSlowError) as refusal:
            self.server.counts["media streams refused"] += 1
            log.warning("media stream refused", reason=str(refusal) or "it did not begin in time")
            with trio.move_on_after(CLOSE_HANDSHAKE_S):
                await connection.aclose(CloseCode.POLICY_VIOLATION, "refused")

    async def _serve(self, connection: WebSocketConnection, started: Started, local: bool) -> None:
        if not (local and self.server.settings.twilio_open_streams):
            raise StreamRefused("it has no token")
        try:
            options = read_options(started.parameters)
        except OptionError as error:
            raise StreamRefused(str(error)) from None
        reason = self.server.no_room()
        if reason is not None:
            raise StreamRefused(reason)
        settings = self.server.settings
        session = MediaStream(
            connection, self.server.session_settings, started, options, settings.stt_language
        )
        with bind_session(session.session_id):
            await self.server.hold(connection, session)


async def _read_start(connection: WebSocketConnection) -> Started:
    """What the stream is about. Raises `StreamRefused` or `ProtocolError` if it does not say so."""
    try:
        message = read_stream_message(await connection.get_message())
        if isinstance(message, Connected):
            message = read_stream_message(await connection.get_message())
    except ConnectionClosed:
        raise StreamRefused("it was closed before it began") from None
    if not isinstance(message, Started):
        raise StreamRefused(f"it began with {type(message).__name__}")
    return message
