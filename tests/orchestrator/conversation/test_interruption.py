"""Interruptions in virtual time: silence at once, and a history of what was heard."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.effects import StopCause
from machines.facts import TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from orchestrator.sessions.session import LEGACY_PACING
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    SimulatedCall,
    SimulatedCaller,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    failed_checks,
    script,
    simulated_call,
)

LONG = "This is the first sentence of a story. It goes on for quite a while. Nobody listens to its end."


def storyteller(**speaking: float) -> SimulatedProviders:
    return SimulatedProviders(
        llm=SimulatedLanguageModel(script(Answer(LONG), then=Answer())),
        tts=SimulatedTextToSpeech(
            script(Synthesis(between=Delay(speaking.get("between_ms", 5))), then=Synthesis())
        ),
    )


def last_answer(call: SimulatedCall) -> Message:
    """The last answer that the model knows of."""
    return [message for message in call.providers.llm.requests[-1] if message.speaker is Speaker.ASSISTANT][
        -1
    ]


OFFSETS_MS = [*range(0, 1000, 43), 1500, 3333, 5000, 5500]


@pytest.mark.parametrize("offset_ms", OFFSETS_MS)
async def test_asking_for_silence_cuts_the_history_to_what_was_heard(
    offset_ms: int, autojump_clock: MockClock
) -> None:
    async with simulated_call(storyteller()) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await trio.sleep(offset_ms / 1000)
        await call.interrupt()
        [playback] = call.caller.playbacks
        assert playback.cause is StopCause.INTERRUPTED
        heard_ms = playback.heard_ms(playback.stopped_at_ms or 0)
        [cut] = call.caller.interruptions()
        assert cut.heard_ms == pytest.approx(heard_ms)
        assert LONG.startswith(f"{cut.heard} {cut.unheard}".strip())
        await call.take_turn("thanks")
        await call.answered(2)
        if cut.heard:
            assert last_answer(call).text == cut.heard
            assert last_answer(call).interrupted
        else:
            asked = [message.text for message in call.providers.llm.requests[-1][1:]]
            assert asked == ["tell me a joke thanks"]
    assert failed_checks(call) == []


@pytest.mark.parametrize("offset_ms", [0, 50, 190, 777, 1500, 3000])
async def test_a_voice_over_the_answer_interrupts_it_where_voice_alone_does(
    offset_ms: int, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(barge_in_min_words=0, barge_in_min_ms=200)
    async with simulated_call(storyteller(), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(700)
        await call.reaches("speaking")
        await call.keep_quiet(offset_ms)
        began_ms = trio.current_time() * 1000
        await call.make_noise(400)
        await call.say("please stop")
        [playback] = call.caller.playbacks
        assert playback.cause is StopCause.INTERRUPTED
        # 64 ms of voice are its onset, within windows of 32 ms and blocks of 20 ms; then 200 ms count.
        assert 264 - 32 <= (playback.stopped_at_ms or 0) - began_ms <= 264 + 32 + 20
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.caller.understood() == ["tell me a joke", "please stop"]
        assert call.providers.llm.requests[-1][-1].text.endswith("please stop")
    assert failed_checks(call) == []


async def test_a_cough_does_not_interrupt_there(autojump_clock: MockClock) -> None:
    policy = ConversationPolicy(barge_in_min_words=0, barge_in_min_ms=400)
    async with simulated_call(storyteller(), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(700)
        await call.reaches("speaking")
        await call.keep_quiet(300)
        await call.make_noise(300)
        await call.keep_quiet(1000)
        assert "paused" in [step.target for step in call.steps]
        await call.answered()
        assert call.caller.answers() == [LONG]
        assert call.caller.interruptions() == []
    assert failed_checks(call) == []


async def test_by_hand_a_voice_does_not_interrupt_but_a_new_recording_does(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await call.say("please stop")
        await call.keep_quiet(500)
        assert call.state == "speaking"
        await call.start_recording()
        assert call.state == "quiet"
        await call.say("thanks bye")
        await call.stop_recording()
        await call.answered(2)
        assert call.caller.understood() == ["tell me a joke", "thanks bye"]
    assert failed_checks(call) == []


@pytest.mark.parametrize("state", ["generating", "retrying"])
async def test_asking_for_silence_before_the_answer_voids_it(state: str, autojump_clock: MockClock) -> None:
    fault = Fails() if state == "retrying" else None
    answers = script(*[Answer("Never heard.", first=Delay(500), fault=fault)] * 2, then=Answer())
    async with simulated_call(SimulatedProviders(llm=SimulatedLanguageModel(answers))) as call:
        await call.take_turn("hello")
        await call.until(lambda: len(call.providers.llm.requests) == (2 if fault else 1))
        await call.reaches(state)
        await call.interrupt()
        assert call.state == "quiet"
        await trio.sleep(5)
        assert call.caller.playbacks == []
        assert call.providers.llm.running == 0
    assert failed_checks(call) == []


@pytest.mark.parametrize("seed", range(6))
async def test_an_answer_that_is_stopped_before_its_first_sound_never_begins(
    seed: int, autojump_clock: MockClock
) -> None:
    trio._core._run._r.seed(seed)
    async with simulated_call(storyteller()) as call:
        await call.start_recording()
        await call.say("hello")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def interrupt_at_once() -> None:
                await call.reaches("speaking")
                await call.interrupt()

            await call.stop_recording()
        await trio.sleep(1)
        assert len(call.caller.interruptions()) == 1
        assert all(not playback.chunks for playback in call.caller.playbacks)
    assert failed_checks(call) == []


async def test_the_shipped_clients_large_chunks_are_stopped_too(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller(), SimulatedCaller(pacing=LEGACY_PACING)) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await trio.sleep(2)
        await call.start_recording()
        [playback] = call.caller.playbacks
        assert 1900 <= playback.heard_ms(playback.stopped_at_ms or 0) <= 2000
        assert playback.sent_ms() <= 2000 + 640
        assert call.caller.notified_of(do.NotifyInterrupted)[0].heard.startswith("This is the first sentence")
    assert failed_checks(call) == []
