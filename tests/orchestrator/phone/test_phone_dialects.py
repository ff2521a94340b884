"""Whatever habits a carrier has, a call goes as it does over Twilio itself."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from adapters.simulators.phone_dialects import PHONE_DIALECTS, TWILIO, Payloads, PhoneDialect, Reports
from adapters.simulators.telephone import Telephone
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


@pytest.fixture(scope="module")
def plain() -> dict[bool, Course]:
    """The same calls over Twilio itself, by whether they are outbound."""
    return {way: _run(TWILIO, outbound=way) for way in (True, False)}


def _run(dialect: PhoneDialect, *, outbound: bool) -> Course:
    async def main() -> Course:
        return await course_of(dialect, outbound=outbound)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_over_twilio_itself_all_that_was_said_and_pressed_is_answered(plain: dict[bool, Course]) -> None:
    for course in plain.values():
        assert (course.outcome, course.end_reason, course.complaints) == ("completed", "caller_hung_up", ())
        said = [text for speaker, text, _ in course.history if speaker == "user"]
        assert said == ["hello how is the weather today", "I pressed 4 2 D on the keypad.", "thanks"]


@pytest.mark.parametrize("outbound", [True, False])
@pytest.mark.parametrize("name", [name for name in PHONE_DIALECTS if name != "twilio"])
def test_a_carriers_habits_change_nothing_of_a_call(
    name: str, outbound: bool, plain: dict[bool, Course]
) -> None:
    assert _run(PHONE_DIALECTS[name], outbound=outbound) == plain[outbound]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_nor_do_many_habits_at_once(number: int, plain: dict[bool, Course]) -> None:
    draw = Random(number)
    dialect = evolve(
        TWILIO,
        early_frames=draw.choice((0, 1, 60)),
        says_connected=draw.choice((True, False)),
        underscores=draw.choice((True, False)),
        flat=draw.choice((True, False)),
        other_types=draw.choice((True, False)),
        encoding=draw.choice(("audio/x-mulaw", "PCMU", "audio/PCMU", "mulaw", "ULAW")),
        unknown_events=draw.choice((True, False)),
        payloads=draw.choice(list(Payloads)),
        track=draw.choice(("inbound", None, "inbound_track")),
        both_tracks=draw.choice((True, False)),
        small_keys=draw.choice((True, False)),
        frame_ms=draw.choice((20, 60, 400)),
        numbered_wrongly=draw.choice((True, False)),
        stall_s=draw.choice((0.0, 0.3)),
        reports=draw.choice(list(Reports)),
    )
    assert _run(dialect, outbound=draw.choice((True, False))) == plain[draw.choice((True, False))]
