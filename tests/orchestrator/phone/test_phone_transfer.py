"""A caller is told something, and connected to somebody else: whole telephone calls in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators import Fault, FaultKind
from adapters.simulators.telephone import Telephone
from machines.facts import ErrorClass
from machines.tools import ToolCall
from orchestrator.phone.phone_call import PhoneCall
from orchestrator.simulation import Answer, Fails
from orchestrator.simulation.speech import spoken
from protocol.twilio import Clear
from tests.orchestrator.phone.phone_lines import OURS, RATE, STATUS, THEIRS, Line, a_line, listens, says

pytestmark = pytest.mark.slow

COLLEAGUE, BUSY = "+15005557777", "+15005550002"
LAST_WORDS = "One moment please, I connect you."
CHAR_S = 0.06


async def ask_for(line: Line, call: PhoneCall, what: str, **body: Any) -> tuple[int, Any]:
    return await line.ask("POST", f"/calls/{call.call_id}/{what}", body)


async def talked_to(line: Line, call: PhoneCall) -> Telephone:
    """The telephone of a call, once somebody is talked to."""
    telephone = await line.talking(await line.in_network(call))
    await trio.sleep(0.5)
    return telephone


# --- transfer ---------------------------------------------------------------------------------------------


async def test_a_caller_hears_the_last_words_to_their_end_and_is_connected(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        status, told = await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        assert (status, told["state"]) == (202, "conversing")
        there = await line.in_network(call)
        await line.twilio.telephones.until(lambda: there.dialled)
        assert telephone.heard_seconds() == pytest.approx(len(LAST_WORDS) * CHAR_S)
        await call.over.wait()
        told = call.report()
        assert (told["outcome"], told["endReason"], told["reason"]) == ("handed_over", "handed_over", "")
        assert there.status == "in-progress", "they talk to each other"
        await there.over.wait()
        assert (there.dialled, there.complaints) == ([COLLEAGUE], [])
        assert there.statuses == ["initiated", "ringing", "in-progress", "completed"]
        assert call.report()["outcome"] == "handed_over"


async def test_so_is_somebody_who_called_us_and_shows_their_own_number(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        there = line.rings(status_url=STATUS)
        await line.talking(there)
        await trio.sleep(0.5)
        call = line.inbound()
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        await there.over.wait()
        assert (call.report()["outcome"], there.dialled) == ("handed_over", [COLLEAGUE])
        [order] = [each.body for each in line.twilio.records.at("twilio.call")]
        assert isinstance(order, dict)
        assert "callerId" not in order["Twiml"]


@pytest.mark.parametrize(
    "hidden", ["", "anonymous", "Restricted", "+266696687", "+86282452253", "sip:a@b.example", "client:ann"]
)
async def test_for_who_shows_no_number_ours_is_shown(hidden: str, autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        there = line.rings(status_url=STATUS, from_=hidden)
        await line.talking(there)
        await trio.sleep(0.5)
        call = line.inbound()
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        await there.over.wait()
        assert (call.report()["outcome"], there.dialled, there.complaints) == ("handed_over", [COLLEAGUE], [])


async def test_whom_we_called_is_announced_with_our_number(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        await talked_to(line, call)
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        [order] = [each.body for each in line.twilio.records.at("twilio.call")]
        assert isinstance(order, dict)
        assert f'callerId="{OURS}"' in order["Twiml"]


async def test_last_words_take_the_place_of_an_answer_and_no_voice_cuts_them_off(
    autojump_clock: MockClock,
) -> None:
    async def speaks_over_everything(telephone: Telephone) -> None:
        telephone.say(spoken("hello", RATE))
        await telephone.until(lambda: Clear() in telephone.messages)
        telephone.say(spoken("stop please stop", RATE))
        telephone.press("1")
        await telephone.over.wait()

    async with a_line(speaks_over_everything, answer=Answer("one two three four five six seven.")) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        await telephone.until(lambda: telephone.heard_seconds() > 1)
        before = trio.current_time()
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        assert call.report()["outcome"] == "handed_over"
        assert telephone.heard_seconds(before) == pytest.approx(len(LAST_WORDS) * CHAR_S, abs=0.25)


@pytest.mark.parametrize("then", ["hand_over", "end"])
@pytest.mark.parametrize("transfer_to", [COLLEAGUE, None])
async def test_a_model_that_keeps_failing_hands_the_caller_over_if_there_is_somebody(
    transfer_to: str | None, then: str, autojump_clock: MockClock
) -> None:
    chosen: dict[str, Any] = {"llm_fallback_tier3_then": then, "twilio_transfer_to": transfer_to}
    broken = Answer(fault=Fails(ErrorClass.FATAL))
    async with a_line(says("hello", "hello", "hello"), answer=broken, **chosen) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        await there.over.wait()
        handed_over = then == "hand_over" and transfer_to is not None
        assert call.report()["outcome"] == ("handed_over" if handed_over else "completed")
        assert there.dialled == ([COLLEAGUE] if handed_over else [])


async def test_the_model_hands_the_caller_over_after_its_announcement(autojump_clock: MockClock) -> None:
    arguments = json.dumps({"announcement": LAST_WORDS})
    wanted = Answer(calls=(ToolCall("id", "transfer_call", arguments),))
    chosen: dict[str, Any] = {"tools": ("end_call", "transfer_call"), "twilio_transfer_to": COLLEAGUE}
    async with a_line(says("hello"), answer=wanted, **chosen) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        telephone = await line.talking(there)
        assert telephone.heard_seconds() == pytest.approx(len(LAST_WORDS) * CHAR_S)
        await there.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("handed_over", "handed_over")
        assert there.dialled == [COLLEAGUE]


async def test_the_model_hangs_up_after_its_farewell(autojump_clock: MockClock) -> None:
    wanted = Answer(calls=(ToolCall("id", "end_call", json.dumps({"farewell": "Goodbye!"})),))
    async with a_line(says("hello"), answer=wanted, tools=("end_call",)) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        assert (await line.talking(there)).heard_seconds() == pytest.approx(len("Goodbye!") * CHAR_S)
        await there.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "agent_hung_up")
        assert [spec.name for spec in line.providers.llm.offered[0]] == ["end_call"]


async def test_whoever_is_called_may_be_busy_and_the_call_is_over(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        await talked_to(line, call)
        await ask_for(line, call, "transfer", to=BUSY, text=LAST_WORDS)
        there = await line.in_network(call)
        await there.over.wait()
        assert (there.dialled, there.status) == ([BUSY], "completed")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(FaultKind.STATUS, "twilio.call", status=503), "HTTP 503"),
        (Fault(FaultKind.STATUS, "twilio.call", status=400, reason="Twiml is too long"), "Twiml is too long"),
        (Fault(FaultKind.SLOW_ACCEPT, "twilio.call", seconds=60), "twilio: "),
    ],
)
async def test_a_transfer_that_twilio_does_not_make_ends_the_call_and_says_why(
    fault: Fault, said: str, autojump_clock: MockClock
) -> None:
    async with a_line(listens, faults=(fault,)) as line:
        call = await line.order()
        await talked_to(line, call)
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        told = call.report()
        assert told["outcome"] == "failed"
        assert told["reason"].startswith("the caller could not be handed over: ")
        assert said in told["reason"]
        there = await line.in_network(call)
        await there.over.wait()
        assert there.dialled == []


@pytest.mark.repeats
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0, 1.9, 1.98, 2.0, 2.1])
async def test_a_caller_who_hangs_up_at_any_moment_of_it_has_one_outcome(
    after_s: float, autojump_clock: MockClock
) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await trio.sleep(after_s)
        there = await line.in_network(call)
        telephone.hang_up()
        there.end()
        await call.over.wait()
        assert call.report()["outcome"] == ("handed_over" if there.dialled else "completed")


@pytest.mark.repeats
@pytest.mark.parametrize("after_s", [0.0, 1.0, 1.98, 2.0, 2.1])
async def test_it_can_be_hung_up_on_at_any_moment(after_s: float, autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        await talked_to(line, call)
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await trio.sleep(after_s)
        status, _ = await line.ask("DELETE", f"/calls/{call.call_id}")
        assert status == 202
        await call.over.wait()
        there = await line.in_network(call)
        assert call.report()["outcome"] == ("handed_over" if there.dialled else "completed")
        await there.over.wait()


async def test_a_caller_who_was_handed_over_needs_no_server_any_more(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        await ask_for(line, call, "transfer", to=COLLEAGUE, text=LAST_WORDS)
        await call.over.wait()
        await telephone.over.wait()
        assert not line.port.server.sessions
        with trio.fail_after(1):
            await line.port.server.drain()
        assert (await line.in_network(call)).status == "in-progress"


# --- what is said on the way ------------------------------------------------------------------------------


async def test_something_can_be_said_to_whoever_is_talked_to(autojump_clock: MockClock) -> None:
    text = "Please hold the line."
    async with a_line(listens) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        status, told = await ask_for(line, call, "say", text=text)
        assert (status, told["state"]) == (202, "conversing")
        await telephone.until(lambda: telephone.heard and telephone.quiet_seconds() > 1)
        assert telephone.heard_seconds() == pytest.approx(len(text) * CHAR_S)
        assert call.report()["state"] == "conversing"
        telephone.hang_up()


@pytest.mark.parametrize(("mode", "cut_off"), [("queue", False), ("interrupt", True), ("when_idle", False)])
async def test_it_is_said_when_its_mode_says(mode: str, cut_off: bool, autojump_clock: MockClock) -> None:
    answer, text = "one two three four five six seven eight.", "Please hold."
    async with a_line(says("hello"), answer=Answer(answer)) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        await telephone.until(lambda: telephone.heard_seconds() > 1)
        await ask_for(line, call, "say", text=text, mode=mode, interruptible=False)
        await call.over.wait()
        assert (Clear() in telephone.messages) == cut_off
        whole = (len(answer) + len(text)) * CHAR_S
        assert (telephone.heard_seconds() < whole - 0.5) == cut_off


@pytest.mark.parametrize(
    ("what", "body", "said"),
    [
        ("say", {}, "text: Field required"),
        ("say", {"text": "..."}, "text: Value error, there is nothing to say in '...'"),
        ("say", {"text": "x" * 5000}, "text: String should have at most 4096 characters"),
        (
            "say",
            {"text": "Hello.", "mode": "loudly"},
            "mode: Input should be 'queue', 'interrupt' or 'when_idle'",
        ),
        ("transfer", {"text": "Hello."}, "to must be a telephone number in E.164 form"),
        ("transfer", {"text": "Hello.", "to": "the boss"}, "to must be a telephone number in E.164 form"),
        ("transfer", {"to": COLLEAGUE}, "text: Field required"),
        ("transfer", {"to": COLLEAGUE, "text": "Hello.", "at": "once"}, "at: Extra inputs are not permitted"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused_in_words(
    what: str, body: dict[str, str], said: str, autojump_clock: MockClock
) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        telephone = await talked_to(line, call)
        status, told = await ask_for(line, call, what, **body)
        assert status == 400
        assert said in told["error"]
        telephone.hang_up()


@pytest.mark.parametrize("what", ["say", "transfer"])
async def test_where_nobody_is_talked_to_nothing_can_be_said(what: str, autojump_clock: MockClock) -> None:
    body = {"text": "Hello."} | ({"to": COLLEAGUE} if what == "transfer" else {})
    async with a_line() as line:
        call = await line.order(THEIRS)
        await trio.sleep(1)
        status, told = await ask_for(line, call, what, **body)
        assert (status, told["error"]) == (409, "nobody is talked to: the call is ringing")
        await call.over.wait()
        status, told = await ask_for(line, call, what, **body)
        assert (status, told["error"]) == (409, "nobody is talked to: the call is ENDED")
        status, _ = await line.ask("POST", f"/calls/none/{what}", body)
        assert status == 404


@pytest.mark.parametrize("what", ["say", "transfer"])
async def test_who_may_not_make_calls_may_not_speak_in_them_either(
    what: str, autojump_clock: MockClock
) -> None:
    async with a_line(listens, api_token="sesame") as line:
        status, _ = await line.ask_without_key("POST", f"/calls/none/{what}", {"text": "Hello."})
        assert status == 401
