"""The exhaustive check as a whole: the walks it makes, and what they saw together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from machines.check.invariants import INVARIANTS, Invariant
from machines.check.walk import (
    Report,
    Taken,
    Violation,
    walk_answers,
    walk_blocking,
    walk_host,
    walk_known_down,
    walk_links,
    walk_one_link,
    walk_queue,
    walk_tools,
    walk_turns,
)
from machines.declarations import Outcome
from machines.tables import CONVERSATION, LINK, Kind, Machine, rows

# --- which walks are made ---------------------------------------------------------------------------------


@frozen
class Planned:
    """A walk to be made."""

    name: str
    subject: str
    leaves_out: str
    """What can happen in a call and is not offered in this walk."""
    walk: Callable[..., Report]
    """Takes the invariants, and `stop_at_violation`."""

    def run(
        self, invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
    ) -> Visited:
        """Make it."""
        report = self.walk(invariants, stop_at_violation=stop_at_violation)
        return Visited(self.name, self.subject, self.leaves_out, report)


@frozen
class Visited:
    """A walk that was made, and what it saw."""

    name: str
    subject: str
    leaves_out: str
    report: Report


PLAN = (
    Planned(
        "answers",
        "the conversation machine, its links up, lost or replaced, turns by hand",
        "After a call of a tool, what is not about that call. Automatic turns, a greeting, idle callers,"
        " answers that cannot be interrupted. Voice alone"
        " interrupts, without words. Either all roles have another provider or none has. What the host"
        " wants said is said at once or not at all.",
        walk_answers,
    ),
    Planned(
        "turns",
        "the same with turns by voice, and short answers",
        "Other providers; a greeting, a re-prompt, nudges. An answer has one segment, two once it is"
        " held. The model begins every answer: only its first request may fail, in a way that passes,"
        " and while nothing waits. While an answer is spoken and not held, the voice does not fail and"
        " no deadline passes, nor while it is prepared. Voice alone interrupts. What the host wants said"
        " is said at once or not at all.",
        walk_turns,
    ),
    Planned(
        "queue",
        "the same where answers cannot be interrupted and turns wait",
        "The host. Links that are lost and come back, other providers, a change of the turn mode within"
        " a call. An answer has one segment; the voice tells of none, and fails only for good; the model"
        " fails only in ways that pass, and gives no sign of life between. Playback is at nothing or at"
        " the end. Late facts about answers, and deadlines that pass late. What is resumed or scored of"
        " a turn. Words are expected early only where nothing waits, or over an answer.",
        walk_queue,
    ),
    Planned(
        "host",
        "the same where some can, and a host program wants things said",
        "All that `queue` leaves out but the host, and turns by hand, requests, idle callers, a"
        " re-prompt. The model begins every answer, and the voice does not fail, as in `turns`. What has"
        " time is asked for in `quiet` only, what is urgent cannot be interrupted and ends the call. One"
        " text waits at a time, and none is asked for while a turn waits, but in `quiet`.",
        walk_host,
    ),
    Planned(
        "tools",
        "the same where the model calls tools",
        "What `queue` leaves out, the telephone's keys, recordings, words before the turn is over. Turns"
        " end when they have lasted too long. An answer has one segment. The model asks for one call or"
        " two, in parallel; behind one that was overtaken only another of the same tool. Hosts cut in on"
        " one tool's calls only.",
        walk_tools,
    ),
    Planned(
        "blocking",
        "the same where voice interrupts nothing while a tool runs",
        "What `tools` leaves out, but turns that end by voice and wait; more than one call in an answer.",
        walk_blocking,
    ),
    Planned(
        "links",
        "all four machines of a call while it comes up and goes down",
        "Turns and answers: of the conversation there are requests while it connects, hanging up and"
        " deadlines. Each role has one provider and one retry. Only the model is distrusted.",
        walk_links,
    ),
    Planned(
        "one link",
        "one link with its whole schedule of retries",
        "The conversation, which never gets beyond connecting, since the other links do not answer. The slow"
        " retries.",
        walk_one_link,
    ),
    Planned(
        "two providers",
        "one link that can fail over and go back",
        "The same. More than two providers.",
        partial(walk_one_link, providers=2),
    ),
    Planned(
        "known down",
        "a call that begins when its only provider is known to be down",
        "Everything else: such a call is over as it begins.",
        walk_known_down,
    ),
)


# --- what they saw together -------------------------------------------------------------------------------

NO_FACT_RAISES = (
    "no_fact_raises",
    "No guard and no action raises an error, whatever fact it is asked about.",
)
OF_WHOLE_WALKS = (
    ("the_end_can_be_reached", "From every configuration a way leads to the end of the call."),
    (
        "everything_declared_is_met",
        "One of the walks takes each transition and meets each pair that is declared.",
    ),
)
"""What is known only when a walk was made to its end."""
WALKED = (CONVERSATION, LINK)
BEFORE_THE_CALL = (LINK.name, "idle")
"""A link is wanted in the same moment in which its call begins: nothing else can be told to it before."""


@frozen
class Finding:
    """Whether one thing holds that must hold."""

    name: str
    means: str
    verdict: str
    """`held`, `broken`, or `not known` where walks ended early."""


def findings(visited: Sequence[Visited]) -> tuple[Finding, ...]:
    """Everything that must hold, and whether it does."""
    broken = {violation.invariant for one in visited for violation in one.report.violations}
    missing = any(machine.missing for machine in coverage(visited))
    checked = [(each.__name__, (each.__doc__ or "").strip().splitlines()[0]) for each in INVARIANTS]

    def verdict(name: str) -> str:
        if name in broken:
            return "broken"
        if name not in dict(OF_WHOLE_WALKS):
            return "held"
        if broken:
            return "not known"
        return "broken" if missing and name != "the_end_can_be_reached" else "held"

    every = (*checked, NO_FACT_RAISES, *OF_WHOLE_WALKS)
    return tuple(Finding(name, means, verdict(name)) for name, means in every)


@frozen
class Coverage:
    """How much of a machine's declarations was exercised."""

    machine: str
    transitions: int
    transitions_taken: int
    pairs: int
    pairs_met: int
    missing: tuple[str, ...]
    """What was not, though it can happen."""
    before_the_call: int
    """Transitions and pairs that cannot happen, as no call is so young."""


