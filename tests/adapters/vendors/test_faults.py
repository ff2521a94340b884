"""Every fault of every vendor: the error that the adapter raises, and that nothing is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import ProviderError, SegmentEnd, SpeechToText, SpokenAudio
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.simulators import (
    Fault,
    FaultKind,
    Latencies,
    RandomFaults,
    Scenario,
    Simulators,
    SttDialect,
    TtsDialect,
    simulators,
)
from adapters.simulators.script import CALLER_SAYS, Latency
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from tests.adapters.simulated_vendors import KEY, Switchboard, fails_with
from tests.adapters.vendors.stt_links import Emitted, be_silent, loud, send, speak, speak_turn

pytestmark = pytest.mark.slow

FATAL, AUTH, RATE_LIMIT = ErrorClass.FATAL, ErrorClass.AUTH, ErrorClass.RATE_LIMIT
REFUSED = ErrorClass.REFUSED_REQUEST
TRANSIENT, CONNECTION, TIMEOUT = ErrorClass.TRANSIENT, ErrorClass.CONNECTION, ErrorClass.TIMEOUT

Case = tuple[Fault, ErrorClass, int | None]

AT_THE_DOOR: list[Case] = [
    (Fault(FaultKind.REFUSE), CONNECTION, None),
    (Fault(FaultKind.STATUS, status=400), REFUSED, None),
    (Fault(FaultKind.STATUS, status=401), AUTH, None),
    (Fault(FaultKind.STATUS, status=402), FATAL, None),
    (Fault(FaultKind.STATUS, status=403), AUTH, None),
    (Fault(FaultKind.STATUS, status=429, retry_after=2), RATE_LIMIT, 2000),
    (Fault(FaultKind.STATUS, status=429), RATE_LIMIT, None),
    (Fault(FaultKind.STATUS, status=500), TRANSIENT, None),
    (Fault(FaultKind.STATUS, status=503, retry_after=0.5), TRANSIENT, 500),
    (Fault(FaultKind.STATUS, status=504), TIMEOUT, None),
    (Fault(FaultKind.SLOW_ACCEPT, seconds=30), TIMEOUT, None),
]
ON_A_WEBSOCKET: list[Case] = [
    (Fault(FaultKind.STALL, after=2), TIMEOUT, None),
    (Fault(FaultKind.HALF_OPEN, after=2), TIMEOUT, None),
    (Fault(FaultKind.RESET, after=2), CONNECTION, None),
    (Fault(FaultKind.CLOSE, after=2, code=1000), CONNECTION, None),
    (Fault(FaultKind.CLOSE, after=2, code=1001), CONNECTION, None),
    (Fault(FaultKind.CLOSE, after=2, code=1008, reason="DATA-0000 not audio"), REFUSED, None),
    (Fault(FaultKind.CLOSE, after=2, code=1011), TRANSIENT, None),
    (Fault(FaultKind.CLOSE, after=2, code=1013), TRANSIENT, None),
]
HARMLESS = [
    Fault(FaultKind.SLOW_ACCEPT, seconds=3),
    Fault(FaultKind.DRIP, size=200, seconds=0.001),
    Fault(FaultKind.MALFORMED, after=1, count=3),
    Fault(FaultKind.UNKNOWN, after=1, count=3),
    Fault(FaultKind.DUPLICATE, count=0),
    Fault(FaultKind.REORDER, after=1),
]


def named(case: object) -> str:
    return f"{case.kind.value}-{case.status}-{case.code}" if isinstance(case, Fault) else ""


async def one_turn(provider: SpeechToText, emitted: Emitted) -> None:
    """A call with one turn of the caller, and then ten more seconds of voice, in case the link is dead."""
    async with provider.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1)
        with trio.move_on_after(4):
            await emitted.final(1)
        transcriber.begin_turn(2)
        if not emitted.finals(1):
            await speak(transcriber, 10)


async def one_answer(provider: CartesiaTextToSpeech) -> list[SpokenAudio | SegmentEnd]:
    async with provider.open("en") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, "Hello there.")
        await stream.say(1, "How are you?")
        await stream.end()
        return [piece async for piece in stream]


# --- Deepgram -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "error_class", "retry"), AT_THE_DOOR + ON_A_WEBSOCKET, ids=named)
@pytest.mark.parametrize("which", ["nova", "flux"])
async def test_a_fault_of_deepgram_is_a_classified_error(
    vendors: Simulators,
    autojump_clock: MockClock,
    request: pytest.FixtureRequest,
    emitted: Emitted,
    which: str,
    fault: Fault,
    error_class: ErrorClass,
    retry: int | None,
) -> None:
    provider: DeepgramNova | DeepgramFlux = request.getfixturevalue(which)
    vendors.fail(fault)
    started = trio.current_time()
    with fails_with(error_class, retry):
        await one_turn(provider, emitted)
    assert trio.current_time() - started < 15
    assert len(emitted.finals(1)) <= 1


@pytest.mark.parametrize("fault", HARMLESS, ids=named)
@pytest.mark.parametrize("which", ["nova", "flux"])
async def test_a_turn_survives_harmless_faults(
    vendors: Simulators,
    autojump_clock: MockClock,
    request: pytest.FixtureRequest,
    emitted: Emitted,
    which: str,
    fault: Fault,
) -> None:
    vendors.fail(fault)
    await one_turn(request.getfixturevalue(which), emitted)
    assert [final.text for final in emitted.finals(1)] == [CALLER_SAYS[0]]


async def test_a_final_result_cut_in_half_costs_its_words_and_not_the_link(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    vendors.fail(Fault(FaultKind.TRUNCATE, "deepgram", after=4))
    async with nova.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1)
        await trio.sleep(3)
        assert emitted.finals(1) == []
        assert emitted.interims(1)  # the machine uses it when its deadline passes
        await speak_turn(transcriber, 2)
        assert (await emitted.final(2)).text == CALLER_SAYS[1]


async def test_r12_a_link_that_is_open_and_silent_is_given_up_while_the_caller_speaks(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    vendors.fail(Fault(FaultKind.STALL, "deepgram", after=0))

    async def call() -> None:
        async with nova.open(emitted, "en") as transcriber:
            transcriber.begin_turn(1)
            await be_silent(transcriber, 20)  # a silent link is not a fault while nothing is said
            started = trio.current_time()
            try:
                await speak(transcriber, 60)
            finally:
                assert 4.5 < trio.current_time() - started < 6

    with fails_with(TIMEOUT):
        await call()


@pytest.mark.parametrize("which", ["nova", "flux"])
async def test_replayed_audio_sent_at_once_is_not_a_sign_of_a_stall(
    switchboard: Switchboard,
    autojump_clock: MockClock,
    request: pytest.FixtureRequest,
    emitted: Emitted,
    which: str,
) -> None:
    slow = Latencies(transcript=Latency(400, 0))
    async with simulators(keys=[KEY], latencies=slow) as running:
        switchboard.simulators = running
        async with request.getfixturevalue(which).open(emitted, "en") as transcriber:
            transcriber.begin_turn(1)
            await send(transcriber, loud(8), speed=0)
            await speak(transcriber, 1)
            transcriber.finalize(1)
            assert (await emitted.final(1)).text == CALLER_SAYS[0]


@pytest.mark.parametrize("which", ["nova", "flux"])
async def test_a_link_that_stays_silent_after_replayed_audio_is_given_up(
    vendors: Simulators,
    autojump_clock: MockClock,
    request: pytest.FixtureRequest,
    emitted: Emitted,
    which: str,
) -> None:
    provider: DeepgramNova | DeepgramFlux = request.getfixturevalue(which)
    vendors.fail(Fault(FaultKind.STALL, "deepgram", after=0))

    async def call() -> None:
        async with provider.open(emitted, "en") as transcriber:
            transcriber.begin_turn(1)
            await send(transcriber, loud(8), speed=0)
            started = trio.current_time()
            try:
                await be_silent(transcriber, 60)
            finally:
                assert 4.5 < trio.current_time() - started < 6

    with fails_with(TIMEOUT):
        await call()


# --- Cartesia -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "error_class", "retry"), AT_THE_DOOR + ON_A_WEBSOCKET, ids=named)
async def test_a_fault_of_cartesia_is_a_classified_error(
    vendors: Simulators,
    autojump_clock: MockClock,
    cartesia: CartesiaTextToSpeech,
    fault: Fault,
    error_class: ErrorClass,
    retry: int | None,
) -> None:
    vendors.fail(fault)
    with fails_with(error_class, retry):
        await one_answer(cartesia)


@pytest.mark.parametrize("fault", HARMLESS, ids=named)
async def test_an_answer_survives_harmless_faults(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech, fault: Fault
) -> None:
    vendors.fail(fault)
    pieces = await one_answer(cartesia)
    ends = [piece for piece in pieces if isinstance(piece, SegmentEnd)]
    assert [end.segment for end in ends] == [0, 1]
    assert [[word.text for word in end.words] for end in ends] == [
        ["Hello", "there."],
        ["How", "are", "you?"],
    ]


@pytest.mark.parametrize("after", range(22))
async def test_an_answer_survives_any_message_cut_in_half(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech, after: int
) -> None:
    vendors.fail(Fault(FaultKind.TRUNCATE, "cartesia", after=after))
    pieces = await one_answer(cartesia)
    assert [piece.segment for piece in pieces if isinstance(piece, SegmentEnd)] == [0, 1]


# --- OpenAI: over real sockets, as its SDK has its own ------------------------------------------------------

IN_AN_ANSWER: list[Case] = [
    (Fault(FaultKind.REFUSE), CONNECTION, None),
    (Fault(FaultKind.STATUS, status=401), AUTH, None),
    (Fault(FaultKind.STATUS, status=403), AUTH, None),
    (Fault(FaultKind.STATUS, status=429, retry_after=2), RATE_LIMIT, 2000),
    (Fault(FaultKind.STATUS, status=500), TRANSIENT, None),
    (Fault(FaultKind.STATUS, status=503), TRANSIENT, None),
    (Fault(FaultKind.RESET, after=3), CONNECTION, None),
    (Fault(FaultKind.CLOSE, after=3), CONNECTION, None),
    (Fault(FaultKind.TRUNCATE, after=3), TRANSIENT, None),
    (Fault(FaultKind.MALFORMED, after=3), TRANSIENT, None),
]


async def with_a_model(
    faults: list[Fault], use: Callable[[OpenAILanguageModel, Simulators], Awaitable[None]]
) -> None:
    async with simulators(keys=[KEY], faults=faults) as running:
        async with http_client() as http:
            await use(OpenAILanguageModel(http, running.openai_url, "gpt-4.1", KEY), running)
        with trio.fail_after(60):
            await running.all_closed()


async def answer(model: OpenAILanguageModel) -> str:
    async with model.generate([Message(Speaker.USER, "Hello")]) as pieces:
        return "".join([piece async for piece in pieces if isinstance(piece, str)])


@pytest.mark.parametrize(("fault", "error_class", "retry"), IN_AN_ANSWER, ids=named)
async def test_a_fault_of_openai_is_a_classified_error(
    fault: Fault, error_class: ErrorClass, retry: int | None
) -> None:
    async def use(model: OpenAILanguageModel, running: Simulators) -> None:
        with fails_with(error_class, retry):
            await answer(model)
        assert len(running.requests) == 1  # the SDK does not retry

    await with_a_model([fault], use)


@pytest.mark.parametrize(
    "fault", [Fault(FaultKind.DRIP, size=64, seconds=0), Fault(FaultKind.SLOW_ACCEPT, seconds=0)], ids=named
)
async def test_an_answer_of_openai_survives_harmless_faults(fault: Fault) -> None:
    async def use(model: OpenAILanguageModel, running: Simulators) -> None:
        assert (await answer(model)).startswith("Hello! This is Alex.")

    await with_a_model([fault], use)


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.HALF_OPEN])
async def test_a_stalled_answer_of_openai_can_be_left(kind: FaultKind) -> None:
    async def use(model: OpenAILanguageModel, running: Simulators) -> None:
        async with model.generate([Message(Speaker.USER, "Hello")]) as pieces:
            assert await anext(pieces)

    await with_a_model([Fault(kind, after=3)], use)


# --- cancelling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("milliseconds", range(0, 2400, 150))
async def test_a_call_can_be_cancelled_at_any_moment(
    autojump_clock: MockClock,
    vendors: Simulators,
    nova: DeepgramNova,
    flux: DeepgramFlux,
    cartesia: CartesiaTextToSpeech,
    emitted: Emitted,
    milliseconds: int,
) -> None:
    async def answers() -> None:
        async with cartesia.open("en") as voice:
            while True:
                async with voice.speak(16_000, None) as stream:
                    await stream.say(0, "Hello there.")
                    await stream.end()
                    async for _ in stream:
                        await trio.sleep(0.11)

    vendors.fail(Fault(FaultKind.SLOW_ACCEPT, "deepgram", seconds=0.2))
    with trio.move_on_after(milliseconds / 1000) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one_turn, nova, emitted)
            nursery.start_soon(one_turn, flux, Emitted())
            nursery.start_soon(answers)
    assert scope.cancelled_caught


async def test_many_broken_links_in_a_row_leave_nothing(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    vendors.fail(Fault(FaultKind.REFUSE, times=10), Fault(FaultKind.STATUS, skip=10, times=10))
    for _ in range(20):
        with pytest.raises(ProviderError):
            async with nova.open(emitted, "en") as transcriber:
                await transcriber.send(np.zeros(512, np.int16), 0.0)
    await one_turn(nova, emitted)
    assert emitted.finals(1)


# --- anything at all ----------------------------------------------------------------------------------------


@pytest.mark.repeats
@pytest.mark.parametrize("seed", range(16))
async def test_whatever_goes_wrong_a_call_ends_and_leaves_nothing(
    switchboard: Switchboard,
    autojump_clock: MockClock,
    nova: DeepgramNova,
    flux: DeepgramFlux,
    cartesia: CartesiaTextToSpeech,
    seed: int,
) -> None:
    failures: list[ProviderError] = []

    async def attempt(use: Callable[[], Awaitable[object]]) -> None:
        for _ in range(3):
            try:
                await use()
            except ProviderError as error:
                failures.append(error)

    stt, tts = list(SttDialect), list(TtsDialect)
    rough = Scenario(
        random=RandomFaults(chance=0.9),
        stt_dialect=stt[seed % len(stt)],
        tts_dialect=tts[seed % len(tts)],
    )
    async with simulators(seed=seed, keys=[KEY], faults=rough, latencies=Latencies()) as running:
        switchboard.simulators = running
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt, lambda: one_turn(nova, Emitted()))
                nursery.start_soon(attempt, lambda: one_turn(flux, Emitted()))
                nursery.start_soon(attempt, lambda: one_answer(cartesia))
            await running.all_closed()
    assert KEY not in "".join(str(error) for error in failures)
