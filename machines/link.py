"""The link machine: one for each role of a conversation, from the first attempt to its release.

A role may have several providers, in order of preference. The machine decides whether, when and to which of
them another attempt is made: after a failure it tries the next one at once; when all were tried, it waits and
begins anew. It tells the conversation machine only that a role can be used (`LinkUp`), cannot be used for now
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
from machines.failover_and_retries import NONE, Failover, failure_of
from machines.policy import LinkPolicy


def longest_ms(state: str, policy: LinkPolicy) -> float | None:
    """The longest deadline that `state` can have, whatever the memory; None: it has none."""
    if state in ("opening", "reopening"):
        return policy.attempt_timeout_ms
    if state in ("waiting", "pausing"):
        # However long the provider asks us to wait, a round that would begin too late is not waited for.
        return policy.budget_ms
    return None


class Link(Failover):
    """CONNECTING: first attempts. UP: open. DEGRADED: being reopened, or closed because it was idle (dormant)
    until it is needed. DOWN: lost for good. RELEASED: over."""

    idle = State(initial=True)

    class CONNECTING(State.Compound):
        opening = State(initial=True)
        waiting = State()

    UP = State()

    class DEGRADED(State.Compound):
        reopening = State(initial=True)
        pausing = State()
        dormant = State()

    DOWN = State(final=True)
    RELEASED = State(final=True)

    opening, waiting = CONNECTING.opening, CONNECTING.waiting
    reopening, pausing, dormant = DEGRADED.reopening, DEGRADED.pausing, DEGRADED.dormant

    trying = (opening, reopening)
    resting = (waiting, pausing)
    in_use = (*trying, *resting, UP, dormant)
    final = (DOWN, RELEASED)

    link_wanted = idle.to(opening, cond="any_ready", on=["attempt"]) | idle.to(
        DOWN, unless="any_ready", on=["notify_none"]
    )
    link_opened = UP.from_(*trying, on=["notify_up"])
    link_failed = (
        stay(
            opening,
            cond="another_ready",
            on=["log_failure", "report_provider_failure", "note_failure", "attempt"],
        )
        | stay(reopening, cond="another_ready", on=["report_provider_failure", "note_failure", "attempt"])
        | opening.to(
            waiting,
            cond="worth_waiting",
            on=["log_failure", "report_provider_failure", "note_failure", "begin_wait"],
        )
        | reopening.to(
            pausing, cond="worth_waiting", on=["report_provider_failure", "note_failure", "begin_wait"]
        )
        | DOWN.from_(*trying, on=["report_provider_failure", "notify_down"])
        | UP.to(dormant, cond="closed_idle")
        | UP.to(
            reopening,
            cond="another_ready",
            on=["report_provider_failure", "note_failure", "notify_lost", "attempt"],
        )
        | UP.to(
            pausing,
            cond="worth_waiting",
            on=["report_provider_failure", "note_failure", "notify_lost", "begin_wait"],
        )
        | UP.to(DOWN, on=["report_provider_failure", "notify_down"])
    )
    link_deadline_passed = (
        waiting.to(opening, on=["attempt"])
        | pausing.to(reopening, on=["attempt"])
        | stay(
            opening,
            cond="another_ready",
            on=["log_failure", "close", "report_provider_failure", "note_failure", "attempt"],
        )
        | stay(
            reopening,
            cond="another_ready",
            on=["close", "report_provider_failure", "note_failure", "attempt"],
        )
        | opening.to(
            waiting,
            cond="worth_waiting",
            on=["log_failure", "close", "report_provider_failure", "note_failure", "begin_wait"],
        )
        | reopening.to(
            pausing,
            cond="worth_waiting",
            on=["close", "report_provider_failure", "note_failure", "begin_wait"],
        )
        | DOWN.from_(*trying, on=["close", "report_provider_failure", "notify_down"])
    )
    link_replacement_wanted = (
        UP.to(
            reopening,
            cond="another_ready",
            on=["close", "report_provider_failure", "note_failure", "notify_lost", "attempt"],
        )
        | UP.to(
            reopening,
            cond="has_lasted",
            on=["close", "report_provider_failure", "notify_lost", "attempt_again"],
        )
        | UP.to(
            pausing,
            cond="is_connection and worth_waiting",
            on=["close", "report_provider_failure", "note_failure", "notify_lost", "begin_wait"],
        )
        | stay(UP, on=["report_provider_failure"])
        | dormant.to(reopening, on=["notify_lost", "attempt_anew"])
    )
    link_return_wanted = UP.to(
        reopening, cond="still_preferred", on=["close", "notify_lost", "go_back"]
    ) | dormant.to(reopening, cond="still_preferred", on=["notify_lost", "go_back"])
    link_needed = dormant.to(reopening, on=["notify_lost", "attempt_anew"])
    link_renewal_wanted = (
        UP.to(reopening, cond="any_able", on=["close", "note_unable", "notify_lost", "attempt_anew"])
        | dormant.to(reopening, cond="any_able", on=["note_unable", "notify_lost", "attempt_anew"])
        | stay(*trying, cond="any_able", on=["close", "note_unable", "attempt_anew"])
        | stay(idle, *resting, cond="any_able", on=["note_unable"])
        | DOWN.from_(UP, *trying, on=["close", "notify_down"])
        | DOWN.from_(idle, dormant, *resting, on=["notify_down"])
    )
    provider_down = stay(idle, dormant, *trying, *resting, on=["note_down"]) | stay(
        UP, on=["note_down", "notify_fallback_ready"]
    )
    provider_recovered = (
        stay(idle, *trying, *resting, on=["note_recovered"])
        | stay(dormant, cond="is_preferred", on=["note_recovered", "notify_preferred_recovered"])
        | stay(dormant, unless="is_preferred", on=["note_recovered"])
        | stay(
            UP,
            cond="is_preferred",
            on=["note_recovered", "notify_fallback_ready", "notify_preferred_recovered"],
        )
        | stay(UP, unless="is_preferred", on=["note_recovered", "notify_fallback_ready"])
    )
    link_released = RELEASED.from_(idle, dormant, *resting) | RELEASED.from_(*trying, UP, on=["close"])

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored("link_wanted", in_use, because="the link was wanted before"),
        *ignored("link_opened link_failed", (idle, dormant, *resting), because="no attempt is under way"),
        *ignored("link_opened", (UP,), because="the link is up already"),
        *ignored("link_deadline_passed", (idle, dormant, UP), because="no deadline is armed"),
        *ignored(
            "link_replacement_wanted link_return_wanted",
            (idle, *trying, *resting),
            because="the link is being replaced already",
        ),
        *ignored("link_needed", (idle, *trying, *resting, UP), because="the link is not dormant"),
        *ignored(
            "link_return_wanted", (UP, dormant), because="that provider is not preferred, or has failed again"
        ),
        *ignored(
            "link_wanted link_opened link_failed link_deadline_passed link_replacement_wanted link_needed"
            " link_return_wanted link_renewal_wanted provider_down provider_recovered link_released",
            final,
            because="the link is not needed any more",
        ),
    )

    # --- actions ------------------------------------------------------------------------------------------

    @causes(do.OpenLink, do.NotifyLink)
    def attempt(self, fact: Fact) -> None:
        """Try the preferred provider that is ready; if none is, one that is known to be down."""
        context = self.context
        ready = self.ready(context.tried, context.refused)
        left = [each for each in range(context.providers) if each not in context.refused | context.unable]
        context.provider = (ready or left)[0]
        self._open(fact)

    @causes(do.OpenLink, do.NotifyLink)
    def attempt_again(self, fact: Fact) -> None:
        """Open another connection to the same provider."""
        self._open(fact)

    @causes(do.OpenLink, do.NotifyLink)
    def attempt_anew(self, fact: Fact) -> None:
        """Open another connection, to the same provider unless it cannot be used any more."""
        if self.context.provider in self.context.unable | self.context.refused | self.context.known_down:
            self.attempt(fact)
        else:
            self._open(fact)

    @causes(do.OpenLink, do.NotifyLink)
    def go_back(self, fact: facts.LinkReturnWanted) -> None:
        """Open a link to the preferred provider."""
        self.context.provider = fact.provider
        self._open(fact)

    def _open(self, fact: Fact) -> None:
        self.context.up_since = None
        self.context.attempt_began = fact.at_ms
        self.context.attempt += 1
        self.context.ask(do.OpenLink(self.context.role, self.context.attempt, self.context.provider))
        if self.context.attempt > 1:
            self._notify(LinkNews.TRYING, fact)

    @causes(do.CloseLink)
    def close(self) -> None:
        """Close the current attempt's link."""
        self.context.ask(do.CloseLink(self.context.role, self.context.attempt))

    @causes(do.LogFailure)
    def log_failure(self, fact: Fact) -> None:
        """An attempt of a call that has not begun yet has failed: its caller waits for it."""
        self._log(fact, failure_of(fact))

    def _log(self, fact: Fact, failure: ProviderFailure) -> None:
        context = self.context
        waiting = context.attempt > 0 and context.up_since is None
        waited_ms = fact.at_ms - context.attempt_began if waiting else 0.0
        context.ask(do.LogFailure(context.role, failure, waited_ms, context.attempt or None))

    @causes(do.ReportProviderFailure)
    def report_provider_failure(self, fact: Fact) -> None:
        """Report the failure to the process, and remember a provider that fell silent over an open link."""
        context, failure = self.context, failure_of(fact)
        context.ask(do.ReportProviderFailure(context.role, context.provider, failure))
        if failure.error_class is ErrorClass.TIMEOUT and context.up_since is not None:
            context.silent |= {context.provider}

    @causes()
    def note_failure(self, fact: Fact) -> None:
        """Count the failure: which providers were tried, how many rounds, since when."""
        outage = self.outage(fact)
        self.context.tried, self.context.refused = outage.tried, outage.refused
        self.context.rounds, self.context.failing_since = outage.rounds, outage.since

    @causes(do.NotifyLink)
    def begin_wait(self, fact: Fact) -> None:
        """Wait before the next round: every provider was tried."""
        self.context.wait_ms = self.next_wait_ms(fact, self.outage(fact))
        self.context.rounds += 1
        self.context.tried = NONE
        self._notify(LinkNews.WAITING, fact)

    @causes(do.NotifyLink)
    def notify_up(self, fact: facts.LinkOpened) -> None:
        """Tell the conversation that the link is up, and the client if it is not the first attempt."""
        self.context.up_since = fact.at_ms
        self.context.ends_turns = fact.ends_turns
        if self.context.attempt > 1:
            self._notify(LinkNews.UP, fact)
        self._notify_conversation(fact)

    @causes()
    def notify_fallback_ready(self, fact: Fact) -> None:
        """Tell the conversation whether another provider is ready now."""
        self._notify_conversation(fact)

    @causes()
    def notify_preferred_recovered(self, fact: facts.ProviderRecovered) -> None:
        """Tell the conversation that a preferred provider works again. It decides when to return."""
        recovered = facts.PreferredProviderRecovered(self.context.role, fact.provider, at_ms=fact.at_ms)
        self.context.for_conversation.append(recovered)

    @causes()
    def notify_lost(self, fact: Fact) -> None:
        """Tell the conversation that the link is lost, for now."""
        lost = facts.LinkLost(self.context.role, failure_of(fact), at_ms=fact.at_ms)
        self.context.for_conversation.append(lost)

    @causes(do.NotifyLink, do.LogFailure)
    def notify_down(self, fact: Fact) -> None:
        """Give up: no provider can be used any more, and the call ends because of it."""
        self._notify(LinkNews.DOWN, fact)
        failure = self._last_failure(fact)
        self._log(fact, failure)
        down = facts.LinkDown(self.context.role, failure, at_ms=fact.at_ms)
        self.context.for_conversation.append(down)

    @causes(do.NotifyLink, do.LogFailure)
    def notify_none(self, fact: Fact) -> None:
        """Give up: all providers are known to be down, and a new call does not try them."""
        self._notify(LinkNews.DOWN, fact)
        failure = ProviderFailure(ErrorClass.CONNECTION, f"no provider of {self.context.role.value} works")
        self._log(fact, failure)
        self.context.for_conversation.append(facts.LinkDown(self.context.role, failure, at_ms=fact.at_ms))

    @causes()
    def note_unable(self, fact: facts.LinkRenewalWanted) -> None:
        """Keep which providers cannot serve the call as it is now, in its language for one."""
        self.context.unable = frozenset(fact.unable)

    @causes()
    def note_down(self, fact: facts.ProviderDown) -> None:
        """Keep that the provider is known to be down."""
        self.context.known_down |= {fact.provider}

    @causes()
    def note_recovered(self, fact: facts.ProviderRecovered) -> None:
        """Keep that the provider works again, and may be tried again."""
        recovered = frozenset({fact.provider})
        self.context.known_down -= recovered
        self.context.tried -= recovered
        self.context.refused -= recovered

    def _notify(self, news: LinkNews, fact: Fact) -> None:
        self.context.ask(do.NotifyLink(self.context.role, news, self.context.provider, fact.name))

    def _notify_conversation(self, fact: Fact) -> None:
        context = self.context
        others = self.ready(context.tried | {context.provider}, context.refused)
        up = facts.LinkUp(context.role, bool(others), context.ends_turns, at_ms=fact.at_ms)
        context.for_conversation.append(up)

    def _last_failure(self, fact: Fact) -> ProviderFailure:
        failure = failure_of(fact)
        if isinstance(fact, facts.LinkDeadlinePassed):
            message = f"no connection within {self.context.policy.attempt_timeout_ms:.0f} ms, too often"
            return ProviderFailure(failure.error_class, message)
        return failure

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` is about something that is no longer current; None if it is current."""
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
        """Whether `fact` begins another attempt, which gets a deadline of its own."""
        return fact.name in ("link_failed", "link_deadline_passed", "link_renewal_wanted")

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
