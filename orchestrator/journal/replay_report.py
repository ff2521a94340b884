"""What a replay says: the summary, the first difference in its context, and one fact after the other."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

import attrs
import statemachine

from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import Fact
from orchestrator.journal.format import Broke, Journal
from orchestrator.journal.replay import CheckedStep, Replayed, replay

CONTEXT = 5
"""So many facts are shown before a difference."""

Say = Callable[[str], None]
Ask = Callable[[], str]
"""Reads a line; an empty text is the end of what can be read."""


def tell_replay(journal: Journal, say: Say) -> bool:
    """Replay, and say how it went; whether everything was the same."""
    before: deque[Replayed] = deque(maxlen=CONTEXT)
    for moment in replay(journal):
        if not moment.same:
            for line in _difference(journal, moment, before):
                say(line)
            return False
        before.append(moment)
    for line in _summary(journal):
        say(line)
    return True


# --- the summary ------------------------------------------------------------------------------------------


def _summary(journal: Journal) -> Iterator[str]:
    seconds = (journal.last_ms - journal.head.at_ms) / 1000
    ended = journal.ended
    yield f"{journal.path}: the same in every step and every effect."
    yield (
        f"{len(journal.moments)} facts, {journal.transitions} transitions, {seconds:.1f} s,"
        f" ended: {ended.value if ended else 'not within the journal'}"
    )
    yield from told_of(journal)


def told_of(journal: Journal) -> Iterator[str]:
    """What call it was, and what is wrong with its journal."""
    head = journal.head
    # A timestamp that no calendar has would be a strange journal, but not one that cannot be replayed.
    began = datetime.datetime.fromtimestamp(head.about.began_at / 1000, datetime.UTC)
    yield f"call {head.about.session_id}, {began:%Y-%m-%d %H:%M:%S} UTC, dialect {head.about.dialect}"
    for role, names in head.about.providers.items():
        provider_chain = head.line_ups.get(role)
        down = [names[each] for each in sorted(provider_chain.known_down)] if provider_chain else []
        yield f"  {role.value}: {', '.join(names)}" + (
            f" (known to be down: {', '.join(down)})" if down else ""
        )
    if head.redacted:
        yield "  What was said is redacted."
    if head.statemachine != statemachine.__version__:
        now = statemachine.__version__
        yield f"  Recorded with python-statemachine {head.statemachine}, replayed with {now}."
    if journal.torn_bytes:
        yield f"  Its last record is torn: {journal.torn_bytes} bytes at the end were left out."
    if journal.end is None:
        yield "  The journal breaks off: the process ended before the call did, or the disk was full."
    elif journal.end.lost:
        yield f"  The journal is incomplete: there was no room for the last {journal.end.lost} records."


# --- a difference -----------------------------------------------------------------------------------------


def _difference(journal: Journal, moment: Replayed, before: Iterable[Replayed]) -> Iterator[str]:
    yield f"{journal.path}: a difference at fact {moment.number} of {len(journal.moments)}."
    yield from told_of(journal)
    yield ""
    yield "Before it:"
    for earlier in before:
        yield from _lines_of(earlier, journal.head.at_ms, brief=True)
    yield ""
    yield _title(moment, journal.head.at_ms)
    then, now = list(_came_of(moment.recorded)), list(_came_of(moment.now))
    for what, a, b, c, d in SequenceMatcher(a=then, b=now, autojunk=False).get_opcodes():
        if what == "equal":
            yield from (f"    {line}" for line in then[a:b])
        else:
            yield from (f"  - {line}" for line in then[a:b])
            yield from (f"  + {line}" for line in now[c:d])
    if then == now:  # in words the same, such as the same effects to be performed in another order
        yield f"  - {moment.recorded}"
        yield f"  + {moment.now}"
    yield ""
    yield "- as recorded; + as it happens now"


# --- fact by fact -----------------------------------------------------------------------------------------


def walk(journal: Journal, ask: Ask, say: Say) -> bool:
    """Show one fact after the other: Enter for the next, a number to go there, q to end.

    Returns whether everything that was shown or passed was the same.
    """
    for line in told_of(journal):
        say(line)
    moments = list(replay(journal))
    place, furthest = 0, 0
    while True:
        for line in _lines_of(moments[place], journal.head.at_ms, brief=False):
            say(line)
        say(f"[{place}/{len(moments) - 1}] Enter: next, number: go there, q: end")
        wanted = _next_place(ask, say, place, len(moments) - 1)
        if wanted is None:
            return all(moment.same for moment in moments[: furthest + 1])
        place = wanted
        furthest = max(furthest, place)


def _next_place(ask: Ask, say: Say, place: int, last: int) -> int | None:
    """Where to go; None to end."""
    while line := ask():
        answer = line.strip().lower()
        if answer == "q" or (not answer and place == last):
            return None
        if not answer:
            return place + 1
        if answer.isdecimal() and int(answer) <= last:
            return int(answer)
        say(f"Enter, a number from 0 to {last}, or q.")
    return None


def _lines_of(moment: Replayed, began_ms: float, *, brief: bool) -> Iterator[str]:
    yield _title(moment, began_ms)
    if brief:
        yield from (f"    {line}" for line in _steps_of(moment.recorded))
        return
    yield from (f"    {line}" for line in _came_of(moment.recorded))
    yield "  states: " + ", ".join(f"{machine} {state}" for machine, state in moment.states)
    if not moment.same:
        yield "  NOT the same now:"
        yield from (f"  + {line}" for line in _came_of(moment.now))


def _title(moment: Replayed, began_ms: float) -> str:
    seconds = (moment.fact.at_ms - began_ms) / 1000
    if moment.number == 0:
        return f"#0 {seconds:+.3f} s: the call begins"
    return f"#{moment.number} {seconds:+.3f} s: {in_words(moment.fact)}"


def _came_of(moment: CheckedStep) -> Iterator[str]:
    """Steps, each with its effects; then those effects that no step asked for."""
    if isinstance(moment, Broke):
        yield from _steps_of(moment)
        return
    asked = []
    for step in moment.steps:
        yield step_in_words(step)
        for effect in step.effects:
            yield f"  {in_words(effect)}"
            asked.append(effect)
    yield from (in_words(effect) for effect in moment.effects if effect not in asked)


def _steps_of(moment: CheckedStep) -> Iterator[str]:
    if isinstance(moment, Broke):
        yield f"a machine raised {moment.error}"
    else:
        yield from map(step_in_words, moment.steps)


def step_in_words(step: Step) -> str:
    """A step on one line."""
    told = f"{step.machine}: {step.fact.name}: "
    if step.outcome is Outcome.TAKEN:
        moved = f"{step.source} -> {step.target}" if step.source != step.target else f"stays {step.source}"
        return told + moved
    return f"{told}{step.outcome.value} in {step.source}: {step.reason}"


def in_words(thing: Fact | Effect) -> str:
    """A fact or an effect on one line, without its time."""
    fields = [
        f"{field.name}={_shown(getattr(thing, field.name))}"
        for field in attrs.fields(type(thing))
        if field.name != "at_ms" and getattr(thing, field.name) != field.default
    ]
    return f"{type(thing).__name__}({', '.join(fields)})"


def _shown(value: Any) -> str:
    return str(value.value) if hasattr(value, "value") else repr(value)
