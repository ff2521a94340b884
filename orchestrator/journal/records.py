"""Journal records as plain data: facts, effects, steps and policies are taken apart and rebuilt exactly.

Plain data is what MessagePack can hold. A fact or an effect is the name of its class, and its fields by name;
fields that have their default are left out. So a journal can still be read after a field with a default was
added. A class or a field that this version does not know is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs
from cattrs.preconf.msgpack import make_converter

from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import Fact
from machines.system import Handled

Plain = Any
"""None, bool, int, float, str, and lists, tuples and dicts of them."""

T = TypeVar("T")


class RecordError(ValueError):
    """The data is not a record of this version of Vantum. The message says what was not understood."""


def _number(value: object, kind: object) -> int | float:
    """A number as it was written: a whole number of ms stays an `int`, also in a field declared `float`."""
    del kind
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _converter(*, in_full: bool) -> cattrs.Converter:
    converter = make_converter(omit_if_default=not in_full, forbid_extra_keys=True)
    converter.register_structure_hook(float, _number)
    return converter


_BRIEF, _FULL = _converter(in_full=False), _converter(in_full=True)

FACTS: Mapping[str, type[Fact]] = {
    each.__name__: each for each in Fact.__subclasses__() if each.__module__ == Fact.__module__
}
"""The facts of a conversation, by the name of their class."""
EFFECTS: Mapping[str, type[Effect]] = {
    each.__name__: each for each in Effect.__subclasses__() if each.__module__ == Effect.__module__
}
"""The effects of a conversation, by the name of their class."""


def plain(value: Any, *, in_full: bool = False) -> Plain:
    """Any attrs object as plain data; with `in_full`, fields that have their default are included."""
    return (_FULL if in_full else _BRIEF).unstructure(value)


def structured(data: Plain, kind: type[T]) -> T:
    """The object of class `kind` that `plain` took apart. Raises `RecordError`."""
    try:
        return _BRIEF.structure(data, kind)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        reason = "; ".join(cattrs.transform_error(error)) or str(error)
        raise RecordError(f"{kind.__name__}: {reason}") from error


# --- facts, effects, steps --------------------------------------------------------------------------------


def plain_fact(fact: Fact) -> Plain:
    """A fact as plain data: `[class name, fields]`."""
    return [type(fact).__name__, plain(fact)]


def fact_of(data: Plain) -> Fact:
    """The fact that `plain_fact` took apart. Raises `RecordError`."""
    return _named(data, FACTS)


def plain_effect(effect: Effect) -> Plain:
    """An effect as plain data: `[class name, fields]`."""
    return [type(effect).__name__, plain(effect)]


def effect_of(data: Plain) -> Effect:
    """The effect that `plain_effect` took apart. Raises `RecordError`."""
    return _named(data, EFFECTS)


def _named(data: Plain, known: Mapping[str, type[T]]) -> T:
    name, fields = _parts(data, 2)
    if not isinstance(name, str):
        raise RecordError("what happened has no name")
    if name not in known:
        raise RecordError(f"nothing here is called {name}")
    return structured(fields, known[name])


def plain_handled(handled: Handled) -> Plain:
    """What one fact led to, as `[steps, effects]`. Effects that are in a step are written as its place."""
    asked = (effect for step in handled.steps for effect in step.effects)
    places = {id(effect): place for place, effect in enumerate(asked)}
    performed = [
        places[id(effect)] if id(effect) in places else plain_effect(effect) for effect in handled.effects
    ]
    return [[_plain_step(step) for step in handled.steps], performed]


def handled_of(data: Plain) -> Handled:
    """What one fact led to, out of what `plain_handled` made of it. Raises `RecordError`."""
    plain_steps, performed = map(_list, _parts(data, 2))
    steps = tuple(map(_step_of, plain_steps))
    if not steps:
        raise RecordError("a fact without a step")
    effects = [effect for step in steps for effect in step.effects]
    return Handled(steps, tuple(_performed(each, effects) for each in performed))


def _performed(data: Plain, effects: list[Effect]) -> Effect:
    if not isinstance(data, int):
        return effect_of(data)
    if isinstance(data, bool) or not 0 <= data < len(effects):
        raise RecordError(f"there is no effect {data}")
    return effects[data]


def _plain_step(step: Step) -> Plain:
    effects = [plain_effect(effect) for effect in step.effects]
    fact = plain_fact(step.fact)
    return [step.machine, fact, step.source, step.target, step.outcome.value, step.reason, effects]


def _step_of(data: Plain) -> Step:
    machine, fact, source, target, outcome, reason, effects = _parts(data, 7)
    try:
        became = Outcome(outcome)
    except ValueError as error:
        raise RecordError(f"there is no outcome {outcome!r}") from error
    if not all(isinstance(each, str) for each in (machine, source, target, reason)):
        raise RecordError("a step without the names of its states")
    return Step(machine, fact_of(fact), source, target, became, reason, tuple(map(effect_of, _list(effects))))


def _list(data: Plain) -> list[Plain]:
    if not isinstance(data, list):
        raise RecordError(f"{data!r} is not a list")
    return data


def _parts(data: Plain, count: int) -> list[Plain]:
    if not isinstance(data, list) or len(data) != count:
        raise RecordError(f"{data!r} does not have {count} parts")
    return data
