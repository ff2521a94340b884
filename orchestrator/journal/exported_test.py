"""Exports a journal as a Python test, which repeats the call in virtual time and compares what it leads to.

Facts, steps and effects are written as Python source. The facts come first, one a line, so that the call can
be read from top to bottom, shortened or changed. Times count from the call's beginning, in whole
microseconds, unless that would change what the machines do.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from attrs import evolve, frozen

from machines.declarations import Outcome, Step
from machines.system import Handled
from orchestrator.journal.format import Broke, HandledFact, Journal, fact_in
from orchestrator.journal.replay import system_of

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

PROVIDER_CHAINS: dict[facts.Role, system.ProviderChain] = {provider_chains}

BEGINNING: tuple[Effect, ...] = {beginning}

# What happened, each with the state that the conversation was in afterwards.
FACTS: tuple[Fact, ...] = (
{facts}
)

# For each of them: the way that each machine took, and the effects to be performed.
OUTCOMES: tuple[tuple[tuple[str, ...], tuple[Effect, ...]], ...] = (
{outcomes}
)
# fmt: on


def way(step: Step) -> str:
    """Where a step led; `=` if the machine stayed, and the outcome of a fact that was not taken."""
    if step.outcome is not Outcome.TAKEN:
        return f"{{step.source}} {{step.outcome.value}}"
    return f"{{step.source}} > {{step.target}}" if step.source != step.target else f"{{step.source}} ="


def test_the_call_goes_as_it_went() -> None:
    call = system.ConversationSystem(POLICY, None, PROVIDER_CHAINS)
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
    "machines.evidence": "facts",
    "machines.effects": "do",
    "machines.history": "history",
    "machines.policy": "policy",
    "machines.system": "system",
    "machines.tools": "tools",
}
"""The modules that classes come from, and the name under which the test imports each."""
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 _.,:;()<>='/+-]")
_LONGEST_COMMENT = 200
TOOLS = re.compile(r"\btools\.[A-Z]")


@frozen
class ExportedCall:
    """A call as the test has it."""

    at_ms: float
    beginning: Handled
    handled: tuple[Handled, ...]


def source_of_test(journal: Journal) -> str:
    """The source of the test module.

    A fact that made a machine raise comes last; the test fails until the machine no longer raises.
    """
    call = _with_plain_times(journal) or _as_recorded(journal)
    broke = [each for each in journal.handled if isinstance(each, Broke)]
    ended = journal.ended
    policy = _in_full(journal.head.policy)
    told = list(map(_fact_line, range(1, len(call.handled) + 1), call.handled))
    outcomes = list(map(_outcome_line, range(1, len(call.handled) + 1), call.handled))
    return TEMPLATE.format(
        session=_in_comment(journal.head.about.session_id),
        ended=f"ended: {ended.value}" if ended else "whose end is not in the journal",
        remark=" What was said is redacted." if journal.head.redacted else "",
        history=", history" if any("history." in line for line in outcomes) else "",
        tools=", tools" if any(TOOLS.search(text) for text in (policy, *told, *outcomes)) else "",
        policy=policy,
        provider_chains=literal(dict(journal.head.provider_chains)),
        beginning=literal(call.beginning.effects),
        facts="\n".join(told),
        outcomes="\n".join(outcomes),
        at_ms=literal(call.at_ms),
        breaking="".join(_breaking(each, call.at_ms - journal.head.at_ms) for each in broke),
    )


def _breaking(broke: Broke, later_ms: float) -> str:
    fact = evolve(broke.fact, at_ms=broke.fact.at_ms + later_ms)
    return BREAKING.format(error=_in_comment(" ".join(broke.error.split())), fact=literal(fact))


# --- which times ------------------------------------------------------------------------------------------


def _as_recorded(journal: Journal) -> ExportedCall:
    return ExportedCall(journal.head.at_ms, journal.beginning, tuple(_handled(journal.handled)))


def _with_plain_times(journal: Journal) -> ExportedCall | None:
    """The call from 0 ms on, in whole microseconds; None if the machines then do something else.

    The recorded times are needed then, also if the machines have changed since the recording.
    """
    began = journal.head.at_ms
    system = system_of(journal.head)
    beginning = system.start(0.0)
    handled = []
    for recorded in _handled(journal.handled):
        fact = fact_in(recorded)
        handled.append(system.handle(evolve(fact, at_ms=_rounded(fact.at_ms - began, 3))))
        if not _alike(handled[-1], recorded):
            return None
    return ExportedCall(0.0, beginning, tuple(handled)) if _alike(beginning, journal.beginning) else None


def _handled(facts: Iterable[HandledFact]) -> Iterator[Handled]:
    return (each for each in facts if not isinstance(each, Broke))


def _alike(one: Handled, other: Handled) -> bool:
    """Whether steps and effects are the same, but for the last digits of times."""
    return bool(_without_times(one) == _without_times(other))


def _without_times(thing: Any) -> Any:
    """A value with its numbers rounded, and its objects as (class name, fields without `at_ms`)."""
    if isinstance(thing, float | int) and not isinstance(thing, bool | enum.Enum):
        return _rounded(thing, 0)
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


def _rounded(number: float, digits: int) -> float:
    return round(number, digits) if math.isfinite(number) else number


# --- Python source ----------------------------------------------------------------------------------------


def _in_comment(text: str) -> str:
    """A text of the journal for a comment or docstring: nothing in it ends either, or is an escape."""
    return _NOT_PLAIN.sub("?", text[:_LONGEST_COMMENT])


def _fact_line(number: int, handled: Handled) -> str:
    """The line of a fact, with the state of the conversation, or of the link, that it led to as a comment."""
    told = [step for step in handled.steps if step.machine == "conversation"]
    last = told[-1] if told else handled.steps[-1]
    reached = _in_comment(last.target if told else f"{last.machine} {last.target}")
    return f"    {literal(fact_in(handled))},  # {number}: {reached}"


def _outcome_line(number: int, handled: Handled) -> str:
    """The line of what a fact led to: (ways of the machines, effects)."""
    ways = tuple(_way(step) for step in handled.steps)
    return f"    ({literal(ways)}, {literal(handled.effects)}),  # {number}: {fact_in(handled).name}"


def _way(step: Step) -> str:
    """As `way` does it in the test."""
    if step.outcome is not Outcome.TAKEN:
        return f"{step.source} {step.outcome.value}"
    return f"{step.source} > {step.target}" if step.source != step.target else f"{step.source} ="


def _in_full(thing: Any) -> str:
    """An object as source on several lines. Defaults are included, since they may change."""
    fields = "".join(
        f"    {each.alias}={literal(getattr(thing, each.name))},\n" for each in attrs.fields(type(thing))
    )
    return f"{_name(type(thing))}(\n{fields})"


def literal(value: Any) -> str:
    """A value as Python source on one line. Fields that have their default are left out, except times."""
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
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
