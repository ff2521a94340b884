"""What a call was used for, what it costs, and how much of that nobody heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, evolve, frozen
from trio.testing import MockClock

from adapters.interfaces import Product, TokensUsed, ToolSpec
from machines import effects as do
from machines.facts import Role
from machines.history import Message, tokens
from machines.system import Handled
from machines.tools import ToolCall
from orchestrator.journal.format import CallJournal, Head, Record, Used
from orchestrator.simulation import Answer, SimulatedLanguageModel, SimulatedProviders, script, simulated_call
from tests.orchestrator.calls.kept import hostile_calls, rows_of
from tests.orchestrator.journal.journals import ABOUT

TEXT = "One two three four five six seven eight nine ten."
SOLD = evolve(
    ABOUT,
    products={
        Role.STT: (Product("deepgram", "nova-3"),),
        Role.LLM: (Product("api.openai.com", "gpt-4o-mini"),),
        Role.TTS: (Product("cartesia", "sonic-3"),),
    },
)


@frozen
class Amounts:
    """What the rows of a call say, by role and unit."""

    rows: dict[tuple[str, str], dict[str, Any]]
    call: dict[str, Any]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Amounts:
        kept = rows_of(records)
        rows = {(str(row["role"]), str(row["unit"])): dict(row) for row in kept.parts["usage"]}
        return cls(rows, dict(kept.call))


def says(*texts: str) -> SimulatedProviders:
    return SimulatedProviders(llm=SimulatedLanguageModel(script(*map(Answer, texts), then=Answer(TEXT))))


def effects_in(records: Sequence[Record]) -> list[do.Effect]:
    return [effect for each in records if isinstance(each, Handled) for effect in each.effects]


async def test_of_an_answer_that_was_heard_nothing_is_wasted(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(says(), journal=CallJournal(SOLD, records.append)) as call:
        await call.take_turn("tell me a joke")
        await call.answered()
    found = Amounts.of(records)
    assert found.rows["tts", "characters"]["amount"] == len(TEXT)
    assert found.rows["stt", "seconds"]["amount"] == pytest.approx(4 * 0.32, abs=0.1)
    assert all(row["unheard"] == 0 for row in found.rows.values())
    assert all(row["cost_micros"] is not None for row in found.rows.values())
    assert found.call["cost_micros"] == sum(row["cost_micros"] for row in found.rows.values()) > 0
    assert (found.call["unheard_micros"], found.call["unpriced"]) == (0, 0)


async def test_tokens_that_nobody_counts_are_estimated(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(says(), journal=CallJournal(SOLD, records.append)) as call:
        await call.take_turn("tell me a joke")
        await call.answered()
    (asked,) = [each for each in effects_in(records) if isinstance(each, do.StartGeneration)]
    read = Amounts.of(records).rows["llm", "input_tokens"]
    assert read["amount"] == read["estimated"] == sum(map(tokens, asked.messages))


async def test_of_an_answer_that_is_cut_off_the_rest_is_wasted(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(says(), journal=CallJournal(SOLD, records.append)) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await call.keep_quiet(1500)
        await call.interrupt()
        await call.answered()
    (told,) = [each for each in effects_in(records) if isinstance(each, do.NotifyInterrupted)]
    found = Amounts.of(records)
    share = len(told.unheard) / (len(told.heard) + len(told.unheard))
    assert 0 < share < 1
    voice = found.rows["tts", "characters"]
    assert voice["unheard"] == pytest.approx(voice["amount"] * share)
    assert found.rows["llm", "input_tokens"]["unheard"] == 0
    assert voice["unheard_micros"] == pytest.approx(voice["cost_micros"] * share, abs=1)
    assert found.call["unheard_micros"] == sum(row["unheard_micros"] for row in found.rows.values())


async def test_an_answer_that_the_caller_forestalls_is_wasted_as_a_whole(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    slow = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer(thinks_ms=60_000))))
    async with simulated_call(slow, journal=CallJournal(SOLD, records.append)) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("generating")
        await call.interrupt()
        await call.reaches("quiet")
    read = Amounts.of(records).rows["llm", "input_tokens"]
    assert read["unheard"] == read["amount"] > 0


def test_minutes_on_the_phone_are_paid_for() -> None:
    head, *others = hostile_calls()[2].records
    assert isinstance(head, Head)
    by_phone = evolve(head, about=evolve(head.about, dialect="twilio"))
    row = Amounts.of([by_phone, *others]).rows["phone", "seconds"]
    assert row["amount"] == pytest.approx(hostile_calls()[2].virtual_ms / 1000, abs=60)
    assert row["cost_micros"] == 12_500 * -(-row["amount"] // 60)


def test_whatever_happens_what_is_wasted_is_a_part_of_what_was_used() -> None:
    dropped = 0
    for call in hostile_calls():
        found = Amounts.of(call.records)
        for row in found.rows.values():
            assert 0 <= row["unheard"] <= row["amount"] * (1 + 1e-9)
            assert 0 <= row["estimated"] <= row["amount"] * (1 + 1e-9)
        effects = effects_in(call.records)
        in_advance = {each.generation: each.text for each in effects if isinstance(each, do.PrepareSpeech)}
        given_up = {each.generation for each in effects if isinstance(each, do.DropSpeech)}
        lost = sum(len(in_advance[number]) for number in given_up)
        dropped += lost
        if lost:
            assert found.rows["tts", "characters"]["unheard"] >= lost
        requests = [each for each in call.records if isinstance(each, Used) and each.role is Role.LLM]
        assert len(requests) <= sum(isinstance(each, do.StartGeneration) for each in effects)
    assert dropped > 0


# --- a server that counts ---------------------------------------------------------------------------------


@define
class CountedPieces:
    """The pieces of an answer, and what they took once they have come."""

    pieces: AsyncIterator[str | ToolCall]
    used: TokensUsed | None = None

    def __aiter__(self) -> CountedPieces:
        return self

    async def __anext__(self) -> str | ToolCall:
        try:
            return await anext(self.pieces)
        except StopAsyncIteration:
            self.used = TokensUsed(prompt=1000, cached=400, answer=50)
            raise


class CountingModel(SimulatedLanguageModel):
    """A language model whose server tells at the end what an answer took."""

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        async with super().generate(messages, tools) as pieces:
            yield CountedPieces(pieces)


async def test_what_the_server_counts_is_taken_over_with_cached_tokens_apart(
    autojump_clock: MockClock,
) -> None:
    records: list[Record] = []
    counting = SimulatedProviders(llm=CountingModel(script(then=Answer(TEXT))))
    async with simulated_call(counting, journal=CallJournal(SOLD, records.append)) as call:
        await call.take_turn("tell me a joke")
        await call.answered()
    rows = Amounts.of(records).rows
    assert {unit: row["amount"] for (role, unit), row in rows.items() if role == "llm"} == {
        "input_tokens": 600,
        "cached_tokens": 400,
        "output_tokens": 50,
    }
    assert all(row["estimated"] == 0 for (role, _), row in rows.items() if role == "llm")
    assert rows["llm", "cached_tokens"]["cost_micros"] < rows["llm", "input_tokens"]["cost_micros"]
