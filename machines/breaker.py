"""The breaker: one for each provider of the process. It knows whether the provider works, and has it probed
if not.

Its facts and effects are declared here, beside the chart, since they do not belong to a single conversation.
Facts are what the process learns about a provider: failures and answers in calls, and probes. Effects tell
the running conversations (`NotifyDown`, `NotifyRecovered`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Factory, define, field, frozen
from statemachine import State

from machines.declarations import Ignored, causes, ignored, stay
from machines.driver import Chart
from machines.effects import Effect
from machines.facts import Fact, ProviderFailure

# --- policy -----------------------------------------------------------------------------------------------


@frozen
class BreakerPolicy:
    """When a provider counts as down, and how often it is probed. Times in ms."""

    failures_to_open: int = 3
    """After this many failures in a row, of calls and probes together, a provider is not tried any more.
    After as many that the calls' own requests may have caused, it is probed."""
    probe_delays_ms: tuple[float, ...] = (1_000, 2_000, 4_000, 8_000, 15_000, 30_000)
    """The waits before the probes that follow the provider's last answer in a call. The last one is
    repeated."""
    jitter: float = 0.2
    """Each wait is changed at random by up to this fraction, so that processes do not probe in step."""
    longest_wait_ms: float = 300_000
    """The longest pause that a provider may ask for (`Retry-After`). A longer one is cut to this."""
    probe_timeout_ms: float = 5_000
    """A probe that takes longer has failed."""
    first_llm_probe_timeout_ms: float = 60_000
    """So has a language model's first one: some servers load a model when they are first asked. The start
    waits for it no longer than for the others."""


# --- facts ------------------------------------------------------------------------------------------------


@frozen
class WatchBegan(Fact):
    """The process has prepared the provider and begins to watch it."""


@frozen
class ProviderFailed(Fact):
    """A call could not open a link to the provider, lost it, or got no answer over it."""

    failure: ProviderFailure
    draw: float = 0.5
    """A random number from 0 to 1, for the jitter of the wait that may follow."""


@frozen
class ProviderDoubted(Fact):
    """A call got nothing of use from the provider, and its own request may be the cause: it was refused, or
    its answer was empty."""

    failure: ProviderFailure


@frozen
class ProviderAnswered(Fact):
    """A call got what it wants from the provider: a transcript, a first token or a voiced segment."""


@frozen
class ProbeSucceeded(Fact):
    """Probe number `probe` reached the provider, and the provider accepted us."""

    probe: int


@frozen
class ProbeFailed(Fact):
    """Probe number `probe` did not reach the provider, or the provider refused us."""

    probe: int
    failure: ProviderFailure
    draw: float = 0.5
    """A random number from 0 to 1, for the jitter of the wait that may follow."""


@frozen
class BreakerDeadlinePassed(Fact):
    """The deadline that the breaker armed under this number has passed."""

    number: int


# --- effects ----------------------------------------------------------------------------------------------


@frozen
class Probe(Effect):
    """Make probe number `probe`, and report its result."""

    probe: int


@frozen
class ArmBreakerDeadline(Effect):
    """Report `BreakerDeadlinePassed(number)` in `delay_ms`. The deadline armed before is forgotten."""

    number: int
    delay_ms: float


@frozen
class DisarmBreakerDeadline(Effect):
    """Forget the armed deadline."""


@frozen
class NotifyDown(Effect):
    """Tell all running conversations that the provider should not be tried."""


@frozen
class NotifyRecovered(Effect):
    """Tell all running conversations that the provider works again."""


# --- the machine ------------------------------------------------------------------------------------------


@define
class BreakerContext:
    """The breaker's memory."""

    policy: BreakerPolicy = field(factory=BreakerPolicy)
    state: Any = None
    effects: list[Effect] = Factory(list)
    failures: int = 0
    """Failures since the provider last answered a call."""
    doubts: int = 0
    """Doubts since a call or a probe last showed that the provider works."""
    waits: int = 0
    """Waits before probes that have passed since the provider last answered a call."""
    probe: int = 0
    """The number of the newest probe."""
    last_failure: ProviderFailure | None = None
    """The newest failure. It is kept when the provider works again, for people who look at the breaker."""
    draw: float = 0.5
    """The random number of the newest failure."""
    deadline_number: int = 0
    deadline_armed: int | None = None


def longest_ms(state: str, policy: BreakerPolicy) -> float | None:
    """The longest deadline that `state` can have, whatever the memory; None: it has none."""
    if state not in ("resting", "pausing"):
        return None
    return max(max(policy.probe_delays_ms) * (1 + policy.jitter), policy.longest_wait_ms)


