"""Which calls the telephone makes and takes: toll fraud, limits and money, in whole calls in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators.telephone import Telephone
from machines.facts import EndReason
from machines.telephone_call.facts import TransferWanted
from tests.orchestrator.phone.phone_lines import OURS, THEIRS, a_line, listens, says

ABROAD, PREMIUM = "+493012345678", "+19002345678"
LAST_WORDS = "One moment please."


@pytest.mark.parametrize("number", [ABROAD, PREMIUM, "+881612345678", "+18765551234"])
async def test_a_number_that_may_not_be_called_is_refused_and_nobody_is_called(
    number: str, autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        status, body = await line.ask("POST", "/calls", {"to": number})
        assert status == 403
        assert body["error"].startswith("this number may not be called from here: ")
        assert not line.port.server.phone.calls
        assert not line.twilio.telephones.calls


async def test_what_the_settings_allow_is_called(autojump_clock: MockClock) -> None:
    async with a_line(dial_allow="+49, +1900") as line:
        for number in (ABROAD, PREMIUM):
            call = await line.order(number)
            await call.over.wait()
        assert (await line.ask("POST", "/calls", {"to": THEIRS}))[0] == 403


async def test_nobody_is_transferred_to_a_number_that_may_not_be_called(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        there = line.rings()
        await line.talking(there)
        await trio.sleep(0.5)
        call = line.inbound()
        path, words = f"/calls/{call.call_id}/transfer", {"text": LAST_WORDS}
        status, body = await line.ask("POST", path, {"to": ABROAD, **words})
        assert (status, body["error"]) == (
            403,
            "this number may not be called from here: DIAL_ALLOW names what may",
        )
        assert call.is_talking
        # Whoever wants it and however: the last gate is before the carrier.
        call.take(TransferWanted(PREMIUM, LAST_WORDS))
        await call.over.wait()
        assert not there.dialled
        assert "of premium rate" in call.reason


async def test_a_server_that_only_takes_calls_transfers_within_the_country_of_its_number(
    autojump_clock: MockClock,
) -> None:
    async with a_line(listens, twilio_from_number=None) as line:
        there = line.rings(to=OURS)
        await line.talking(there)
        await trio.sleep(0.5)
        path = f"/calls/{line.inbound().call_id}/transfer"
        assert (await line.ask("POST", path, {"to": ABROAD, "text": LAST_WORDS}))[0] == 403
        assert (await line.ask("POST", path, {"to": THEIRS, "text": LAST_WORDS}))[0] == 202
        await there.over.wait()
        assert there.dialled == [THEIRS]


async def test_dials_that_are_too_many_are_refused_with_the_time_to_wait(autojump_clock: MockClock) -> None:
    async with a_line(dials_per_hour_per_number=2) as line:
        for _ in range(2):
            call = await line.order()
            await call.over.wait()
        status, body = await line.ask("POST", "/calls", {"to": THEIRS})
        assert (status, body["error"]) == (429, "this number was called too often in the last hour")
        await trio.sleep(1800)
        await (await line.order()).over.wait()


async def test_of_many_dials_at_once_no_more_begin_than_may_be(autojump_clock: MockClock) -> None:
    answers: list[int] = []
    chosen: dict[str, Any] = {"api_token": "a key", "max_calls_per_key": 3, "dials_per_hour_per_number": 1000}
    async with a_line(listens, **chosen) as line:

        async def dial() -> None:
            status, _ = await line.ask("POST", "/calls", {"to": THEIRS}, authorization="Bearer a key")
            answers.append(status)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(dial)
        assert sorted(answers) == [201] * 3 + [429] * 17
        for call in line.port.server.phone.unfinished():
            await line.ask("DELETE", f"/calls/{call.call_id}")
            await call.over.wait()
        await line.ask("DELETE", f"/calls/{(await line.order()).call_id}")


async def test_a_caller_is_told_that_the_line_is_busy_when_the_money_is_used_up(
    autojump_clock: MockClock,
) -> None:
    async with a_line(listens, daily_budget_per_key=0.01) as line:
        there = line.rings()
        await there.over.wait()
        assert there.status == "busy"
        assert not line.port.server.phone.calls
        assert line.port.server.counts["no money left"] == 1


async def test_a_call_whose_money_is_used_up_ends_with_last_words(autojump_clock: MockClock) -> None:
    heard: list[Telephone] = []

    async def remains(telephone: Telephone) -> None:
        heard.append(telephone)
        await telephone.over.wait()

    # A minute is paid for.
    async with a_line(remains, daily_budget_per_key=0.06, budget_goodbye="We must end.") as line:
        there = line.rings()
        call_began = trio.current_time()
        await line.talking(there)
        call = line.inbound()
        await call.over.wait()
        assert call.end_reason is EndReason.BUDGET_SPENT
        assert trio.current_time() - call_began <= 60 + 5
        assert heard[0].heard_seconds() == pytest.approx(len("We must end.") * 0.06)
        busy: Any = line.rings()
        await busy.over.wait()
        assert busy.status == "busy"


async def test_a_call_that_ends_by_itself_is_not_held_up_by_its_budget(autojump_clock: MockClock) -> None:
    async with a_line(says("hello"), daily_budget_per_key=100.0) as line:
        there = line.rings()
        await there.over.wait()
        await line.inbound().over.wait()
        assert line.inbound().end_reason is not EndReason.BUDGET_SPENT
