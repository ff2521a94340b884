"""Who is at the other end of a connection within this machine: asked of the kernel, not of the request.

A proxy or tunnel on this machine connects from loopback, too, and may pass on a request that looks like one
from here: nginx, as its own page on WebSockets configures it, adds no header and names `localhost` as `Host`.
But it runs under a user of its own, or it takes connections itself, or it was given one that another
program took (as the children of socat and inetd are), and the kernel knows all this. Linux tells by `/proc`;
where nothing tells, nothing is concluded (`Holder.UNKNOWN`). A program that is not in `/proc` is in another
container that shares our network, as a proxy may be.
"""

from __future__ import annotations

import enum
import ipaddress
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import trio
from attrs import define, field, frozen

PROC = Path("/proc")
TABLES = ("tcp", "tcp6")
"""The kernel's tables of sockets, in `/proc/net`."""
_LISTENS = "0A"
"""The state of a socket that takes connections."""
_LOGINS = ("dropbear", "sshd", "sshd-session")
"""Programs over which somebody is logged in as the user that they run as."""
ROOT = 0
MOST_RECENT = 8
"""Programs that are looked at first."""


class Holder(enum.Enum):
    """Who holds the other end of a connection."""

    PROGRAM = "a program of the same user"
    FORWARDER = "a program that takes connections itself, and may pass on anybody's"
    ELSEWHERE = "a program that cannot be seen from here, such as one of another container"
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


@define(eq=False)
class PeerProcesses:
    """Finds out who holds the peer's end of a connection; a `HolderOf`."""

    proc: Path = PROC
    _looking: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _recent: deque[Path] = field(factory=lambda: deque(maxlen=MOST_RECENT), init=False)
    """Programs that held a connection lately: whoever comes again is found without looking at all others."""

    async def __call__(self, ends: Ends) -> Holder:
        """Who holds the peer's end. Asked in a thread: the tables may be long, and programs many."""
        return await trio.to_thread.run_sync(self.find, ends, limiter=self._looking)

    def find(self, ends: Ends) -> Holder:
        """The same, at once."""
        try:
            rows = list(_rows(self.proc))
        except OSError:
            return Holder.UNKNOWN
        wanted = (_written(ends.peer), _written(ends.own))
        found = next((row for row in rows if (row.local, row.remote) == wanted), None)
        if found is None or found.inode == "0":
            return Holder.NOBODY
        if found.user not in _ours():
            return Holder.STRANGER
        seen = self._seen_with(found.inode)
        if not seen.sockets:
            return Holder.PROGRAM if seen.some_hide else Holder.ELSEWHERE
        itself = seen.program == self.proc / str(os.getpid())  # which listens, and is no stranger
        return Holder.FORWARDER if not itself and _takes_connections(seen, rows) else Holder.PROGRAM

    def _seen_with(self, inode: str) -> _Seen:
        """The program that holds a socket, or who may hold it unseen.

        Some programs hide their files even from their own user, as an ssh session does.
        """
        own = self.proc / str(os.getpid())
        others = (path for path in self.proc.iterdir() if path.name.isdigit())
        some_hide = False
        for program in chain([own], list(self._recent), others):
            sockets = _sockets_of(program)
            if sockets is None:
                some_hide = some_hide or _user_of(program) in _ours()
            elif inode in sockets:
                if program not in self._recent:
                    self._recent.append(program)
                return _Seen(program, sockets)
        return _Seen(some_hide=some_hide)


@frozen
class _Seen:
    """What was seen of the programs of this machine."""

    program: Path | None = None
    """The one that holds the socket; None if it was not seen."""
    sockets: frozenset[str] = frozenset()
    """The inodes of all its sockets."""
    some_hide: bool = False
    """Programs of our user hide what they hold."""


def _takes_connections(seen: _Seen, rows: Iterable[_Row]) -> bool:
    """Whether a program takes connections, or holds one that was taken: its own end is at a port at which
    some program listens. The connection of a login was taken, too, and what comes by it is its user's."""
    rows = [row for row in rows if row.inode in seen.sockets or row.state == _LISTENS]
    theirs = [row for row in rows if row.inode in seen.sockets]
    if any(row.state == _LISTENS for row in theirs):
        return True
    listening = {_port_of(row) for row in rows if row.state == _LISTENS}
    return not listening.isdisjoint(map(_port_of, theirs)) and _name_of(seen.program) not in _LOGINS


def _port_of(row: _Row) -> str:
    return row.local.rpartition(":")[2]


def _name_of(program: Path | None) -> str:
    """The name of a program's file; empty if it may not be seen."""
    if program is None:
        return ""
    with suppress(OSError):
        return (program / "exe").readlink().name
    return ""


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
            yield _Row(_plain(fields[1]), _plain(fields[2]), fields[3], int(fields[7]), fields[9])


def _plain(end: str) -> str:
    """An end of a connection of IPv4 as the table of IPv4 writes it. Programs that know only sockets of IPv6
    have such connections, too."""
    return end.removeprefix(_MAPPED)


_MAPPED = "".join(f"{word:08X}" for word in struct.unpack("=3I", bytes(10) + b"\xff\xff"))
"""How addresses of IPv4 begin in the table of IPv6."""


def _written(end: tuple[str, int]) -> str:
    """An end as the tables write it: words of 32 bits in the machine's order, in hexadecimal digits."""
    address = ipaddress.ip_address(end[0].partition("%")[0])
    plain = getattr(address, "ipv4_mapped", None) or address
    family = socket.AF_INET if plain.version == 4 else socket.AF_INET6
    packed = socket.inet_pton(family, str(plain))
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


def _sockets_of(program: Path) -> frozenset[str] | None:
    """The inodes of a program's sockets; none if it is over, and None if its files may not be seen."""
    found: set[str] = set()
    try:
        for each in os.listdir(program / "fd"):  # noqa: PTH208 - paths would take ten times as long
            target = os.readlink(f"{program}/fd/{each}")  # noqa: PTH115
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except PermissionError:
        return None
    except OSError:
        return frozenset(found)
    return frozenset(found)


def _user_of(program: Path) -> int | None:
    """The user whose rights a program has; None if it is over."""
    try:
        lines = (program / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    users = next((line.split()[1:] for line in lines if line.startswith("Uid:")), ())
    return int(users[-1]) if users else None
