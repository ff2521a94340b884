"""The language model: 5, 6 where it hangs, 10, 28, 29, 37."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from adapters.simulators import Answer, Fault, FaultKind, Latencies, Latency, Script
from machines import effects as do
from machines.effects import ClientError
from machines.history import Speaker
from machines.policy import ConversationPolicy
from orchestrator.simulation.speech import VOCABULARY
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import FLUX, MODEL, NOVA, VOICE, VendorCall, vendor_call

SLOW_TOKENS = evolve(Latencies(), token=Latency(200))
ANSWER = "Hello! This is Alex. How can I help you today?"
LONG = "This is a long answer, which takes its time to be spoken."
COUNTED = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "yes", "no"]


LISTENS_TO_THE_END = ConversationPolicy(barge_in=False)
PATIENT = Script(
    words_by_level=VOCABULARY,
    answers=(Answer("how", f"{LONG} {LONG}"), Answer("", "Yes.")),
)


@pytest.mark.parametrize("flux", [False, True], ids=["nova", "flux"])
async def test_05_turns_that_come_during_an_answer_wait_and_none_is_rejected(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux, script=PATIENT, policy=LISTENS_TO_THE_END) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        for word in COUNTED[:3]:
            await held.call.take_turn(word)
        assert held.call.state == "speaking", "nothing interrupts the answer"
        await held.call.answered(4)
        assert asked(held) == ["how is the weather", *COUNTED[:3]]
        assert held.caller.notified_of(do.Refuse) == []


@pytest.mark.slow
async def test_05_what_is_too_much_is_joined_and_not_dropped(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made, script=PATIENT, policy=LISTENS_TO_THE_END) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        for word in COUNTED:
            await held.call.take_turn(word)
        assert held.call.state == "speaking"
        await held.call.answered(11)
        await held.call.reaches("quiet")
        assert asked(held) == ["how is the weather", "one two three", *COUNTED[3:]]
        assert held.caller.notified_of(do.Refuse) == []


def asked(held: VendorCall) -> list[str]:
    """What the model was told that the caller said, request by request."""
    return [request[-1].text for request in held.requests()]


async def test_06_a_model_that_hangs_is_covered_for_within_its_deadline(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(first_segment_timeout_ms=3_000)
    async with vendor_call(made, Fault(FaultKind.STALL, MODEL), policy=policy) as held:
        await held.call.reaches("quiet")
        await held.call.take_turn("how is the weather")
        await held.call.reaches("generating")
        asked_at = trio.current_time()
        await held.call.reaches("speaking")
        assert trio.current_time() - asked_at == pytest.approx(3, abs=0.01)
        await held.call.answered()
        assert held.caller.answers() == [policy.fallback.first]
        await held.exchange("how is the weather", 2)
        assert held.caller.answers()[1] != policy.fallback.first, "the session is not blocked"


async def test_06_a_model_that_hangs_in_mid_answer_is_asked_for_the_rest_within_its_deadline(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(token_gap_timeout_ms=2_000)
    async with vendor_call(made, Fault(FaultKind.STALL, MODEL, after=9), policy=policy) as held:
        await held.call.take_turn("how is the weather")
        await held.call.until(lambda: len(held.at(MODEL)) > 1)
        said = held.requests()[-1][-1]
        assert (said.speaker, said.text) == (Speaker.ASSISTANT, "Hello! This is Alex.")
        await held.call.answered()
        assert held.caller.answers() == [ANSWER]
        assert held.caller.client_errors() == []
        assert len(held.at(MODEL)) == 2


async def test_06_a_model_that_hangs_in_mid_answer_and_is_not_asked_again_is_given_up(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(token_gap_timeout_ms=2_000, llm_retry_delays_ms=())
    async with vendor_call(made, Fault(FaultKind.STALL, MODEL, after=9), policy=policy) as held:
        await held.call.take_turn("how is the weather")
        await held.call.reaches("speaking")
        started = trio.current_time()
        await held.call.answered()
        assert held.caller.client_errors() == [ClientError.MODEL_LATE]
        # What is said last may be waited for until then: it could go on in the next piece.
        assert trio.current_time() - started == pytest.approx(2, abs=0.5)
        assert held.caller.answers() == ["Hello! This is Alex."]
        (playback,) = held.caller.playbacks
        assert playback.ended_with_ms is not None, "what it said is heard to the end"


JUNK = [Fault(FaultKind.MALFORMED, count=3), Fault(FaultKind.UNKNOWN, count=3), Fault(FaultKind.TRUNCATE)]


@pytest.mark.parametrize("fault", JUNK, ids=lambda fault: fault.kind.value)
@pytest.mark.parametrize("route", [NOVA, FLUX, MODEL, VOICE])
async def test_10_what_a_vendor_sends_is_not_trusted(
    made: Vendors, autojump_clock: MockClock, route: str, fault: Fault
) -> None:
    after = {NOVA: 1, FLUX: 1, MODEL: 0, VOICE: 2}[route]
    async with vendor_call(made, evolve(fault, at=route, after=after), flux=route == FLUX) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.answers() == [ANSWER]


async def test_28_the_answer_is_spoken_while_it_is_still_being_generated(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made, latencies=SLOW_TOKENS) as held:
        await held.call.take_turn("how is the weather")
        await held.call.until(lambda: any(playback.chunks for playback in held.caller.playbacks))
        (request,) = held.at(MODEL)
        assert not request.closed
        assert held.caller.notified_of(do.NotifySegment)[0].text == "Hello!"
        await held.call.answered()


async def test_28_every_call_counts_its_own_segments(made: Vendors, autojump_clock: MockClock) -> None:
    for _ in range(2):
        async with vendor_call(made) as held:
            await held.exchange("how is the weather", 1)
            assert [told.segment for told in held.caller.notified_of(do.NotifySegment)] == [0, 1, 2]


SAYS = Script(("One.", "Two.", "Three.", "Four."), answers=(Answer("", "You said {heard}"),))


async def test_29_history_beyond_the_limit_loses_its_oldest_exchanges_and_keeps_the_system_message(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(system_prompt="Be brief.", max_history=4)
    async with vendor_call(made, script=SAYS, policy=policy) as held:
        for number in (1, 2, 3, 4):
            await held.exchange("one", number)
        assert [(message.speaker, message.text) for message in held.requests()[-1]] == [
            (Speaker.SYSTEM, "Be brief."),
            (Speaker.USER, "Two."),
            (Speaker.ASSISTANT, "You said Two."),
            (Speaker.USER, "Three."),
            (Speaker.ASSISTANT, "You said Three."),
            (Speaker.USER, "Four."),
        ]


@pytest.mark.slow
async def test_29_fifty_messages_are_kept_unless_asked_otherwise(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(system_prompt="Be brief.")
    async with vendor_call(made, script=Script(("One.",), answers=SAYS.answers), policy=policy) as held:
        for number in range(1, 28):
            await held.exchange("one", number)
        speakers = [message.speaker for message in held.requests()[-1]]
        assert len(held.requests()[-2]) == len(speakers) == 1 + 50 + 1
        assert speakers.count(Speaker.SYSTEM) == 1
        assert speakers[0] is Speaker.SYSTEM


async def test_29_history_beyond_the_budget_of_tokens_is_not_sent_and_the_system_message_is(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(system_prompt="Be brief.", max_history_tokens=30)
    async with vendor_call(made, script=SAYS, policy=policy) as held:
        for number in (1, 2, 3, 4):
            await held.exchange("one", number)
        assert [message.text for message in held.requests()[-1]] == [
            "Be brief.",
            "Three.",
            "You said Three.",
            "Four.",
        ]


async def test_37_an_answer_that_nobody_heard_is_no_answer(made: Vendors, autojump_clock: MockClock) -> None:
    policy = ConversationPolicy(voice_retries=1)
    stt_silent = Fault(FaultKind.TRUNCATE, VOICE, count=0, times=0)
    async with vendor_call(made, stt_silent, policy=policy) as held:
        await held.exchange("how is the weather", 1)
        assert held.caller.client_errors() == [ClientError.VOICE_FAILED]
        (told,) = held.caller.notified_of(do.NotifyAnswerEnded)
        assert told.duration_ms == 0
        await held.exchange("how is the weather", 2)
        assert [message.speaker for message in held.requests()[-1]] == [Speaker.SYSTEM, Speaker.USER]


async def test_37_of_an_answer_that_broke_off_the_model_is_told_what_was_heard(
    made: Vendors, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(voice_retries=0)
    async with vendor_call(made, Fault(FaultKind.STALL, VOICE, after=10), policy=policy) as held:
        await held.exchange("how is the weather", 1)
        await held.exchange("how is the weather", 2)
        _, _, heard, _ = held.requests()[-1]
        assert (heard.speaker, heard.text) == (Speaker.ASSISTANT, "Hello!")
