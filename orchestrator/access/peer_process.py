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
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from pathlib import Path

import trio
from attrs import define, field, frozen

PROC = Path("/proc")
TABLES = ("tcp", "tcp6")
"""The kernel's tables of sockets, in `/proc/net`."""
_LISTENS = "0A"
"""The state of a socket that takes connections."""
ROOT = 0
MOST_RECENT = 8
"""Programs that are looked at first."""


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
        program, sockets = self._program_with(found.inode)
        listening = {row.inode for row in rows if row.state == _LISTENS}
        itself = program == self.proc / str(os.getpid())  # which listens, and is no stranger
        return Holder.FORWARDER if listening & sockets and not itself else Holder.PROGRAM

    def _program_with(self, inode: str) -> tuple[Path | None, set[str]]:
        """The program that holds a socket, and the inodes of all its sockets.

        Nothing if they may not be seen: some programs hide their files even from their own user, as an ssh
        session does.
        """
        own = self.proc / str(os.getpid())
        others = (path for path in self.proc.iterdir() if path.name.isdigit())
        for program in chain([own], list(self._recent), others):
            sockets = _sockets_of(program)
            if inode in sockets:
                if program not in self._recent:
                    self._recent.append(program)
                return program, sockets
        return None, set()


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
