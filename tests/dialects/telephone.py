"""Makes the same call over every simulated carrier: what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from attrs import frozen
from trio.testing import MockClock

from adapters.simulators.phone_dialects import PHONE_DIALECTS, PhoneDialect
from adapters.simulators.telephone import Telephone
from machines.history import Speaker
from orchestrator.simulation import Answer
from orchestrator.simulation.speech import spoken
from tests.orchestrator.phone.phone_lines import RATE, STATUS, Line, a_line


@frozen
class Course:
    """How a call went."""

    outcome: str
    end_reason: str
    history: tuple[tuple[str, str, bool], ...]
    heard_ms: int
    complaints: tuple[str, ...]


async def talks(telephone: Telephone) -> None:
    """Somebody who is greeted, asks, presses keys, asks again, hears each answer out, and hangs up."""
    await telephone.until(lambda: telephone.heard)
    for line in ("hello how is the weather today", "42D#", "thanks"):
        await telephone.until(lambda: telephone.quiet_seconds() > 1)
        pieces = len(telephone.heard)
        if line.endswith("#"):
            for key in line:
                telephone.press(key)
                await trio.sleep(0.4)
        else:
            telephone.say(spoken(line, RATE))
        await telephone.until(lambda pieces=pieces: len(telephone.heard) > pieces)  # type: ignore[misc]
    await telephone.until(lambda: telephone.quiet_seconds() > 1)


async def course_of(dialect: PhoneDialect, *, outbound: bool) -> Course:
    """A call over a carrier with this dialect."""
    chosen: dict[str, Any] = {"greeting": "Good morning."}
    async with a_line(talks, answer=Answer("one two three."), dialect=dialect, **chosen) as line:
        if outbound:
            ours = await line.order()
            there = await line.in_network(ours)
        else:
            there = line.rings(status_url=STATUS)
            await line.talking(there)
            ours = line.inbound()
        await ours.over.wait()
        await there.over.wait()
        return _course(line, there)


def _course(line: Line, there: Any) -> Course:
    told = line.inbound().report()
    history = tuple((m.speaker.value, m.text, m.interrupted) for m in line.providers.llm.requests[-1])
    heard_ms = sum(round(piece.seconds * 1000) for piece in there.telephone.heard)
    return Course(told["outcome"], told["endReason"], history, heard_ms, tuple(there.complaints))


def call_over(dialect: PhoneDialect, *, outbound: bool) -> Course:
    """As `course_of`, in virtual time."""

    async def main() -> Course:
        return await course_of(dialect, outbound=outbound)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


# --- the document -----------------------------------------------------------------------------------------

_INTRODUCTION = """
## Carriers that differ from Twilio

Each row is a simulated carrier (`vantum simulators --phone-dialect NAME`, and `vantum serve --simulated`),
over which the server makes a call: a greeting, a question, keys, another question, and an answer to each.
“✓” is what comes of it over Twilio itself.

| dialect | what it is | outcome | understood | keys | audio heard |
|---|---|---|---|---|---|
"""


def all_courses() -> Mapping[str, Course]:
    """Every dialect, in a call that we make."""
    return {name: call_over(each, outbound=True) for name, each in PHONE_DIALECTS.items()}


def section(courses: Mapping[str, Course]) -> str:
    """The part of the document about carriers."""
    right = _cells(courses["twilio"])
    lines = []
    for name, course in courses.items():
        cells = _cells(course)
        if name != "twilio":
            cells = ["✓" if cell == usual else cell for cell, usual in zip(cells, right, strict=True)]
        lines.append(f"| `{name}` | {PHONE_DIALECTS[name].about} | {' | '.join(cells)} |")
    return _INTRODUCTION + "\n".join(lines) + "\n"


def _cells(course: Course) -> list[str]:
    users = [text for speaker, text, _ in course.history if speaker == Speaker.USER.value]
    keys = [text for text in users if "keypad" in text]
    words = [text for text in users if text not in keys]
    return [course.outcome, "; ".join(words), "; ".join(keys), f"{course.heard_ms / 1000:g} s"]
