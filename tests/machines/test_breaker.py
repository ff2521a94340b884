"""The breaker: when a provider counts as down, when it is probed, and what running calls hear of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines.breaker import (
    ArmBreakerDeadline,
    Breaker,
    BreakerContext,
    BreakerDeadlinePassed,
    BreakerPolicy,
    DisarmBreakerDeadline,
    NotifyDown,
    NotifyRecovered,
    Probe,
    ProbeFailed,
    ProbeSucceeded,
    ProviderAnswered,
    ProviderDoubted,
    ProviderFailed,
    WatchBegan,
)
from machines.declarations import Outcome, Step
from machines.driver import Driver
from machines.effects import Effect
from machines.facts import ErrorClass, Fact, ProviderFailure
from machines.tables import BREAKER
from tests.machines.check.reachable import reachable_steps

PASSING = ProviderFailure(ErrorClass.CONNECTION, "connection lost")
REFUSED = ProviderFailure(ErrorClass.AUTH, "the key was refused")
BUSY = ProviderFailure(ErrorClass.RATE_LIMIT, "too many requests", 10_000)
CHART = Breaker(BreakerContext())


class Story:
    """One breaker, with the facts that it got."""

    def __init__(self, context: BreakerContext | None = None) -> None:
        self.driver = Driver(
            "breaker", CHART, context or BreakerContext(), ArmBreakerDeadline, DisarmBreakerDeadline
        )

    @property
    def state(self) -> str:
        return self.driver.state

    def happens(self, *facts: Fact) -> tuple[Effect, ...]:
        """Handle these facts. Returns the effects of the last one."""
        return [self.step(fact) for fact in facts][-1].effects

    def step(self, fact: Fact) -> Step:
        return self.driver.handle(fact)

    def probe_fails(self, failure: ProviderFailure = PASSING, draw: float = 0.5) -> tuple[Effect, ...]:
        return self.happens(ProbeFailed(self.driver.context.probe, failure, draw))

    def probe_succeeds(self) -> tuple[Effect, ...]:
        return self.happens(ProbeSucceeded(self.driver.context.probe))

    def time_passes(self) -> tuple[Effect, ...]:
        number = self.driver.context.deadline_armed
        assert number is not None
        return self.happens(BreakerDeadlinePassed(number))

    def closed(self) -> Story:
        self.happens(WatchBegan())
        self.probe_succeeds()
        assert self.state == "CLOSED"
        return self


def delay(effects: tuple[Effect, ...]) -> float:
    return next(effect.delay_ms for effect in effects if isinstance(effect, ArmBreakerDeadline))


# --- behaviour --------------------------------------------------------------------------------------------


def test_a_provider_counts_as_down_until_its_first_probe_succeeded() -> None:
    story = Story()
    assert story.happens(WatchBegan()) == (Probe(1),)
    assert story.state == "reprobing"
    assert story.probe_succeeds() == (NotifyRecovered(),)
    assert story.state == "CLOSED"


def test_one_failure_makes_a_provider_suspect_and_calls_still_try_it() -> None:
    story = Story().closed()
    assert story.happens(ProviderFailed(PASSING)) == (ArmBreakerDeadline(1, 1_000),)
    assert story.state == "resting"
    assert story.time_passes() == (Probe(2), DisarmBreakerDeadline())
    assert story.probe_succeeds() == (NotifyRecovered(),)
    assert story.state == "CLOSED"


def test_failures_in_a_row_open_it() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING), ProviderFailed(PASSING))
    assert story.state == "resting"
    assert NotifyDown() in story.happens(ProviderFailed(PASSING))
    assert story.state == "pausing"


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING), ProviderFailed(PASSING))
    assert NotifyRecovered() in story.happens(ProviderAnswered())
    story.happens(ProviderFailed(PASSING), ProviderFailed(PASSING))
    assert story.state == "resting"


OWN = ProviderFailure(ErrorClass.REFUSED_REQUEST, "400")
EMPTY = ProviderFailure(ErrorClass.UNUSABLE_ANSWER, "an empty answer")


def test_doubts_in_a_row_have_it_probed_and_calls_still_try_it() -> None:
    story = Story().closed()
    story.happens(ProviderDoubted(OWN), ProviderDoubted(OWN), ProviderAnswered())
    story.happens(ProviderDoubted(OWN), ProviderDoubted(OWN))
    assert story.state == "CLOSED"
    assert story.happens(ProviderDoubted(OWN)) == (Probe(2),)
    assert story.state == "probing"
    assert story.probe_succeeds() == (NotifyRecovered(),)
    assert story.happens(ProviderDoubted(OWN)) == (), "the calls were at fault: counted anew"


def test_a_refusal_that_a_probe_gets_too_opens_it_at_once() -> None:
    story = Story().closed()
    story.happens(*[ProviderDoubted(OWN)] * 3)
    assert NotifyDown() in story.probe_fails(OWN)
    assert story.state == "pausing"


def test_empty_answers_to_three_probes_open_it() -> None:
    story = Story().closed()
    story.happens(*[ProviderDoubted(EMPTY)] * 3)
    for _ in range(2):
        story.probe_fails(EMPTY)
        assert story.state == "resting"
        story.time_passes()
    assert NotifyDown() in story.probe_fails(EMPTY)


PASSES = (
    ErrorClass.RATE_LIMIT,
    ErrorClass.TRANSIENT,
    ErrorClass.CONNECTION,
    ErrorClass.TIMEOUT,
    ErrorClass.UNUSABLE_ANSWER,
)


@pytest.mark.parametrize("error_class", ErrorClass)
def test_only_what_will_fail_again_opens_at_once(error_class: ErrorClass) -> None:
    story = Story().closed()
    story.happens(ProviderFailed(ProviderFailure(error_class, "no")))
    assert story.state == ("resting" if error_class in PASSES else "pausing")


def test_a_failed_probe_counts_like_a_failed_call() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING))
    for _ in range(2):
        assert story.state == "resting"
        story.time_passes()
        effects = story.probe_fails()
    assert NotifyDown() in effects
    assert story.state == "pausing"


def test_a_provider_that_is_down_is_probed_ever_more_rarely() -> None:
    story = Story()
    story.happens(WatchBegan())
    waits = []
    for _ in range(8):
        waits.append(delay(story.probe_fails()))
        story.time_passes()
    assert waits == [1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000, 30_000]


@pytest.mark.parametrize(("draw", "wait"), [(0, 800), (0.5, 1_000), (1, 1_200)])
def test_waits_are_scattered_by_the_draw(draw: float, wait: float) -> None:
    assert delay(Story().closed().happens(ProviderFailed(PASSING, draw))) == pytest.approx(wait)


def test_a_provider_that_asks_for_patience_is_given_it() -> None:
    assert delay(Story().closed().happens(ProviderFailed(BUSY))) == 10_000
    for_an_hour = evolve(BUSY, retry_after_ms=3_600_000)
    assert delay(Story().closed().happens(ProviderFailed(for_an_hour))) == 300_000


def test_a_provider_that_accepts_connections_and_stays_silent_is_opened_sooner_and_rests_longer() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING), ProviderFailed(PASSING), ProviderFailed(PASSING))
    waits = []
    for _ in range(3):
        story.time_passes()
        story.probe_succeeds()
        assert story.state == "CLOSED"
        waits.append(delay(story.happens(ProviderFailed(PASSING))))
        assert story.state == "pausing"
    assert waits == [2_000, 4_000, 8_000]
    story.happens(ProviderAnswered(), ProviderFailed(PASSING))
    assert story.state == "resting"


def test_a_hundred_calls_that_fail_together_do_not_put_the_probe_off() -> None:
    story = Story().closed()
    story.happens(*[ProviderFailed(PASSING)] * 3)
    assert [story.step(ProviderFailed(PASSING)).outcome for _ in range(97)] == [Outcome.IGNORED] * 97
    story.time_passes()
    assert story.state == "reprobing"


def test_a_call_that_fails_while_it_is_probed_can_open_it_without_another_probe() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING))
    story.time_passes()
    assert story.happens(ProviderFailed(REFUSED)) == (NotifyDown(),)
    assert story.state == "reprobing"
    story.probe_fails()
    assert story.state == "pausing"


def test_a_call_that_is_answered_closes_it_whatever_the_probe_says_later() -> None:
    story = Story()
    story.happens(WatchBegan())
    story.probe_fails()
    story.time_passes()
    assert NotifyRecovered() in story.happens(ProviderAnswered())
    story.probe_fails()
    assert story.state == "CLOSED"


def test_a_probe_that_was_overtaken_is_refused() -> None:
    story = Story().closed()
    story.happens(ProviderFailed(PASSING))
    story.time_passes()
    story.happens(ProviderAnswered(), ProviderFailed(PASSING))
    story.time_passes()
    assert story.step(ProbeSucceeded(2)).outcome is Outcome.REFUSED
    assert story.state == "probing"


# --- everything -------------------------------------------------------------------------------------------

DOWN = ("pausing", "reprobing")
POLICY = BreakerPolicy(probe_delays_ms=(1_000, 2_000))


def enabled_facts(context: BreakerContext) -> list[Fact]:
    """What can happen to a breaker now, late facts included."""
    failures = (PASSING, REFUSED, BUSY)
    return [
        WatchBegan(),
        ProviderAnswered(),
        *(ProviderFailed(failure) for failure in failures),
        ProviderDoubted(OWN),
        *(ProbeFailed(context.probe, failure) for failure in failures),
        *(ProbeSucceeded(context.probe - late) for late in (0, 1)),
        *(BreakerDeadlinePassed((context.deadline_armed or 0) - late) for late in (0, 1)),
    ]


def key(context: BreakerContext) -> tuple[object, ...]:
    """Contexts of the same key behave the same: beyond a point, numbers only count on."""
    failures = min(context.failures, POLICY.failures_to_open)
    patience = context.last_failure and context.last_failure.retry_after_ms
    armed = context.deadline_armed is not None
    doubts = min(context.doubts, POLICY.failures_to_open)
    return (str(context.state), failures, doubts, min(context.waits, 1), context.probe > 0, armed, patience)


def test_every_reachable_configuration_keeps_its_promises() -> None:
    def handle(context: BreakerContext, fact: Fact) -> Step:
        return Story(context).step(fact)

    for step, after in reachable_steps(
        BREAKER, Story(BreakerContext(POLICY)).driver.context, handle, enabled_facts, key
    ):
        # A deadline is armed in resting and pausing, and a probe was made in probing and reprobing.
        assert (after.deadline_armed is not None) == (step.target in ("resting", "pausing"))
        asked = step.target in ("probing", "reprobing") and step.source in (
            "idle",
            "CLOSED",
            "resting",
            "pausing",
        )
        assert any(isinstance(effect, Probe) for effect in step.effects) == asked
        # Running calls are told of every entry into OPEN but the first, and of every entry into CLOSED.
        opened = step.target in DOWN and step.source not in (*DOWN, "idle")
        assert (NotifyDown() in step.effects) == opened
        closed = step.target == "CLOSED" != step.source
        assert (NotifyRecovered() in step.effects) == closed
