"""A simulated call that runs only while it is told to do something: a test can look at it in between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Self

import trio
from attrs import Factory, define, field
from trio.testing import MockClock

from machines.policy import ConversationPolicy
from orchestrator.simulation import SimulatedCall, SimulatedProviders, simulated_call

Act = Callable[[SimulatedCall], Awaitable[None]]


@define(eq=False)
class StepByStep:
    """A call in a thread of its own, in virtual time that stands still between two acts.

    Trio's scheduling is seeded: the same acts give the same call.
    """

    providers: SimulatedProviders
    policy: ConversationPolicy
    call: SimulatedCall = field(init=False)
    _traced: bool = Factory(lambda: sys.gettrace() is not None)
    """Whoever begins the call is; else it is not either (the marker `repeats`)."""
    _acts: SimpleQueue[Act | None] = Factory(SimpleQueue)
    _outcomes: SimpleQueue[BaseException | None] = Factory(SimpleQueue)
    _thread: threading.Thread = field(init=False)

    @classmethod
    def begin(cls, providers: SimulatedProviders, policy: ConversationPolicy) -> Self:
        """Start the call."""
        held = cls(providers, policy)
        held._thread = threading.Thread(target=held._run, name="call step by step")
        held._thread.start()
        held._settle()
        return held

    def do(self, act: Act) -> None:
        """Do something in the call, which goes on for as long as that takes. Raises what breaks the call."""
        self._acts.put(act)
        self._settle()

    def end(self) -> None:
        """Hang up and see the call to its end. Raises what `simulated_call` raises."""
        if self._thread.is_alive():
            self._acts.put(None)
            self._settle()
            self._thread.join()

    def _settle(self) -> None:
        error = self._outcomes.get()
        if error is not None:
            self._thread.join()
            raise error

    def _run(self) -> None:
        if not self._traced:
            sys.settrace(None)
        trio._core._run._r.seed(0)
        try:
            trio.run(self._hold, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            self._outcomes.put(error)
        else:
            self._outcomes.put(None)

    async def _hold(self) -> None:
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with simulated_call(self.providers, policy=self.policy) as self.call:
            self._outcomes.put(None)
            # Blocks the loop: meanwhile nothing happens and no time passes.
            while (act := self._acts.get()) is not None:
                await act(self.call)
                self._outcomes.put(None)
        assert trio.lowlevel.current_statistics().tasks_living == tasks, "a task outlives the call"
