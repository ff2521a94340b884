"""Writes a test out of a journal: the same call in virtual time, with what it must lead to.

Facts, steps and effects are written as Python. The facts come first, one a line, so that the call can be read
from top to bottom, shortened, or bent into another one. Times count from the call's beginning, in whole
microseconds, unless that would change what the machines do.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from attrs import evolve, frozen

from machines.declarations import Outcome, Step
from machines.system import Handled
from orchestrator.journal.format import Broke, Journal, fact_in
from orchestrator.journal.replay import CheckedStep, system_of

TEMPLATE = '''"""A call repeated in virtual time: {session}, {ended}.

Written by `vantum export-test` out of its journal.{remark}
"""

# ruff: noqa: E501

from __future__ import annotations

from machines import effects as do
from machines import facts{history}, policy, system{tools}
from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import Fact

# fmt: off
POLICY = {policy}

LINE_UPS: dict[facts.Role, system.ProviderChain] = {line_ups}

BEGINNING: tuple[Effect, ...] = {beginning}

# What happened, and the state that the conversation was in then.
FACTS: tuple[Fact, ...] = (
{facts}
)

# The way that each machine went because of it, and what was to be performed.
OUTCOMES: tuple[tuple[tuple[str, ...], tuple[Effect, ...]], ...] = (
{outcomes}
)
# fmt: on


def way(step: Step) -> str:
    """Where a step led; `=` where the machine stayed, and what became of a fact that was not taken."""
    if step.outcome is not Outcome.TAKEN:
        return f"{{step.source}} {{step.outcome.value}}"
    return f"{{step.source}} > {{step.target}}" if step.source != step.target else f"{{step.source}} ="


def test_the_call_goes_as_it_went() -> None:
    call = system.ConversationSystem(POLICY, line_ups=LINE_UPS)
    assert call.start({at_ms}).effects == BEGINNING
    for number, (fact, (ways, effects)) in enumerate(zip(FACTS, OUTCOMES, strict=True), 1):
        told = f"fact {{number}}: {{fact}}"
        handled = call.handle(fact)
        assert tuple(way(step) for step in handled.steps) == ways, told
        assert handled.effects == effects, told
{breaking}'''

BREAKING = """    # A machine raised {error}.
    call.handle({fact})  # fmt: skip
