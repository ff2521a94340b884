"""Reports of a replay as text: the summary, the first difference with what led to it, and step by step."""

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
from orchestrator.journal.format import Broke, HandledFact, Journal
from orchestrator.journal.replay import Replayed, replay

CONTEXT = 5
"""Facts that are shown before a difference."""

Say = Callable[[str], None]
Ask = Callable[[], str]
"""Reads a line; an empty text means that the input has ended."""


def tell_replay(journal: Journal, say: Say) -> bool:
    """Replay, and print the summary or the first difference; returns whether everything was the same."""
    before: deque[Replayed] = deque(maxlen=CONTEXT)
    for replayed in replay(journal):
        if not replayed.same:
            for line in _difference(journal, replayed, before):
                say(line)
            return False
        before.append(replayed)
    for line in _summary(journal):
        say(line)
    return True


# --- the summary ------------------------------------------------------------------------------------------


def _summary(journal: Journal) -> Iterator[str]:
    seconds = (journal.last_ms - journal.head.at_ms) / 1000
    ended = journal.ended
    yield f"{journal.path}: the same in every step and every effect."
    yield (
        f"{len(journal.handled)} facts, {journal.transitions} transitions, {seconds:.1f} s,"
        f" ended: {ended.value if ended else 'not within the journal'}"
    )
    yield from notified_of(journal)


def notified_of(journal: Journal) -> Iterator[str]:
    """The call's id, time, dialect and providers, and what is wrong with its journal."""
    head = journal.head
    yield f"call {head.about.session_id}, {_date(head.about.began_at)}, dialect {head.about.dialect}"
    for role, names in head.about.providers.items():
        provider_chain = head.provider_chains.get(role)
        known_down = sorted(provider_chain.known_down) if provider_chain else []
        down = [names[each] for each in known_down if 0 <= each < len(names)]
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


def _date(began_at: float) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(began_at / 1000, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "at no known time"


# --- a difference -----------------------------------------------------------------------------------------


def _difference(journal: Journal, replayed: Replayed, before: Iterable[Replayed]) -> Iterator[str]:
    yield f"{journal.path}: a difference at fact {replayed.number} of {len(journal.handled)}."
    yield from notified_of(journal)
    yield ""
    yield "Before it:"
    for earlier in before:
        yield from _lines_of(earlier, journal.head.at_ms, brief=True)
    yield ""
    yield _title(replayed, journal.head.at_ms)
    then, now = list(_came_of(replayed.recorded)), list(_came_of(replayed.now))
    for what, a, b, c, d in SequenceMatcher(a=then, b=now, autojunk=False).get_opcodes():
        if what == "equal":
            yield from (f"    {line}" for line in then[a:b])
        else:
            yield from (f"  - {line}" for line in then[a:b])
            yield from (f"  + {line}" for line in now[c:d])
    if then == now:  # such as the same effects, to be performed in another order
        yield f"  - {replayed.recorded}"
        yield f"  + {replayed.now}"
    yield ""
    yield "- as recorded; + as it happens now"


# --- fact by fact -----------------------------------------------------------------------------------------


def walk(journal: Journal, ask: Ask, say: Say) -> bool:
    """Show one fact after the other: Enter for the next, a number to go there, q to end.

    Returns whether every fact up to the furthest that was shown led to the same.
    """
    for line in notified_of(journal):
        say(line)
    facts = list(replay(journal))
    place, furthest = 0, 0
    while True:
        for line in _lines_of(facts[place], journal.head.at_ms, brief=False):
            say(line)
        say(f"[{place}/{len(facts) - 1}] Enter: next, number: go there, q: end")
        wanted = _next_place(ask, say, place, len(facts) - 1)
        if wanted is None:
            return all(replayed.same for replayed in facts[: furthest + 1])
        place = wanted
        furthest = max(furthest, place)


def _next_place(ask: Ask, say: Say, place: int, last: int) -> int | None:
    """The number of the fact to show next; None to end."""
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


def _lines_of(replayed: Replayed, began_ms: float, *, brief: bool) -> Iterator[str]:
    yield _title(replayed, began_ms)
    if brief:
        yield from (f"    {line}" for line in _steps_of(replayed.recorded))
        return
    yield from (f"    {line}" for line in _came_of(replayed.recorded))
    yield "  states: " + ", ".join(f"{machine} {state}" for machine, state in replayed.states)
    if not replayed.same:
        yield "  NOT the same now:"
        yield from (f"  + {line}" for line in _came_of(replayed.now))


def _title(replayed: Replayed, began_ms: float) -> str:
    seconds = (replayed.fact.at_ms - began_ms) / 1000
    if replayed.number == 0:
        return f"#0 {seconds:+.3f} s: the call begins"
    return f"#{replayed.number} {seconds:+.3f} s: {in_words(replayed.fact)}"


def _came_of(replayed: HandledFact) -> Iterator[str]:
    """A line for each step, with its effects below it; then the effects that no step asked for."""
    if isinstance(replayed, Broke):
        yield from _steps_of(replayed)
        return
    asked = []
    for step in replayed.steps:
        yield step_in_words(step)
        for effect in step.effects:
            yield f"  {in_words(effect)}"
            asked.append(effect)
    yield from (in_words(effect) for effect in replayed.effects if effect not in asked)


def _steps_of(replayed: HandledFact) -> Iterator[str]:
    if isinstance(replayed, Broke):
        yield f"a machine raised {replayed.error}"
    else:
        yield from map(step_in_words, replayed.steps)


def step_in_words(step: Step) -> str:
    """A step as one line of text."""
    told = f"{step.machine}: {step.fact.name}: "
    if step.outcome is Outcome.TAKEN:
        moved = f"{step.source} -> {step.target}" if step.source != step.target else f"stays {step.source}"
        return told + moved
    return f"{told}{step.outcome.value} in {step.source}: {step.reason}"


def in_words(thing: Fact | Effect) -> str:
    """A fact or an effect as one line of text, without its time."""
    fields = [
        f"{field.name}={_shown(getattr(thing, field.name))}"
        for field in attrs.fields(type(thing))
        if field.name != "at_ms" and getattr(thing, field.name) != field.default
    ]
    return f"{type(thing).__name__}({', '.join(fields)})"


def _shown(value: Any) -> str:
    return str(value.value) if hasattr(value, "value") else repr(value)
