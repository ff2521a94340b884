"""The exhaustive check as a whole: which walks it makes, and what they found together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from machines.check.invariants import INVARIANTS, Invariant
from machines.check.walk import Report, Taken, Violation
from machines.check.walks import (
    walk_answers,
    walk_blocking,
    walk_fillers,
    walk_host,
    walk_known_down,
    walk_language,
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
    """What can happen in a call and is not enabled in this walk."""
    walk: Callable[..., Report]
    """The walk as a function of the invariants and `stop_at_violation`."""

    def run(
        self, invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
    ) -> Visited:
        """Make the walk."""
        report = self.walk(invariants, stop_at_violation=stop_at_violation)
        return Visited(self.name, self.subject, self.leaves_out, report)


@frozen
class Visited:
    """A walk that was made, and what it found."""

    name: str
    subject: str
    leaves_out: str
    report: Report


PLAN = (
    Planned(
        "answers",
        "the conversation machine, its links up, lost or replaced, turns by hand",
        "After a tool call, what is not about that call. Automatic turns, a greeting, idle callers,"
        " answers that cannot be interrupted. Interruptions by words: voice alone interrupts here. Roles with"
        " another provider beside roles without; with another one, keys, hosts, interim words, speculation."
        " Segments that the voice cannot say. A queue of host utterances: each is said at once or never.",
        walk_answers,
    ),
    Planned(
        "turns",
        "the conversation machine, turns by voice, short answers",
        "Other providers; a greeting, nudges, a reprompt after no words at all. Answers of more than one"
        " segment, or two once they are paused. Failures of the model, except one of the first request that"
        " may pass, while nothing waits. Failures of text to speech and deadlines while an answer is"
        " prepared, or spoken and not paused. Interruptions by words. A queue of host utterances: each is"
        " said at once or never. More than two keys in a row.",
        walk_turns,
    ),
    Planned(
        "queue",
        "the conversation machine where answers cannot be interrupted and turns wait",
        "The host. Links that are lost and come back, other providers, a change of the turn mode within a"
        " call. Answers of more than one segment; reports of voiced segments; failures of text to speech that"
        " may pass; failures of the model that may not pass, and its signs of life. Playback that is neither"
        " at the beginning nor at the end. Late facts about answers, deadlines that pass late. Resumed and"
        " scored turns. Expected ends of turns while something waits, except over an answer. More"
        " than two keys in a row, and more than one failed answer.",
        walk_queue,
    ),
    Planned(
        "host",
        "the conversation machine where only some answers can be interrupted, with a host",
        "What `queue` leaves out, except the host. More than one key, turns by hand, requests, idle callers,"
        " a reprompt. Answers that fail, as in `turns`. Texts for idle times outside `quiet`; texts that"
        " replace an answer and can be interrupted or do not end the call. More than one waiting text, and"
        " texts while a turn waits, except in `quiet`.",
        walk_host,
    ),
    Planned(
        "tools",
        "the conversation machine where the model calls tools",
        "What `queue` leaves out, the telephone's keys, recordings, speculation. Turns that end before they"
        " have lasted too long. More than one segment in an answer. More than two calls in an answer, calls"
        " one after the other; after a call that was given up, a call of another tool. Host utterances during"
        " calls of more than one tool.",
        walk_tools,
    ),
    Planned(
        "blocking",
        "the conversation machine where voice does not interrupt tool calls",
        "What `tools` leaves out, except turns that end by voice and wait; more than one call in an answer.",
        walk_blocking,
    ),
    Planned(
        "language",
        "the conversation machine, a change of the language, doubtful words, keys before all links are up",
        "Everything but the way to each state: a change of the language only opens links again. Doubtful"
        " words anywhere but where they are awaited.",
        walk_language,
    ),
    Planned(
        "fillers",
        "the conversation machine where a filler is said while the model thinks",
        "Everything before the first answer but the way to it, and everything after it. Other providers, tool"
        " calls, the host.",
        walk_fillers,
    ),
    Planned(
        "links",
        "all four machines of a call while it comes up and goes down",
        "Turns and answers: the conversation only gets requests while it connects, hanging up and deadlines."
        " More than one provider and one retry for each role. Links to replace, except that of the model.",
        walk_links,
    ),
    Planned(
        "one link",
        "one link with its whole retry schedule",
        "The conversation, which never gets beyond connecting, since the other links do not answer. The slow"
        " retries.",
        walk_one_link,
    ),
    Planned(
        "two providers",
        "one link that can fail over and return",
        "What `one link` leaves out. More than two providers.",
        partial(walk_one_link, providers=2),
    ),
    Planned(
        "known down",
        "a call that begins when its only provider is known to be down",
        "Everything else: such a call is over as it begins.",
        walk_known_down,
    ),
)


# --- what they found together -----------------------------------------------------------------------------

NO_FACT_RAISES = (
    "no_fact_raises",
    "No guard and no action raises an error, whatever the fact.",
)
OF_WHOLE_WALKS = (
    ("the_end_can_be_reached", "From every configuration a path leads to the end of the call."),
    (
        "everything_declared_is_met",
        "Each declared transition is taken, and each declared pair is met, by one of the walks.",
    ),
)
"""What is known only after a walk was made to its end."""
WALKED = (CONVERSATION, LINK)
BEFORE_THE_CALL = (LINK.name, "idle")
"""A link is wanted at the moment its call begins: it cannot get another fact before."""


@frozen
class Finding:
    """One thing that must hold, and whether it does."""

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
    """What was not exercised, though it can happen."""
    before_the_call: int
    """How many transitions and pairs cannot happen, because they are of a link before its call begins."""


def coverage(visited: Sequence[Visited]) -> tuple[Coverage, ...]:
    """What the walks exercised together, machine by machine."""
    taken = {each for one in visited for each in one.report.taken}
    return tuple(
        _coverage(machine, taken, {pair for pair, _ in outcomes(visited, machine)}) for machine in WALKED
    )


def outcomes(visited: Sequence[Visited], machine: Machine) -> frozenset[tuple[tuple[str, str], Outcome]]:
    """What became of the machine's facts in its states, by pairs of state and fact."""
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
    """The invariants that do not hold, each with the shortest known path there."""
    return tuple(f"In the walk “{one.name}”, {violation}" for one, violation in first_violations(visited))


def complaints(visited: Sequence[Visited]) -> tuple[str, ...]:
    """Everything that is wrong, with the shortest known path there; nothing if all is well."""
    found = violations(visited)
    if found:
        # The walks stopped there, so what they would have covered is not known.
        return found
    return tuple(
        f"{machine.machine}: {each} is declared, and no walk meets it"
        for machine in coverage(visited)
        for each in machine.missing
    )
