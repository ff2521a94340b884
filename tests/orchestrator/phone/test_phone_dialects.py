"""Whatever habits a carrier has, a call goes as it does over Twilio itself."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve

from adapters.simulators.phone_dialects import PHONE_DIALECTS, TWILIO, Payloads, Reports
from tests.dialects.telephone import Course, call_over

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain() -> dict[bool, Course]:
    """The same calls over Twilio itself, by whether they are outbound."""
    return {way: call_over(TWILIO, outbound=way) for way in (True, False)}


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
    assert call_over(PHONE_DIALECTS[name], outbound=outbound) == plain[outbound]


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
    assert call_over(dialect, outbound=draw.choice((True, False))) == plain[draw.choice((True, False))]
