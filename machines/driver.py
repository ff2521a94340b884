"""Drives a chart through python-statemachine's synchronous engine, one fact at a time.

A step refuses a stale fact; otherwise it lets the chart take a transition, or looks up why the pair is
ignored. Then it arms, keeps or disarms the state's one deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from statemachine import StateChart
from statemachine.orderedset import OrderedSet

from machines.declarations import Ignored, Outcome, Step
from machines.effects import Effect
from machines.facts import Fact

SLACK_MS = 1.0
"""A deadline may pass this much too early, since times are floating-point numbers."""


class ChartContext(Protocol):
    """What every chart's memory has."""

    state: Any
    effects: list[Effect]
    deadline_number: int
    deadline_armed: int | None


C = TypeVar("C", bound=ChartContext)


class Seat(Generic[C]):
    """The chart's model, in the library's sense. The machine whose memory sits here is the one that runs.

    A chart's structure takes half a megabyte and 9 ms to make, and is the same for every conversation. So
    many machines share one chart and take turns, each with its own memory, state included.
    """

    def __init__(self, context: C) -> None:
        self.context = context

    @property
    def state(self) -> Any:
        """The configuration, in the engine's own form."""
        return self.context.state

    @state.setter
    def state(self, state: Any) -> None:
        self.context.state = state


class Chart(StateChart[Seat[C]]):
    """Base of our charts. It raises errors, ignores unknown events, and answers the driver's questions."""

    allow_event_without_transition = True
    catch_errors_as_events = False
    atomic_configuration_update = True

    IGNORED: ClassVar[tuple[Ignored, ...]] = ()
    transition_taken = False

    def __init__(self, context: C) -> None:
        super().__init__(Seat(context))
        if type(self._engine).__name__ != "SyncEngine":
            raise TypeError(f"{type(self).__name__} has a coroutine callback: machines must be synchronous")
        self._beginning = tuple(self.configuration_values)

    @property
    def context(self) -> C:
        """The memory of the machine that runs."""
        return self.model.context

    def seat(self, context: C) -> None:
        """Run with this memory from now on. A memory without a state begins in the initial state."""
        if context.state is None:
            context.state = OrderedSet(self._beginning)
        self.model.context = context
        # The engine stops for good at a final state, and does not know that it was another machine's.
        self._engine.running = True

    def on_transition(self) -> None:
        """Called by the engine for each transition it takes."""
        self.transition_taken = True

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` is about something that is no longer current; None if it is current."""
        del fact
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last from `at_ms` on; None where only the caller is waited for."""
        del state, at_ms
        return None

    def is_progress(self, fact: Fact) -> bool:
        """Whether `fact` re-arms the deadline of a state that stays the same."""
        del fact
        return False

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Called when `fact` has changed the state, from one in `source_room` to `state` in `room`."""
        del source_room, room, state, fact


class Driver(Generic[C]):
    """One running machine: a chart, which it may share with others of the same thread, and its own memory.

    Args:
        name: the machine's name in its steps.
        chart: the chart.
        context: the memory, new or restored.
        arm: makes the effect that arms a deadline, given its number and delay in ms.
        disarm: makes the effect that forgets the armed deadline.
    """

    def __init__(
        self,
        name: str,
        chart: Chart[C],
        context: C,
        arm: Callable[[int, float], Effect],
        disarm: Callable[[], Effect],
    ) -> None:
        self.name = name
        self.context = context
        self._chart = chart
        self._arm = arm
        self._disarm = disarm
        chart.seat(context)
        self._reasons = {(entry.state, entry.event): entry.reason for entry in chart.IGNORED}

    @property
    def state(self) -> str:
        """The innermost state, for example `hearing`."""
        return str(self._configuration()[-1])

    @property
    def room(self) -> str:
        """The outermost state, for example `LISTENING`."""
        return str(self._configuration()[0])

    def start(self, at_ms: float) -> tuple[Effect, ...]:
        """Arm the initial state's deadline."""
        self._chart.seat(self.context)
        self._set_deadline(at_ms)
        return self._take_effects()

    def handle(self, fact: Fact) -> Step:
        """Take one fact in.

        Raises whatever a guard or an action raises: an error of the machine. Its state is then unchanged, and
        the effects of the half step are dropped.
        """
        source = self.state
        self._chart.seat(self.context)
        stale = self._chart.stale(fact)
        if stale is not None:
            return Step(self.name, fact, source, source, Outcome.REFUSED, stale, ())
        if self._send(fact):
            return Step(self.name, fact, source, self.state, Outcome.TAKEN, "", self._take_effects())
        reason = self._reasons.get((source, fact.name))
        if reason is None:
            text = f"{fact.name} is not declared in {source}"
            return Step(self.name, fact, source, source, Outcome.UNDECLARED, text, ())
        return Step(self.name, fact, source, source, Outcome.IGNORED, reason, ())

    def _configuration(self) -> tuple[Any, ...]:
        """The active states' ids, outermost first."""
        state = self.context.state
        # The engine keeps a single active state as its id, and several as a set in the order of nesting.
        return (state,) if isinstance(state, str) else tuple(state)

    def _send(self, fact: Fact) -> bool:
        """Send the fact to the chart. Returns whether a transition was taken."""
        room, state = self.room, self.state
        self._chart.transition_taken = False
        try:
            self._chart.send(fact.name, fact=fact)
        except BaseException:
            self.context.effects.clear()
            raise
        if self.state != state:
            self._chart.entered(room, self.room, self.state, fact)
            self._set_deadline(fact.at_ms)
        elif self._chart.transition_taken and self._chart.is_progress(fact):
            self._set_deadline(fact.at_ms)
        return self._chart.transition_taken

    def _set_deadline(self, at_ms: float) -> None:
        context = self.context
        delay = self._chart.deadline_ms(self.state, at_ms)
        if delay is not None:
            context.deadline_number += 1
            context.deadline_armed = context.deadline_number
            context.effects.append(self._arm(context.deadline_number, delay))
        elif context.deadline_armed is not None:
            context.deadline_armed = None
            context.effects.append(self._disarm())

    def _take_effects(self) -> tuple[Effect, ...]:
        effects = tuple(self.context.effects)
        self.context.effects.clear()
        return effects
