"""Whole calls by dice: providers that are slow, fail, stall, break and lie, and a caller who does anything.

One seed gives one call, the same each time.
"""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from machines.facts import EndReason, ErrorClass, TurnMode
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Breaks,
    Call,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    dice,
    failed_checks,
    simulated_call,
)
from orchestrator.simulation.speech import VOCABULARY

CALLS = 40
FAULTS: tuple[Fault, ...] = (Fails(), Fails(ErrorClass.FATAL), Stalls(), Breaks(), Ends())


def unreliable(random: Random) -> SimulatedProviders:
    after = [random.randrange(12) for _ in FAULTS]
    dying = [(0.3, Opening(Delay(0, 300), dies=fault, after_ms=20_000 * random.random())) for fault in FAULTS]
    openings = [(6.0, Opening(Delay(10, 100))), (0.2, Opening(fault=Fails())), *dying]
    faulty = list(zip(FAULTS, after, strict=True))
    return SimulatedProviders(
        SimulatedSpeechToText(
            dice(
                random,
                [
                    (8, Transcription(Delay(20, 100))),
                    (1, Transcription(Delay(3000, 1000))),
                    (1, Transcription(words="", times=2)),
                    *((0.3, Transcription(Delay(0, 200), fault)) for fault in FAULTS),
                ],
            ),
            dice(random, openings),
            random,
        ),
        SimulatedLanguageModel(
            dice(
                random,
                [
                    (8, Answer(first=Delay(50, 300), between=Delay(0, 30))),
                    (2, Answer("One. Two, three. " * 12, between=Delay(0, 10))),
                    (1, Answer("")),
                    *((0.4, Answer(fault=fault, after=count)) for fault, count in faulty),
                ],
            ),
            dice(random, [(9, Opening()), (0.3, Opening(fault=Fails()))]),
            random,
        ),
        SimulatedTextToSpeech(
            dice(
                random,
                [
                    (8, Synthesis(Delay(20, 100), Delay(1, 5))),
                    (2, Synthesis(between=Delay(50, 100), rate=22_050, words=False)),
                    (0.5, Synthesis(ms_per_character=0)),
                    *(
                        (0.4, Synthesis(between=Delay(5), fault=fault, after=count))
                        for fault, count in faulty
                    ),
                ],
            ),
            dice(random, openings),
            random,
        ),
    )


async def do_something(call: Call, random: Random) -> None:
    words = " ".join(random.choices(VOCABULARY, k=random.randint(1, 5)))
    match random.choices(range(8), (4, 4, 6, 6, 2, 1, 1, 1))[0]:
        case 0:
            await call.start_recording(random.choice(list(TurnMode)))
        case 1:
            await call.stop_recording()
        case 2:
            await call.say(words, random.choice((8000, 16_000, 48_000)))
        case 3:
            await call.keep_quiet(random.choice((50, 300, 700)))
        case 4:
            await call.interrupt()
        case 5:
            await trio.sleep(random.choice((0, 0.001, 0.5, 4)))
        case 6:
            await call.take_turn(words)
        case 7:
            await call.reaches("speaking", "quiet")


@pytest.mark.repeats
@pytest.mark.parametrize("seed", range(CALLS))
async def test_every_call_keeps_its_promises(seed: int, autojump_clock: MockClock) -> None:
    random = Random(seed)
    trio._core._run._r.seed(seed)
    before = trio.lowlevel.current_statistics().tasks_living
    policy = ConversationPolicy(barge_in_min_ms=random.choice((0, 200, 600)))
    async with simulated_call(unreliable(random), policy=policy) as call:
        for _ in range(random.randint(1, 40)):
            if call.over.is_set():
                break
            await do_something(call, random)
        call.hang_up(random.choice(list(EndReason)))
        await call.over.wait()
    assert failed_checks(call) == []
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_one_seed_gives_one_call(autojump_clock: MockClock) -> None:
    async def hold(seed: int) -> list[tuple[str, str]]:
        random = Random(seed)
        trio._core._run._r.seed(seed)
        async with simulated_call(unreliable(random)) as call:
            for _ in range(15):
                await do_something(call, random)
        return [(step.fact.name, step.target) for step in call.steps]

    first = await hold(7)
    assert await hold(7) == first
    assert await hold(8) != first
