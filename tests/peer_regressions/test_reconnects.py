"""R25 to R27: providers that come and go, calls beyond what there is room for, and the answer's own echo."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.effects import ClientError
from machines.facts import EndReason, ErrorClass, TurnMode
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    Opening,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)
from tests.faults.vendors import Vendors
from tests.orchestrator.memory_port import memory_port
from tests.orchestrator.real_servers import eventually
from tests.orchestrator.wire_clients import Client, connect_over
from tests.peer_regressions.acoustics import WORD_MS, Language, LoudestWordsSTT, Loudspeaker, Room
from tests.reference_defects.vendor_calls import FLUX, NOVA, VOICE, vendor_call

pytestmark = pytest.mark.repeats

# --- R25 --------------------------------------------------------------------------------------------------

PASSING = {
    "429": Fails(ErrorClass.RATE_LIMIT),
    "1011": Fails(ErrorClass.TRANSIENT),
    "reset": Fails(ErrorClass.CONNECTION),
}
REFUSED = Fails(ErrorClass.AUTH, "401")
STATES = ("quiet", "hearing", "endpointing", "finalizing", "generating", "speaking")
OPENS_AFTER_MS = 200.0
WORDS = "how is the weather"


def providers(role: str = "", first: Opening | None = None) -> SimulatedProviders:
    """Providers that take some time for everything; the role's first link is this one."""
    usual = Opening(Delay(OPENS_AFTER_MS))
    plans = {each: script(first if each == role and first else usual, then=usual) for each in ("stt", "tts")}
    return SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(Delay(200))), plans["stt"]),
        SimulatedLanguageModel(script(then=Answer(first=Delay(300)))),
        SimulatedTextToSpeech(openings=plans["tts"]),
    )


