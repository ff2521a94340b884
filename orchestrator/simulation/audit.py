"""The audit of a simulated call: its journal is replayed by tables, and the invariants are checked.

The call itself ran on the state machine library's engine. The replay runs the machines by their transition
tables (`machines/check/table_driver.py`), so each call also shows that both agree in every step and effect,
and every transition that was taken is counted. The invariants are those of `vantum check`: statements about
facts and effects, as an observer sees them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import Factory, define, field, frozen

from machines.check.invariants import INVARIANTS, Invariant
from machines.check.observer import ObservedState
from machines.check.table_driver import run_by_tables
from machines.check.walk import checked_step, started
from machines.system import Charts, ConversationSystem
from machines.tables import Row
from orchestrator.journal.format import Broke, End, HandledFact, Head, Record, Used, fact_in

REPLAYED = "replayed"
"""Stands for an invariant's name where the replay differs from the journal."""


@frozen
class Complaint:
    """A check that a call failed."""

    check: str
    """The name of the invariant, or which other check."""
    text: str

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


def _charts(rows: Counter[Row]) -> Charts:
    charts = Charts()

    def note(row: Row) -> None:
        rows[row] += 1

    run_by_tables(charts.conversation, note)
    run_by_tables(charts.link, note)
    return charts


@define
class Auditor:
    """Checks the invariants on journal after journal, and counts the transitions that these took."""

    invariants: tuple[Invariant, ...] = INVARIANTS
    facts: int = 0
    """Facts after which the invariants were checked."""
    rows: Counter[Row] = Factory(Counter)
    """The transitions that were taken, and how often."""
    _charts: Charts = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._charts = _charts(self.rows)

    def complaints(self, records: Sequence[Record]) -> Iterator[Complaint]:
        """The checks that a call failed, each once, where it first failed."""
        told: set[str] = set()
        for complaint in self._complaints(records):
            if complaint.check not in told:
                told.add(complaint.check)
                yield complaint

    def _complaints(self, records: Sequence[Record]) -> Iterator[Complaint]:
        if not records:
            return
        head, *others = records
        assert isinstance(head, Head)
        system = ConversationSystem(head.policy, self._charts, head.provider_chains)
        observed = ObservedState()
        told = (each for each in others if not isinstance(each, Used))
        for number, recorded in enumerate(told):
            if isinstance(recorded, Head | End):
                return
            history = system.conversation.context.history
            handled = self._again(system, head, recorded, first=number == 0)
            if handled != recorded:
                yield _difference(number, recorded, handled)
            if isinstance(handled, Broke):
                return
            before = started(handled) if number == 0 else observed
            checked = checked_step(system, before, history, handled)
            observed = checked.after
            self.facts += 1
            for invariant in self.invariants:
                text = invariant(checked)
                if text is not None:
                    yield Complaint(invariant.__name__, f"{text} (fact {number})")

    def _again(
        self, system: ConversationSystem, head: Head, recorded: HandledFact, *, first: bool
    ) -> HandledFact:
        if first:
            return system.start(head.at_ms)
        fact = fact_in(recorded)
        try:
            return system.handle(fact)
        except Exception as error:
            return Broke.by(fact, error)


def _difference(number: int, recorded: HandledFact, now: HandledFact) -> Complaint:
    return Complaint(REPLAYED, f"fact {number} leads elsewhere by the tables: {now}, recorded is {recorded}")
