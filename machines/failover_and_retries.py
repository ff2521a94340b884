"""Failover and retry schedule: which provider of a role is tried next, and when (the guards of `link.py`).

After a failure the next provider that is not known to be down is tried at once. When all were tried, the
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
    """The link machine's memory. `for_conversation` holds facts for the conversation machine."""

    role: Role
    policy: LinkPolicy
    providers: int = 1
    """How many providers the role has."""
    known_down: frozenset[int] = NONE
    """Providers that the process knows to be down."""
    state: Any = None
    effects: list[Effect] = Factory(list)
    for_conversation: list[Fact] = Factory(list)
    provider: int = 0
    """The provider that is being tried, or that the open link leads to."""
    tried: frozenset[int] = NONE
    """Providers that failed in this round."""
    refused: frozenset[int] = NONE
    """Providers whose failure will not pass during this call."""
    unable: frozenset[int] = NONE
    """Providers that do not know the call's language."""
    silent: frozenset[int] = NONE
    """Providers that fell silent over an open link. No health check can tell that they answer again: this
    call may use them if it must, but does not prefer them any more."""
    attempt: int = 0
    """The number of the newest attempt; an open link keeps the number of the attempt that opened it."""
    attempt_began: float = 0.0
    """When the newest attempt began."""
    rounds: int = 0
    """Rounds in a row that failed, or whose link did not last."""
    failing_since: float | None = None
    """When the first of these rounds failed."""
    wait_ms: float = 0.0
    """The wait before the next round."""
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
    """What is known about a role's providers once a failure is taken into account."""

    tried: frozenset[int]
    refused: frozenset[int]
    rounds: int
    since: float


class Failover(Chart[LinkContext]):
    """Guards of the link machine, and what they are computed from."""

    # --- guards -------------------------------------------------------------------------------------------

    def any_ready(self) -> bool:
        """At least one provider is not known to be down."""
        return bool(self.ready(NONE, NONE))

    def another_ready(self, fact: Fact) -> bool:
        """Another provider is ready that was not tried in this round."""
        outage = self.outage(fact)
        return bool(self.ready(outage.tried, outage.refused))

    def worth_waiting(self, fact: Fact) -> bool:
        """Another round may succeed, and begins within the budget."""
        outage = self.outage(fact)
        may_succeed = len(outage.refused | self.context.unable) < self.context.providers
        begins = fact.at_ms + self.next_wait_ms(fact, outage)
        return may_succeed and begins <= outage.since + self.context.policy.budget_ms

    def any_able(self, fact: facts.LinkRenewalWanted) -> bool:
        """At least one provider knows the language and was not refused for good."""
        return len(self.context.refused | set(fact.unable)) < self.context.providers

    def closed_idle(self, fact: facts.LinkFailed) -> bool:
        """The provider closed the link because nothing was asked for."""
        return fact.failure.idle

    def is_connection(self) -> bool:
        """The role uses a connection, which can be replaced by another one to the same provider."""
        return self.context.role is not Role.LLM

    def has_lasted(self, fact: Fact) -> bool:
        """The connection has worked for a while, so reconnecting at once is safe."""
        up_since = self.context.up_since
        lasted = up_since is not None and fact.at_ms - up_since >= self.context.policy.least_up_ms
        return lasted and self.is_connection()

    def is_preferred(self, fact: facts.LinkReturnWanted | facts.ProviderRecovered) -> bool:
        """The recovered provider is preferred to the one in use, and did not fall silent in this call."""
        return fact.provider < self.context.provider and fact.provider not in self.context.silent

    def still_preferred(self, fact: facts.LinkReturnWanted) -> bool:
        """The recovered provider is preferred to the one in use, and has not failed again since."""
        return self.is_preferred(fact) and fact.provider in self.ready(NONE, self.context.refused)

    # --- what is known --------------------------------------------------------------------------------------

    def ready(self, tried: frozenset[int], refused: frozenset[int]) -> list[int]:
        """The providers that can be tried at once, the preferred one first."""
        out = tried | refused | self.context.known_down | self.context.unable
        return [each for each in range(self.context.providers) if each not in out]

    def outage(self, fact: Fact) -> Outage:
        """What is known after the failure that `fact` reports. A link that was up for long starts anew."""
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
        """The wait before the next round: by schedule, or longer if the provider asks for that."""
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
        case facts.LinkNeeded():
            return ProviderFailure(ErrorClass.CONNECTION, "the link was idle", idle=True)
        case facts.LinkRenewalWanted():
            return ProviderFailure(ErrorClass.CONNECTION, "the call goes on in another language")
        case facts.LinkReturnWanted():
            return ProviderFailure(ErrorClass.CONNECTION, "a preferred provider is well again")
    return ProviderFailure(ErrorClass.TIMEOUT, "no connection in time")


def draw_of(fact: Fact) -> float:
    return fact.draw if isinstance(fact, facts.LinkFailed | facts.LinkDeadlinePassed) else 0.5