def coverage(visited: Sequence[Visited]) -> tuple[Coverage, ...]:
    """What the walks exercised together, by machine."""
    taken = {each for one in visited for each in one.report.taken}
    return tuple(
        _coverage(machine, taken, {pair for pair, _ in outcomes(visited, machine)}) for machine in WALKED
    )


def outcomes(visited: Sequence[Visited], machine: Machine) -> frozenset[tuple[tuple[str, str], Outcome]]:
    """What became of the machine's events in its states, by pairs of state and event."""
    return frozenset(
        ((state, event), outcome)
        for one in visited
        for name, state, event, outcome in one.report.outcomes
        if (machine is CONVERSATION) == (name == CONVERSATION.name)
    )


def _coverage(machine: Machine, taken: set[Taken], met: set[tuple[str, str]]) -> Coverage:
    declared = rows(machine.chart)
    moves = dict.fromkeys(
        Taken(row.machine, row.state, row.event, row.guard, row.target)
        for row in declared
        if row.kind is not Kind.IGNORED
    )
    pairs = dict.fromkeys((row.state, row.event) for row in declared)
    left = [
        *((each.state, f"{each.event} to {each.target}") for each in moves if each not in taken),
        *(pair for pair in pairs if pair not in met),
    ]
    possible = [each for each in left if (machine.name, each[0]) != BEFORE_THE_CALL]
    return Coverage(
        machine=machine.name,
        transitions=len(moves),
        transitions_taken=sum(each in taken for each in moves),
        pairs=len(pairs),
        pairs_met=sum(pair in met for pair in pairs),
        missing=tuple(f"{event} in {state}" for state, event in possible),
        before_the_call=len(left) - len(possible),
    )


def first_violations(visited: Sequence[Visited]) -> tuple[tuple[Visited, Violation], ...]:
    """For each walk and invariant the violation that took the fewest facts."""
    found: dict[tuple[str, str], tuple[Visited, Violation]] = {}
    for one in visited:
        for violation in one.report.violations:
            key = (one.name, violation.invariant)
            if key not in found or len(violation.trace) < len(found[key][1].trace):
                found[key] = (one, violation)
    return tuple(found.values())


def violations(visited: Sequence[Visited]) -> tuple[str, ...]:
    """Which invariants do not hold, each with the shortest way there that is known."""
    return tuple(f"In the walk “{one.name}”, {violation}" for one, violation in first_violations(visited))


def complaints(visited: Sequence[Visited]) -> tuple[str, ...]:
    """What is wrong, each with the shortest way there; nothing if all is well."""
    found = violations(visited)
    if found:
        # The walks stopped there: what they would have met is not known.
        return found
    return tuple(
        f"{machine.machine}: {each} is declared, and no walk meets it"
        for machine in coverage(visited)
        for each in machine.missing
    )
