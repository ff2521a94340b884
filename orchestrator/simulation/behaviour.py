"""What simulated providers do, as data: delays, faults, and the plans that say which comes when."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

import trio
from attrs import field, frozen

from adapters.interfaces import ProviderError
from machines.facts import ErrorClass

B = TypeVar("B")

Plan = Callable[[], B]
"""Gives the behaviour for the next occasion."""


def script(*behaviours: B, then: B) -> Plan[B]:
    """These behaviours one after the other, and `then` on every further occasion."""
    left = deque(behaviours)
    return lambda: left.popleft() if left else then


def dice(random: Random, choices: Sequence[tuple[float, B]]) -> Plan[B]:
    """One of the behaviours at random, each (weight, behaviour) as often as its weight says."""
    weights = [weight for weight, _ in choices]
    behaviours = [behaviour for _, behaviour in choices]
    return lambda: random.choices(behaviours, weights)[0]


@frozen
class Delay:
    """A time that something takes: at least `least_ms`, and on average `spread_ms` more."""

    least_ms: float = 0
    spread_ms: float = 0

    async def wait(self, random: Random) -> None:
        """Take the time; the part above the least one is exponentially distributed."""
        more_ms = random.expovariate(1 / self.spread_ms) if self.spread_ms else 0
        await trio.sleep((self.least_ms + more_ms) / 1000)


AT_ONCE = Delay()


# --- faults -----------------------------------------------------------------------------------------------


@frozen
class _Mishap:
    struck: Callable[[], None] | None = field(default=None, eq=False, repr=False, kw_only=True)
    """Called each time it happens."""

    def strikes(self) -> None:
        """It happens now."""
        if self.struck is not None:
            self.struck()


@frozen
class Fails(_Mishap):
    """The provider reports an error."""

    error_class: ErrorClass = ErrorClass.TRANSIENT
    message: str = "simulated failure"
    retry_after_ms: int | None = None
    """How long the provider asks to be left alone for."""


@frozen
class Stalls(_Mishap):
    """The provider stays open and silent for ever."""


@frozen
class Breaks(_Mishap):
    """The adapter raises what its interface does not allow: a fault of its own, or of an SDK."""

    error: type[Exception] = RuntimeError


@frozen
class Ends(_Mishap):
    """The provider ends as if it were done, though it is not."""


Fault = Fails | Stalls | Breaks | Ends


async def strike(fault: Fault | None) -> bool:
    """Let the fault happen; returns whether what goes on ends here as if it were done."""
    if fault is not None:
        fault.strikes()
    match fault:
        case Fails(error_class=error_class, message=message, retry_after_ms=retry_after_ms):
            raise ProviderError(error_class, message, retry_after_ms)
        case Breaks(error=error):
            raise error("simulated bug")
        case Stalls():
            await trio.sleep_forever()
        case Ends():
            return True
    return False


# --- links ------------------------------------------------------------------------------------------------


@frozen
class Opening:
    """How one attempt to open a link goes. An open link that `dies` does so `after_ms` with that fault."""

    delay: Delay = AT_ONCE
    fault: Fault | None = None
    dies: Fault | None = None
    after_ms: float = 0
    uncancellable: bool = False
    """The opening cannot be broken off, as one that blocks a thread."""

    async def open(self, random: Random) -> None:
        """Return when the link is usable; raises what the fault says."""
        with trio.CancelScope(shield=self.uncancellable):
            await self.delay.wait(random)
            await strike(self.fault)

    @asynccontextmanager
    async def lifetime(self) -> AsyncIterator[None]:
        """The body is cancelled when the link dies, and its fault comes out."""
        async with trio.open_nursery() as nursery:
            if self.dies is not None:
                nursery.start_soon(self._die, nursery.cancel_scope)
            yield
            nursery.cancel_scope.cancel()

    async def _die(self, body: trio.CancelScope) -> None:
        await trio.sleep(self.after_ms / 1000)
        if await strike(self.dies):
            body.cancel()