async def converse(call: SimulatedCall) -> None:
    """Two turns and their answers."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.reaches("quiet")
    await call.keep_quiet(300)
    for number in (1, 2):
        await call.say(WORDS)
        await call.keep_quiet(1000)
        await call.answered(number)
        await call.until(lambda: call.state == "quiet" or call.over.is_set())


@functools.cache
def moments() -> dict[str, float]:
    """When a call that nothing happens to is in the middle of each state, in ms."""

    async def undisturbed() -> SimulatedCall:
        async with simulated_call(providers()) as call:
            await converse(call)
        return call

    steps = trio.run(undisturbed, clock=MockClock(autojump_threshold=0)).steps
    moved = [step for step in steps if step.machine == "conversation" and step.source != step.target]
    found: dict[str, float] = {}
    for entered, left in pairwise(moved):
        found.setdefault(entered.target, (entered.fact.at_ms + left.fact.at_ms) / 2)
    return found


@pytest.fixture(scope="module", autouse=True)
def measured() -> dict[str, float]:
    """`moments`, before any test has a clock of its own."""
    return moments()


def dying(state: str, fault: Fails) -> Opening:
    """A link that dies in this state."""
    return Opening(Delay(OPENS_AFTER_MS), dies=fault, after_ms=moments()[state] - OPENS_AFTER_MS)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("role", ["stt", "tts"])
async def test_r25_a_link_that_is_lost_in_any_state_is_opened_again_and_no_word_is_lost(
    role: str, fault: str, state: str, autojump_clock: MockClock
) -> None:
    """LiveKit, Pipecat: the first error of speech to text ended the session, or it never reconnected."""
    async with simulated_call(providers(role, dying(state, PASSING[fault]))) as call:
        await converse(call)
        assert call.caller.understood() == [WORDS, WORDS]
        assert call.caller.answers() == [f"You said {WORDS}. That was all."] * 2
        assert len(call.caller.playbacks) == 2
        assert call.caller.client_errors() == []
        link = call.providers.stt if role == "stt" else call.providers.tts
        assert link.open_links == 1
    assert failed_checks(call) == []


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("role", ["stt", "tts"])
async def test_r25_a_key_that_is_refused_in_any_state_is_not_tried_again(
    role: str, state: str, autojump_clock: MockClock
) -> None:
    """LiveKit: with a bad key it retried for ever."""
    async with simulated_call(providers(role, dying(state, REFUSED))) as call:
        await converse(call)
        await call.over.wait()
        opened = [each for each in call.records if _opens(each, role)]
        assert len(opened) == 1
        assert call.caller.client_errors()[-1] is ClientError(f"{role}_unavailable")
        assert trio.current_time() * 1000 < moments()[state] + 10_000
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert failed_checks(call) == []


def _opens(record: object, role: str) -> bool:
    effects = getattr(record, "effects", ())
    return any(isinstance(each, do.OpenLink) and each.role.value == role for each in effects)


@pytest.mark.parametrize("fault", [*PASSING, "401"])
@pytest.mark.parametrize("role", ["stt", "tts"])
async def test_r25_a_provider_that_is_never_there_again_is_not_waited_for_for_ever(
    role: str, fault: str, autojump_clock: MockClock
) -> None:
    """LiveKit, Pipecat: a provider that failed for good in mid-answer ended the session or was retried on."""
    struck = PASSING.get(fault, REFUSED)
    never = script(dying("speaking", struck), then=Opening(fault=struck))
    held = SimulatedProviders(
        SimulatedSpeechToText(openings=never if role == "stt" else None),
        tts=SimulatedTextToSpeech(openings=never if role == "tts" else None),
    )
    policy = ConversationPolicy()
    async with simulated_call(held, policy=policy) as call:
        await converse(call)
        await call.over.wait()
        most_ms = policy.link.budget_ms + policy.link.slow_delay_most_ms * 1.5 + 10_000
        assert trio.current_time() * 1000 < moments()["speaking"] + most_ms
        assert call.caller.client_errors()[-1] is ClientError(f"{role}_unavailable")
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert failed_checks(call) == []


@pytest.mark.parametrize("after", [0, 4])
@pytest.mark.parametrize("fault", [*PASSING, "401"])
async def test_r25_a_model_that_refuses_or_breaks_off_is_asked_again_or_covered_for(
    fault: str, after: int, autojump_clock: MockClock
) -> None:
    """Requests to the model fail, before an answer and within it: the call goes on."""
    broken = Answer("Well, I see. And then it goes on.", fault=PASSING.get(fault, REFUSED), after=after)
    llm = SimulatedLanguageModel(script(broken, then=Answer()))
    async with simulated_call(SimulatedProviders(llm=llm)) as call:
        await converse(call)
        assert len(call.caller.answers()) == 2
        assert len(llm.requests) == (2 if fault == "401" else 3)
        told = [ClientError.MODEL_FAILED] if fault == "401" else []
        assert call.caller.client_errors() == told
        assert call.caller.answers()[1] == f"You said {WORDS}. That was all."
    assert failed_checks(call) == []


@pytest.mark.parametrize("state", ["quiet", "hearing", "finalizing", "generating", "speaking"])
@pytest.mark.parametrize("route", [NOVA, FLUX, VOICE])
async def test_r25_a_line_that_is_half_open_from_any_state_on_is_replaced(
    made: Vendors, route: str, state: str, autojump_clock: MockClock
) -> None:
    """Links swallow everything that is sent; docs/faults.md has all faults of every vendor."""
    async with vendor_call(made, flux=route == FLUX) as held:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def swallow() -> None:
                await held.call.reaches(state)
                held.network.fall_silent(route)

            await converse(held.call)
            nursery.cancel_scope.cancel()
        assert len(held.caller.answers()) == 2
        assert held.caller.playbacks[-1].ended_with_ms


# --- R26 --------------------------------------------------------------------------------------------------

ROOM, CALLERS = 3, 12


@pytest.mark.parametrize("v2", [True, False], ids=["v2", "shipped client"])
async def test_r26_of_many_calls_at_once_as_many_are_held_as_there_is_room_for(
    v2: bool, autojump_clock: MockClock
) -> None:
    """Pipecat, LiveKit: calls beyond the capacity were taken, two in one instant, and all became slow."""
    async with memory_port(SimulatedProviders(), local_max_calls=ROOM) as port:
        admitted: list[Client] = []
        refused: list[Client] = []
        done = trio.Event()

        async def come() -> None:
            async with connect_over(await port.connect(), v2=v2) as client:
                await client.until(lambda: client.messages)
                (admitted if client.session_id else refused).append(client)
                if client.session_id is None:
                    assert await client.is_closed() == 1013
                if len(admitted) + len(refused) == CALLERS:
                    done.set()
                await done.wait()
                assert len(port.server.sessions) <= ROOM

        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(come)
        assert len(admitted) == ROOM
        for client in refused:
            [reason] = client.messages
            assert "busy" in str(reason)
        await eventually(lambda: not port.server.sessions)
        async with connect_over(await port.connect(), v2=v2) as later:
            assert later.session_id, "and when there is room again, the next is held"


# --- R27 --------------------------------------------------------------------------------------------------

ANSWER = "Bread and butter come from the farm. Every morning a lorry brings them here."
NEXT_ANSWER = "I have stopped as you wished."
_WORDS = f"{ANSWER} {NEXT_ANSWER} hello please stop now".lower().replace(".", "").split()
LANGUAGE = Language(tuple(dict.fromkeys(_WORDS)))


async def in_a_room(
    attenuation_db: float,
    delay_ms: float,
    act: Callable[[SimulatedCall, Room], Awaitable[None]],
    answer: str = ANSWER,
) -> SimulatedCall:
    """A call with an answer that comes back as an echo, and what the caller does meanwhile."""
    llm = SimulatedLanguageModel(script(Answer(answer), then=Answer(NEXT_ANSWER)))
    held = SimulatedProviders(LoudestWordsSTT(LANGUAGE), llm, Loudspeaker(LANGUAGE))
    async with simulated_call(held) as call, trio.open_nursery() as nursery:
        room = Room(call, LANGUAGE, attenuation_db, delay_ms)
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.reaches("quiet")
        nursery.start_soon(room.listen)
        await room.say("hello")
        await call.reaches("speaking")
        await act(call, room)
        nursery.cancel_scope.cancel()
    assert failed_checks(call) == []
    return call


ECHOES = [(db, ms) for db in (-20, -12, -6, 0) for ms in (0, 50, 150, 400)]


@pytest.mark.parametrize(("attenuation_db", "delay_ms"), ECHOES)
async def test_r27_the_echo_of_an_answer_does_not_interrupt_it(
    attenuation_db: float, delay_ms: float, autojump_clock: MockClock
) -> None:
    """Pipecat, LiveKit: on a loudspeaker the bot interrupted itself."""

    call = await in_a_room(attenuation_db, delay_ms, only_listen)
    assert call.caller.interruptions() == []
    assert call.caller.answers()[0] == ANSWER
    assert call.caller.playbacks[0].ended_with_ms == pytest.approx(WORD_MS * len(ANSWER.split()), abs=1)


async def only_listen(call: SimulatedCall, room: Room) -> None:
    """The caller is silent, during the answer and after it."""
    await call.answered()
    await trio.sleep(10)


@pytest.mark.parametrize(("attenuation_db", "delay_ms"), ECHOES)
async def test_r27_the_end_of_an_echo_is_not_answered(
    attenuation_db: float, delay_ms: float, autojump_clock: MockClock
) -> None:
    """The answer is over: the rest of its echo is not a turn of the caller's."""
    call = await in_a_room(attenuation_db, delay_ms, only_listen)
    assert call.caller.answers() == [ANSWER]
    assert len(call.providers.llm.requests) == 1


