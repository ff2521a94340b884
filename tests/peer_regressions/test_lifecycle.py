"""R14 to R19: calls that do not begin, do not end, end twice, or leave something behind."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import pytest
import structlog
import trio
import trio.testing
from hypothesis import settings
from trio.testing import MockClock

from machines import effects as do
from machines import facts
from machines.declarations import Outcome, Step
from machines.facts import EndReason
from machines.policy import ConversationPolicy, FallbackTexts
from machines.system import Handled
from orchestrator.audio.utterance import Utterance
from orchestrator.conversation.performer import Performer
from orchestrator.journal.writer import GATHER_S
from orchestrator.sessions.session import Session
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    Opening,
    SimulatedCall,
    SimulatedCaller,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)
from tests.faults.vendors import Vendors
from tests.machines.conversation.test_interleavings import AnyCall
from tests.orchestrator.conversation.test_nothing_left import STAGES, cut_the_line
from tests.orchestrator.real_servers import eventually, serving
from tests.orchestrator.wire_clients import Client, connect
from tests.peer_regressions.scenes import ask_by_voice, speak_up
from tests.reference_defects.vendor_calls import vendor_call

pytestmark = pytest.mark.repeats

Watch = Callable[[], AbstractContextManager[None]]
LEAVES_S = 2.0
"""`ConversationPolicy.close_timeout_ms`, the most that ENDING may take."""


def slow() -> SimulatedProviders:
    """Everything takes its time, so that there are many moments to leave at."""
    return SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(Delay(200))), script(then=Opening(Delay(200)))),
        SimulatedLanguageModel(
            script(Answer(first=Delay(300), fault=Fails()), then=Answer(first=Delay(300)))
        ),
        SimulatedTextToSpeech(script(then=Synthesis(first=Delay(200))), script(then=Opening(Delay(300)))),
    )


async def talk(call: SimulatedCall) -> None:
    """A question and an interruption; whatever state there is, it is in it."""
    await ask_by_voice(call)
    await call.reaches("speaking")
    await speak_up(call)
    await call.keep_quiet(1000)
    await call.answered(2)


# --- R14 --------------------------------------------------------------------------------------------------


class HungUpAnywhere(AnyCall):
    """Anything happens; then the call is hung up, and nobody reports that anything was closed."""

    def teardown(self) -> None:
        """The call is over when the deadline of closing has passed."""
        if not self.system.ended:
            self.happens(facts.HungUp(EndReason.CALLER_HUNG_UP))
            number = self.system.conversation.context.deadline_armed
            assert number is not None
            self.happens(facts.DeadlinePassed(number), self.policy.close_timeout_ms)
        assert self.system.ended
        self.repeats()


TestR14HangUpAnywhere = HungUpAnywhere.TestCase
TestR14HangUpAnywhere.__doc__ = "Pipecat: a worker that was cancelled at the wrong moment hung for ever."
TestR14HangUpAnywhere.settings = settings(max_examples=40, stateful_step_count=20)


async def test_r14_a_call_that_is_hung_up_at_any_step_is_over_within_its_grace(
    autojump_clock: MockClock,
) -> None:
    """Pipecat: `cancel()` before the start, or an end queued behind something slow, was never acted on."""
    async with simulated_call(slow()) as whole:
        await talk(whole)
        facts_in_all = len(whole.records)
    assert {step.target for step in whole.steps} >= {
        "hearing",
        "endpointing",
        "finalizing",
        "retrying",
        "paused",
    }
    for number in range(facts_in_all):
        providers, caller = slow(), SimulatedCaller(closing_takes_ms=60_000)
        async with simulated_call(providers, caller) as call, trio.open_nursery() as nursery:
            nursery.start_soon(talk, call)
            await call.until(lambda: len(call.records) > number)  # noqa: B023
            hung_up_at = trio.current_time()
            call.hang_up()
            await call.over.wait()
            assert trio.current_time() - hung_up_at <= LEAVES_S + 0.001, f"step {number}"
            nursery.cancel_scope.cancel()
        assert failed_checks(call) == [], f"step {number}"


async def test_r14_a_call_that_was_hung_up_before_it_began_ends_at_once(autojump_clock: MockClock) -> None:
    """Pipecat: an end before the start was never acted on."""
    call = SimulatedCall(SimulatedProviders(), SimulatedCaller(), ConversationPolicy())
    call.hang_up()
    await call.run()
    assert call.caller.closed_for == [EndReason.CALLER_HUNG_UP]
    assert trio.current_time() == 0


# --- R15 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
async def test_r15_whoever_drops_the_line_is_seen_off_once(
    stage: Callable[[Client], Awaitable[None]], leaves_nothing: Watch
) -> None:
    """LiveKit: closing hung when the caller had left in mid-speech, and what was to follow never came."""
    with leaves_nothing(), structlog.testing.capture_logs() as logs:
        async with serving() as running:
            async with connect(running.port, v2=True) as client:
                await stage(client)
                await cut_the_line(client, running)
            await eventually(lambda: not running.server.sessions)
            assert running.providers.in_use() == 0
    assert [each["event"] for each in logs].count("session over") == 1


# --- R16, R17 ---------------------------------------------------------------------------------------------

DROPS, AT_ONCE = 200, 20


async def test_r16_after_two_hundred_dropped_lines_nothing_runs_and_nothing_is_due() -> None:
    """Pipecat: a mixer went on after the disconnect and took a whole core."""
    async with serving(slow()) as running:
        await trio.testing.wait_all_tasks_blocked()
        idle = trio.lowlevel.current_statistics().tasks_living
        limiter = trio.CapacityLimiter(AT_ONCE)

        async def drop(number: int) -> None:
            async with limiter, connect(running.port, v2=True) as client:
                await STAGES[number % 3](client)
                await cut_the_line(client, running)

        async with trio.open_nursery() as nursery:
            for number in range(DROPS):
                nursery.start_soon(drop, number)
        await eventually(lambda: not running.server.sessions)
        await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == idle)
        # The journals' last records are gathered for a moment.
        await trio.testing.wait_all_tasks_blocked(cushion=2 * GATHER_S)
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")


KEPT = (SimulatedCall, Handled, Performer, Session, Step, SimulatedCaller, Utterance)


def kept() -> Counter[str]:
    """What of ended calls is still there."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in KEPT)


