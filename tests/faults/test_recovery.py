"""Recovery from a fault of the only provider: which links are replaced, and which requests repeated."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from adapters.simulators import Answer, Fault, FaultKind, Script
from machines.policy import ConversationPolicy
from machines.segments import BREAK, Segmenter
from orchestrator.simulation import SimulatedLanguageModel
from orchestrator.simulation.speech import VOCABULARY
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import FLUX, MODEL, NOVA, VOICE, vendor_call

VERBATIM = Script(words_by_level=VOCABULARY)
"""Transcripts are exactly the words that the vendor was sent."""


@pytest.fixture(params=["nova", "flux"])
def flux(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "flux")


async def test_a_silent_link_is_replaced_and_the_new_one_gets_the_same_audio(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    stt_silent = Fault(FaultKind.STALL, FLUX if flux else NOVA, after=0)
    async with vendor_call(made, stt_silent, flux=flux, script=VERBATIM) as held:
        await held.exchange("how is the weather", 1)
        await held.exchange("what is today", 2)
        assert held.caller.understood() == ["how is the weather", "what is today"]
        assert held.caller.client_errors() == []
        assert len(held.at(stt_silent.at)) == 2


async def test_if_all_links_are_silent_the_caller_gets_an_apology_for_every_turn(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    stt_silent = Fault(FaultKind.STALL, FLUX if flux else NOVA, after=0, times=0)
    async with vendor_call(made, stt_silent, flux=flux) as held:
        for number in (1, 2):
            await held.exchange("how is the weather", number)
        assert held.caller.answers() == [ConversationPolicy().fallback.unheard] * 2


async def test_a_silent_text_to_speech_link_is_replaced(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made, Fault(FaultKind.STALL, VOICE, after=5)) as held:
        await held.exchange("how is the weather", 1)
        await held.exchange("how is the weather", 2)
        assert [playback.ended_with_ms is not None for playback in held.caller.playbacks] == [True, True]
        assert len(held.at(VOICE)) == 2


async def test_no_word_is_lost_with_a_link(made: Vendors, autojump_clock: MockClock, flux: bool) -> None:
    async with vendor_call(made, flux=flux, script=VERBATIM) as held:
        await held.call.start_recording()
        await held.call.say("how is")
        held.network.cut(FLUX if flux else NOVA)
        await held.call.say("the weather")
        await held.call.stop_recording()
        await held.call.answered()
        assert held.caller.understood() == ["how is the weather"]


@pytest.mark.parametrize("route", [NOVA, "openai", VOICE])
async def test_a_vendor_is_not_asked_again_before_the_time_it_asked_for(
    made: Vendors, autojump_clock: MockClock, route: str
) -> None:
    busy = Fault(FaultKind.STATUS, route, status=429, retry_after=1)
    async with vendor_call(made, busy) as held:
        await held.call.reaches("quiet")
        assert 1 < trio.current_time() < 1.5


async def test_a_model_that_is_silent_is_asked_again_before_the_budget_is_over(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made, Fault(FaultKind.STALL, MODEL)) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.client_errors() == []
        assert len(held.at(MODEL)) == 2


async def test_a_model_that_breaks_off_continues_its_answer(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made, Fault(FaultKind.RESET, MODEL, after=9)) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.answers() == ["Hello! This is Alex. How can I help you today?"]
        assert len(held.at(MODEL)) == 2


@pytest.mark.parametrize("length", range(1, len(BREAK) + 1))
def test_half_a_marker_at_which_a_model_breaks_off_is_not_spoken(length: int) -> None:
    segmenter = Segmenter()
    segments = segmenter.push("This is Alex. " + BREAK[:length]) + segmenter.finish()
    assert [segment.text for segment in segments] == ["This is Alex."]


@pytest.mark.parametrize("order", range(6))
async def test_a_model_that_was_failed_over_is_not_asked_for_the_rest(
    made: Vendors, autojump_clock: MockClock, order: int
) -> None:
    """Whatever the order in which Trio runs the tasks of both links and of the request."""
    del order  # each test runs in another order
    second = SimulatedLanguageModel()
    always = Fault(FaultKind.RESET, MODEL, after=9, times=0)
    async with vendor_call(made, always, second=second) as held:
        await held.exchange("how is the weather", 1)
        assert len(held.at(MODEL)) == 1
        assert len(second.requests) == 1


async def test_an_answer_that_the_voice_cannot_say_is_told_to_the_caller_and_the_log_and_blames_nobody(
    made: Vendors, autojump_clock: MockClock
) -> None:
    """B5."""
    chinese = Script(answers=(Answer("", "您好，我们今天下午六点关门。请问您几点过来？"),))
    with capture_logs() as lines:
        async with vendor_call(made, script=chinese) as held:
            await held.exchange("hello", 2)
            assert held.caller.answers()[1:] == [ConversationPolicy().fallback.unsayable]
            assert held.blamed == []
            assert len(held.at(VOICE)) == 1, "it is not asked for again"
    [told] = [line for line in lines if line["log_level"] == "warning"]
    assert (told["event"], told["voice"], told["language"]) == (
        "the voice cannot say an answer",
        "cartesia",
        "en-US",
    )
