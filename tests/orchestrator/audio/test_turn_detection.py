"""What a turn model is asked, when, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from structlog.testing import capture_logs
from trio.testing import MockClock

from adapters.interfaces import LISTENING_RATE, Samples, TurnModel
from machines.facts import Fact, TurnMode, TurnScored
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.stt_feed import SttFeed
from orchestrator.simulation import (
    Breaks,
    Delay,
    Fails,
    Scoring,
    SimulatedProviders,
    SimulatedTurnModel,
    SimulatedVoiceActivity,
    Stalls,
    script,
    simulated_call,
)
from orchestrator.simulation.speech import silence, spoken

BLOCK_MS = 20
PAUSE_MS = 120
"""Silence after which voice activity ends: three of its windows, and one that they may begin in."""


@define
class Talker:
    """A caller who speaks in real time into a feed with a turn model, and what comes out."""

    audio: CallerAudio = field(factory=CallerAudio)
    facts: list[Fact] = field(factory=list)

    async def say(self, words: str) -> None:
        await self._send(spoken(words))

    async def keep_quiet(self, ms: float) -> None:
        await self._send(silence(ms))

    async def _send(self, samples: Samples) -> None:
        block = LISTENING_RATE * BLOCK_MS // 1000
        for start in range(0, len(samples), block):
            self.audio.push(samples[start : start + block], LISTENING_RATE)
            await trio.sleep(BLOCK_MS / 1000)

    @property
    def names(self) -> list[str]:
        return [fact.name for fact in self.facts]

    @property
    def scores(self) -> list[TurnScored]:
        return [fact for fact in self.facts if isinstance(fact, TurnScored)]


@asynccontextmanager
async def talking(model: TurnModel | None) -> AsyncIterator[Talker]:
    """A caller in the first turn of a call."""
    talker = Talker()
    feed = SttFeed(talker.audio, SimulatedVoiceActivity(), talker.facts.append, model)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        talker.audio.begin_turn(1)
        yield talker
        nursery.cancel_scope.cancel()


# --- when it is asked -------------------------------------------------------------------------------------


async def test_a_pause_is_scored_as_soon_as_it_begins(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel(script(then=Scoring(0.75)))
    async with talking(model) as caller:
        await caller.say("hello how is the weather")
        assert caller.names == ["speech_started"]
        await caller.keep_quiet(PAUSE_MS)
        assert caller.names == ["speech_started", "speech_stopped", "turn_scored"]
        assert caller.scores == [TurnScored(1, 0.75)]
        assert model.heard == ["hello how is the weather"]
        await caller.keep_quiet(2000)
        assert len(caller.scores) == 1


async def test_each_pause_is_scored_with_the_whole_turn_up_to_it(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel(script(Scoring(0.2), then=Scoring(0.9)))
    async with talking(model) as caller:
        await caller.say("what is your")
        await caller.keep_quiet(300)
        await caller.say("name please")
        await caller.keep_quiet(300)
    assert model.heard == ["what is your", "what is your name please"]
    assert caller.scores == [TurnScored(1, 0.2), TurnScored(1, 0.9)]


async def test_of_a_long_turn_the_last_eight_seconds_are_listened_to(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel()
    words = ["one", "two", "three", "four", "five"] * 7
    async with talking(model) as caller:
        await caller.say(" ".join(words))
        await caller.keep_quiet(PAUSE_MS)
    heard = model.heard[0].split()
    assert len(heard) * 320 <= 8000
    assert len(heard) >= 23
    assert heard == words[-len(heard) :]


async def test_a_turn_is_scored_without_what_was_said_in_turns_before_it(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel()
    async with talking(model) as caller:
        await caller.say("yes please")
        await caller.keep_quiet(300)
        caller.audio.end_turn(1)
        caller.audio.begin_turn(2)
        await caller.keep_quiet(300)
        await caller.say("thanks")
        await caller.keep_quiet(300)
    assert model.heard == ["yes please", "thanks"]
    assert [score.turn for score in caller.scores] == [1, 2]


async def test_the_end_of_a_turn_is_no_pause(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel()
    async with talking(model) as caller:
        await caller.say("hello")
        caller.audio.end_turn(1)
        caller.audio.begin_turn(2)
        await caller.keep_quiet(1000)
    assert caller.names == ["speech_started", "speech_stopped"]
    assert model.heard == []


async def test_voice_between_two_turns_is_not_scored(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel()
    async with talking(model) as caller:
        caller.audio.end_turn(1)
        await caller.say("hello")
        await caller.keep_quiet(300)
    assert caller.names == ["speech_started", "speech_stopped"]
    assert model.heard == []


async def test_without_a_model_pauses_are_only_announced(autojump_clock: MockClock) -> None:
    async with talking(None) as caller:
        await caller.say("hello")
        await caller.keep_quiet(300)
    assert caller.names == ["speech_started", "speech_stopped"]


# --- answers that nobody needs any more -------------------------------------------------------------------

IN_A_THREAD = pytest.mark.parametrize("uncancellable", [False, True], ids=["cancellable", "in a thread"])


@IN_A_THREAD
async def test_a_score_is_dropped_when_voice_begins_again(
    autojump_clock: MockClock, uncancellable: bool
) -> None:
    slow = Scoring(0.1, Delay(500), uncancellable=uncancellable)
    model = SimulatedTurnModel(script(slow, then=Scoring(0.8)))
    async with talking(model) as caller:
        await caller.say("tell me")
        await caller.keep_quiet(200)
        assert model.running == 1
        await caller.say("a joke")
        assert model.running == 0
        await caller.keep_quiet(1000)
    assert model.heard == ["tell me", "tell me a joke"]
    assert caller.scores == [TurnScored(1, 0.8)]


@IN_A_THREAD
async def test_a_score_is_dropped_when_the_turn_is_over(
    autojump_clock: MockClock, uncancellable: bool
) -> None:
    model = SimulatedTurnModel(script(then=Scoring(0.1, Delay(500), uncancellable=uncancellable)))
    async with talking(model) as caller:
        await caller.say("tell me a joke")
        await caller.keep_quiet(200)
        assert model.running == 1
        caller.audio.end_turn(1)
        caller.audio.begin_turn(2)
        await caller.keep_quiet(1000)
        assert model.running == 0
    assert caller.scores == []


async def test_a_score_is_dropped_when_another_turn_takes_the_place_of_this_one(
    autojump_clock: MockClock,
) -> None:
    model = SimulatedTurnModel(script(then=Scoring(0.1, Delay(500))))
    async with talking(model) as caller:
        await caller.say("tell me a joke")
        await caller.keep_quiet(200)
        caller.audio.begin_turn(2)
        await caller.keep_quiet(1000)
    assert caller.scores == []


async def test_one_pause_is_scored_at_a_time_and_the_newest_is_next(autojump_clock: MockClock) -> None:
    stuck = Scoring(0.1, Delay(1500), uncancellable=True)
    model = SimulatedTurnModel(script(stuck, then=Scoring(0.8)))
    async with talking(model) as caller:
        for word in ("one", "two", "three"):
            await caller.say(word)
            await caller.keep_quiet(200)
            assert model.running == 1
        await caller.keep_quiet(1000)
    assert model.heard == ["one", "one two three"]
    assert caller.scores == [TurnScored(1, 0.8)]


async def test_hearing_goes_on_while_a_pause_is_scored(autojump_clock: MockClock) -> None:
    async with talking(SimulatedTurnModel(script(then=Scoring(fault=Stalls())))) as caller:
        for _ in range(3):
            await caller.say("hello")
            await caller.keep_quiet(200)
    assert caller.names == ["speech_started", "speech_stopped"] * 3


# --- a model that fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fails(), Breaks(ValueError)], ids=["fails", "breaks"])
async def test_a_model_that_fails_is_logged_once_and_the_call_goes_on_without_it(
    autojump_clock: MockClock, fault: Fails | Breaks
) -> None:
    model = SimulatedTurnModel(script(Scoring(0.7), then=Scoring(fault=fault)))
    with capture_logs() as logs:
        async with talking(model) as caller:
            for _ in range(4):
                await caller.say("hello")
                await caller.keep_quiet(200)
    assert caller.names.count("speech_stopped") == 4
    assert caller.scores == [TurnScored(1, 0.7)]
    assert model.heard == ["hello", "hello hello"], "a model that failed is not asked again"
    (cursor,) = logs
    assert (cursor["log_level"], cursor["model"]) == ("error", "simulated turn model")
    assert cursor["exc_info"]


async def test_a_model_that_fails_in_one_call_is_asked_in_the_next(autojump_clock: MockClock) -> None:
    model = SimulatedTurnModel(script(Scoring(fault=Fails()), then=Scoring(0.7)))
    async with talking(model) as first:
        await first.say("hello")
        await first.keep_quiet(200)
    async with talking(model) as second:
        await second.say("hello")
        await second.keep_quiet(200)
    assert (first.scores, second.scores) == ([], [TurnScored(1, 0.7)])


# --- in a call --------------------------------------------------------------------------------------------


async def test_in_a_call_the_machine_hears_of_each_pause(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(turn_model=SimulatedTurnModel(script(Scoring(0.2), then=Scoring(0.9))))
    async with simulated_call(providers) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("what is")
        await call.keep_quiet(300)
        await call.say("your name")
        await call.keep_quiet(1000)
        await call.answered()
    told = [(fact.turn, fact.completeness) for fact in call.facts(TurnScored) if isinstance(fact, TurnScored)]
    assert told == [(1, 0.2), (1, 0.9)]
    assert providers.turn_model is not None
    assert providers.turn_model.heard == ["what is", "what is your name"]
    assert providers.in_use() == 0


@pytest.mark.parametrize(
    ("scoring", "over_after_ms"),
    [
        (Scoring(0.95), 200),
        (Scoring(0.05), 1500),
        (Scoring(0.95, Delay(100)), 200),
        (Scoring(fault=Stalls()), 500),
        (Scoring(fault=Fails()), 500),
    ],
    ids=["complete", "not complete", "complete, told late", "never told", "failed"],
)
async def test_a_turn_that_sounds_complete_is_over_sooner_and_one_that_does_not_later(
    autojump_clock: MockClock, scoring: Scoring, over_after_ms: float
) -> None:
    model = SimulatedTurnModel(script(then=scoring))
    async with simulated_call(SimulatedProviders(turn_model=model)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        # Silence is noticed after three windows, and counts from then on.
        await call.keep_quiet(over_after_ms + 60)
        assert call.state == "endpointing"
        await call.keep_quiet(120)
        assert call.state not in ("hearing", "endpointing")


async def test_nothing_of_a_scoring_is_left_when_the_call_ends(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(turn_model=SimulatedTurnModel(script(then=Scoring(fault=Stalls()))))
    async with simulated_call(providers) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("what is")
        await call.keep_quiet(200)
        assert providers.turn_model is not None
        assert providers.turn_model.running == 1
    assert providers.in_use() == 0
