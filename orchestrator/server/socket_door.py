"""The door of `/ws`: programs are refused before the upgrade, browsers after it: they read no status."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from adapters.logs import library_logger
from orchestrator.access.credentials import Asked
from orchestrator.access.refusal import Refusal
from orchestrator.server import turning_away
from orchestrator.server.peer_socket import PeerSocket
from orchestrator.server.request_head import Head, RequestError, peer_of
from protocol import AuthenticationFailed, dialect_for_subprotocol

log = library_logger(__name__)


def asked_of(stream: trio.SocketStream, head: Head) -> Asked:
    """Who asks for an upgrade."""
    own = stream.socket.getsockname()
    return Asked(peer_of(stream.socket), (own[0], own[1]), head.headers, head.query)


def is_browser(headers: Mapping[str, str]) -> bool:
    """Whether these headers, with names in lower case, are a browser's: it always says which page asks."""
    return "origin" in headers


def as_request_error(refusal: Refusal) -> RequestError:
    """The refusal of an upgrade, for a program."""
    return RequestError(refusal.status, refusal.sentence, headers=refusal.headers)


async def turn_away(connection: PeerSocket, *, refusal: Refusal) -> None:
    """Tell a browser over its accepted socket why it may not talk, and close."""
    log.info("a web page was refused", status=refusal.status)
    dialect = dialect_for_subprotocol(connection.subprotocol)
    await turning_away.refuse(connection, dialect, AuthenticationFailed(refusal.sentence))
    await turning_away.close(connection, refusal.close_code, refusal.close_reason)
