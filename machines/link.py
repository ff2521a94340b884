"""The link machine: one per provider connection of a conversation, from the first attempt to its release.

It decides whether and when another attempt is made. The conversation machine hears only that a role can be
used (`LinkUp`) or never will be (`LinkDown`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Factory, define
from statemachine import State

from machines import effects as do
from machines import facts
from machines.declarations import Ignored, causes, ignored
from machines.driver import Chart
from machines.effects import Effect
from machines.facts import Fact, ProviderFailure, Role
from machines.policy import LinkPolicy


@define
class LinkContext:
    """The link machine's memory. `told` are facts for the conversation machine."""

    role: Role
    policy: LinkPolicy
    state: Any = None
    effects: list[Effect] = Factory(list)
    told: list[Fact] = Factory(list)
    attempt: int = 0
    """The number of the newest attempt; an open link keeps the number of the attempt that opened it."""
    failures: int = 0
    """Attempts in a row that failed, or opened a link that did not last."""
    up_since: float | None = None
    """When the open link came up."""
    deadline_number: int = 0
    deadline_armed: int | None = None

    def ask(self, *effects: Effect) -> None:
        """Add to the effects of the current step."""
        self.effects.extend(effects)


class Link(Chart[LinkContext]):
    """CONNECTING for the first time, UP, DEGRADED while it is being reopened, DOWN for good, or RELEASED."""

    idle = State(initial=True)

    class CONNECTING(State.Compound):
        opening = State(initial=True)
        waiting = State()

    UP = State()

    class DEGRADED(State.Compound):
        reopening = State(initial=True)
        pausing = State()

    DOWN = State(final=True)
    RELEASED = State(final=True)

    opening, waiting = CONNECTING.opening, CONNECTING.waiting
    reopening, pausing = DEGRADED.reopening, DEGRADED.pausing

    trying = (opening, reopening)
    resting = (waiting, pausing)
    final = (DOWN, RELEASED)

    link_wanted = idle.to(opening, on=["attempt"])
    link_opened = UP.from_(*trying, on=["tell_up"])
    link_failed = (
        opening.to(waiting, cond="worth_retrying", on=["note_failure"])
        | reopening.to(pausing, cond="worth_retrying", on=["note_failure"])
        | DOWN.from_(*trying, unless="worth_retrying", on=["tell_down"])
        | UP.to(pausing, cond="worth_retrying", on=["note_failure"])
        | UP.to(DOWN, unless="worth_retrying", on=["tell_down"])
    )
    link_deadline_passed = (
        waiting.to(opening, on=["attempt"])
        | pausing.to(reopening, on=["attempt"])
        | opening.to(waiting, cond="tries_left", on=["close", "note_failure"])
        | reopening.to(pausing, cond="tries_left", on=["close", "note_failure"])
        | DOWN.from_(*trying, unless="tries_left", on=["close", "tell_late"])
    )
    link_released = RELEASED.from_(idle, *resting) | RELEASED.from_(*trying, UP, on=["close"])

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored("link_wanted", (*trying, *resting, UP), because="the link is on its way already"),
        *ignored("link_opened link_failed", (idle, *resting), because="no attempt is under way"),
        *ignored("link_opened", (UP,), because="the link is up already"),
        *ignored("link_deadline_passed", (idle, UP), because="no deadline is armed"),
        *ignored(
            "link_wanted link_opened link_failed link_deadline_passed link_released",
            final,
            because="the link is not needed any more",
        ),
    )

    # --- guards -------------------------------------------------------------------------------------------

    def tries_left(self, fact: Fact) -> bool:
        """The schedule has another attempt."""
        return self._failures(fact.at_ms) < len(self.context.policy.retry_delays_ms)

    def worth_retrying(self, fact: facts.LinkFailed) -> bool:
        """Another attempt may succeed, and the schedule has one."""
        return fact.failure.error_class.retryable and self.tries_left(fact)

    # --- actions ------------------------------------------------------------------------------------------

    @causes(do.OpenLink)
    def attempt(self) -> None:
        self.context.attempt += 1
        self.context.ask(do.OpenLink(self.context.role, self.context.attempt))

    @causes(do.CloseLink)
    def close(self) -> None:
        self.context.ask(do.CloseLink(self.context.role, self.context.attempt))

    @causes()
    def note_failure(self, fact: Fact) -> None:
        self.context.failures = self._failures(fact.at_ms) + 1
        self.context.up_since = None

    def _failures(self, at_ms: float) -> int:
        """The failures that count: none, once the link was up for long enough."""
        up_since, stable_ms = self.context.up_since, self.context.policy.stable_ms
        return 0 if up_since is not None and at_ms - up_since >= stable_ms else self.context.failures

    @causes()
    def tell_up(self, fact: facts.LinkOpened) -> None:
        self.context.up_since = fact.at_ms
        self.context.told.append(facts.LinkUp(self.context.role, at_ms=fact.at_ms))

    @causes()
    def tell_down(self, fact: facts.LinkFailed) -> None:
        self.context.told.append(facts.LinkDown(self.context.role, fact.failure, at_ms=fact.at_ms))

    @causes()
    def tell_late(self, fact: Fact) -> None:
        message = f"no connection within {self.context.policy.attempt_timeout_ms:.0f} ms, too often"
        failure = ProviderFailure(facts.ErrorClass.TIMEOUT, message)
        self.context.told.append(facts.LinkDown(self.context.role, failure, at_ms=fact.at_ms))

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        match fact:
            case facts.LinkOpened(attempt=attempt) | facts.LinkFailed(attempt=attempt) if (
                attempt != self.context.attempt
            ):
                return f"attempt {attempt} is over"
            case facts.LinkDeadlinePassed(number=number) if number != self.context.deadline_armed:
                return f"deadline {number} is not armed"
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None where nothing is awaited."""
        del at_ms  # unlike the conversation's, these deadlines do not depend on what was heard
        if state in ("opening", "reopening"):
            return self.context.policy.attempt_timeout_ms
        if state in ("waiting", "pausing"):
            return self.context.policy.retry_delays_ms[self.context.failures - 1]
        return None
