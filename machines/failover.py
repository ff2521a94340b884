"""Failover: which provider of a role is tried next, and when; the guards of the link machine (`link.py`).

A provider that failed is left at once for the next that is not known to be down. When all were tried, the
retry schedule (`LinkPolicy`) says how long to wait before another round.
"""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, frozen

from machines import facts
from machines.driver import Chart
from machines.effects import Effect
from machines.facts import ErrorClass, Fact, ProviderFailure, Role
from machines.policy import LinkPolicy

NONE: frozenset[int] = frozenset()


@define
class LinkContext:
    """The link machine's memory. `told` are facts for the conversation machine."""

    role: Role
    policy: LinkPolicy
    providers: int = 1
    """How many there are."""
    known_down: frozenset[int] = NONE
    """Those that the process knows not to work."""
    state: Any = None
    effects: list[Effect] = Factory(list)
    told: list[Fact] = Factory(list)
    provider: int = 0
    """The one that is tried, or that the open link leads to."""
    tried: frozenset[int] = NONE
    """Those that failed in this round."""
    refused: frozenset[int] = NONE
    """Those that will fail again, in this call at least."""
    silent: frozenset[int] = NONE
    """Those that were open and silent. No health check can tell that they speak again, so this call may need
    them, but does not prefer them any more."""
    attempt: int = 0
    """The number of the newest attempt; an open link keeps the number of the attempt that opened it."""
    rounds: int = 0
    """Rounds in a row that failed, or led to a link that did not last."""
    failing_since: float | None = None
    """When the first of them failed."""
    wait_ms: float = 0.0
    """Until the next round."""
    up_since: float | None = None
    """When the open link came up."""
    ends_turns: bool = False
    """The open link's provider decides about ends of turns."""
    deadline_number: int = 0
    deadline_armed: int | None = None

    def ask(self, *effects: Effect) -> None:
        """Add to the effects of the current step."""
        self.effects.extend(effects)


@frozen
class Outage:
    """What is known once a failure is taken into account."""

    tried: frozenset[int]
    refused: frozenset[int]
    rounds: int
    since: float


class Failover(Chart[LinkContext]):
    """What is asked of the memory of a link."""

    # --- guards -------------------------------------------------------------------------------------------

    def any_ready(self) -> bool:
        """A provider is not known to be down."""
        return bool(self.ready(NONE, NONE))

    def another_ready(self, fact: Fact) -> bool:
        """A provider stands ready that was not tried in this round."""
        outage = self.outage(fact)
        return bool(self.ready(outage.tried, outage.refused))

    def worth_waiting(self, fact: Fact) -> bool:
        """Another round may succeed, and the budget has time for it."""
        outage = self.outage(fact)
        may_succeed = len(outage.refused) < self.context.providers
        begins = fact.at_ms + self.next_wait_ms(fact, outage)
        return may_succeed and begins <= outage.since + self.context.policy.budget_ms

    def is_connection(self) -> bool:
        """There is a connection that can be replaced by another to the same provider."""
        return self.context.role is not Role.LLM

    def has_lasted(self, fact: Fact) -> bool:
        """It is a connection that has worked for a while, so that another one at once is no hammering."""
        up_since = self.context.up_since
        lasted = up_since is not None and fact.at_ms - up_since >= self.context.policy.least_up_ms
        return lasted and self.is_connection()

    def is_preferred(self, fact: facts.LinkReturnWanted | facts.ProviderRecovered) -> bool:
        """The provider that is well again is preferred to the one in use."""
        return fact.provider < self.context.provider and fact.provider not in self.context.silent

    def still_preferred(self, fact: facts.LinkReturnWanted) -> bool:
        """The same, and it has not failed again meanwhile."""
        return self.is_preferred(fact) and fact.provider in self.ready(NONE, self.context.refused)

    # --- what is known --------------------------------------------------------------------------------------

    def ready(self, tried: frozenset[int], refused: frozenset[int]) -> list[int]:
        """Providers that can be tried at once, the preferred first."""
        out = tried | refused | self.context.known_down
        return [each for each in range(self.context.providers) if each not in out]

    def outage(self, fact: Fact) -> Outage:
        """With the failure that `fact` reports; all starts anew once a link was up for long enough."""
        context, failed = self.context, frozenset({self.context.provider})
        stable = context.up_since is not None and fact.at_ms - context.up_since >= context.policy.stable_ms
        retryable = failure_of(fact).error_class.retryable
        tried, since = (NONE, None) if stable else (context.tried, context.failing_since)
        return Outage(
            tried=tried | failed if retryable else tried,
            refused=context.refused if retryable else context.refused | failed,
            rounds=0 if stable else context.rounds,
            since=fact.at_ms if since is None else since,
        )

    def next_wait_ms(self, fact: Fact, outage: Outage) -> float:
        """Until the next round: by schedule, or as long as the provider asks for."""
        policy, slow = self.context.policy, outage.rounds - len(self.context.policy.retry_delays_ms)
        if slow < 0:
            delay = policy.retry_delays_ms[outage.rounds]
        else:
            delay = min(policy.slow_delay_ms * 2**slow, policy.slow_delay_most_ms) * (0.5 + draw_of(fact))
        return max(delay, failure_of(fact).retry_after_ms or 0)


def failure_of(fact: Fact) -> ProviderFailure:
    match fact:
        case facts.LinkFailed(failure=failure) | facts.LinkReplacementWanted(failure=failure):
            return failure
        case facts.LinkReturnWanted():
            return ProviderFailure(ErrorClass.CONNECTION, "a preferred provider is well again")
    return ProviderFailure(ErrorClass.TIMEOUT, "no connection in time")


def draw_of(fact: Fact) -> float:
    return fact.draw if isinstance(fact, facts.LinkFailed | facts.LinkDeadlinePassed) else 0.5
