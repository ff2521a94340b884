"""Keys that the agent presses: the carrier presses them, and the same conversation goes on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators import Fault, FaultKind
from adapters.simulators.phone_dialects import PHONE_DIALECTS
from adapters.simulators.speech import Speech
from adapters.simulators.telephone import Telephone
from machines.history import Speaker
from machines.tools import ToolCall
from orchestrator.simulation import Answer
from orchestrator.simulation.speech import VOCABULARY, spoken
from tests.orchestrator.phone.phone_lines import RATE, Line, a_line, says

pytestmark = pytest.mark.slow

CHOSEN: dict[str, Any] = {"tools": ("send_digits",)}


def presses(keys: str, text: str = "") -> Answer:
    return Answer(text, calls=(ToolCall("id", "send_digits", f'{{"digits": "{keys}"}}'),))


class InVocabulary:
    """A voice that says only the words that simulated speech to text understands."""

    async def speak(self, text: str, rate: int) -> Speech:
        words = (word.strip(".,").lower() for word in text.split())
        return Speech(spoken(" ".join(word for word in words if word in VOCABULARY), rate), ())


class Menu:
    """A menu of two steps: it says what it says after the keys that were pressed, and notes what it hears."""

    WORDS = ("one two three", "four five six", "seven eight nine")

    def __init__(self) -> None:
        self.telephones: list[Telephone] = []

    async def talk(self, telephone: Telephone) -> None:
        self.telephones.append(telephone)
        if len(self.telephones) == 1:
            await telephone.until(lambda: telephone.quiet_seconds() > 1)
        telephone.say(spoken(self.WORDS[len(self.telephones) - 1], RATE))
        if len(self.telephones) == len(self.WORDS):
            await telephone.until(lambda: telephone.heard)
            await telephone.until(lambda: telephone.quiet_seconds() > 1)
        else:
            await telephone.over.wait()


@pytest.mark.parametrize(
    "name", ["audio-first", "flat", "both-tracks", "large-frames", "bursts", "no-reports"]
)
async def test_keys_are_pressed_over_carriers_with_other_habits(name: str, autojump_clock: MockClock) -> None:
    menu, dialect = Menu(), PHONE_DIALECTS[name]
    asked = (presses("2", "I press two."), presses("1"))
    async with a_line(menu.talk, answers=asked, answer=Answer("thanks."), dialect=dialect, **CHOSEN) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        assert (there.pressed, there.streams, there.complaints) == ("21", 3, [])
        assert said_by(line, Speaker.USER) == list(Menu.WORDS)
        assert call.report()["outcome"] == "completed"


async def test_the_menu_of_the_simulated_network_is_gone_through(autojump_clock: MockClock) -> None:
    hangs_up = Answer(calls=(ToolCall("id", "end_call", '{"farewell": "thanks bye"}'),))
    asked = (presses("2", "I press two."), presses("w2"))
    chosen: dict[str, Any] = {"tools": ("send_digits", "end_call"), "voice": InVocabulary()}
    async with a_line(answers=asked, answer=hangs_up, **chosen) as line:
        line.twilio.telephones.talks = None
        call = await line.order("+15005550008")
        await call.over.wait()
        there = await line.in_network(call)
        assert (there.pressed, there.streams, there.complaints) == ("22", 3, [])
        # What it says, in the few words that are understood.
        assert said_by(line, Speaker.USER) == ["one a two", "one two", "your is"]
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "agent_hung_up")


async def waits_for_the_menu(menu: Menu, streams: int) -> None:
    while len(menu.telephones) < streams:  # noqa: ASYNC110
        await trio.sleep(0.01)


def results(line: Line) -> list[str]:
    """What the tool has told the model, in all requests."""
    last = line.providers.llm.requests[-1]
    return [record.result or "" for message in last for record in message.calls]


def said_by(line: Line, speaker: Speaker) -> list[str]:
    return [m.text for m in line.providers.llm.requests[-1] if m.speaker is speaker and m.text]


async def test_a_menu_is_gone_through_in_one_conversation(autojump_clock: MockClock) -> None:
    menu = Menu()
    asked = (presses("2", "I press two."), presses("1w2#"))
    async with a_line(menu.talk, answers=asked, answer=Answer("thanks."), **CHOSEN) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        assert there.complaints == []
        assert there.pressed == "212#"
        assert there.streams == 3
        assert results(line) == ["The keys were pressed."] * 2
        assert said_by(line, Speaker.USER) == list(Menu.WORDS)
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "caller_hung_up")
        assert line.port.server.counts["calls completed"] == 1
        # What was said before is heard to its end before keys are pressed; afterwards nothing is said twice.
        [first, second, third] = [t.heard_seconds() for t in menu.telephones]
        assert first == pytest.approx(len("I press two.") * 0.06)
        assert (second, third > 0) == (0, True)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(FaultKind.STATUS, "twilio.call", status=503), "HTTP 503"),
        (Fault(FaultKind.STATUS, "twilio.call", status=429), "HTTP 429"),
        (Fault(FaultKind.REFUSE, "twilio.call"), "twilio: "),
    ],
)
async def test_keys_that_twilio_does_not_press_are_told_and_the_call_goes_on(
    fault: Fault, said: str, autojump_clock: MockClock
) -> None:
    asked = (presses("2"), Answer("sorry."))
    async with a_line(says("hello", "thanks"), faults=(fault,), answers=asked, **CHOSEN) as line:
        call = await line.order()
        await call.over.wait()
        [result] = results(line)
        assert result.startswith("It is not certain that the keys were pressed: ")
        assert said in result
        assert said_by(line, Speaker.USER) == ["hello", "thanks"]
        assert call.report()["outcome"] == "completed"
        assert (await line.in_network(call)).streams == 1


async def test_something_that_is_said_meanwhile_is_heard_over_the_next_stream(
    autojump_clock: MockClock,
) -> None:
    menu = Menu()
    async with a_line(menu.talk, answers=(presses(f"1{20 * 'w'}"),), **CHOSEN) as line:
        call = await line.order()
        while call.state != "pressing":  # noqa: ASYNC110
            await trio.sleep(0.01)
        await trio.sleep(0.5)
        text = "One moment, I am pressing some keys, which takes a while, and then we go on."
        wish = {"text": text, "interruptible": False, "mode": "interrupt"}
        status, told = await line.ask("POST", f"/calls/{call.call_id}/say", wish)
        assert (status, told["state"]) == (202, "pressing")
        await waits_for_the_menu(menu, 2)
        telephone = menu.telephones[1]
        await telephone.until(lambda: telephone.quiet_seconds() > 3)
        assert menu.telephones[0].heard_seconds() == 0
        assert telephone.heard_seconds() >= len(text) * 0.06
        await line.ask("DELETE", f"/calls/{call.call_id}")
        await call.over.wait()
        assert "missing marks" not in line.port.server.counts


async def test_a_nudge_in_the_meantime_is_heard_afterwards_until_the_other_end_speaks(
    autojump_clock: MockClock,
) -> None:
    menu, nudge = Menu(), "Are you still there?"
    asked = (presses("1wwwwwwww", "I press one."), presses("2"))
    chosen: dict[str, Any] = {**CHOSEN, "idle_nudge_ms": 3000}
    async with a_line(menu.talk, answers=asked, answer=Answer("thanks."), **chosen) as line:
        call = await line.order()
        await call.over.wait()
        first, second, _ = menu.telephones
        assert first.heard_seconds() == pytest.approx(len("I press one.") * 0.06)
        assert 0 < second.heard_seconds() < len(nudge) * 0.06
        assert "missing marks" not in line.port.server.counts


@pytest.mark.parametrize("how", ["hangs up", "is hung up on", "the server stops", "no stream"])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
async def test_a_call_may_end_while_keys_are_pressed(
    how: str, after_s: float, autojump_clock: MockClock
) -> None:
    menu = Menu()
    async with a_line(menu.talk, answers=(presses("1wwwwwww"),), **CHOSEN) as line:
        call = await line.order()
        there = await line.in_network(call)
        while call.state != "pressing":  # noqa: ASYNC110
            await trio.sleep(0.01)
        await trio.sleep(after_s)
        match how:
            case "hangs up":
                there.end()
            case "is hung up on":
                await line.ask("DELETE", f"/calls/{call.call_id}")
            case "no stream":
                line.twilio.telephones.open_stream = _refuses
            case _:
                return
        await call.over.wait()
        failed = how == "no stream"
        assert call.report()["outcome"] == ("failed" if failed else "completed")
        if failed:
            assert "did not come back" in call.report()["reason"]


async def _refuses(host: str, port: int) -> trio.abc.Stream:
    raise OSError("nobody is there")


async def test_keys_are_pressed_in_a_call_from_outside_too(autojump_clock: MockClock) -> None:
    menu = Menu()
    async with a_line(menu.talk, answers=(presses("4"), presses("5")), **CHOSEN) as line:
        there = line.rings()
        await there.over.wait()
        assert (there.pressed, there.streams, there.complaints) == ("45", 3, [])
        await line.inbound().over.wait()


async def test_what_is_no_key_is_told_to_the_model(autojump_clock: MockClock) -> None:
    asked = (presses("two"), Answer("sorry."))
    async with a_line(says("hello", "thanks"), answers=asked, **CHOSEN) as line:
        there = line.rings()
        await there.over.wait()
        [result] = results(line)
        assert result.startswith("'two' cannot be pressed: ")
        assert (there.pressed, there.streams) == ("", 1)


async def test_a_caller_who_hangs_up_while_twilio_refuses_the_keys_is_not_held(
    autojump_clock: MockClock,
) -> None:
    menu = Menu()
    slow = Fault(FaultKind.SLOW_ACCEPT, "twilio.call", seconds=3)
    refused = Fault(FaultKind.STATUS, "twilio.call", status=503)
    async with a_line(menu.talk, faults=(slow, refused), answers=(presses("1"),), **CHOSEN) as line:
        there = line.rings()  # Twilio is not told where to report the call's end
        telephone = await line.talking(there)
        call = line.inbound()
        while call.state != "pressing":  # noqa: ASYNC110
            await trio.sleep(0.01)
        telephone.hang_up()
        with trio.fail_after(60):
            await call.over.wait()
        assert call.report()["outcome"] == "failed"
        assert "did not come back" in call.report()["reason"]


async def test_nothing_is_said_to_pass_the_time_while_keys_are_pressed(autojump_clock: MockClock) -> None:
    menu = Menu()
    asked = (presses("1wwwwwwwwwww"), presses("2"))
    async with a_line(menu.talk, answers=asked, answer=Answer("thanks."), **CHOSEN) as line:
        call = await line.order()
        await call.over.wait()
        assert [telephone.heard_seconds() > 0 for telephone in menu.telephones] == [False, False, True]
        assert menu.telephones[2].heard_seconds() == pytest.approx(len("thanks.") * 0.06)
