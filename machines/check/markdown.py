"""The report of the exhaustive check as Markdown, for reviewers."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

import attrs

from machines.check.admission import ADMISSION_INVARIANTS, AdmissionReport
from machines.check.report import Visited, complaints, coverage, findings, outcomes
from machines.check.walk import path_to
from machines.declarations import Outcome
from machines.facts import Fact, ProviderFailure, Request
from machines.system import Handled
from machines.tables import CONVERSATION, LINK, Machine, events, leaves


def markdown(visited: Sequence[Visited], admission: AdmissionReport, diagrams: str) -> str:
    """The report, the same for the same walks. `diagrams` is the path to the folder of the diagrams."""
    of_calls = (*_head(visited), *_coverage_section(visited), *_story(visited, diagrams))
    return "\n\n".join((*of_calls, *_of_admission(admission, diagrams))) + "\n"


BOUNDS = (
    "A model consists of the facts that a walk enables and of what it tells apart; none is a whole call."
    " Of configurations that differ only in times and wordings, or in what no guard and no invariant reads,"
    " only the one that is reached first is expanded; likewise of those that differ in a link that was lost"
    " in the middle of a call. Facts are about what is current, or have a number that nothing has, which"
    " stands for everything that is over. Budgets are small: one retry of an answer and of a voice, two"
    " segments to an answer, one exchange of history, one turn, one host utterance and one request waiting,"
    " three keys in a row. No model has a speech-to-text provider that ends turns by itself and so changes"
    " the endpoint delay (its facts are enabled all the same), and none hands a call over after failures."
)
BEYOND = (
    "What these models leave out is tried at random, not exhaustively: by"
    " `vantum check --thorough 1000000` (three random walks in which the facts of all others are enabled"
    " together, and which say what they leave out; another `--seed` gives other paths), by the tests with"
    " calls of any length (`tests/machines/conversation/test_interleavings.py`) and by whole calls"
    " ([simulate](simulate.md))."
)


def _head(visited: Sequence[Visited]) -> Iterator[str]:
    configurations = sum(one.report.configurations for one in visited)
    tried = sum(one.report.facts for one in visited)
    wrong = complaints(visited)
    yield "# The exhaustive check"
    yield "Written by `vantum check --report`; `vantum check` repeats it."
    yield (
        f"Every configuration of {len(visited)} bounded models of a call was visited:"
        f" **{configurations:,}** of them. In each, every fact that its model enables was tried, late,"
        f" doubled and contradictory ones included: **{tried:,}** facts. "
        + (f"**{len(wrong)} things are wrong.**" if wrong else "**Every invariant held.**")
    )
    yield from (f"```text\n{each}\n```" for each in wrong)
    yield BOUNDS
    yield "## The walks"
    yield _table(
        ("walk", "what is walked", "configurations", "facts", "transitions taken", "longest path"),
        (
            (
                one.name,
                one.subject,
                f"{one.report.configurations:,}",
                f"{one.report.facts:,}",
                str(len(one.report.taken)),
                f"{one.report.longest} facts",
            )
            for one in visited
        ),
    )
    yield (
        "Facts go through the live guards and actions, along the tables of the live machines instead of"
        " through the library's engine; tests (`test_walks.py`, `test_table_driver.py`) show that both lead"
        " to the same steps, effects and memory. The longest path is the number of facts to"
        " the configuration farthest from the start, on the shortest path."
    )
    yield "## What each walk leaves out"
    yield "\n".join(f"- **{one.name}**: {one.leaves_out}" for one in visited)
    yield BEYOND
    yield "## What holds"
    yield _table(
        ("invariant", "in words", ""),
        ((f"`{each.name}`", each.means, each.verdict) for each in findings(visited)),
    )
    yield (
        "That these would notice an error is tested, too: `tests/machines/check/test_check.py` seeds faults"
        " (a guard that always or never holds, an action left out, a deadline never armed, late facts"
        " believed) and requires for each that the walk finds it, and by which invariant."
    )


def _coverage_section(visited: Sequence[Visited]) -> Iterator[str]:
    machines = coverage(visited)
    yield "## What was exercised"
    yield _table(
        ("machine", "transitions taken", "pairs of state and fact met"),
        (
            (
                each.machine,
                f"{each.transitions_taken} of {each.transitions}",
                f"{each.pairs_met} of {each.pairs}",
            )
            for each in machines
        ),
    )
    yield (
        "Pair by pair, for the conversation: **T**, a transition is taken; **i**, the fact is ignored for a"
        " reason; **r**, it is refused, because it is about something that is over."
    )
    yield _matrix(visited, CONVERSATION)
    left = sum(each.before_the_call for each in machines)
    if left:
        yield (
            f"The {left} others are of a link before its call begins. A link is wanted at the moment its call"
            " begins, so it cannot get another fact before. They are declared nevertheless, as every pair is."
        )
    yield from (f"- {each.machine}: {missing}" for each in machines for missing in each.missing)


def _matrix(visited: Sequence[Visited], machine: Machine) -> str:
    """What became of each fact in each state."""
    seen = outcomes(visited, machine)
    states = [state.id for state in leaves(machine.chart)]

    def met(state: str, event: str) -> str:
        return " ".join(sign for outcome, sign in SIGNS if ((state, event), outcome) in seen)

    lines = ((f"`{event}`", *(met(state, event) for state in states)) for event in events(machine.chart))
    return _table(("", *states), lines)


SIGNS = ((Outcome.TAKEN, "T"), (Outcome.IGNORED, "i"), (Outcome.REFUSED, "r"), (Outcome.UNDECLARED, "?"))


def _story(visited: Sequence[Visited], diagrams: str) -> Iterator[str]:
    one = max(visited, key=lambda each: each.report.longest)
    path = path_to(one.report.nodes, one.report.farthest())
    yield "## The longest path"
    yield (
        f"{one.report.longest} facts, in the walk “{one.name}”: the configuration that is hardest to reach,"
        " and the shortest path to it. Times play no part in it."
    )
    yield _table(
        ("", "what happens", "state of the machine", "what is asked for"),
        ((str(number), *line) for number, handled in enumerate(path) for line in _lines_of(handled)),
    )
    yield "The machines themselves, drawn from the same tables:"
    for name in (CONVERSATION.name, LINK.name):
        yield f"![The {name} machine]({diagrams}/{name}.svg)"
    tables = (f"[{name}]({diagrams}/{name}.md)" for name in (CONVERSATION.name, LINK.name))
    yield f"Their tables: {', '.join(tables)}."


def _of_admission(found: AdmissionReport, diagrams: str) -> Iterator[str]:
    yield "## Admission"
    yield (
        f"The [admission machine]({diagrams}/admission.md) belongs to no call and has its own walk: every"
        f" one of its **{found.configurations:,}** configurations under a policy with short rows of"
        f" measurements, with a measurement between each two bounds: **{found.facts:,}** facts. All"
        f" {found.transitions} transitions of its table are taken, and from everywhere a path leads back to"
        " OPEN. " + (f"**{len(found.violations)} things are wrong.**" if found.violations else "What holds:")
    )
    yield from (f"```text\n{each}\n```" for each in found.violations)
    yield _table(
        ("invariant", "in words"),
        ((f"`{each.__name__}`", (each.__doc__ or "").strip()) for each in ADMISSION_INVARIANTS),
    )


def _lines_of(handled: Handled) -> Iterator[tuple[str, str, str]]:
    """One fact and what followed from it, as lines of a table."""
    for step in handled.steps:
        moved = step.source if step.source == step.target else f"{step.source} → {step.target}"
        asked = ", ".join(f"`{effect.name}`" for effect in step.effects)
        where = moved if step.machine == CONVERSATION.name else f"{step.machine}: {moved}"
        yield in_words(step.fact), where, asked or step.reason or "nothing"


def in_words(record: Fact) -> str:
    """A fact in words, with its values but without its time."""
    names = (each.name for each in attrs.fields(type(record)) if each.name != "at_ms")
    said = ", ".join(filter(None, (_value(name, getattr(record, name)) for name in names)))
    return f"{record.name.replace('_', ' ')}" + (f" ({said})" if said else "")


def _value(name: str, value: object) -> str:
    """A value in words; nothing for a default that says nothing."""
    match value:
        case bool():
            return name if value else ""
        case enum.Enum():
            return str(value.value)
        case Request():
            return "with a request"
        case ProviderFailure():
            return value.error_class.value
        case str():
            return f"“{value}”"
        case int() | float():
            return f"{name} {value:g}" if value or name == "segment" else ""
    return ""


def _table(head: Sequence[str], lines: Iterator[Sequence[str]]) -> str:
    written = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join((f"| {' | '.join(head)} |", "| " + " | ".join("---" for _ in head) + " |", *written))
