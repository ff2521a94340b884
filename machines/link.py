"""The link machine: one per role of a conversation, from the first attempt to its release.

A role may have several providers, in order of preference. The machine decides whether, when and with which of
them another attempt is made: one that failed is left at once for the next; when all were tried, it waits and
begins anew. The conversation machine hears only that a role can be used (`LinkUp`), cannot be used for now
(`LinkLost`), or never will be again (`LinkDown`).
"""

from __future__ import annotations

from typing import ClassVar

from statemachine import State

from machines import effects as do
from machines import facts
from machines.declarations import Ignored, causes, ignored, stay
from machines.effects import LinkNews
from machines.facts import ErrorClass, Fact, ProviderFailure
from machines.failover import NONE, Failover, failure_of


class Link(Failover):
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
    in_use = (*trying, *resting, UP)
    final = (DOWN, RELEASED)

    link_wanted = idle.to(opening, cond="any_ready", on=["attempt"]) | idle.to(
        DOWN, unless="any_ready", on=["notify_none"]
    )
    link_opened = UP.from_(*trying, on=["notify_up"])
    link_failed = (
        stay(*trying, cond="another_ready", on=["blame", "note_failure", "attempt"])
        | opening.to(waiting, cond="worth_waiting", on=["blame", "note_failure", "begin_wait"])
        | reopening.to(pausing, cond="worth_waiting", on=["blame", "note_failure", "begin_wait"])
        | DOWN.from_(*trying, on=["blame", "notify_down"])
        | UP.to(reopening, cond="another_ready", on=["blame", "note_failure", "notify_lost", "attempt"])
        | UP.to(pausing, cond="worth_waiting", on=["blame", "note_failure", "notify_lost", "begin_wait"])
        | UP.to(DOWN, on=["blame", "notify_down"])
    )
    link_deadline_passed = (
        waiting.to(opening, on=["attempt"])
        | pausing.to(reopening, on=["attempt"])
        | stay(*trying, cond="another_ready", on=["close", "blame", "note_failure", "attempt"])
        | opening.to(waiting, cond="worth_waiting", on=["close", "blame", "note_failure", "begin_wait"])
        | reopening.to(pausing, cond="worth_waiting", on=["close", "blame", "note_failure", "begin_wait"])
        | DOWN.from_(*trying, on=["close", "blame", "notify_down"])
    )
    link_replacement_wanted = (
        UP.to(
            reopening, cond="another_ready", on=["close", "blame", "note_failure", "notify_lost", "attempt"]
        )
        | UP.to(reopening, cond="has_lasted", on=["close", "blame", "notify_lost", "attempt_again"])
        | UP.to(
            pausing,
            cond="is_connection and worth_waiting",
            on=["close", "blame", "note_failure", "notify_lost", "begin_wait"],
        )
        | stay(UP, on=["blame"])
    )
    link_return_wanted = UP.to(reopening, cond="still_preferred", on=["close", "notify_lost", "go_back"])
    provider_down = stay(idle, *trying, *resting, on=["note_down"]) | stay(
        UP, on=["note_down", "notify_fallback_ready"]
    )
    provider_recovered = (
        stay(idle, *trying, *resting, on=["note_recovered"])
        | stay(
            UP,
            cond="is_preferred",
            on=["note_recovered", "notify_fallback_ready", "notify_preferred_recovered"],
        )
        | stay(UP, unless="is_preferred", on=["note_recovered", "notify_fallback_ready"])
    )
    link_released = RELEASED.from_(idle, *resting) | RELEASED.from_(*trying, UP, on=["close"])

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored("link_wanted", in_use, because="the link is on its way already"),
        *ignored("link_opened link_failed", (idle, *resting), because="no attempt is under way"),
        *ignored("link_opened", (UP,), because="the link is up already"),
        *ignored("link_deadline_passed", (idle, UP), because="no deadline is armed"),
        *ignored(
            "link_replacement_wanted link_return_wanted",
            (idle, *trying, *resting),
            because="the link is being replaced already",
        ),
        *ignored("link_return_wanted", (UP,), because="nothing better works"),
        *ignored(
            "link_wanted link_opened link_failed link_deadline_passed link_replacement_wanted"
            " link_return_wanted provider_down provider_recovered link_released",
            final,
            because="the link is not needed any more",
        ),
    )

    # --- actions ------------------------------------------------------------------------------------------

    @causes(do.OpenLink, do.NotifyLink)
    def attempt(self, fact: Fact) -> None:
        """Try the best provider that stands ready; when a round begins, one that is known to be down too."""
        context = self.context
        ready = self.ready(context.tried, context.refused)
        left = [each for each in range(context.providers) if each not in context.refused]
        context.provider = (ready or left)[0]
        self._open(fact)

    @causes(do.OpenLink, do.NotifyLink)
    def attempt_again(self, fact: Fact) -> None:
        """The same provider, by another connection."""
        self._open(fact)

    @causes(do.OpenLink, do.NotifyLink)
    def go_back(self, fact: facts.LinkReturnWanted) -> None:
        self.context.provider = fact.provider
        self._open(fact)

    def _open(self, fact: Fact) -> None:
        self.context.up_since = None
        self.context.attempt += 1
        self.context.ask(do.OpenLink(self.context.role, self.context.attempt, self.context.provider))
        if self.context.attempt > 1:
            self._tell(LinkNews.TRYING, fact)

    @causes(do.CloseLink)
    def close(self) -> None:
        self.context.ask(do.CloseLink(self.context.role, self.context.attempt))

    @causes(do.ReportProviderFailure)
    def blame(self, fact: Fact) -> None:
        """The process should know; and whoever fell silent over an open link is remembered for it."""
        context, failure = self.context, failure_of(fact)
        context.ask(do.ReportProviderFailure(context.role, context.provider, failure))
        if failure.error_class is ErrorClass.TIMEOUT and context.up_since is not None:
            context.silent |= {context.provider}

    @causes()
    def note_failure(self, fact: Fact) -> None:
        outage = self.outage(fact)
        self.context.tried, self.context.refused = outage.tried, outage.refused
        self.context.rounds, self.context.failing_since = outage.rounds, outage.since

    @causes(do.NotifyLink)
    def begin_wait(self, fact: Fact) -> None:
        """Every provider was tried: the next round follows after a while."""
        self.context.wait_ms = self.next_wait_ms(fact, self.outage(fact))
        self.context.rounds += 1
        self.context.tried = NONE
        self._tell(LinkNews.WAITING, fact)

    @causes(do.NotifyLink)
    def notify_up(self, fact: facts.LinkOpened) -> None:
        self.context.up_since = fact.at_ms
        self.context.ends_turns = fact.ends_turns
        if self.context.attempt > 1:
            self._tell(LinkNews.UP, fact)
        self._tell_conversation(fact)

    @causes()
    def notify_fallback_ready(self, fact: Fact) -> None:
        """Whether another provider stands ready may have changed."""
        self._tell_conversation(fact)

    @causes()
    def notify_preferred_recovered(self, fact: facts.ProviderRecovered) -> None:
        """When to go back is for the conversation to say."""
        recovered = facts.PreferredProviderRecovered(self.context.role, fact.provider, at_ms=fact.at_ms)
        self.context.told.append(recovered)

    @causes()
    def notify_lost(self, fact: Fact) -> None:
        lost = facts.LinkLost(self.context.role, failure_of(fact), at_ms=fact.at_ms)
        self.context.told.append(lost)

    @causes(do.NotifyLink)
    def notify_down(self, fact: Fact) -> None:
        self._tell(LinkNews.DOWN, fact)
        down = facts.LinkDown(self.context.role, self._last_failure(fact), at_ms=fact.at_ms)
        self.context.told.append(down)

    @causes(do.NotifyLink)
    def notify_none(self, fact: Fact) -> None:
        """A new call does not try what is known not to work."""
        self._tell(LinkNews.DOWN, fact)
        failure = ProviderFailure(ErrorClass.CONNECTION, f"no provider of {self.context.role.value} works")
        self.context.told.append(facts.LinkDown(self.context.role, failure, at_ms=fact.at_ms))

    @causes()
    def note_down(self, fact: facts.ProviderDown) -> None:
        self.context.known_down |= {fact.provider}

    @causes()
    def note_recovered(self, fact: facts.ProviderRecovered) -> None:
        well = frozenset({fact.provider})
        self.context.known_down -= well
        self.context.tried -= well
        self.context.refused -= well

    def _tell(self, news: LinkNews, fact: Fact) -> None:
        self.context.ask(do.NotifyLink(self.context.role, news, self.context.provider, fact.name))

    def _tell_conversation(self, fact: Fact) -> None:
        context = self.context
        others = self.ready(context.tried | {context.provider}, context.refused)
        up = facts.LinkUp(context.role, bool(others), context.ends_turns, at_ms=fact.at_ms)
        context.told.append(up)

    def _last_failure(self, fact: Fact) -> ProviderFailure:
        failure = failure_of(fact)
        if isinstance(fact, facts.LinkDeadlinePassed):
            message = f"no connection within {self.context.policy.attempt_timeout_ms:.0f} ms, too often"
            return ProviderFailure(failure.error_class, message)
        return failure

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        match fact:
            case facts.LinkOpened(attempt=attempt) | facts.LinkFailed(attempt=attempt) if (
                attempt != self.context.attempt
            ):
                return f"attempt {attempt} is over"
            case facts.LinkReplacementWanted(attempt=int(attempt)) if attempt != self.context.attempt:
                return f"attempt {attempt} is over"
            case facts.LinkDeadlinePassed(number=number) if number != self.context.deadline_armed:
                return f"deadline {number} is not armed"
        return None

    def is_progress(self, fact: Fact) -> bool:
        """The next provider has as long as the one before it."""
        return fact.name in ("link_failed", "link_deadline_passed")

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None where nothing is awaited."""
        del at_ms  # unlike the conversation's, these deadlines do not depend on what was heard
        if state in ("opening", "reopening"):
            return self.context.policy.attempt_timeout_ms
        if state in ("waiting", "pausing"):
            schedule = self.context.policy.retry_delays_ms
            scheduled = schedule[min(self.context.rounds, len(schedule)) - 1] if schedule else 0.0
            return max(self.context.wait_ms, scheduled)
        return None