"""

MODULES = {
    "machines.facts": "facts",
    "machines.effects": "do",
    "machines.history": "history",
    "machines.policy": "policy",
    "machines.system": "system",
    "machines.tools": "tools",
}
"""Under which name the test knows the modules that classes come from."""
TOOLS = re.compile(r"\btools\.[A-Z]")


@frozen
class Call:
    """A call as it is written down."""

    at_ms: float
    beginning: Handled
    moments: tuple[Handled, ...]


def source_of_test(journal: Journal) -> str:
    """The test as a module's source.

    A fact that made a machine raise comes last, and the test fails until it no longer does.
    """
    call = _with_plain_times(journal) or _as_recorded(journal)
    broke = [each for each in journal.moments if isinstance(each, Broke)]
    ended = journal.ended
    policy = _in_full(journal.head.policy)
    told = list(map(_fact_line, range(1, len(call.moments) + 1), call.moments))
    outcomes = list(map(_outcome_line, range(1, len(call.moments) + 1), call.moments))
    return TEMPLATE.format(
        session=journal.head.about.session_id,
        ended=f"ended: {ended.value}" if ended else "whose end is not in the journal",
        remark=" What was said is redacted." if journal.head.redacted else "",
        history=", history" if any("history." in line for line in outcomes) else "",
        tools=", tools" if any(TOOLS.search(text) for text in (policy, *told, *outcomes)) else "",
        policy=policy,
        line_ups=literal(dict(journal.head.line_ups)),
        beginning=literal(call.beginning.effects),
        facts="\n".join(told),
        outcomes="\n".join(outcomes),
        at_ms=literal(call.at_ms),
        breaking="".join(_breaking(each, call.at_ms - journal.head.at_ms) for each in broke),
    )


def _breaking(broke: Broke, later_ms: float) -> str:
    fact = evolve(broke.fact, at_ms=broke.fact.at_ms + later_ms)
    return BREAKING.format(error=" ".join(broke.error.split()), fact=literal(fact))


# --- which times ------------------------------------------------------------------------------------------


def _as_recorded(journal: Journal) -> Call:
    return Call(journal.head.at_ms, journal.beginning, tuple(_handled(journal.moments)))


def _with_plain_times(journal: Journal) -> Call | None:
    """The call from 0 ms on, in whole microseconds; None if that changes what the machines do.

    It also changes nothing where they no longer do what they did: then the recorded times are needed.
    """
    began = journal.head.at_ms
    system = system_of(journal.head)
    beginning = system.start(0.0)
    moments = []
    for recorded in _handled(journal.moments):
        fact = fact_in(recorded)
        moments.append(system.handle(evolve(fact, at_ms=round(fact.at_ms - began, 3))))
        if not _alike(moments[-1], recorded):
            return None
    return Call(0.0, beginning, tuple(moments)) if _alike(beginning, journal.beginning) else None


def _handled(moments: Iterable[CheckedStep]) -> Iterator[Handled]:
    return (each for each in moments if not isinstance(each, Broke))


def _alike(one: Handled, other: Handled) -> bool:
    """The same steps and effects, but for the last digits of times."""
    return bool(_without_times(one) == _without_times(other))


def _without_times(thing: Any) -> Any:
    """The same with numbers rounded, and objects as their class and fields."""
    if isinstance(thing, float | int) and not isinstance(thing, bool | enum.Enum):
        return round(thing)
    if isinstance(thing, tuple):
        return [_without_times(each) for each in thing]
    if attrs.has(type(thing)):
        fields = {
            each.name: _without_times(getattr(thing, each.name))
            for each in attrs.fields(type(thing))
            if each.name != "at_ms"
        }
        return type(thing).__name__, fields
    return thing


# --- Python source ----------------------------------------------------------------------------------------


def _fact_line(number: int, moment: Handled) -> str:
    """A fact, with the state of the conversation after it, or of the link that it is about."""
    told = [step for step in moment.steps if step.machine == "conversation"]
    last = told[-1] if told else moment.steps[-1]
    reached = last.target if told else f"{last.machine} {last.target}"
    return f"    {literal(fact_in(moment))},  # {number}: {reached}"


def _outcome_line(number: int, moment: Handled) -> str:
    """What a fact led to."""
    ways = tuple(_way(step) for step in moment.steps)
    return f"    ({literal(ways)}, {literal(moment.effects)}),  # {number}: {fact_in(moment).name}"


def _way(step: Step) -> str:
    """As `way` in the test."""
    if step.outcome is not Outcome.TAKEN:
        return f"{step.source} {step.outcome.value}"
    return f"{step.source} > {step.target}" if step.source != step.target else f"{step.source} ="


def _in_full(thing: Any) -> str:
    """An object on several lines, its defaults included: they may be other ones some day."""
    fields = "".join(
        f"    {each.alias}={literal(getattr(thing, each.name))},\n" for each in attrs.fields(type(thing))
    )
    return f"{_name(type(thing))}(\n{fields})"


def literal(value: Any) -> str:
    """A value as Python source on one line; fields that have their default are left out, but for times."""
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if attrs.has(type(value)):
        fields = [
            f"{each.alias}={literal(getattr(value, each.name))}"
            for each in attrs.fields(type(value))
            if getattr(value, each.name) != each.default or each.name == "at_ms"
        ]
        return f"{_name(type(value))}({', '.join(fields)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, frozenset):
        return f"frozenset({{{', '.join(map(literal, sorted(value)))}}})" if value else "frozenset()"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{literal(key)}: {literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and "'" not in repr(value)[1:-1] and '"' not in value:
        return f'"{repr(value)[1:-1]}"'
    return repr(value)


def _name(kind: type[Any]) -> str:
    return f"{MODULES[kind.__module__]}.{kind.__name__}"
