"""A campaign: many simulated calls one after the other, each independent of the others.

Each call has a Trio run and a clock of its own, and all that is random in it comes from the campaign's seed
and the call's number. So it does not depend on the calls before it, and can be repeated alone.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from random import Random

import trio
from attrs import Factory, define, field, frozen

from adapters.tasks import errors_in
from machines import effects as do
from machines.breaker import Breaker, BreakerContext, BreakerPolicy
from machines.check.invariants import INVARIANTS, Invariant
from machines.effects import TurnLatency
from machines.facts import EndReason, Role
from machines.system import Charts, Handled
from orchestrator.conversation.speculation_counts import speculation_counts
from orchestrator.journal.format import About, CallJournal, End, Record, frame
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation.audit import Auditor, Complaint
from orchestrator.simulation.call import SimulatedCall, running_call
from orchestrator.simulation.call_checks import failed_checks
from orchestrator.simulation.deterministic import repeatable, run
from orchestrator.simulation.faults import PROFILES
from orchestrator.simulation.personalities import PERSONALITIES, Person, host, keypad
from orchestrator.simulation.scenario import Scenario


@frozen
class Finished:
    """A call that is over, and what was observed."""

    number: int
    personality: str
    complaints: tuple[Complaint, ...]
    trace: str
    """The traceback of the exception that ended the call; empty if none did."""
    turns: int
    """The caller's turns that were finalized."""
    answers: int
    tool_calls: int
    """Tool calls that were begun."""
    speculations: Counter[str]
    """Speculative answers, as `speculation_counts` counts them."""
    latencies: tuple[TurnLatency, ...]
    """One for each answer that ended."""
    virtual_ms: float
    reason: EndReason | None
    injected: Counter[str]
    records: tuple[Record, ...]

    def journal(self) -> bytes:
        """The call's journal, as the bytes of a journal file."""
        return b"".join(frame(record) for record in self.records)


@define
class Campaign:
    """Calls that are drawn from one seed.

    Args:
        seed: decides everything that is random.
        faults: the name of a profile of `PROFILES`.
        invariants: are checked after every fact of every call.
    """

    seed: int
    faults: str
    invariants: tuple[Invariant, ...] = INVARIANTS
    auditor: Auditor = field(init=False)
    _charts: Charts = Factory(Charts)
    _breaker: Breaker = Factory(lambda: Breaker(BreakerContext(BreakerPolicy())))

    def __attrs_post_init__(self) -> None:
        self.auditor = Auditor(self.invariants)

    def calls(self, count: int, first: int = 1) -> Iterator[Finished]:
        """Run the calls with the numbers from `first` on, one after the other."""
        with repeatable():
            for number in range(first, first + count):
                yield self._run(number)

    def _run(self, number: int) -> Finished:
        seed = f"{self.seed}/{number}"
        scenario = Scenario.drawn(seed, PROFILES[self.faults])
        records: list[Record] = []
        call = self._call(seed, scenario, records)
        complaints, trace = [], ""
        try:
            run(seed, lambda: _to_its_end(call, scenario, self._breaker))
        except Exception as error:
            complaints = [Complaint("raised", text) for text in _described(error)]
            trace = "".join(traceback.format_exception(error))
        else:
            complaints = [Complaint("call", text) for text in failed_checks(call)]
        records.append(End())
        complaints += self.auditor.complaints(records)
        return _finished(number, scenario, call, records, complaints, trace)

    def _call(self, seed: str, scenario: Scenario, records: list[Record]) -> SimulatedCall:
        providers = scenario.providers.for_calls()
        names = {role: tuple(each.name for each in providers.of(role)) for role in Role}
        journal = CallJournal(About(seed, "simulated", 0.0, names), records.append)
        return SimulatedCall(
            scenario.providers,
            scenario.caller,
            scenario.policy,
            journal=journal,
            charts=self._charts,
            tools=scenario.tools,
            block_ms=scenario.block_ms,
            random=Random(seed),
        )


async def _to_its_end(call: SimulatedCall, scenario: Scenario, chart: Breaker) -> None:
    """Run one call, with a `ProviderWatch` if it has one; complain of tasks that it leaves behind."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        if scenario.breaker is not None:
            watched = scenario.providers.for_calls()
            call.watch = ProviderWatch(watched, scenario.random, scenario.breaker, chart=chart)
            await nursery.start(call.watch.run)
        async with running_call(call), trio.open_nursery() as others:
            person = Person(call, scenario.random, scenario.mode)
            others.start_soon(_until_over, call, others.cancel_scope)
            if scenario.host:
                others.start_soon(host, person)
            if scenario.keypad:
                others.start_soon(keypad, person)
            await PERSONALITIES[scenario.personality](person)
            others.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    left = trio.lowlevel.current_statistics().tasks_living - before
    if left:
        call.caller.complaints.append(f"{left} task(s) are left")


async def _until_over(call: SimulatedCall, others: trio.CancelScope) -> None:
    await call.over.wait()
    others.cancel()


def _described(error: BaseException) -> list[str]:
    return [f"{type(each).__name__}: {each}" for each in errors_in(error)]


def _finished(
    number: int,
    scenario: Scenario,
    call: SimulatedCall,
    records: list[Record],
    complaints: list[Complaint],
    trace: str,
) -> Finished:
    effects = [effect for each in records if isinstance(each, Handled) for effect in each.effects]
    ended = [effect for effect in effects if isinstance(effect, do.NotifyAnswerEnded)]
    speculations: Counter[str] = Counter()
    for each in records:
        for step in each.steps if isinstance(each, Handled) else ():
            speculations.update(speculation_counts(step))
    closed = [effect.reason for effect in effects if isinstance(effect, do.CloseConversation)]
    last = call.steps[-1].fact.at_ms if call.steps else 0.0
    return Finished(
        number=number,
        personality=scenario.personality,
        complaints=tuple(complaints),
        trace=trace,
        turns=sum(isinstance(effect, do.FinalizeTurn) for effect in effects),
        answers=len(ended),
        tool_calls=sum(isinstance(effect, do.RunTool) for effect in effects),
        speculations=speculations,
        latencies=tuple(each.latency for each in ended),
        virtual_ms=last,
        reason=closed[0] if closed else None,
        injected=scenario.injected,
        records=tuple(records),
    )
