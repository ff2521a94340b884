"""Providers without measure, in virtual time: what they say is cut, and the call goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines import facts
from machines.bounds import (
    FAIR_PART,
    INTERIMS_AT_ONCE,
    INTERIMS_PER_S,
    LONGEST_ANSWER,
    LONGEST_TRANSCRIPT,
    MOST_SEGMENTS,
)
from machines.history import Message
from machines.policy import ConversationPolicy
from machines.tools import ToolCall
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.stt_feed import SttFeed
from orchestrator.simulation import SimulatedLanguageModel, SimulatedProviders, failed_checks, simulated_call
from orchestrator.simulation.llm import Answer
from orchestrator.simulation.stt import SimulatedVoiceActivity


class Overflowing(SimulatedLanguageModel):
    """Its first answer is these pieces; then it answers as others do."""

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__()
        self.pieces = list(pieces)
        self.taken = 0

    async def _pieces(
        self, answer: Answer, messages: Sequence[Message]
    ) -> AsyncGenerator[str | ToolCall, None]:
        if len(self.requests) > 1:
            async for piece in super()._pieces(answer, messages):
                yield piece
            return
        for piece in self.pieces:
            self.taken += 1
            yield piece


@pytest.mark.slow
@pytest.mark.parametrize(
    "pieces",
    [["||BREAK|| Yes. "] * 20_000, ["One word follows another. " * 4000], ["Well, well. " * 100] * 1000],
    ids=["segments", "a piece", "pieces"],
)
async def test_an_answer_without_end_is_cut_and_the_call_goes_on(
    pieces: list[str], autojump_clock: MockClock
) -> None:
    model = Overflowing(pieces)
    policy = ConversationPolicy(answer_timeout_ms=10**7)
    async with simulated_call(SimulatedProviders(llm=model), policy=policy) as call:
        await call.take_turn("hello")
        await call.until(lambda: bool(call.caller.notified_of(do.NotifySegment)))
        await trio.sleep(5)
        segments = call.caller.notified_of(do.NotifySegment)
        assert len(segments) <= MOST_SEGMENTS
        assert sum(len(each.text) for each in segments) <= LONGEST_ANSWER + FAIR_PART
        await call.take_turn("stop")
        await call.until(lambda: "You said stop. That was all." in call.caller.answers())
        assert call.caller.client_errors() == []
    assert failed_checks(call) == []
    assert not model.running


async def test_other_tasks_have_their_turn_within_a_long_piece(autojump_clock: MockClock) -> None:
    turns = [0]

    async def bystander() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            turns[0] += 1

    class Watched(Overflowing):
        async def _pieces(
            self, answer: Answer, messages: Sequence[Message]
        ) -> AsyncGenerator[str | ToolCall, None]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bystander)
                begun = turns[0]
                yield ("on and " * 14 + "on. ") * (LONGEST_ANSWER // 102)
                turns[0] -= begun
                nursery.cancel_scope.cancel()

    async with simulated_call(SimulatedProviders(llm=Watched([]))) as call:
        await call.take_turn("hello")
        await call.until(lambda: bool(call.facts(facts.GenerationFinished)))
    # Before the first part and behind the last one nobody need have a turn.
    assert turns[0] >= LONGEST_ANSWER // FAIR_PART - 2


async def test_a_transcript_without_end_is_cut() -> None:
    emitted: list[facts.Fact] = []
    feed = SttFeed(CallerAudio(), SimulatedVoiceActivity(), emitted.append)
    for kind in (facts.TranscriptInterim, facts.TranscriptFinal, facts.EagerEndOfTurn, facts.EndOfTurn):
        feed.report(kind(1, "all " * 100_000, 0.9))
    assert [len(fact.text) for fact in emitted if isinstance(fact, facts.Transcribed)] == [
        LONGEST_TRANSCRIPT
    ] * 4


async def test_interim_transcripts_without_end_are_left_out(autojump_clock: MockClock) -> None:
    """Each is a message to the client, who would be taken for one that does not read."""
    emitted: list[facts.Fact] = []
    feed = SttFeed(CallerAudio(), SimulatedVoiceActivity(), emitted.append)
    for number in range(100_000):
        feed.report(facts.TranscriptInterim(1, f"word {number}", 0.9))
    assert len(emitted) == INTERIMS_AT_ONCE
    feed.report(facts.TranscriptFinal(1, "word", 0.9))
    assert len(emitted) == INTERIMS_AT_ONCE + 1
    await trio.sleep(1)
    for number in range(1000):
        feed.report(facts.TranscriptInterim(2, f"word {number}", 0.9))
    assert len(emitted) == INTERIMS_AT_ONCE + 1 + INTERIMS_PER_S


async def test_a_transcript_has_nothing_that_is_not_seen() -> None:
    emitted: list[facts.Fact] = []
    feed = SttFeed(CallerAudio(), SimulatedVoiceActivity(), emitted.append)
    feed.report(facts.TranscriptFinal(1, "pay \u202e001\u202c \x1b[2Jnow\x00", 0.9))
    feed.report(facts.TranscriptFinal(2, "क्\u200dष نمی\u200cدانم", 0.9))
    assert [each.text for each in emitted if isinstance(each, facts.Transcribed)] == [
        "pay 001 [2Jnow",
        "क्\u200dष نمی\u200cدانم",
    ]
