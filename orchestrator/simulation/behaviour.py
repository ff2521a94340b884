"""Behaviour of simulated providers as data: delays, faults, and plans that say which of them come when."""

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
"""Returns the behaviour for the next occasion, such as a link to open or an answer to give."""


def script(*behaviours: B, then: B) -> Plan[B]:
    """A plan of these behaviours one after the other, and of `then` on every further occasion."""
    left = deque(behaviours)
    return lambda: left.popleft() if left else then


def dice(random: Random, choices: Sequence[tuple[float, B]]) -> Plan[B]:
    """A plan that draws from (weight, behaviour): each comes as often as its weight says."""
    weights = [weight for weight, _ in choices]
    behaviours = [behaviour for _, behaviour in choices]
    return lambda: random.choices(behaviours, weights)[0]


@frozen
class Delay:
    """How long something takes: at least `least_ms`, and on average `spread_ms` more."""

    least_ms: float = 0
    spread_ms: float = 0

    async def wait(self, random: Random) -> None:
        """Wait for so long. The part above `least_ms` is exponentially distributed."""
        more_ms = random.expovariate(1 / self.spread_ms) if self.spread_ms else 0
        await trio.sleep((self.least_ms + more_ms) / 1000)


AT_ONCE = Delay()


# --- faults -----------------------------------------------------------------------------------------------


@frozen
class _Fault:
    struck: Callable[[], None] | None = field(default=None, eq=False, repr=False, kw_only=True)
    """Called each time the fault happens."""

    def strikes(self) -> None:
        """Say that the fault happens now."""
        if self.struck is not None:
            self.struck()


@frozen
class Fails(_Fault):
    """The provider reports an error."""

    error_class: ErrorClass = ErrorClass.TRANSIENT
    message: str = "simulated failure"
    retry_after_ms: int | None = None
    """How long the provider asks not to be called for."""


@frozen
class Stalls(_Fault):
    """The provider stays open and never says anything."""


@frozen
class Breaks(_Fault):
    """The adapter raises an error that its interface does not allow: a bug in the adapter or in an SDK."""

    error: type[Exception] = RuntimeError


@frozen
class Ends(_Fault):
    """The provider ends early, as if it were done."""


Fault = Fails | Stalls | Breaks | Ends


async def strike(fault: Fault | None) -> bool:
    """Let the fault happen. Returns whether the provider's work ends here as if it were done."""
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
    """How one attempt to open a link goes. With `dies`, the open link fails so after `after_ms`."""

    delay: Delay = AT_ONCE
    fault: Fault | None = None
    dies: Fault | None = None
    after_ms: float = 0
    uncancellable: bool = False
    """The opening cannot be cancelled, like one that blocks a thread."""

    async def open(self, random: Random) -> None:
        """Return when the link can be used. Raises what the fault says."""
        with trio.CancelScope(shield=self.uncancellable):
            await self.delay.wait(random)
            await strike(self.fault)

    @asynccontextmanager
    async def lifetime(self) -> AsyncIterator[None]:
        """When the link dies, the block is cancelled and the fault is raised from it."""
        async with trio.open_nursery() as nursery:
            if self.dies is not None:
                nursery.start_soon(self._die, nursery.cancel_scope)
            yield
            nursery.cancel_scope.cancel()

    async def _die(self, body: trio.CancelScope) -> None:
        await trio.sleep(self.after_ms / 1000)
        if await strike(self.dies):
            body.cancel()
