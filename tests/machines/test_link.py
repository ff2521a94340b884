"""Links: attempts, retries, what the conversation hears of them, and how each ends."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import Role
from machines.policy import ConversationPolicy, LinkPolicy
from tests.machines.calls import FATAL, HUNG_UP, PASSING, Call

POLICY = ConversationPolicy(link=LinkPolicy(attempt_timeout_ms=5_000, retry_delays_ms=(100, 200)))
STT = Role.STT


def call() -> Call:
    """A call whose links have two retries."""
    return Call(POLICY)


def link_state(call: Call) -> str:
    return call.system.links[STT].state


def deadline_of_link(call: Call) -> facts.LinkDeadlinePassed:
    number = call.system.links[STT].context.deadline_armed
    assert number is not None
    return facts.LinkDeadlinePassed(STT, number)


def handled(call: Call, fact: facts.Fact) -> tuple[Effect, ...]:
    """The effects of `fact`, without those that only tell the client and the process."""
    told = (do.NotifyLink, do.ReportProviderFailure)
    return tuple(effect for effect in call.handle(fact).effects if not isinstance(effect, told))


def test_a_failed_attempt_is_repeated_after_its_delay() -> None:
    trying = call()
    assert handled(trying, facts.LinkFailed(STT, 1, PASSING)) == (do.ArmLinkDeadline(STT, 2, 100),)
    assert link_state(trying) == "waiting"
    assert handled(trying, deadline_of_link(trying)) == (
        do.OpenLink(STT, 2),
        do.ArmLinkDeadline(STT, 3, 5_000),
    )
    assert handled(trying, facts.LinkFailed(STT, 2, PASSING)) == (do.ArmLinkDeadline(STT, 4, 200),)


def test_a_silent_attempt_is_closed_and_repeated() -> None:
    trying = call()
    assert handled(trying, deadline_of_link(trying)) == (
        do.CloseLink(STT, 1),
        do.ArmLinkDeadline(STT, 2, 100),
    )


@pytest.mark.parametrize("silent", [True, False])
def test_when_the_budget_is_used_up_the_call_ends(silent: bool) -> None:
    trying = Call(evolve(POLICY, link=evolve(POLICY.link, budget_ms=6_000)))
    for attempt in (1, 2, 3):
        assert trying.state == "connecting"
        failed = deadline_of_link(trying) if silent else facts.LinkFailed(STT, attempt, PASSING)
        trying.handle(failed, after_ms=2_950 if attempt > 1 else 0)
        if attempt < 3:
            handled(trying, deadline_of_link(trying))
    # A third round would begin one second later, after the budget's end.
    assert link_state(trying) == "DOWN"
    assert trying.state == "closing"


@pytest.mark.parametrize("error_class", facts.ErrorClass)
def test_only_errors_that_may_pass_are_retried(error_class: facts.ErrorClass) -> None:
    trying = call()
    handled(trying, facts.LinkFailed(STT, 1, facts.ProviderFailure(error_class, "no")))
    again = (facts.ErrorClass.FATAL, facts.ErrorClass.AUTH, facts.ErrorClass.REFUSED_TEXT)
    retried = error_class not in again
    assert link_state(trying) == ("waiting" if retried else "DOWN")


def test_a_lost_link_is_reopened_without_a_word_to_the_caller() -> None:
    trying = call().listening()
    assert trying.happens(facts.LinkFailed(STT, 1, PASSING)) == []
    assert link_state(trying) == "pausing"
    assert trying.happens(deadline_of_link(trying)) == [do.OpenLink(STT, 2)]
    assert trying.happens(facts.LinkOpened(STT, 2)) == []
    assert (link_state(trying), trying.state) == ("UP", "quiet")


def test_a_lost_link_that_cannot_be_reopened_ends_the_call_with_a_word() -> None:
    trying = call().listening()
    handled(trying, facts.LinkFailed(STT, 1, PASSING))
    handled(trying, deadline_of_link(trying))
    handled(trying, facts.LinkFailed(STT, 2, FATAL))
    assert (link_state(trying), trying.state) == ("DOWN", "saying_goodbye")


@pytest.mark.parametrize(("up_ms", "delay_ms"), [(9_999, 200), (10_000, 100)])
def test_a_link_that_lasted_has_all_its_retries_again(up_ms: float, delay_ms: float) -> None:
    trying = call()
    handled(trying, facts.LinkFailed(STT, 1, PASSING))
    handled(trying, deadline_of_link(trying))
    handled(trying, facts.LinkOpened(STT, 2))
    trying.handle(facts.LinkFailed(STT, 2, PASSING), after_ms=up_ms)
    assert trying.last.effects[-1] == do.ArmLinkDeadline(STT, 4, delay_ms)


def test_news_of_an_attempt_that_is_over_is_refused() -> None:
    trying = call()
    handled(trying, deadline_of_link(trying))
    handled(trying, deadline_of_link(trying))
    for fact in (
        facts.LinkOpened(STT, 1),
        facts.LinkFailed(STT, 1, FATAL),
        facts.LinkDeadlinePassed(STT, 1),
    ):
        assert handled(trying, fact) == ()
        assert trying.outcome() is Outcome.REFUSED
    assert link_state(trying) == "opening"


@pytest.mark.parametrize("attempt_is_over", [True, False])
def test_a_released_link_closes_only_what_is_open(attempt_is_over: bool) -> None:
    trying = call()
    if attempt_is_over:
        handled(trying, facts.LinkFailed(STT, 1, PASSING))
    closed = [effect for effect in handled(trying, HUNG_UP) if isinstance(effect, do.CloseLink)]
    assert (do.CloseLink(STT, 1) in closed) is not attempt_is_over


def test_after_its_end_a_link_takes_nothing_more() -> None:
    trying = call()
    handled(trying, HUNG_UP)
    for fact in (
        facts.LinkWanted(STT),
        facts.LinkReleased(STT),
        facts.LinkOpened(STT, 1),
        facts.LinkFailed(STT, 1, FATAL),
    ):
        assert handled(trying, fact) == ()
        assert trying.outcome() is Outcome.IGNORED
    down = call()
    handled(down, facts.LinkFailed(STT, 1, FATAL))
    assert handled(down, facts.LinkFailed(STT, 1, FATAL)) == ()
    assert down.outcome() is Outcome.IGNORED


def test_a_link_that_opens_and_dies_at_once_is_not_reopened_without_end() -> None:
    trying = call().listening()
    attempt = 1
    while link_state(trying) == "UP":
        trying.handle(facts.LinkFailed(STT, attempt, PASSING))
        waits = [each for each in trying.last.effects if isinstance(each, do.ArmLinkDeadline)]
        if waits:
            trying.handle(deadline_of_link(trying), after_ms=waits[0].delay_ms)
            attempt += 1
            handled(trying, facts.LinkOpened(STT, attempt))
    assert (link_state(trying), trying.state) == ("DOWN", "saying_goodbye")
    assert attempt < 12