class Breaker(Chart[BreakerContext]):
    """CLOSED: works. SUSPECT: failed lately, calls still try it. OPEN: down, new calls leave it out."""

    idle = State(initial=True)
    CLOSED = State()

    class SUSPECT(State.Compound):
        resting = State(initial=True)
        probing = State()

    class OPEN(State.Compound):
        pausing = State(initial=True)
        reprobing = State()

    resting, probing = SUSPECT.resting, SUSPECT.probing
    pausing, reprobing = OPEN.pausing, OPEN.reprobing

    waiting = (resting, pausing)
    asking = (probing, reprobing)

    # Until the first probe succeeds nobody knows that the provider works: calls should prefer another one.
    watch_began = idle.to(reprobing, on=["probe"])
    provider_failed = (
        CLOSED.to(pausing, cond="should_open", on=["note_failure", "notify_down"])
        | CLOSED.to(resting, unless="should_open", on=["note_failure"])
        | resting.to(pausing, cond="should_open", on=["note_failure", "notify_down"])
        | probing.to(reprobing, cond="should_open", on=["note_failure", "notify_down"])
        | stay(resting, probing, unless="should_open", on=["note_failure"])
    )
    provider_answered = CLOSED.from_(*waiting, *asking, on=["reset_failures", "notify_recovered"]) | stay(
        CLOSED, on=["reset_failures"]
    )
    # Whether it is the calls' own fault is found out by a request that is like a call's, and not one.
    provider_doubted = CLOSED.to(probing, cond="in_doubt", on=["probe"]) | stay(
        CLOSED, unless="in_doubt", on=["note_doubt"]
    )
    probe_succeeded = CLOSED.from_(*asking, on=["forget_doubts", "notify_recovered"])
    probe_failed = (
        probing.to(pausing, cond="should_open", on=["note_failure", "notify_down"])
        | probing.to(resting, unless="should_open", on=["note_failure"])
        | reprobing.to(pausing, on=["note_failure"])
    )
    breaker_deadline_passed = resting.to(probing, on=["probe_again"]) | pausing.to(
        reprobing, on=["probe_again"]
    )

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored("provider_failed provider_answered", (idle,), because="the provider is not watched yet"),
        *ignored("provider_failed", (pausing, reprobing), because="the provider is known to be down"),
        *ignored("provider_doubted", (idle,), because="the provider is not watched yet"),
        *ignored("provider_doubted", (resting, probing), because="a probe comes, or is under way"),
        *ignored("provider_doubted", (pausing, reprobing), because="the provider is known to be down"),
        *ignored("watch_began", (CLOSED, *waiting, *asking), because="the provider is watched already"),
        *ignored("probe_succeeded probe_failed", (idle, *waiting), because="no probe is under way"),
        *ignored("probe_succeeded probe_failed", (CLOSED,), because="a call was answered during the probe"),
        *ignored("breaker_deadline_passed", (idle, CLOSED, *asking), because="no deadline is armed"),
    )

    # --- guards -------------------------------------------------------------------------------------------

    def should_open(self, fact: ProviderFailed | ProbeFailed) -> bool:
        """The failure will not pass (a refused key, an unknown model), or there were too many in a row."""
        return (
            not fact.failure.error_class.retryable
            or self.context.failures + 1 >= self.context.policy.failures_to_open
        )

    def in_doubt(self) -> bool:
        """No call got anything of use lately, whatever each of them asked for."""
        return self.context.doubts + 1 >= self.context.policy.failures_to_open

    # --- actions ------------------------------------------------------------------------------------------

    @causes(Probe)
    def probe(self) -> None:
        """Ask for a probe."""
        self.context.probe += 1
        self.context.effects.append(Probe(self.context.probe))

    @causes(Probe)
    def probe_again(self) -> None:
        """Ask for a probe after a wait; the next wait is longer."""
        self.context.waits += 1
        self.probe()

    @causes()
    def note_failure(self, fact: ProviderFailed | ProbeFailed) -> None:
        """Count the failure."""
        self.context.failures += 1
        self.context.last_failure = fact.failure
        self.context.draw = fact.draw

    @causes()
    def note_doubt(self) -> None:
        """Count the doubt."""
        self.context.doubts += 1

    @causes()
    def forget_doubts(self) -> None:
        """Forget the doubts: the calls' own requests were at fault."""
        self.context.doubts = 0

    @causes()
    def reset_failures(self) -> None:
        """Forget the failures. Only an answer does that: a provider that stays silent passes every probe."""
        self.context.failures = self.context.doubts = 0
        self.context.waits = 0

    @causes(NotifyDown)
    def notify_down(self) -> None:
        """Tell all calls that the provider is down."""
        self.context.effects.append(NotifyDown())

    @causes(NotifyRecovered)
    def notify_recovered(self) -> None:
        """Tell all calls that the provider works again."""
        self.context.effects.append(NotifyRecovered())

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` is about something that is no longer current; None if it is current."""
        match fact:
            case ProbeSucceeded(probe=probe) | ProbeFailed(probe=probe) if probe != self.context.probe:
                return f"probe {probe} is over"
            case BreakerDeadlinePassed(number=number) if number != self.context.deadline_armed:
                return f"deadline {number} is not armed"
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None where a probe is under way or none is needed."""
        del at_ms
        if state not in ("resting", "pausing"):
            return None
        context = self.context
        delays = context.policy.probe_delays_ms
        scattered = 1 + context.policy.jitter * (2 * context.draw - 1)
        asked_for = (context.last_failure and context.last_failure.retry_after_ms) or 0
        usual = delays[min(context.waits, len(delays) - 1)] * scattered
        return max(usual, min(asked_for, context.policy.longest_wait_ms))
