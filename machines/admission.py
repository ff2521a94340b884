"""Admission: one for the process. It knows whether the server can bear another call, and what is left out
when it was given too much.

Its facts and effects are declared here, beside the chart, since they do not belong to a single conversation.
Facts are what the process measures of itself, and that somebody asks for a call. Effects take or refuse that
call, and tell the server what to leave out, in this order: interim words, telemetry, the newest calls.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from attrs import Factory, define, field, frozen
from statemachine import State

from machines.declarations import Ignored, causes, stay
from machines.driver import Chart, Driver
from machines.effects import Effect
from machines.facts import Fact
from machines.policy import AdmissionPolicy

# --- facts ------------------------------------------------------------------------------------------------


@frozen
class LoadMeasured(Fact):
    """The process has measured itself once more, over the time since the last measurement."""

    lag_ms: float
    """How late the event loop was, but for the latest tenth of its moments."""
    cpu: float
    """How busy the process was, as a part of the processors that it may use: 0 to 1."""
    calls: int
    """The calls that run, and those that were promised."""


@frozen
class CallAsked(Fact):
    """Somebody wants a call, or asks whether one could be had. `calls` run or were promised already."""

    calls: int


# --- effects ----------------------------------------------------------------------------------------------


class Extra(enum.Enum):
    """What a call can do without."""

    INTERIM_WORDS = "interim words"
    """Interim transcripts, as clients see them. The conversation goes on to hear them."""
    TELEMETRY = "telemetry"
    """What clients are told of substates and links, which changes nothing for the caller."""


@frozen
class TakeCall(Effect):
    """The call that was asked for may begin."""


@frozen
class RefuseCall(Effect):
    """The call that was asked for must not begin: it would harm the others."""


@frozen
class LeaveOut(Effect):
    """Send no client this any more."""

    extra: Extra


@frozen
class BringBack(Effect):
    """Send clients again what was left out."""


@frozen
class EndNewestCalls(Effect):
    """End so many calls, those that began last: the others were there before."""

    count: int


# --- the machine ------------------------------------------------------------------------------------------


@define
class AdmissionContext:
    """The machine's memory."""

    policy: AdmissionPolicy = field(factory=AdmissionPolicy)
    state: Any = None
    effects: list[Effect] = Factory(list)
    high: int = 0
    """Measurements in a row that were beyond the bound of this state, up to now."""
    low: int = 0
    """Measurements in a row that were relieved of it, up to now."""
    calls: int = 0
    cpu: float = 0.0
    """Both as they were measured last."""
    deadline_number: int = 0
    deadline_armed: int | None = None


def longest_ms(state: str, policy: AdmissionPolicy) -> float | None:
    """No state has a deadline: measurements come as long as the event loop runs."""
    del state, policy
    return None


