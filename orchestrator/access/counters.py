"""Where limits are counted: an interface, and the one that counts in this process.

What is counted is forgotten as soon as it has no effect any more, so that no number of addresses fills the
memory; beyond `MOST_REMEMBERED` of one kind whoever asked longest ago is forgotten too, and has a full share
again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import trio
from attrs import Factory, define, field, frozen

from machines.rate_limit import MICROS, Asked, Failures, Patience, Rate, ask, failed, forgotten, wait_us

MOST_REMEMBERED = 100_000
"""Of one kind. An entry takes some 300 bytes."""


@frozen
class Place:
    """One of the calls that somebody may have at once."""

    scope: str
    """Whose: `calls of KEY`."""
    most: int


class Lease(Protocol):
    """Places that are taken."""

    def release(self) -> None:
        """Give them back, once; more often does nothing. It waits for nobody: a store that must be told is
        told later, and gives back itself what nobody has renewed."""
        ...


class Counters(Protocol):
    """Counts what is taken by whom. Everything is taken as a whole or not at all, also by many at once.

    The methods may wait for a store that several processes share, and bound how long. They raise nothing:
    where it cannot be reached, rates let everybody in, and places and money are counted by this process.
    """

    async def take(self, kind: str, who: str, rate: Rate) -> Asked:
        """Take one of what `rate` allows. All who are asked for in one `kind` have the same rate, or one that
        changes seldom."""
        ...

    async def note_failure(self, kind: str, who: str, patience: Patience) -> None:
        """Somebody has failed."""
        ...

    async def wait_s(self, kind: str, who: str, patience: Patience) -> float:
        """How long they must wait before the next try; 0: not at all."""
        ...

    async def lease(self, places: Sequence[Place]) -> Lease | Place:
        """Take all these places until they are given back; returns the first that there is none of, if so."""
        ...

    async def spend(self, account: str, day: int, micros: int, most: int) -> bool:
        """Spend so much of what an account may spend on this day, unless that would be more than `most`.

        A day is counted in whole days of UTC since the epoch, money in millionths of a US dollar.
        """
        ...

    def refund(self, account: str, day: int, micros: int) -> None:
        """Give back so much of what was spent on this day. It waits for nobody, as `Lease.release`."""
        ...


# --- in this process --------------------------------------------------------------------------------------

Value = TypeVar("Value")


@define(eq=False)
class _Book(Generic[Value]):
    """What is remembered of each, whoever was asked about last at the end."""

    over: Callable[[Value], bool]
    """Whether it need not be remembered any more."""
    most: int = MOST_REMEMBERED
    entries: OrderedDict[str, Value] = field(factory=OrderedDict, init=False)

    def put(self, who: str, value: Value) -> None:
        self.entries[who] = value
        self.entries.move_to_end(who)
        self._forget()

    def get(self, who: str) -> Value | None:
        return self.entries.get(who)

    def _forget(self) -> None:
        # Two for each that comes, so that what was left behind after a rush is gone soon, and nobody waits.
        for _ in range(2):
            oldest = next(iter(self.entries.items()), None)
            if oldest is None or not (self.over(oldest[1]) or len(self.entries) > self.most):
                return
            del self.entries[oldest[0]]


@frozen
class _Taken:
    """Until when somebody's share is not all free again."""

    free_at: int | None
    full_at_us: int


@define(eq=False)
class _Leased:
    counters: ProcessCounters
    scopes: Sequence[str]

    def release(self) -> None:
        scopes, self.scopes = self.scopes, ()
        for scope in scopes:
            self.counters.at_once[scope] -= 1
            if not self.counters.at_once[scope]:
                del self.counters.at_once[scope]


@define(eq=False)
class ProcessCounters:
    """Counts in this process. Nothing waits, and times are those of Trio's clock."""

    most_remembered: int = MOST_REMEMBERED
    at_once: Counter[str] = Factory(Counter)
    """Places that are taken, by scope."""
    _rates: dict[str, _Book[_Taken]] = field(factory=dict, init=False)
    _failures: dict[str, _Book[Failures]] = field(factory=dict, init=False)
    _day: int = field(default=-1, init=False)
    _spent: _Book[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._spent = self._new_day()

    def _new_day(self) -> _Book[int]:
        return _Book(lambda spent: False, self.most_remembered)

    async def take(self, kind: str, who: str, rate: Rate) -> Asked:
        """As `Counters.take`."""
        book = self._rates.get(kind)
        if book is None:
            book = _Book(lambda taken: taken.full_at_us <= _now_us(), self.most_remembered)
            self._rates[kind] = book
        now_us, before = _now_us(), book.get(who)
        asked = ask(rate, before.free_at if before is not None else None, now_us)
        book.put(who, _Taken(asked.free_at, now_us + asked.full_after_us))
        return asked

    async def note_failure(self, kind: str, who: str, patience: Patience) -> None:
        """As `Counters.note_failure`."""
        book = self._failures.get(kind)
        if book is None:
            book = _Book(lambda failures: forgotten(patience, failures, _now_us()), self.most_remembered)
            self._failures[kind] = book
        book.put(who, failed(patience, book.get(who), _now_us()))

    async def wait_s(self, kind: str, who: str, patience: Patience) -> float:
        """As `Counters.wait_s`."""
        book = self._failures.get(kind)
        return wait_us(patience, book.get(who), _now_us()) / MICROS if book is not None else 0.0

    async def lease(self, places: Sequence[Place]) -> Lease | Place:
        """As `Counters.lease`."""
        for place in places:
            if self.at_once[place.scope] >= place.most:
                return place
        scopes = [place.scope for place in places]
        self.at_once.update(scopes)
        return _Leased(self, scopes)

    async def spend(self, account: str, day: int, micros: int, most: int) -> bool:
        """As `Counters.spend`."""
        if day != self._day:
            self._day, self._spent = day, self._new_day()
        spent = (self._spent.get(account) or 0) + micros
        if spent > most:
            return False
        self._spent.put(account, spent)
        return True

    def refund(self, account: str, day: int, micros: int) -> None:
        """As `Counters.refund`."""
        spent = self._spent.get(account)
        if day == self._day and spent is not None:
            self._spent.put(account, max(0, spent - micros))

    def remembered(self) -> Iterator[int]:
        """How many are remembered, by kind."""
        books: Sequence[_Book[_Taken] | _Book[Failures] | _Book[int]]
        books = [*self._rates.values(), *self._failures.values(), self._spent]
        return (len(book.entries) for book in books)


def _now_us() -> int:
    return round(trio.current_time() * MICROS)
