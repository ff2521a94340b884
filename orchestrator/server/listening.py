"""Listens on the address of the settings, before anything is imported that takes time."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence

BACKLOG = 512
"""Connections that may wait to be accepted: those of the first seconds, while the server is being loaded."""


LOCALHOST = "localhost"
LOOPBACKS = ("127.0.0.1", "::1")
"""What `localhost` means here: programs differ in which of them they take for it, and some try only one."""
_LACKING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""A machine without IPv6 knows its addresses nevertheless."""


def listen(host: str, port: int) -> Sequence[socket.socket]:
    """Listening sockets for every address of the host, all on one port; one that there is not is left out.

    Raises `OSError` if no address can be listened on, or one is in use.
    """
    sockets: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, kind, protocol, address in _addresses(host):
            there = (address, sockets[0].getsockname()[1] if sockets else port)
            try:
                sockets.append(_listening(family, kind, protocol, there))
            except OSError as error:
                # The system chooses a port that is free at one address, and maybe not at the other.
                chosen_by_chance = port == 0 and sockets and error.errno == errno.EADDRINUSE
                if error.errno not in _LACKING and not chosen_by_chance:
                    raise
                lacking = error
    except OSError:
        for each in sockets:
            each.close()
        raise
    if not sockets and lacking is not None:
        raise lacking
    return sockets


def _addresses(host: str) -> Iterator[tuple[int, int, int, str]]:
    """Family, kind, protocol and numerical address of each of the host's addresses."""
    for name in LOOPBACKS if host == LOCALHOST else (host,):
        for family, kind, protocol, _, address in socket.getaddrinfo(
            name, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            yield family, kind, protocol, str(address[0])


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
