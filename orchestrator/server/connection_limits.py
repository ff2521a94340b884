"""How many connections there may be, by address and in all: calls under way always have what they need.

A process has a bounded number of descriptors. A connection takes one, and a call some more, for its providers
and its journal. New connections and calls are let in only as long as every call could have all of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import trio
from attrs import define, field

from adapters.logs import library_logger
from orchestrator.addresses import is_private
from orchestrator.server.request_head import RequestError

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

log = library_logger(__name__)

OWN_DESCRIPTORS = 48
"""What the process itself needs: listeners, the event loop, files, and connections that are being refused."""
CALL_DESCRIPTORS = 4
"""What a call needs beside its connection: links to its providers, and its journal."""
MOST_DESCRIPTORS = 65_536
"""More are not asked for, whatever the system would allow."""
MACOS_DESCRIPTORS = 10_240
"""macOS lets a process have no more, whatever limit it tells."""
UNLIMITED = 1_000_000
"""Where the system tells no limit."""
CONNECTIONS_PER_CALL = 4
"""Connections in all, for each call that there may be: callers, their pages, and idle ones."""
LEAST_CONNECTIONS = 1024
MOST_OF_ADDRESS = 256
"""Connections from one public address, such as that of an office. A private one may be a proxy's."""
CROWD = 8
"""An address with fewer connections that have begun nothing loses none of them to others."""
WARN_EVERY_S = 60


def descriptors() -> int:
    """How many descriptors this process may have."""
    if resource is None:
        return UNLIMITED
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def ask_for_descriptors() -> None:
    """Raise this process's limit as far as the system lets it, but not beyond what it can need."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (MOST_DESCRIPTORS, MACOS_DESCRIPTORS):
        allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft == resource.RLIM_INFINITY or soft >= allowed:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError) as error:
            log.info("no more descriptors", descriptors=soft, wanted=allowed, error=str(error))
        else:
            return


def most_calls(descriptors: int) -> int:
    """The calls that so many descriptors bear, at least one."""
    return max(1, _for_peers(descriptors) // (1 + CALL_DESCRIPTORS))


def _for_peers(descriptors: int) -> int:
    return descriptors - min(OWN_DESCRIPTORS, descriptors // 2)


@define(eq=False)
class Place:
    """One connection's place among those that there may be."""

    limits: ConnectionLimits
    cut: Callable[[], object]
    """Ends the connection at once."""
    address: str | None = None
    """The peer's; None before it is known."""
    _left: bool = field(default=False, init=False)

    def belongs_to(self, address: str) -> None:
        """The peer's address is known. Raises `RequestError` if there are too many connections from there."""
        self.limits.count(address)
        self.address = address
        self.limits.idle.setdefault(address, {})[self] = None

    def begins(self) -> None:
        """The peer does something with its connection: it gives way to nobody."""
        idle = self.limits.idle.get(self.address or "", {})
        if self in idle:
            del idle[self]
            if not idle:
                del self.limits.idle[self.address or ""]

    def is_trusted(self) -> None:
        """The peer is a carrier that brings a call of ours: many of its calls may come from one address."""
        self._leave_address()

    def leave(self) -> None:
        """The connection is over."""
        if not self._left:
            self._left = True
            self._leave_address()
            self.limits.all -= 1

    def give_way(self) -> None:
        """End the connection: others need its place, and have it from now on."""
        self.leave()
        self.cut()

    def _leave_address(self) -> None:
        if self.address is not None:
            self.begins()
            self.limits.uncount(self.address)
            self.address = None


@define(eq=False)
class ConnectionLimits:
    """The connections of a server. `calls` returns how many calls are under way."""

    descriptors: int
    capacity: int
    """Calls that there may be at once."""
    most_of_address: int | None
    """Connections from one address; None: `MOST_OF_ADDRESS` from a public one."""
    calls: Callable[[], int]
    all: int = field(default=0, init=False)
    """Connections that there are."""
    idle: dict[str, dict[Place, None]] = field(factory=dict, init=False)
    """By address, those that have begun nothing: no call, that is. The oldest come first."""
    _of_address: Counter[str] = field(factory=Counter, init=False)
    _refused: int = field(default=0, init=False)
    _warned_at: float = field(default=-math.inf, init=False)

    @property
    def most(self) -> int:
        """Connections in all, at this moment."""
        by_descriptors = _for_peers(self.descriptors) - CALL_DESCRIPTORS * self.calls()
        return min(by_descriptors, max(LEAST_CONNECTIONS, CONNECTIONS_PER_CALL * self.capacity))

    @property
    def lacking_for_call(self) -> int:
        """How many connections must end before one of the others may become a call; 0 or less: none."""
        return self.all + CALL_DESCRIPTORS * (self.calls() + 1) - _for_peers(self.descriptors)

    @contextmanager
    def place(self, cut: Callable[[], object], address: str | None) -> Iterator[Place]:
        """A place for a connection from there, if that is known. Raises `RequestError` if there is none."""
        if self.all >= self.most and not self.make_room(address, self.all + 1 - self.most):
            self._refuse(503, "there are too many connections")
        self.all += 1
        place = Place(self, cut)
        try:
            yield place
        finally:
            place.leave()

    def make_room(self, address: str | None, connections: int) -> bool:
        """End so many connections that have begun nothing, for the sake of one from this address.

        Always that address loses one which has most of them. Returns False if none has many more than this.
        """
        own = len(self.idle.get(address or "", ()))
        for _ in range(connections):
            crowd = max(self.idle.values(), key=len, default={})
            if len(crowd) < max(CROWD, own + 2):
                return False
            next(iter(crowd)).give_way()
        return True

    def count(self, address: str) -> None:
        """Count one more connection from there. Raises `RequestError` if that is too many."""
        if self._of_address[address] >= self._most_of(address):
            self._refuse(429, f"there are too many connections from {address}")
        self._of_address[address] += 1

    def uncount(self, address: str) -> None:
        """One connection less from there."""
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def _most_of(self, address: str) -> int:
        # Half of all are left to the others, however few there may be.
        half = max(1, self.most // 2)
        if self.most_of_address is not None:
            return min(half, self.most_of_address)
        return half if is_private(address) else min(half, MOST_OF_ADDRESS)

    def _refuse(self, status: int, sentence: str) -> NoReturn:
        self._refused += 1
        if trio.current_time() >= self._warned_at + WARN_EVERY_S:
            log.warning(
                "connections refused: MAX_CONNECTIONS_PER_ADDRESS allows more, and behind a proxy "
                "TWILIO_TRUST_PROXY tells its clients apart",
                reason=sentence,
                refused=self._refused,
            )
            self._warned_at, self._refused = trio.current_time(), 0
        raise RequestError(status, sentence)
