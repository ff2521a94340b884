"""Text to speech: 1, 2, 3, 6 where it hangs, 24, 25, 26, 27, 32."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from adapters.simulators import Fault, FaultKind, Latencies, Latency, Tone
from adapters.simulators.cartesia import UNKNOWN_VOICE
from machines import effects as do
from machines.effects import ClientError, StopCause
from machines.policy import ConversationPolicy
from orchestrator.simulation import SimulatedCaller
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import MODEL, NOVA, VOICE, vendor_call

ANSWER = "Hello! This is Alex. How can I help you today?"
GERMAN_VOICE = "b9de4a89-2257-424b-94c2-db18ba68c81a"


async def spoken_ms(text: str) -> float:
    """How long the simulated voice speaks a text."""
    return len((await Tone().speak(text, 24_000)).samples) / 24


async def test_01_an_answer_is_synthesized_once(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made) as held:
        await held.exchange("how is the weather", 1)
        assert held.spoken_texts() == [ANSWER]
        assert len(held.caller.playbacks) == 1


@pytest.mark.parametrize("latencies", [Latencies(), Latencies.none()], ids=["usual", "at once"])
async def test_02_all_audio_is_heard_also_what_comes_at_once(
    made: Vendors, autojump_clock: MockClock, latencies: Latencies
) -> None:
    async with vendor_call(made, latencies=latencies) as held:
        await held.exchange("how is the weather", 1)
        (playback,) = held.caller.playbacks
        assert playback.sent_ms() == pytest.approx(await spoken_ms(ANSWER), abs=1)


async def test_03_the_caller_can_cut_in(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made) as held:
        await held.call.take_turn("how is the weather")
        await held.call.until(lambda: any(playback.chunks for playback in held.caller.playbacks))
        await held.call.interrupt()
        assert held.call.state == "quiet"
        assert held.caller.playbacks[0].cause is StopCause.INTERRUPTED


async def test_06_a_voice_that_hangs_is_replaced_within_its_deadline(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(speech_stall_timeout_ms=2_000)
    async with vendor_call(made, Fault(FaultKind.STALL, VOICE), policy=policy) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        started = trio.current_time()
        await held.call.until(lambda: any(playback.chunks for playback in held.caller.playbacks))
        # Every segment of the model's is a sign of life: the last comes a little after the first.
        assert 2 <= trio.current_time() - started < 3
        await held.call.answered()
        assert held.caller.answers() == [ANSWER]
        assert held.caller.client_errors() == []


async def test_06_a_voice_that_hangs_again_and_again_is_given_up(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(speech_stall_timeout_ms=2_000, voice_retries=1)
    async with vendor_call(made, Fault(FaultKind.STALL, VOICE, times=0), policy=policy) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        started = trio.current_time()
        await held.call.reaches("quiet")
        assert 4 <= trio.current_time() - started < 5
        assert held.caller.client_errors() == [ClientError.VOICE_FAILED]


async def test_24_a_synthesis_without_audio_does_not_leave_the_call_stuck(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(voice_retries=0)
    async with vendor_call(made, Fault(FaultKind.TRUNCATE, VOICE, count=35), policy=policy) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.client_errors() == [ClientError.VOICE_FAILED]
        await held.exchange("how is the weather", 2)
        assert held.caller.playbacks[-1].ended_with_ms is not None, "later speech is not skipped"


async def test_24_an_error_of_the_vendor_is_told_and_does_not_leave_the_call_stuck(
    made: Vendors, autojump_clock: MockClock
) -> None:
    caller = SimulatedCaller(voice_id=UNKNOWN_VOICE)
    async with vendor_call(made, caller=caller) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.client_errors() == [ClientError.VOICE_FAILED]
        assert "voice_not_found" in held.caller.notified_of(do.NotifyClientError)[0].message
        caller.voice_id = None
        await held.exchange("how is the weather", 2)
        assert held.caller.playbacks[-1].ended_with_ms is not None, "later speech is not skipped"


async def test_25_a_voice_is_listened_to_until_it_is_done(made: Vendors, autojump_clock: MockClock) -> None:
    slow = evolve(Latencies(), first_audio=Latency(1_500), audio_piece=Latency(90))
    async with vendor_call(made, latencies=slow) as held:
        await held.exchange("how is the weather", 1)
        (playback,) = held.caller.playbacks
        assert playback.sent_ms() == pytest.approx(await spoken_ms(ANSWER), abs=1)


async def test_26_a_cancellation_reaches_the_vendor_the_caller_and_ourselves(
    made: Vendors, autojump_clock: MockClock
) -> None:
    late = Fault(FaultKind.LATE_AUDIO, VOICE)
    slow = evolve(Latencies(), audio_piece=Latency(90), token=Latency(60))
    async with vendor_call(made, late, latencies=slow) as held:
        await held.call.take_turn("how is the weather")
        await held.call.until(lambda: any(len(playback.chunks) > 5 for playback in held.caller.playbacks))
        await held.call.interrupt()
        await trio.sleep(1)
        (context,) = held.vendors.records.contexts.values()
        assert context.cancelled
        (request,) = held.at(MODEL)
        assert request.closed
        (told,) = held.caller.interruptions()
        (playback,) = held.caller.playbacks
        assert told.heard_ms == pytest.approx(playback.heard_ms(trio.current_time() * 1000), abs=1)
        await held.exchange("how is the weather", 2)  # what is late is not heard in the next answer
        text = held.caller.answers()[-1]
        assert held.caller.playbacks[-1].sent_ms() == pytest.approx(await spoken_ms(text), abs=1)


async def test_27_an_answer_of_several_segments_is_one_utterance_without_gaps(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made) as held:
        await held.exchange("how is the weather", 1)
        assert len(held.caller.notified_of(do.NotifySegment)) == 3
        (playback,) = held.caller.playbacks
        assert playback.cause is None, "nothing stopped its playback"
        sounds_for = playback.chunks[-1].at_ms - playback.chunks[0].at_ms
        assert sounds_for < playback.sent_ms(), "every chunk comes before the one ahead of it has ended"
        assert len(held.vendors.records.contexts) == 1


async def test_32_voice_and_language_of_a_call_outlive_a_reconnection(
    made: Vendors, autojump_clock: MockClock
) -> None:
    caller = SimulatedCaller(language="de-DE", voice_id=GERMAN_VOICE)
    async with vendor_call(made, caller=caller) as held:
        await held.exchange("how is the weather", 1)
        held.network.cut(VOICE)
        held.network.cut(NOVA)
        await trio.sleep(1)
        await held.exchange("how is the weather", 2)
        assert [connection.query["language"] for connection in held.at(NOVA)] == [["de"]] * 2
        spoken = [message for one in held.at(VOICE) for message in one.messages if message.get("transcript")]
        assert {message["voice"]["id"] for message in spoken} == {GERMAN_VOICE}
        assert {message["language"] for message in spoken} == {"de"}
        assert len(held.at(VOICE)) == 2
