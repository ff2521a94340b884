"""The report of a campaign: counts, coverage, latencies, failures. The same seed gives the same bytes."""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import Factory, define, frozen

from machines.check.invariants import Invariant
from machines.effects import TurnLatency
from machines.tables import CONVERSATION, LINK, Kind, Machine, Row, rows
from orchestrator.conversation.speculation_counts import ASKED, USED
from orchestrator.simulation.campaign import Campaign, Finished

COVERED = (CONVERSATION, LINK)
"""The machines whose coverage is reported."""
PERCENTILES = (50, 95, 99)
LATENCIES = tuple(each.name for each in attrs.fields(TurnLatency))


@frozen
class Coverage:
    """How much of a machine's tables the calls have taken. An edge is a (state, target) of transitions."""

    machine: str
    transitions_taken: int
    transitions: int
    edges_taken: int
    edges: int
    never: tuple[str, ...]
    """Transitions that no call has taken."""


@frozen
class Failure:
    """A call that failed a check, and how to repeat it."""

    number: int
    personality: str
    complaints: tuple[str, ...]
    again: str
    """The command that repeats the call."""


@define
class Report:
    """What was seen so far. Every call is added with `add` when it is over."""

    seed: int
    faults: str
    first: int
    calls: int = 0
    turns: int = 0
    answers: int = 0
    tool_calls: int = 0
    speculations: Counter[str] = Factory(Counter)
    virtual_ms: float = 0.0
    personalities: Counter[str] = Factory(Counter)
    ends: Counter[str] = Factory(Counter)
    """Calls by the reason for their end."""
    injected: Counter[str] = Factory(Counter)
    failures: list[Failure] = Factory(list)
    broken: Counter[str] = Factory(Counter)
    """For each check, the number of calls that failed it."""
    _latencies: dict[str, array[float]] = Factory(lambda: {name: array("d") for name in LATENCIES})

    def add(self, finished: Finished) -> Failure | None:
        """Add a call; returns it as a failure if it failed."""
        self.calls += 1
        self.turns += finished.turns
        self.answers += finished.answers
        self.tool_calls += finished.tool_calls
        self.speculations.update(finished.speculations)
        self.virtual_ms += finished.virtual_ms
        self.personalities[finished.personality] += 1
        self.ends[finished.reason.value if finished.reason else "none"] += 1
        self.injected.update(finished.injected)
        for latency in finished.latencies:
            for name, found in self._latencies.items():
                value = getattr(latency, name)
                if value is not None:
                    found.append(value)
        if not finished.complaints:
            return None
        self.broken.update({complaint.check for complaint in finished.complaints})
        again = (
            f"vantum simulate --calls 1 --seed {self.seed} --first {finished.number} --faults {self.faults}"
        )
        complaints = tuple(map(str, finished.complaints))
        failure = Failure(finished.number, finished.personality, complaints, again)
        self.failures.append(failure)
        return failure

    # --- figures -------------------------------------------------------------------------------

    def latencies(self) -> Mapping[str, tuple[int, tuple[float, ...]]]:
        """For each part of the wait for an answer: the number of answers, and `PERCENTILES` in ms."""
        return {
            name.removesuffix("_ms"): (len(found), percentiles(found))
            for name, found in self._latencies.items()
        }

    def as_json(self, campaign: Campaign) -> str:
        """The whole report as one JSON object."""
        data: dict[str, Any] = {
            "seed": self.seed,
            "faults": self.faults,
            "first": self.first,
            "calls": self.calls,
            "failed": len(self.failures),
            "turns": self.turns,
            "answers": self.answers,
            "toolCalls": self.tool_calls,
            "speculativeAnswers": {"asked": self.speculations[ASKED], "used": self.speculations[USED]},
            "facts": campaign.auditor.facts,
            "virtualSeconds": round(self.virtual_ms / 1000, 3),
            "personalities": _sorted(self.personalities),
            "ends": _sorted(self.ends),
            "injected": _sorted(self.injected),
            "coverage": [attrs.asdict(each) for each in coverage(campaign.auditor.rows)],
            "invariants": {
                name: {"facts": campaign.auditor.facts, "brokenInCalls": self.broken[name]}
                for name in names(campaign.invariants)
            },
            "latencyMs": {
                name: {
                    "answers": count,
                    **{f"p{p}": each for p, each in zip(PERCENTILES, values, strict=False)},
                }
                for name, (count, values) in self.latencies().items()
            },
            "failures": [attrs.asdict(each) for each in self.failures],
        }
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def names(invariants: Iterable[Invariant]) -> tuple[str, ...]:
    """The names of invariants, as in `Complaint.check`."""
    return tuple(each.__name__ for each in invariants)


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """`PERCENTILES` of the values by nearest rank; empty if there are no values."""
    ordered = sorted(values)
    if not ordered:
        return ()
    return tuple(round(ordered[math.ceil(each / 100 * len(ordered)) - 1], 1) for each in PERCENTILES)


def coverage(taken: Mapping[Row, int]) -> tuple[Coverage, ...]:
    """The coverage of each machine, given the rows that were taken."""
    return tuple(_coverage(machine, taken) for machine in COVERED)


def _coverage(machine: Machine, taken: Mapping[Row, int]) -> Coverage:
    declared = [row for row in rows(machine.chart) if row.kind is not Kind.IGNORED]
    met = [row for row in declared if row in taken]
    return Coverage(
        machine=machine.name,
        transitions_taken=len(met),
        transitions=len(declared),
        edges_taken=len(_edges(met)),
        edges=len(_edges(declared)),
        never=tuple(_told(row) for row in declared if row not in taken),
    )


def _edges(found: Iterable[Row]) -> set[tuple[str, str]]:
    return {(row.state, row.target) for row in found if row.kind is Kind.TRANSITION}


def _told(row: Row) -> str:
    guard = f" [{row.guard}]" if row.guard else ""
    return f"{row.state}: {row.event}{guard} → {row.target}"


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
