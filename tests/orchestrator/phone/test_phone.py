"""Telephone calls, both ways, in virtual time: the whole server against the simulated Twilio."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from adapters.mulaw import from_mulaw
from adapters.simulators import Fault, FaultKind
from adapters.simulators.script import Latency
from adapters.simulators.telephone import Telephone
from machines.history import Speaker
from machines.policy import ConversationPolicy
from machines.tools import ToolCall
from orchestrator.phone.call_options import OptionError, read_options
from orchestrator.simulation import Answer
from orchestrator.simulation.speech import spoken
from protocol.twilio import Clear
from tests.orchestrator.phone.phone_lines import (
    OURS,
    RATE,
    STATUS,
    THEIRS,
    TOKEN,
    VOICE,
    a_line,
    listens,
    says,
)

# --- inbound ----------------------------------------------------------------------------------------------


async def test_a_call_to_our_number_is_a_conversation(autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks")) as line:
        call = line.rings(status_url=STATUS)
        await call.over.wait()
        assert call.complaints == []
        assert call.status == "completed"
        assert [m.text for m in line.providers.llm.requests[-1] if m.speaker is Speaker.USER] == [
            "hello",
            "thanks",
        ]
        ours = line.inbound()
        await ours.over.wait()
        told = ours.report()
        assert (told["direction"], told["from"], told["to"]) == ("inbound", THEIRS, OURS)
        assert (told["outcome"], told["endReason"], told["callSid"]) == (
            "completed",
            "caller_hung_up",
            call.sid,
        )


async def test_options_in_the_numbers_address_reach_the_conversation(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        options = {"greeting": "Guten Tag.", "language": "de-DE", "voice": "kyle", "system_prompt": "Kurz."}
        call = line.rings(url=f"{VOICE}?{urlencode(options)}")
        await call.over.wait()
        assert call.complaints == []
        assert line.providers.stt.languages == ["de-DE"]
        assert set(line.providers.tts.voices) == {"kyle"}
        assert line.providers.llm.requests[-1][0].text == "Kurz."


async def test_a_bad_option_in_the_numbers_address_is_said(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        call = line.rings(url=f"{VOICE}?language=klingon!")
        await call.over.wait()
        assert "language must be a language's code, such as en-US" in call.complaints[0]
        assert call.status == "failed"


async def test_a_server_without_room_is_busy(autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks", "bye"), local_max_calls=1) as line:
        first = line.rings(status_url=STATUS)
        await line.talking(first)
        await trio.sleep(1)
        second = line.rings(status_url=STATUS)
        await second.over.wait()
        assert second.status == "busy"
        assert line.port.server.counts["calls turned away"] == 1
        await first.over.wait()


async def test_calls_can_be_asked_about_after_their_end_until_many_others_have_ended(
    autojump_clock: MockClock,
) -> None:
    async with a_line(forgotten=3) as line:
        line.port.server.phone.most_remembered = 3
        busy = [await line.order("+15005550002") for _ in range(5)]
        inbound = line.rings()
        await inbound.over.wait()
        for call in line.port.server.phone.unfinished():
            await call.over.wait()
        _, told = await line.ask("GET", "/calls")
        assert [(each["direction"], each["outcome"]) for each in told["calls"]] == [
            ("inbound", "completed"),
            ("outbound", "busy"),
            ("outbound", "busy"),
        ]
        assert told["calls"][0]["callSid"] == inbound.sid
        statuses = [(await line.ask("GET", f"/calls/{call.call_id}"))[0] for call in busy]
        assert statuses == [404, 404, 404, 200, 200]


async def test_a_call_whose_end_nobody_reports_has_an_outcome_all_the_same(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        await line.rings().over.wait()
        await line.inbound().over.wait()
        assert line.inbound().report()["outcome"] == "completed"


# --- outbound ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_call_is_made_and_reported(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        call = await line.order(greeting="Good morning.", system_prompt="Sell.")
        states: list[str] = []
        while not call.over.is_set():
            status, told = await line.ask("GET", f"/calls/{call.call_id}")
            assert status == 200
            states += [told["state"]] if states[-1:] != [told["state"]] else []
            await trio.sleep(0.05)
        assert states[:3] == ["placed", "ringing", "conversing"] or states[:4] == [
            "placing",
            "placed",
            "ringing",
            "conversing",
        ]
        assert call.report()["outcome"] == "completed"
        there = await line.in_network(call)
        assert there.complaints == []
        assert there.statuses == ["initiated", "ringing", "in-progress", "completed"]
        assert line.providers.llm.requests[-1][0].text == "Sell."


@pytest.mark.slow
async def test_a_call_has_its_own_texts_for_a_caller_who_is_quiet(autojump_clock: MockClock) -> None:
    texts = {
        "idle_nudge_1": "Hallo?",
        "idle_nudge_2": "Sind Sie noch da?",
        "idle_goodbye": "Auf Wiederhören.",
    }
    async with a_line(listens, idle_nudge_ms=1000) as line:
        ours, theirs = await line.order(**texts), line.rings(url=f"{VOICE}?{urlencode(texts)}")
        for call in (await line.in_network(ours), theirs):
            await call.over.wait()
            assert call.telephone is not None
            assert call.telephone.heard_seconds() == pytest.approx(sum(map(len, texts.values())) * 0.06)


def test_the_other_texts_of_a_call_are_its_policys() -> None:
    policy = ConversationPolicy(reprompt="Pardon?", greeting="Hello.")
    applied = read_options({"reprompt": "Wie bitte?", "idle_nudge_2": "Noch da?"}).applied_to(policy)
    assert applied == evolve(policy, reprompt="Wie bitte?", nudges=(policy.nudges[0], "Noch da?"))
    assert read_options({"reprompt": ""}).applied_to(policy).reprompt == "", "nothing is said then"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"idle_goodbye": ""}, "idle_goodbye: String should have at least 1 character"),
        ({"reprompt": "x" * 32_769}, "reprompt: String should have at most 32768 characters"),
    ],
)
def test_a_text_that_cannot_be_said_is_refused(option: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError, match=f"^{said}$"):
        read_options(option)


@pytest.mark.parametrize(
    ("number", "outcome", "said"),
    [
        ("+15005550001", "failed", "HTTP 400, code 21211: Unable to create record: The phone number you are"),
        ("+15005550002", "busy", ""),
        ("+15005550003", "no_answer", ""),
        ("+15005550004", "failed", ""),
    ],
)
async def test_every_way_in_which_nobody_answers_is_told_apart(
    number: str, outcome: str, said: str, autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        call = await line.order(number)
        await call.over.wait()
        told = call.report()
        assert told["outcome"] == outcome
        assert said in told["reason"]
        assert line.port.server.counts[f"calls {outcome}"] == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(FaultKind.STATUS, "twilio", status=503), "HTTP 503"),
        (Fault(FaultKind.STATUS, "twilio", status=429), "HTTP 429"),
        (Fault(FaultKind.REFUSE, "twilio"), "twilio: "),
        (
            Fault(FaultKind.SLOW_ACCEPT, "twilio", seconds=60),
            "the carrier did not take the call in time|Timeout",
        ),
    ],
)
async def test_a_call_that_twilio_does_not_take_has_failed_and_is_not_placed_twice(
    fault: Fault, said: str, autojump_clock: MockClock
) -> None:
    async with a_line(faults=(fault,)) as line:
        call = await line.order()
        await call.over.wait()
        told = call.report()
        assert told["outcome"] == "failed"
        assert any(each in told["reason"] for each in said.split("|"))
        assert len(line.twilio.records.at("twilio")) == 1


async def test_a_refused_account_is_said_without_its_token(autojump_clock: MockClock) -> None:
    fault = Fault(FaultKind.STATUS, "twilio", status=401, reason=f"no, {TOKEN}")
    async with a_line(faults=(fault,)) as line:
        call = await line.order()
        await call.over.wait()
        assert TOKEN not in call.report()["reason"]
        assert "HTTP 401" in call.report()["reason"]


async def test_an_answering_machine_is_hung_up_on(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order("+15005550005", machine_detection=True)
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"
        assert call.report()["endReason"] == "operator_hung_up"
        await (await line.in_network(call)).over.wait()


async def test_where_the_carrier_carries_tones_keys_are_heard(autojump_clock: MockClock) -> None:
    wanted = Answer(calls=(ToolCall("id", "send_digits", '{"digits": "42#"}'),))
    chosen: dict[str, Any] = {"tools": ("send_digits",), "twilio_carries_tones": True}
    async with a_line(says("hello"), answer=wanted, **chosen) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        assert (await line.talking(there)).heard_seconds() == pytest.approx(3 * 0.2)
        assert there.pressed == ""


@pytest.mark.parametrize("by_setting", [True, False])
async def test_a_mailbox_records_its_own_text_after_the_beep_and_nothing_else(
    by_setting: bool, autojump_clock: MockClock
) -> None:
    text = "This is Vantum, please call us back."
    chosen: Any = {"twilio_voicemail_text": text} if by_setting else {}
    async with a_line(listens, greeting="Good day, how are you?", **chosen) as line:
        order = {} if by_setting else {"voicemail_text": text}
        call = await line.order("+15005550005", **order)
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"
        assert call.report()["endReason"] == "agent_hung_up"
        telephone = await line.talking(await line.in_network(call))
        answered_at = telephone.heard[0].at - telephone._began_at
        assert 11.4 <= answered_at < 13, "in the greeting, or long after the beep"
        assert telephone.heard_seconds() == pytest.approx(len(text) * 0.06)
        assert line.providers.llm.requests == []


async def test_a_person_is_greeted_when_the_carrier_has_told_that_it_is_one(
    autojump_clock: MockClock,
) -> None:
    greeting = "Good day, how are you?"
    async with a_line(
        listens, greeting=greeting, twilio_voicemail_text="Call back.", idle_nudge_ms=0
    ) as line:
        call = await line.order()
        telephone = await line.talking(await line.in_network(call))
        await telephone.until(lambda: telephone.heard_seconds() > len(greeting) * 0.06 - 0.01)
        assert 1.5 <= telephone.heard[0].at - telephone._began_at < 3
        telephone.hang_up()
        await call.over.wait()
        assert call.report()["outcome"] == "completed"


@pytest.mark.parametrize("how", ["hangs up", "is cut off", "is hung up on", "the server stops"])
async def test_a_call_may_end_before_it_is_known_who_answered(how: str, autojump_clock: MockClock) -> None:
    async with a_line(listens, twilio_voicemail_text="Call back.") as line:
        call = await line.order("+15005550005")
        telephone = await line.talking(await line.in_network(call))
        await trio.sleep(3)
        assert call.state == "DETECTING"
        match how:
            case "hangs up":
                telephone.hang_up()
            case "is cut off":
                telephone.cut()
            case "is hung up on":
                await line.ask("DELETE", f"/calls/{call.call_id}")
            case _:
                return
        await call.over.wait()
        assert call.report()["sessionId"] is None


async def test_a_person_is_not_taken_for_a_machine(autojump_clock: MockClock) -> None:
    async with a_line(twilio_machine_detection=True) as line:
        call = await line.order()
        await call.over.wait()
        assert call.report()["outcome"] == "completed"


@pytest.mark.slow
async def test_we_hang_up_after_goodbye_was_heard_to_its_end(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"idle_nudge_ms": 1000, "idle_goodbye": "Goodbye for now."}
    async with a_line(listens, **chosen) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        await there.over.wait()
        assert there.telephone is not None
        texts = ("Are you still there?", "I am still here, if there is anything else.", "Goodbye for now.")
        assert there.telephone.heard_seconds() == pytest.approx(sum(map(len, texts)) * 0.06)
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "idle")


async def test_a_call_that_still_rings_has_its_line_already(autojump_clock: MockClock) -> None:
    async with a_line(local_max_calls=1) as line:
        call = await line.order("+15005550003")
        status, body = await line.ask("POST", "/calls", {"to": THEIRS})
        assert (status, body["error"]) == (503, "all lines are busy")
        await call.over.wait()
        again = await line.order()
        await again.over.wait()
        assert again.report()["outcome"] == "completed"


@pytest.mark.repeats
@pytest.mark.parametrize("after_s", [0, 0.01, 0.3, 0.7, 1.5, 2.4, 2.6, 3.0, 4.0, 6.0])
async def test_a_call_can_be_hung_up_at_any_moment(after_s: float, autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks", "bye")) as line:
        call = await line.order()
        await trio.sleep(after_s)
        status, _ = await line.ask("DELETE", f"/calls/{call.call_id}")
        assert status == 202
        await call.over.wait()
        talked = call.report()["sessionId"] is not None
        assert call.report()["outcome"] == ("completed" if talked else "cancelled")
        there = await line.in_network(call)
        await there.over.wait()
        assert there.status == ("completed" if "in-progress" in there.statuses else "canceled")


LONG = "This is a rather long goodbye, which takes more than ten seconds to say." * 3


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
async def test_who_hangs_up_lets_an_answer_be_heard_out_unless_they_do_so_again(
    again: bool, autojump_clock: MockClock
) -> None:
    async with a_line(says("hello"), answer=Answer(LONG)) as line:
        call = await line.order()
        telephone = await line.talking(await line.in_network(call))
        await telephone.until(lambda: telephone.heard_seconds() > 0.5)
        for _ in range(1 + again):
            status, _ = await line.ask("DELETE", f"/calls/{call.call_id}")
            assert status == 202
        await call.over.wait()
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "operator_hung_up")
        if again:
            assert telephone.heard_seconds() < 1
        else:
            assert telephone.heard_seconds() == pytest.approx(len(LONG) * 0.06, abs=0.1)


@pytest.mark.parametrize("after_s", [0.01, 0.7, 2.6, 4.0])
async def test_a_server_that_stops_ends_its_calls(after_s: float, autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        await trio.sleep(after_s)
        with trio.fail_after(20):
            await line.port.server.drain()
        assert call.outcome is not None
        assert line.twilio.telephones.calls[call.call_sid or ""].status in ("completed", "canceled")


async def test_a_server_that_stops_with_patience_lets_the_answer_and_its_goodbye_be_heard(
    autojump_clock: MockClock,
) -> None:
    """D5."""
    text = "One two three four five six seven eight nine ten eleven twelve. And then thirteen."
    async with a_line(says("hello"), answer=Answer(text), shutdown_goodbye="Goodbye for now.") as line:
        telephone = await line.talking(line.rings())
        await telephone.until(lambda: telephone.heard_seconds() > 1)
        with trio.fail_after(59):
            await line.port.server.drain(patience_s=59)
        assert telephone.heard_seconds() == pytest.approx(len(text + "Goodbye for now.") * 0.06, abs=0.1)
        assert line.inbound().report()["endReason"] == "shutdown"


async def test_a_server_that_is_cut_off_records_what_there_was(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order("+15005550003")
        await trio.sleep(1)
        line.port.nursery.cancel_scope.cancel()
        await trio.sleep_forever()
    assert call.report()["outcome"] == "cancelled"


async def test_a_call_that_cannot_be_hung_up_is_over_all_the_same(autojump_clock: MockClock) -> None:
    async with a_line(faults=(Fault(FaultKind.STATUS, "twilio.call", status=503, times=0),)) as line:
        call = await line.order("+15005550003")
        await trio.sleep(1)
        await line.ask("DELETE", f"/calls/{call.call_id}")
        with trio.fail_after(30):
            await call.over.wait()
        assert call.report()["outcome"] == "cancelled"


@pytest.mark.slow
async def test_people_of_the_script_talk_in_turns_and_machines_talk_at_once(
    autojump_clock: MockClock,
) -> None:
    async with a_line(greeting="Good morning.", idle_nudge_ms=3000, idle_goodbye="Goodbye.") as line:
        line.twilio.telephones.talks = None
        for number in (THEIRS, "+15005550005"):
            call = await line.order(number)
            await call.over.wait()
            assert call.report()["outcome"] == "completed"
            there = await line.in_network(call)
            assert there.complaints == []
            assert there.telephone is not None
            assert there.telephone.heard_seconds() > 0.7


@pytest.mark.parametrize("lead_ms", [0, 200, 1000])
async def test_silence_is_sent_before_the_first_words_and_no_others(
    lead_ms: int, autojump_clock: MockClock
) -> None:
    greeting = "Good morning."
    async with a_line(greeting=greeting, answer=Answer("one two."), twilio_lead_ms=lead_ms) as line:
        call = await line.order()
        await call.over.wait()
        telephone = await line.talking(await line.in_network(call))
        assert telephone.heard_seconds() == pytest.approx(lead_ms / 1000 + len(greeting + "one two.") * 0.06)
        frames = round(lead_ms / 20)
        assert not any(np.any(from_mulaw(piece.audio)) for piece in telephone.heard[:frames])
        assert np.any(from_mulaw(telephone.heard[frames].audio))


# --- the stream -------------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten eleven twelve."


async def test_an_interruption_is_heard_over_the_whole_network(autojump_clock: MockClock) -> None:
    async def interrupts(telephone: Telephone) -> None:
        telephone.say(spoken("hello", RATE))
        await telephone.until(lambda: telephone.heard_seconds() > 1.5)
        telephone.say(spoken("stop please stop", RATE))
        await telephone.until(lambda: Clear() in telephone.messages)
        await trio.sleep(3)

    async with a_line(interrupts, answer=Answer(TEXT), jitter=Latency(40, 0.5)) as line:
        call = await line.order()
        await call.over.wait()
        said = next(m for m in line.providers.llm.requests[-1] if m.speaker is Speaker.ASSISTANT)
        assert said.interrupted
        assert 3 <= len(said.text.split()) <= 8
