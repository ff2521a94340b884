"""Calls that end in every state and for every reason, in virtual time, and leave nothing behind."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from machines import effects as do
from machines.effects import StopCause
from machines.facts import EndReason, TurnMode
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Breaks,
    Delay,
    Fails,
    Opening,
    SimulatedCall,
    SimulatedCaller,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)

STATES = [
    "connecting",
    "quiet",
    "hearing",
    "endpointing",
    "finalizing",
    "generating",
    "retrying",
    "speaking",
    "paused",
    "confirming",
]


def slow(state: str) -> SimulatedProviders:
    """Providers that are slow where a call is to be ended."""
    opening = Opening(Delay(500))
    fault = Fails() if state == "retrying" else None
    return SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(Delay(500))), script(then=opening)),
        SimulatedLanguageModel(script(then=Answer(first=Delay(0 if fault else 500), fault=fault))),
        SimulatedTextToSpeech(script(then=Synthesis(between=Delay(20)))),
    )


async def go_to(call: SimulatedCall, state: str) -> None:
    """Take a call to a state."""
    if state == "connecting":
        await wait_all_tasks_blocked()
        return
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.reaches("quiet")
    if state == "quiet":
        return
    await call.say("hello how is the weather")
    if state == "hearing":
        return
    await call.keep_quiet(200)
    await call.reaches(state, "speaking")
    if state in ("paused", "confirming"):
        await call.make_noise(320)
    if state == "confirming":
        await call.keep_quiet(200)


@pytest.mark.repeats
@pytest.mark.parametrize("reason", list(EndReason))
@pytest.mark.parametrize("state", STATES)
async def test_a_call_ends_from_every_state(state: str, reason: EndReason, autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with simulated_call(slow(state)) as call:
        await go_to(call, state)
        assert call.state == state
        call.hang_up(reason)
        await call.over.wait()
        sounding = [playback for playback in call.caller.playbacks if playback.ended_with_ms is None]
        assert [playback.cause for playback in sounding] == [StopCause.ENDED] * len(sounding)
    assert call.caller.closed_for == [reason]
    assert failed_checks(call) == []
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_what_waits_for_an_answer_at_the_end_is_refused(autojump_clock: MockClock) -> None:
    async with simulated_call(slow("connecting")) as call:
        await call.start_recording()
        await call.stop_recording()
        call.hang_up(EndReason.SHUTDOWN)
        await call.over.wait()
        assert len(call.caller.notified_of(do.Refuse)) == 2
    assert failed_checks(call) == []


async def test_a_goodbye_that_takes_too_long_is_cut_short(autojump_clock: MockClock) -> None:
    caller = SimulatedCaller(closing_takes_ms=60_000)
    async with simulated_call(caller=caller, policy=ConversationPolicy(close_timeout_ms=2000)) as call:
        await call.reaches("quiet")
        began = trio.current_time()
        call.hang_up()
        await call.over.wait()
        assert trio.current_time() - began == pytest.approx(2)
    assert failed_checks(call) == []


async def test_facts_that_come_while_the_call_ends_change_nothing(autojump_clock: MockClock) -> None:
    async with simulated_call(caller=SimulatedCaller(closing_takes_ms=1000)) as call:
        await call.reaches("quiet")
        call.hang_up()
        call.hang_up(EndReason.SHUTDOWN)
        await call.take_turn("hello")
        await call.interrupt()
        assert call.state == "closing"
    await call.take_turn("hello")  # nobody is there, and nobody waits
    assert call.caller.closed_for == [EndReason.CALLER_HUNG_UP]
    assert call.providers.llm.requests == []


@pytest.mark.parametrize("role", ["stt", "llm", "tts"])
async def test_a_link_that_is_being_opened_is_given_up(role: str, autojump_clock: MockClock) -> None:
    plan = script(then=Opening(fault=Stalls()))
    providers = SimulatedProviders(
        SimulatedSpeechToText(openings=plan if role == "stt" else None),
        SimulatedLanguageModel(checks=plan if role == "llm" else None),
        SimulatedTextToSpeech(openings=plan if role == "tts" else None),
    )
    began = trio.current_time()
    async with simulated_call(providers) as call:
        await wait_all_tasks_blocked()
        call.hang_up()
        await call.over.wait()
    assert trio.current_time() == began
    assert failed_checks(call) == []


async def test_a_conversation_that_is_cancelled_leaves_nothing(autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    providers = slow("speaking")
    call = SimulatedCall(providers, SimulatedCaller(), ConversationPolicy())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call.run)
        await go_to(call, "speaking")
        nursery.cancel_scope.cancel()
    assert providers.in_use() == 0
    assert trio.lowlevel.current_statistics().tasks_living == before
    await call.interrupt()  # nobody is there, and nobody waits


async def test_a_caller_side_that_breaks_ends_this_conversation_with_its_error(
    autojump_clock: MockClock,
) -> None:
    class Broken(SimulatedCaller):
        def send_audio(self, *chunk: object) -> None:
            raise ZeroDivisionError("simulated bug")

        async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
            raise Breaks().error("simulated bug")

    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        async with simulated_call(caller=Broken()) as call:
            await call.take_turn("hello")
            await call.answered()
    assert call.providers.in_use() == 0
