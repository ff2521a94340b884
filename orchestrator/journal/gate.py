"""Whether earlier calls go the same in this build, or under another policy: each up to its first difference.

A record is first compared as bytes, and taken apart only if these differ; the machines run by their tables.
So it takes a fifth of the time of a replay.

Under another policy a deadline may be armed for another time. That alone is no difference: it is one when the
deadline had passed in the call, or would have passed now before the next fact. What comes after a first
difference is not looked at, since the caller and the providers would have done something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
from attrs import Factory, define, evolve, frozen

from adapters.neutral import neutral
from machines import effects as do
from machines import facts
from machines.check.table_driver import run_by_tables
from machines.declarations import Step
from machines.driver import SLACK_MS
from machines.effects import Effect
from machines.facts import Fact, Role
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.journal.format import BEGINNINGS, Broke, HandledFact, Head, fact_in, plain_record, record_of
from orchestrator.journal.frames import (
    JournalError,
    check_format,
    contents_in,
    read_bytes,
    unpacked,
    unreadable,
)
from orchestrator.journal.records import Plain, RecordError, fact_of, plain, structured
from orchestrator.journal.replay import handle, system_of

_LONGEST = 300
"""Characters of a difference in words."""


@frozen
class Verdict:
    """What came of a journal."""

    path: str
    facts: int = 0
    """Facts that went the same."""
    differs_at: int | None = None
    """The number of the first fact that leads elsewhere, from 1; 0: the beginning; None: none does."""
    seconds: float = 0.0
    """When that was in the call."""
    state: str = ""
    """In which state of which machine, such as `conversation deciding`."""
    event: str = ""
    """At what."""
    difference: str = ""
    """What is otherwise, in a line."""
    unreadable: str = ""
    """Why the journal cannot be read, in a sentence."""

    @property
    def same(self) -> bool:
        """Whether all of the call goes as it went."""
        return self.differs_at is None and not self.unreadable


def charts_by_tables() -> Charts:
    """Charts that run by their tables, in a tenth of the time."""
    charts = Charts()
    run_by_tables(charts.conversation)
    run_by_tables(charts.link)
    return charts


def verdict_of(path: Path, charts: Charts, changes: Mapping[str, Any] | None = None) -> Verdict:
    """Run a journal through this build, with these fields of the policy changed. Raises `RecordError` for
    changes that are none of a policy."""
    try:
        contents = contents_in(read_bytes(path), path)
    except JournalError as error:
        return Verdict(str(path), unreadable=str(error))
    try:
        if len(contents) < 2:
            raise JournalError(f"{path} breaks off before the call begins: there is nothing to replay.")
        first = unpacked(path, 1, contents[0])
        check_format(path, (first,))
        head = record_of(first)
        if not isinstance(head, Head):
            raise RecordError("it does not begin as a call does")
    except JournalError as error:
        return Verdict(str(path), unreadable=str(error))
    except Exception as error:
        return _unreadable(path, contents, error)
    policy = changed(head.policy, changes) if changes else head.policy
    again = _Again(path, evolve(head, policy=policy), charts, lenient=bool(changes))
    try:
        return again.compare(contents[1:])
    except Exception as error:
        return _unreadable(path, contents, error)


def _unreadable(path: Path, contents: tuple[bytes, ...], error: Exception) -> Verdict:
    told = (
        error
        if isinstance(error, JournalError)
        else unreadable(path, (unpacked(path, 1, contents[0]),), error)
    )
    return Verdict(str(path), unreadable=str(told))


def changed(policy: ConversationPolicy, changes: Mapping[str, Any]) -> ConversationPolicy:
    """The policy with some fields changed, tables within it field by field. Raises `RecordError`."""
    return structured(_merged(plain(policy, in_full=True), changes), ConversationPolicy)


def _merged(whole: Plain, changes: Mapping[str, Any]) -> Plain:
    both = {name for name in changes if isinstance(whole.get(name), dict) and isinstance(changes[name], dict)}
    return {**whole, **changes, **{name: _merged(whole[name], changes[name]) for name in both}}


# --- one call ---------------------------------------------------------------------------------------------


@frozen
class _Shifted:
    """A deadline that is armed for another time than in the call."""

    number: int
    passes_at: float
    then_ms: float
    now_ms: float


@define
class _Again:
    """Runs the machines of one call again."""

    path: Path
    head: Head
    charts: Charts
    lenient: bool
    """The policy is another one: a deadline for another time is not a difference yet."""
    _shifted: dict[Role | None, _Shifted] = Factory(dict)

    def compare(self, contents: tuple[bytes, ...]) -> Verdict:
        """Compare the records after the head."""
        system = system_of(self.head, self.charts)
        number = 0
        for content in contents:
            fact = _fact_in(content) if number else None
            if number and fact is None:
                continue
            if fact is not None and (why := self._too_late_or_early(fact)):
                return self._verdict(number, fact, system.conversation.state, why)
            now = system.start(self.head.at_ms) if fact is None else handle(system, fact)
            if not self._same(content, now):
                recorded = record_of(unpacked(self.path, number + 2, content))
                assert isinstance(recorded, Handled | Broke)
                if not self._goes_on(recorded, now):
                    return self._difference(number, recorded, now)
            self._forget_others(now)
            number += 1
        return Verdict(str(self.path), facts=number - 1)

    def _same(self, content: bytes, now: HandledFact) -> bool:
        packed: bytes = msgpack.packb(plain_record(now), unicode_errors="surrogatepass")
        return packed == content

    def _goes_on(self, recorded: HandledFact, now: HandledFact) -> bool:
        """Whether what differs in bytes is the same, or only about when deadlines will pass."""
        if recorded == now:
            return True
        if not self.lenient or isinstance(recorded, Broke) or isinstance(now, Broke):
            return False
        at_ms = fact_in(now).at_ms
        if len(recorded.effects) != len(now.effects) or _timeless(recorded) != _timeless(now):
            return False
        for then, instead in zip(recorded.effects, now.effects, strict=True):
            if then != instead:
                shifted = _shifted(then, instead, at_ms)
                if shifted is None:
                    return False
                self._shifted[_owner(instead)] = shifted
        return True

    def _forget_others(self, now: HandledFact) -> None:
        """A deadline that was armed or disarmed since takes the place of the earlier one."""
        for effect in now.effects if isinstance(now, Handled) else ():
            if isinstance(effect, do.DisarmDeadline | do.DisarmLinkDeadline):
                self._shifted.pop(_owner(effect), None)
            elif isinstance(effect, do.ArmDeadline | do.ArmLinkDeadline):
                known = self._shifted.get(_owner(effect))
                if known is not None and known.number != effect.number:
                    del self._shifted[_owner(effect)]

    def _too_late_or_early(self, fact: Fact) -> str:
        """Why a fact could not have come now, since a deadline is for another time."""
        for owner, shifted in self._shifted.items():
            waits = f"the deadline is after {shifted.now_ms:.0f} ms, and was after {shifted.then_ms:.0f} ms"
            if _passed(fact, owner, shifted.number) or fact.at_ms > shifted.passes_at + SLACK_MS:
                return waits
        return ""

    def _difference(self, number: int, recorded: HandledFact, now: HandledFact) -> Verdict:
        fact = fact_in(now)
        if isinstance(recorded, Broke) or isinstance(now, Broke):
            then, instead = _came_of(recorded), _came_of(now)
            return self._verdict(number, fact, "conversation", f"{instead}; before: {then}")
        pairs = zip(recorded.steps, now.steps, strict=False)
        different = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if different is None:
            then, instead = _counted(recorded), _counted(now)
            return self._verdict(number, fact, now.steps[0].source, f"{instead}; before: {then}")
        earlier, step = different
        return self._verdict(number, fact, f"{step.machine} {earlier.source}", _in_words(earlier, step))

    def _verdict(self, number: int, fact: Fact, state: str, difference: str) -> Verdict:
        seconds = (fact.at_ms - self.head.at_ms) / 1000
        told = neutral(difference)[:_LONGEST]
        where = state if " " in state else f"conversation {state}"
        return Verdict(str(self.path), max(0, number - 1), number, seconds, where, fact.name, told)


def _fact_in(content: bytes) -> Fact | None:
    """The fact of a record, without reading what it led to; None if the record has none."""
    reader = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=len(content))
    reader.feed(content)
    reader.read_array_header()
    kind = reader.unpack()
    if kind == "broke":
        return fact_of(reader.unpack())
    if kind != "fact":
        if kind not in BEGINNINGS:
            raise RecordError(f"{kind!r} is not a record")
        return None
    for _ in ("handled", "steps", "step"):
        reader.read_array_header()
    reader.skip()
    return fact_of(reader.unpack())


def _passed(fact: Fact, owner: Role | None, number: int) -> bool:
    """Whether a fact says that this deadline has passed."""
    match fact:
        case facts.DeadlinePassed(number=passed):
            return owner is None and passed == number
        case facts.LinkDeadlinePassed(role=role, number=passed):
            return role is owner and passed == number
    return False


def _counted(handled: Handled) -> str:
    return f"{len(handled.steps)} steps, {len(handled.effects)} effects"


def _timeless(handled: Handled) -> tuple[tuple[Any, ...], ...]:
    """The ways of the machines, without what they asked for."""
    return tuple(
        (step.machine, step.fact, step.source, step.target, step.outcome, step.reason)
        for step in handled.steps
    )


def _owner(effect: Effect) -> Role | None:
    """Whose deadline an effect is about: a link's, or the conversation's."""
    return effect.role if isinstance(effect, do.ArmLinkDeadline | do.DisarmLinkDeadline) else None


def _shifted(then: Effect, now: Effect, at_ms: float) -> _Shifted | None:
    """The deadline that is armed for another time; None if that is not the difference."""
    if not isinstance(then, do.ArmDeadline | do.ArmLinkDeadline) or type(then) is not type(now):
        return None
    assert isinstance(now, do.ArmDeadline | do.ArmLinkDeadline)
    if evolve(now, delay_ms=then.delay_ms) != then:
        return None
    return _Shifted(now.number, at_ms + now.delay_ms, then.delay_ms, now.delay_ms)


def _came_of(handled: HandledFact) -> str:
    if isinstance(handled, Broke):
        return f"a machine raised {handled.error}"
    return " ".join(_way(step) for step in handled.steps)


def _way(step: Step) -> str:
    return f"{step.target}" if step.outcome.value == "taken" else step.outcome.value


def _in_words(then: Step, now: Step) -> str:
    if (then.target, then.outcome) != (now.target, now.outcome):
        return f"{_way(now)}; before: {_way(then)}"
    missing = [each.name for each in then.effects if each not in now.effects]
    new = [each.name for each in now.effects if each not in then.effects]
    told = [f"no {', '.join(missing)} any more"] if missing else []
    told += [f"{', '.join(new)} now"] if new else []
    return "; ".join(told) or "the same, in another order"
