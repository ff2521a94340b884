"""How calls and vendors' connections end, and what grows in between: 7, 8, 9, 18, 19, 31, 33."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.stream import CartesiaSpeechStream
from adapters.deepgram import nova as deepgram_nova
from adapters.deepgram import turns as deepgram_turns
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.simulators import Fault, FaultKind, Script, simulators
from machines import effects as do
from machines.facts import EndReason
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from tests.faults.network import Network, connect_http
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import FLUX, MODEL, NOVA, VOICE, vendor_call

ROUTES = (NOVA, "openai", VOICE)


async def test_07_at_the_end_every_request_is_settled_once(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made, Fault(FaultKind.STALL, NOVA)) as held:
        await held.call.take_turn("how is the weather")  # whose words will never come
        await held.call.reaches("finalizing")
        for _ in range(3):
            await held.call.start_recording()
            await held.call.stop_recording()
        held.call.hang_up()
        await held.call.over.wait()
        settled = [*held.caller.notified_of(do.Acknowledge), *held.caller.notified_of(do.Refuse)]
        assert len(settled) == 8


async def test_07_one_vendor_that_fails_at_the_end_does_not_keep_the_others(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made) as held:
        await held.call.reaches("quiet")
        held.network.fall_silent(NOVA)
        held.call.hang_up()
        await held.call.until(lambda: all(one.closed for one in held.at(VOICE)))
        await held.call.over.wait()


async def test_08_vendors_are_hung_up_on_side_by_side(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        for route in ROUTES:
            held.network.fall_silent(route)
        hung_up_at = trio.current_time()
        held.call.hang_up()
        await held.call.over.wait()
        assert trio.current_time() - hung_up_at < 1.1, "as long as one of them, not as all together"


async def test_09_no_timer_outlives_its_call(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made, Fault(FaultKind.STALL, NOVA)) as held:
        await held.call.reaches("quiet")
        await held.call.take_turn("how is the weather")
        await held.call.reaches("finalizing")
        held.call.hang_up()
        await held.call.over.wait()
        told = len(held.caller.notified)
        await trio.sleep(60)
        assert len(held.caller.notified) == told
        assert held.call.state == "ended"


@pytest.mark.parametrize("reason", [EndReason.IDLE, EndReason.TOO_OLD])
async def test_18_expiry_closes_everything(
    made: Vendors, autojump_clock: MockClock, reason: EndReason
) -> None:
    async with vendor_call(made) as held:
        await held.exchange("how is the weather", 1)
        held.call.hang_up(reason)
        await held.call.over.wait()
        assert held.caller.closed_for == [reason]
        await held.call.until(lambda: all(one.closed for one in held.vendors.requests))


@pytest.mark.slow
@pytest.mark.parametrize("flux", [False, True], ids=["nova", "flux"])
async def test_19_vendors_do_not_go_away_from_a_caller_who_is_quiet_for_long(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux) as held:
        await held.exchange("how is the weather", 1)
        await trio.sleep(35 * 60)
        await held.exchange("how is the weather", 2)
        assert held.caller.playbacks[-1].ended_with_ms is not None, "the assistant is not mute"
        assert len(held.at(FLUX if flux else NOVA)) == len(held.at(VOICE)) == 1


async def test_31_the_model_client_closes_wholly_also_in_mid_answer() -> None:
    network = Network()
    async with simulators() as running:
        network.attach(running)
        async with http_client() as http:
            connect_http(http, network, "openai")
            model = OpenAILanguageModel(http, "http://simulated.invalid/v1", "gpt-4.1", "a key")
            await model.check()
            async with model.generate([Message(Speaker.USER, "Hello")]) as pieces:
                await anext(aiter(pieces))  # and the rest is not wanted
        assert network.open_lines == []
        await running.all_closed()


def _kept(kinds: tuple[type, ...]) -> Counter[type]:
    gc.collect()
    return Counter(type(each) for each in gc.get_objects() if isinstance(each, kinds))


@pytest.mark.repeats
async def test_33_nothing_grows_with_the_length_of_a_call(made: Vendors, autojump_clock: MockClock) -> None:
    kinds = (deepgram_turns.Turn, deepgram_nova._Words, deepgram_nova._Piece, CartesiaSpeechStream)
    script = Script(("Hello.",))
    policy = ConversationPolicy(max_history=4)
    kept, asked = [], []
    async with vendor_call(made, script=script, policy=policy) as held:
        for number in range(1, 13):
            await held.exchange("one", 1)
            asked += [
                len(effect.messages)
                for step in held.call.steps
                for effect in step.effects
                if isinstance(effect, do.StartGeneration)
            ]
            for record in (held.requests(), held.caller.notified, held.call.steps):
                record.clear()
            if number in (4, 12):
                kept.append(_kept(kinds))
        assert kept[0] == kept[1]
        told = "the system message, the history, and the caller's words"
        assert asked[3:] == [1 + policy.max_history + 1] * 9, told
        assert len(held.at(MODEL)) == 12
