"""Runs the admission machine of a server: gives it the facts, carries out its effects, and reports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve

from adapters.logs import library_logger
from machines import admission as machine
from machines.admission import Admission, AdmissionContext, Extra, admission_driver
from machines.driver import Driver
from machines.effects import Effect
from machines.facts import EndReason, SayMode, SayRequested
from machines.policy import AdmissionPolicy
from orchestrator.clock import now_ms
from orchestrator.server.load import Load
from orchestrator.sessions.served_session import ServedSession
from protocol import SystemBusy

log = library_logger(__name__)

OVERLOADED = "the server is too busy for another call"
"""Why no call can be made, in words."""
CLOSED = "CLOSED"
"""The room of the machine in which no call is taken beside others."""


class Admissions:
    """The admission machine of one server.

    Args:
        policy: what it goes by; None: every call is taken, and nothing is left out.
        end_newest: ends so many of the calls that began last.
        chart: the machine's chart, if it is shared in this thread; by default, a new one is made.
    """

    def __init__(
        self,
        policy: AdmissionPolicy | None,
        end_newest: Callable[[int], None],
        chart: Admission | None = None,
    ) -> None:
        self._driver: Driver[AdmissionContext] | None = None
        if policy is not None:
            self._driver = admission_driver(policy, chart)
        self._end_newest = end_newest
        self._load: Load | None = None
        self.left_out: set[Extra] = set()
        """What clients are not sent now. It stays the same object."""

    @property
    def closed(self) -> bool:
        """Whether no call may begin beside others."""
        return self._driver is not None and self._driver.room == CLOSED

    def refuses(self, calls: int) -> bool:
        """Whether a call must not begin while `calls` others run or were promised."""
        return machine.RefuseCall() in self._take(machine.CallAsked(calls))

    def measured(self, load: Load, calls: int) -> None:
        """Take a measurement in, while so many calls run or were promised."""
        self._load = load
        for effect in self._take(machine.LoadMeasured(load.lag_ms, load.cpu, calls)):
            self._perform(effect)

    def _take(self, fact: machine.LoadMeasured | machine.CallAsked) -> tuple[Effect, ...]:
        if self._driver is None:
            return ()
        step = self._driver.handle(evolve(fact, at_ms=now_ms()))
        if step.source != step.target:
            self._log(step.source, step.target)
        return step.effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case machine.LeaveOut(extra=extra):
                self.left_out.add(extra)
            case machine.BringBack():
                self.left_out.clear()
            case machine.EndNewestCalls(count=count):
                log.warning("the newest calls are ended: the event loop stays late", calls=count)
                self._end_newest(count)

    def _log(self, source: str, target: str) -> None:
        assert self._driver is not None and self._load is not None, "only a measurement changes the state"
        rises = STATES.index(target) > STATES.index(source)
        tell = log.warning if rises else log.info
        calls = self._driver.context.calls
        tell("admission", was=source, now=target, calls=calls, **_words(self._load))

    def report(self) -> dict[str, Any]:
        """For `/health`: the state, what is left out, and the last measurement."""
        return {
            "state": self._driver.state.lower() if self._driver is not None else "off",
            "leftOut": sorted(each.value for each in self.left_out),
            "lagMs": None if self._load is None else round(self._load.lag_ms, 1),
            "cpuPercent": None if self._load is None else round(self._load.cpu * 100, 1),
            "residentBytes": None if self._load is None else self._load.resident_bytes,
        }


STATES = ("OPEN", "TIGHT", "refusing", "without_interims", "without_telemetry", "ending_calls")
"""The states of the machine, in the order of the load."""


def _words(load: Load) -> dict[str, float]:
    return {"lag_ms": round(load.lag_ms, 1), "cpu_percent": round(load.cpu * 100, 1)}


def end_overloaded(sessions: Sequence[ServedSession], goodbye: str, busy: SystemBusy) -> None:
    """End these calls because the server has too many: with last words, or without any if there are none."""
    last_words = SayRequested(goodbye, SayMode.QUEUE, interruptible=False, then=EndReason.OVERLOADED)
    for session in sessions:
        if goodbye:
            session.say_goodbye(last_words, busy)
        else:
            session.hang_up(EndReason.OVERLOADED)