@pytest.mark.parametrize(("attenuation_db", "delay_ms"), ECHOES)
async def test_r27_the_echo_of_a_short_answer_is_no_reply(
    attenuation_db: float, delay_ms: float, autojump_clock: MockClock
) -> None:
    """An answer is over before two false alarms have shown that there is an echo."""
    call = await in_a_room(attenuation_db, delay_ms, only_listen, NEXT_ANSWER)
    assert call.caller.answers() == [NEXT_ANSWER]
    assert call.caller.interruptions() == []


@pytest.mark.parametrize(("attenuation_db", "delay_ms"), ECHOES)
async def test_r27_who_speaks_over_the_echo_interrupts(
    attenuation_db: float, delay_ms: float, autojump_clock: MockClock
) -> None:
    """What keeps the echo out must not keep the caller out."""

    async def cut_in(call: SimulatedCall, room: Room) -> None:
        await trio.sleep(1.5)
        room.attenuation_db = min(attenuation_db, -3)  # as loud as the caller, nobody could tell
        await room.say("please stop now")
        await call.until(lambda: len(call.providers.llm.requests) == 2)

    call = await in_a_room(attenuation_db, delay_ms, cut_in)
    [cut] = call.caller.interruptions()
    assert cut.unheard
    assert call.providers.llm.requests[1][-1].text.endswith("please stop now")
