"""Who is at the other end of a connection within this machine: asked of the kernel, not of the request.

A proxy or tunnel on this machine connects from loopback, too, and may pass on a request that looks like one
from here: nginx, as its own page on WebSockets configures it, adds no header and names `localhost` as `Host`.
But it runs under a user of its own, or it takes connections itself, and the kernel knows both. Linux tells by
`/proc`; where nothing tells, nothing is concluded (`Holder.UNKNOWN`).
"""

from __future__ import annotations

import enum
import ipaddress
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import trio
from attrs import frozen

PROC = Path("/proc")
TABLES = ("tcp", "tcp6")
"""The kernel's tables of sockets, in `/proc/net`."""
_LISTENS = "0A"
"""The state of a socket that takes connections."""
ROOT = 0


class Holder(enum.Enum):
    """Who holds the other end of a connection."""

    PROGRAM = "a program of the same user"
    FORWARDER = "a program that takes connections itself, and may pass on anybody's"
    STRANGER = "a program of another user of this machine"
    NOBODY = "nobody any more"
    UNKNOWN = "somebody whom the system does not name"


@frozen
class Ends:
    """Both ends of a TCP connection, each an address and a port."""

    peer: tuple[str, int]
    own: tuple[str, int]


HolderOf = Callable[[Ends], Awaitable[Holder]]
"""Finds out who holds the peer's end of a connection."""


async def holder_of(ends: Ends) -> Holder:
    """Who holds the peer's end. Asked in a thread: the tables may be long, and programs many."""
    return await trio.to_thread.run_sync(find_holder, ends, limiter=_LOOKING)


_LOOKING = trio.CapacityLimiter(2)


def find_holder(ends: Ends, proc: Path = PROC) -> Holder:
    """As `holder_of`, by the tables in `proc`."""
    try:
        rows = list(_rows(proc))
    except OSError:
        return Holder.UNKNOWN
    wanted = (_written(ends.peer), _written(ends.own))
    found = next((row for row in rows if (row.local, row.remote) == wanted), None)
    if found is None or found.inode == "0":
        return Holder.NOBODY
    if found.inode in _sockets_of(proc / str(os.getpid())):
        return Holder.PROGRAM  # this very program takes connections, and is no stranger
    listening = {row.inode for row in rows if row.state == _LISTENS}
    holders = [sockets for sockets in _programs(proc) if found.inode in sockets]
    if any(listening & sockets for sockets in holders):
        return Holder.FORWARDER
    # Some programs do not let their files be seen even by their own user: an ssh session does not.
    return Holder.PROGRAM if holders or found.user in _ours() else Holder.STRANGER


def _ours() -> set[int]:
    """The users whose programs are as good as our own. Windows reaches Linux on it through root's relay."""
    ours = {os.geteuid()}
    return ours | {ROOT} if "microsoft" in os.uname().release.lower() else ours


@frozen
class _Row:
    """A socket in the kernel's tables, in its notation."""

    local: str
    remote: str
    state: str
    user: int
    inode: str


def _rows(proc: Path) -> Iterator[_Row]:
    for table in TABLES:
        path = proc / "net" / table
        if table != TABLES[0] and not path.exists():  # a machine without IPv6
            continue
        for line in path.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            yield _Row(fields[1], fields[2], fields[3], int(fields[7]), fields[9])


def _written(end: tuple[str, int]) -> str:
    """An end as the tables write it: words of 32 bits in the machine's order, in hexadecimal digits."""
    address = ipaddress.ip_address(end[0].partition("%")[0])
    plain = getattr(address, "ipv4_mapped", None) or address
    family = socket.AF_INET if plain.version == 4 else socket.AF_INET6
    packed = socket.inet_pton(family, str(plain))
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


def _programs(proc: Path) -> Iterator[set[str]]:
    """Of each program whose files may be seen, the inodes of its sockets."""
    return (_sockets_of(path) for path in proc.iterdir() if path.name.isdigit())


def _sockets_of(program: Path) -> set[str]:
    """The inodes of a program's sockets; none if it is over, or its files may not be seen."""
    found: set[str] = set()
    try:
        for each in os.listdir(program / "fd"):  # noqa: PTH208 - paths would take ten times as long
            target = os.readlink(f"{program}/fd/{each}")  # noqa: PTH115
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found
