"""Who answered a call that we make: persons, mailboxes, screenings, faxes and menus."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators.telephone import Telephone
from machines.history import Speaker
from orchestrator.simulation import Answer
from orchestrator.simulation.speech import spoken
from tests.orchestrator.phone.phone_lines import RATE, STATUS, Line, a_line, says

pytestmark = pytest.mark.slow

TEXT = "This is Alex, about your table."
SCREENING, FAX = "+15005550006", "+15005550007"
WITH_TEXT: dict[str, Any] = {"twilio_voicemail_text": TEXT, "greeting": "Good day, how are you?"}


async def screens_and_takes_the_call(telephone: Telephone) -> None:
    """A telephone asks who calls; its owner reads that and takes the call."""
    telephone.say(spoken("please tell me your name", RATE))
    await telephone.until(lambda: telephone.heard)
    await telephone.until(lambda: telephone.quiet_seconds() > 5)
    await says("hello", "thanks")(telephone)


async def screens_and_nobody_comes(telephone: Telephone) -> None:
    telephone.say(spoken("please tell me your name", RATE))
    await telephone.over.wait()


async def test_who_has_the_call_screened_hears_who_calls_and_is_talked_to(autojump_clock: MockClock) -> None:
    async with a_line(screens_and_takes_the_call, answer=Answer("one two."), **WITH_TEXT) as line:
        call = await line.order(SCREENING)
        await call.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "caller_hung_up")
        said = [m.text for m in line.providers.llm.requests[-1] if m.speaker is Speaker.USER]
        assert said == ["hello", "thanks"], "what was asked before we spoke is not answered"
        telephone = await line.talking(await line.in_network(call))
        answers_s = 2 * len("one two.") * 0.06
        assert telephone.heard_seconds() == pytest.approx(len(TEXT) * 0.06 + answers_s), "and no greeting"


async def test_a_screened_call_that_nobody_takes_ends_after_a_while(autojump_clock: MockClock) -> None:
    async with a_line(screens_and_nobody_comes, twilio_screening_ms=20_000, **WITH_TEXT) as line:
        call = await line.order(SCREENING)
        there = await line.in_network(call)
        telephone = await line.talking(there)
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"
        assert telephone.heard_seconds() == pytest.approx(len(TEXT) * 0.06)
        told_at = telephone.heard[0].at
        assert 20 <= trio.current_time() - told_at < 23


async def test_without_time_for_a_person_the_text_is_all(autojump_clock: MockClock) -> None:
    async with a_line(screens_and_nobody_comes, twilio_screening_ms=0, **WITH_TEXT) as line:
        call = await line.order(SCREENING)
        await call.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("machine_answered", "agent_hung_up")


@pytest.mark.parametrize("text", ["", TEXT])
async def test_a_fax_is_hung_up_on(text: str, autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"twilio_voicemail_text": text, "twilio_machine_detection": True}
    async with a_line(screens_and_nobody_comes, **chosen) as line:
        call = await line.order(FAX)
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"


@pytest.mark.repeats
async def test_the_people_of_the_network_do_what_their_numbers_say(autojump_clock: MockClock) -> None:
    async with a_line(**WITH_TEXT) as line:
        line.twilio.telephones.talks = None
        outcomes = {}
        for number in (SCREENING, FAX, "+15005550008"):
            call = await line.order(number)
            with trio.move_on_after(120):
                await call.over.wait()
            await line.ask("DELETE", f"/calls/{call.call_id}")
            await call.over.wait()
            outcomes[number[-1]] = call.report()["outcome"]
        # Their voices are tones, in which no words are understood.
        assert outcomes == {"6": "machine_answered", "7": "machine_answered", "8": "completed"}


async def report(line: Line, call: Any, answered_by: str) -> None:
    form = {"CallSid": call.call_sid, "CallStatus": "in-progress", "AnsweredBy": answered_by}
    status, _ = await line.webhook(f"{STATUS}?call={call.call_id}", form)
    assert status == 204


async def test_keys_of_a_person_who_waits_while_it_is_found_out_who_answered_are_told_whole(
    autojump_clock: MockClock,
) -> None:
    async with a_line(lambda telephone: telephone.over.wait(), **WITH_TEXT) as line:
        call = await line.order("+15005550005")
        telephone = await line.talking(await line.in_network(call))
        await trio.sleep(2)
        assert call.state == "DETECTING"
        for key in "4711#":
            telephone.press(key)
        await trio.sleep(0.5)
        await report(line, call, "human")
        await telephone.until(lambda: line.providers.llm.requests)
        assert line.providers.llm.requests[0][-1].text == "I pressed 4 7 1 1 on the keypad."
        telephone.hang_up()
        await call.over.wait()


async def test_who_has_heard_an_answer_out_is_a_person_whatever_twilio_takes_them_for(
    autojump_clock: MockClock,
) -> None:
    async with a_line(says("hello", "thanks", "bye"), greeting="Good day.") as line:
        call = await line.order()
        await (await line.talking(await line.in_network(call))).until(
            lambda: len(line.providers.llm.requests) > 1
        )
        await report(line, call, "machine_start")
        await call.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "caller_hung_up")
        assert len(line.providers.llm.requests) == 3


@pytest.mark.parametrize("after_s", [1.0, 2.0, 4.0])
async def test_what_goes_on_talking_over_us_is_a_machine(after_s: float, autojump_clock: MockClock) -> None:
    async def goes_on(telephone: Telephone) -> None:
        telephone.say(spoken("hello please wait", RATE))
        await trio.sleep(1.9)
        telephone.say(spoken("one two three four five six seven eight nine ten one two", RATE))
        await telephone.over.wait()

    async with a_line(goes_on, greeting="Good day.") as line:
        call = await line.order()
        await line.talking(await line.in_network(call))
        await trio.sleep(after_s)
        await report(line, call, "machine_start")
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"