class Admission(Chart[AdmissionContext]):
    """OPEN: takes calls. TIGHT: takes them one at a time, if they fit. CLOSED: refuses them."""

    OPEN = State(initial=True)
    TIGHT = State()

    class CLOSED(State.Compound):
        refusing = State(initial=True)
        without_interims = State()
        without_telemetry = State()
        ending_calls = State()

    refusing, without_interims = CLOSED.refusing, CLOSED.without_interims
    without_telemetry, ending_calls = CLOSED.without_telemetry, CLOSED.ending_calls

    closed = (refusing, without_interims, without_telemetry, ending_calls)
    degraded = (without_interims, without_telemetry, ending_calls)

    load_measured = (
        OPEN.to(TIGHT, cond="strained", on=["note"])
        | TIGHT.to(refusing, cond="overloaded", on=["note"])
        | TIGHT.to(OPEN, cond="at_ease", on=["note"])
        | refusing.to(without_interims, cond="late", on=["note", "leave_out_interims"])
        | refusing.to(TIGHT, cond="relieved", on=["note"])
        | without_interims.to(without_telemetry, cond="late", on=["note", "leave_out_telemetry"])
        | without_telemetry.to(ending_calls, cond="late_with_others", on=["note", "end_newest_calls"])
        | refusing.from_(*degraded, cond="in_time", on=["note", "bring_back"])
        | stay(ending_calls, cond="late_with_others", on=["note", "end_newest_calls"])
        | stay(OPEN, on=["note", "count_strain"])
        | stay(TIGHT, on=["note", "count_overload"])
        | stay(refusing, on=["note", "count_lateness_or_relief"])
        | stay(*degraded, on=["note", "count_lateness"])
    )
    call_asked = (
        stay(OPEN, on=["take"])
        | stay(TIGHT, cond="fits", on=["take"])
        | stay(TIGHT, unless="fits", on=["refuse"])
        | stay(*closed, cond="harms_nobody", on=["take"])
        | stay(*closed, unless="harms_nobody", on=["refuse"])
    )

    IGNORED: ClassVar[tuple[Ignored, ...]] = ()

    # --- guards -------------------------------------------------------------------------------------------

    def strained(self, fact: LoadMeasured) -> bool:
        """The load has come near its bound, and stayed there."""
        return self._is_strained(fact) and self._rises()

    def overloaded(self, fact: LoadMeasured) -> bool:
        """The load has passed its bound, and stayed there."""
        return self._is_overloaded(fact) and self._rises()

    def at_ease(self, fact: LoadMeasured) -> bool:
        """The load has gone away from its bound, and stayed away."""
        return self._is_at_ease(fact) and self._falls()

    def relieved(self, fact: LoadMeasured) -> bool:
        """The load has fallen below its bound, and stayed there."""
        return self._is_relieved(fact) and self._falls()

    def late(self, fact: LoadMeasured) -> bool:
        """The event loop is so late, and has been for so long, that calls are harmed."""
        return self._is_late(fact) and self.context.high + 1 >= self.context.policy.leaves_out_after

    def late_with_others(self, fact: LoadMeasured) -> bool:
        """It is, and there is more than one call: to end the only one would help nobody."""
        return fact.calls > 1 and self.late(fact)

    def in_time(self, fact: LoadMeasured) -> bool:
        """The event loop is in time for the calls that it has, and has been for a while."""
        return self._is_in_time(fact) and self._falls()

    def fits(self, fact: CallAsked) -> bool:
        """What a call costs is left, and none was taken since it was measured; or there is no other call."""
        context = self.context
        if self.harms_nobody(fact):
            return True
        one_more = context.cpu * (1 + 1 / max(1, context.calls))
        return fact.calls <= context.calls and one_more <= context.policy.most_cpu

    def harms_nobody(self, fact: CallAsked) -> bool:
        """There is no other call."""
        return fact.calls == 0

    def _is_strained(self, fact: LoadMeasured) -> bool:
        return self._beyond(fact, self.context.policy.tight)

    def _is_at_ease(self, fact: LoadMeasured) -> bool:
        return not self._beyond(fact, self.context.policy.tight * self.context.policy.relief)

    def _is_overloaded(self, fact: LoadMeasured) -> bool:
        return self._beyond(fact, 1.0)

    def _is_relieved(self, fact: LoadMeasured) -> bool:
        return not self._beyond(fact, self.context.policy.relief)

    def _is_late(self, fact: LoadMeasured) -> bool:
        return fact.lag_ms >= self.context.policy.late_lag_ms

    def _is_in_time(self, fact: LoadMeasured) -> bool:
        return fact.lag_ms < self.context.policy.late_lag_ms * self.context.policy.relief

    def _beyond(self, fact: LoadMeasured, part: float) -> bool:
        """Whether the load is at or beyond this part of its bounds."""
        policy = self.context.policy
        return fact.lag_ms >= policy.most_lag_ms * part or fact.cpu >= policy.most_cpu * part

    def _rises(self) -> bool:
        return self.context.high + 1 >= self.context.policy.rises_after

    def _falls(self) -> bool:
        return self.context.low + 1 >= self.context.policy.falls_after

    # --- actions ------------------------------------------------------------------------------------------

    @causes()
    def note(self, fact: LoadMeasured) -> None:
        """Keep what a call costs."""
        self.context.calls, self.context.cpu = fact.calls, fact.cpu

    @causes()
    def count_strain(self, fact: LoadMeasured) -> None:
        """Count the measurements in a row that are near the bound."""
        self._count(high=self._is_strained(fact))

    @causes()
    def count_overload(self, fact: LoadMeasured) -> None:
        """Count the measurements in a row that are beyond the bound, or far from it."""
        self._count(high=self._is_overloaded(fact), low=self._is_at_ease(fact))

    @causes()
    def count_lateness_or_relief(self, fact: LoadMeasured) -> None:
        """Count the measurements in a row that harm calls, or are below the bound."""
        self._count(high=self._is_late(fact), low=self._is_relieved(fact))

    @causes()
    def count_lateness(self, fact: LoadMeasured) -> None:
        """Count the measurements in a row that harm calls, or do not."""
        self._count(high=self._is_late(fact), low=self._is_in_time(fact))

    def _count(self, *, high: bool, low: bool = False) -> None:
        context = self.context
        # Of a single call that is late nothing comes, however long it lasts: no need to count on.
        enough = max(context.policy.rises_after, context.policy.leaves_out_after)
        context.high = min(context.high + 1, enough) if high else 0
        context.low = min(context.low + 1, context.policy.falls_after) if low else 0

    @causes(TakeCall)
    def take(self) -> None:
        """Take the call."""
        self.context.effects.append(TakeCall())

    @causes(RefuseCall)
    def refuse(self) -> None:
        """Refuse the call."""
        self.context.effects.append(RefuseCall())

    @causes(LeaveOut)
    def leave_out_interims(self) -> None:
        """Leave out the words that will be said again."""
        self.context.effects.append(LeaveOut(Extra.INTERIM_WORDS))

    @causes(LeaveOut)
    def leave_out_telemetry(self) -> None:
        """Leave out what only shows how the call goes."""
        self.context.effects.append(LeaveOut(Extra.TELEMETRY))

    @causes(BringBack)
    def bring_back(self) -> None:
        """Bring back what was left out."""
        self.context.effects.append(BringBack())

    @causes(EndNewestCalls)
    def end_newest_calls(self, fact: LoadMeasured) -> None:
        """End a part of the calls, and see whether it helps before more are ended."""
        wanted = max(1, int(fact.calls * self.context.policy.ends_part))
        self.context.effects.append(EndNewestCalls(min(wanted, fact.calls - 1)))
        self.context.high = self.context.low = 0

    # --- what the driver asks -----------------------------------------------------------------------------

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Count anew: every state has a bound of its own."""
        del source_room, room, state, fact
        self.context.high = self.context.low = 0


def admission_driver(policy: AdmissionPolicy, chart: Admission | None = None) -> Driver[AdmissionContext]:
    """An admission machine in its initial state; `chart`, if it is shared in this thread."""
    context = AdmissionContext(policy)
    return Driver("admission", chart or Admission(context), context, _no_deadline, _no_deadline)


def _no_deadline(*of_the_driver: object) -> Effect:
    raise AssertionError(f"no state of this machine has a deadline: {of_the_driver}")
