"""How a machine declares its transitions and what it ignores, and what one step of it looks like.

Every pair of a state and a fact is declared: by transitions in the chart, or here as ignored, with a
reason. A fact about something that is no longer current is refused before the chart sees it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from attrs import frozen
from statemachine import State
from statemachine.transition_list import TransitionList

from machines.effects import Effect
from machines.facts import Fact

Action = TypeVar("Action", bound=Callable[..., None])


class Outcome(enum.Enum):
    """What became of a fact."""

    TAKEN = "taken"
    """A transition was taken."""
    IGNORED = "ignored"
    """The pair of state and fact is declared as ignored."""
    REFUSED = "refused"
    """The fact is about something that is no longer current."""
    UNDECLARED = "undeclared"
    """The pair of state and fact is not declared: an error of the machine."""


@frozen
class Step:
    """One fact taken in by one machine: the unit of journal, replay and check."""

    machine: str
    fact: Fact
    source: str
    target: str
    outcome: Outcome
    reason: str
    effects: tuple[Effect, ...]


@frozen
class Ignored:
    """`event` changes nothing in the state `where`, because of `reason`.

    If the state also has guarded transitions for the fact, it is ignored when none of the guards holds.
    """

    where: State
    event: str
    reason: str

    @property
    def state(self) -> str:
        """The state's id. An outermost state gets it only when the class of its chart is complete."""
        return str(self.where.id)


def ignored(events: str, states: Iterable[State], because: str) -> tuple[Ignored, ...]:
    """Declare that each of `events` (names divided by blanks) is ignored in each of `states`."""
    return tuple(Ignored(state, event, because) for event in events.split() for state in states)


def stay(*states: State, **how: Any) -> TransitionList:
    """Internal transitions: each of `states` takes the fact and remains."""
    # The library's `to.itself` carries no annotations.
    loops: list[TransitionList] = [state.to.itself(internal=True, **how) for state in states]  # type: ignore[no-untyped-call]
    return reduce(or_, loops)


def causes(*effects: type[Effect]) -> Callable[[Action], Action]:
    """Name the effects that an action may ask for; the tables show them and the tests hold it to them."""

    def mark(action: Action) -> Action:
        action.effects = effects  # type: ignore[attr-defined]
        return action

    return mark


def declared_effects(action: Any) -> tuple[type[Effect], ...]:
    """The effects that `causes` named for an action."""
    return getattr(action, "effects", ())
