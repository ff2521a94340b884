"""Listens on the address of the settings, before anything is imported that takes time."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

BACKLOG = 512
"""Connections that may wait to be accepted: those of the first seconds, while the server is being loaded."""


def listen(host: str, port: int) -> Sequence[socket.socket]:
    """Listening sockets for every address of the host. Raises `OSError` if it cannot be listened on."""
    sockets: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                sockets.append(_listening(family, kind, protocol, address))
            except OSError as error:
                # A machine without IPv6 knows its addresses nevertheless.
                if error.errno != errno.EAFNOSUPPORT:
                    raise
                lacking = error
    except OSError:
        for each in sockets:
            each.close()
        raise
    if not sockets and lacking is not None:
        raise lacking
    return sockets


def _listening(family: int, kind: int, protocol: int, address: object) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)  # type: ignore[arg-type]
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