async def test_r17_calls_leave_no_task_thread_socket_or_file(
    leaves_nothing: Watch, autojump_clock: MockClock
) -> None:
    """Pipecat, LiveKit: sockets reconnected hours after the call, a thread was lost with each session."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    with leaves_nothing():
        for _ in range(40):
            async with simulated_call(slow()) as call:
                await talk(call)
            assert failed_checks(call) == []
            assert trio.lowlevel.current_statistics().tasks_living == tasks
        await trio.sleep(7200)
        assert call.providers.in_use() == 0, "nor does anything come back later"


async def test_r17_calls_through_the_vendors_sdks_leave_nothing_either(
    made: Vendors, leaves_nothing: Watch, autojump_clock: MockClock
) -> None:
    """No socket and no thread is left where SDKs own the sockets."""
    with leaves_nothing():
        for number in range(10):
            async with vendor_call(made, flux=number % 2 == 1) as held:
                await held.exchange("how is the weather", 1)


# --- R18 --------------------------------------------------------------------------------------------------


async def test_r18_memory_does_not_grow_with_the_number_of_calls(autojump_clock: MockClock) -> None:
    """Pipecat, LiveKit, vocode: every call, and every refused one, left memory behind."""

    async def after(calls: int) -> tuple[Counter[str], int]:
        for _ in range(calls):
            async with simulated_call(slow()) as call:
                await talk(call)
        del call
        await trio.sleep(7200)  # until when Trio may keep the deadlines of what is over
        return kept(), len(gc.get_objects())

    await after(10)
    before, objects = await after(1)
    again, more = await after(25)
    assert again == before
    assert more - objects < 25, "less than one object a call"


async def test_r18_a_call_that_is_refused_leaves_nothing() -> None:
    """Calls that were refused leave no memory behind."""
    async with serving(local_max_calls=1) as running, connect(running.port, v2=True) as holder:
        await holder.begin()
        sessions = []
        for _ in range(3):
            for _ in range(10):
                async with connect(running.port, v2=True) as refused:
                    assert await refused.is_closed() == 1013
            await trio.testing.wait_all_tasks_blocked()
            sessions.append(kept()["Session"])
        assert sessions[1:] == sessions[:-1]
        assert running.server.counts["turned away"] == 30


# --- R19 --------------------------------------------------------------------------------------------------

GOODBYE = FallbackTexts("First.", "Second.", "Somebody will get back to you. Goodbye now.")


def idle_goodbye() -> tuple[SimulatedProviders, ConversationPolicy]:
    policy = ConversationPolicy(idle_after_ms=500, nudges=(), idle_goodbye=GOODBYE.third)
    return SimulatedProviders(), policy


def model_goodbye() -> tuple[SimulatedProviders, ConversationPolicy]:
    fatal = Answer(fault=Fails(facts.ErrorClass.FATAL))
    return SimulatedProviders(llm=SimulatedLanguageModel(script(then=fatal))), ConversationPolicy(
        fallback=GOODBYE
    )


def deaf_goodbye() -> tuple[SimulatedProviders, ConversationPolicy]:
    gone = Opening(dies=Fails(facts.ErrorClass.AUTH), after_ms=2500)
    return SimulatedProviders(SimulatedSpeechToText(openings=script(then=gone))), ConversationPolicy(
        fallback=GOODBYE
    )


@pytest.mark.parametrize(
    ("scene", "turns"),
    [(idle_goodbye, 1), (model_goodbye, 3), (deaf_goodbye, 0)],
    ids=["idle", "model keeps failing", "no speech to text left"],
)
async def test_r19_a_goodbye_is_heard_to_its_end_and_said_once(
    scene: Callable[[], tuple[SimulatedProviders, ConversationPolicy]],
    turns: int,
    autojump_clock: MockClock,
) -> None:
    """Pipecat: the line was closed over the goodbye. Another server hung up 337 times."""
    providers, policy = scene()
    caller = SimulatedCaller(closing_takes_ms=1000)
    async with simulated_call(providers, caller, policy) as call:
        for number in range(1, turns + 1):
            await ask_by_voice(call)
            await call.answered(number)
        await call.reaches("closing")
        closing = next(step for step in call.steps if step.target == "closing")
        playback = caller.playbacks[-1]
        assert playback.ended_with_ms == pytest.approx(60 * len(GOODBYE.third), abs=1)
        assert closing.fact.at_ms >= playback.chunks[0].at_ms + playback.sent_ms() - 1
        for _ in range(337):
            call.hang_up()
        await call.over.wait()
        late = [step for step in call.steps if isinstance(step.fact, facts.HungUp)]
        assert [(each.outcome, each.reason) for each in late] == [
            (Outcome.IGNORED, "the conversation is over")
        ] * len(late)
        recorded = [each for each in call.records if isinstance(each, Handled) and each.steps[0] in late]
        assert len(recorded) == len(late) == 337
        assert len([each for each in _effects(call) if isinstance(each, do.CloseConversation)]) == 1
    assert len(caller.closed_for) == 1
    assert failed_checks(call) == []


def _effects(call: SimulatedCall) -> list[do.Effect]:
    return [effect for step in call.steps for effect in step.effects]
