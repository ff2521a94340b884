"""Rows of turns: what both sides said, what was heard of it, and where the time went."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from machines import effects as do
from machines.check.table_driver import run_by_tables
from machines.facts import EndReason, Role
from machines.history import Speaker
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.journal.format import Broke, Head, Record, fact_in
from orchestrator.journal.replay import system_of
from orchestrator.simulation import Answer, SimulatedLanguageModel, SimulatedProviders, script, simulated_call
from tests.orchestrator.calls.kept import hostile_calls, rows_of, turns_of
from tests.orchestrator.journal.journals import kept_in

GREETED = ConversationPolicy(greeting="Good morning to you.")


def shown(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


async def test_a_row_has_the_words_of_both_sides_and_where_the_time_went(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(policy=GREETED, journal=kept_in(records)) as call:
        await call.answered()
        await call.take_turn("tell me a joke")
        await call.answered(2)
    greeting, joke = turns_of(records)
    assert shown(greeting, "number", "said", "heard", "by_model", "outcome") == (
        1,
        "",
        "Good morning to you.",
        False,
        "heard",
    )
    assert shown(joke, "number", "turn", "said", "by_model", "outcome", "unheard") == (
        2,
        2,
        "tell me a joke",
        True,
        "heard",
        "",
    )
    assert joke["heard_words"] > 0 and joke["said_words"] == 4
    stages = shown(joke, "endpoint_ms", "transcript_ms", "first_segment_ms", "first_audio_ms")
    assert joke["total_ms"] == pytest.approx(sum(each or 0 for each in stages))
    (told,) = [
        effect.latency
        for each in records
        if isinstance(each, Handled)
        for effect in each.effects
        if isinstance(effect, do.NotifyAnswerEnded) and effect.generation == joke["generation"]
    ]
    assert stages == (
        told.endpoint_ms,
        told.transcript_ms,
        told.first_segment_ms,
        told.first_audio_ms,
    )
    row = rows_of(records).call
    assert shown(dict(row), "turns", "answers", "end_reason", "complete") == (1, 1, "caller_hung_up", True)
    assert row["latency_p50_ms"] == row["latency_p95_ms"] == joke["total_ms"]


async def test_of_an_interrupted_answer_it_is_known_what_was_heard(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(journal=kept_in(records)) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await call.keep_quiet(400)
        await call.interrupt()
        await call.answered()
    (row,) = turns_of(records)
    (told,) = [
        effect
        for each in records
        if isinstance(each, Handled)
        for effect in each.effects
        if isinstance(effect, do.NotifyInterrupted)
    ]
    assert shown(row, "outcome", "interrupted", "heard", "unheard") == (
        "interrupted",
        True,
        told.heard,
        told.unheard,
    )
    assert row["heard_ms"] == told.heard_ms
    assert row["unheard_words"] > 0


async def test_words_over_an_answer_belong_to_the_next_row(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    async with simulated_call(journal=kept_in(records)) as call:
        await call.take_turn("tell me a joke")
        await call.reaches("speaking")
        await call.take_turn("no stop please")
        await call.answered(2)
    first, second = turns_of(records)
    assert shown(first, "said", "outcome") == ("tell me a joke", "interrupted")
    assert shown(second, "said", "outcome") == ("no stop please", "heard")


async def test_words_that_nobody_answered_are_there(autojump_clock: MockClock) -> None:
    records: list[Record] = []
    silent = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer(thinks_ms=60_000))))
    async with simulated_call(silent, journal=kept_in(records)) as call:
        await call.take_turn("what is the weather")
        await call.reaches("generating")
        call.hang_up()
        await call.over.wait()
    row = turns_of(records)[-1]
    assert shown(row, "said", "heard", "outcome") == ("what is the weather", "", "unanswered")


def test_rows_say_of_any_call_what_the_caller_and_the_model_were_told() -> None:
    """Held against the machines: what they entered into the history, and what they told the client."""
    charts = Charts()
    run_by_tables(charts.conversation)
    run_by_tables(charts.link)
    compared = 0
    for call in hostile_calls():
        head, beginning, *others = call.records
        assert isinstance(head, Head) and isinstance(beginning, Handled)
        rows = turns_of(call.records)
        interrupted = [
            (effect.heard, effect.unheard)
            for each in others
            if isinstance(each, Handled)
            for effect in each.effects
            if isinstance(effect, do.NotifyInterrupted)
        ]
        assert [shown(row, "heard", "unheard") for row in rows if row["interrupted"]] == interrupted
        system = system_of(head, charts)
        system.start(head.at_ms)
        for each in others:
            if isinstance(each, Handled | Broke):
                system.handle(fact_in(each))
        heard = iter(rows)
        for message in system.conversation.context.history:
            if message.speaker is Speaker.ASSISTANT and message.text:
                assert any(message.text in row["heard"] for row in heard), message
                compared += 1
    assert compared > 10


def test_the_providers_of_a_row_are_those_that_were_in_use() -> None:
    for call in hostile_calls():
        head = call.records[0]
        assert isinstance(head, Head)
        for row in turns_of(call.records):
            for role in Role:
                assert row[role.value] in head.about.providers[role]


def test_the_end_of_each_call_is_in_its_row() -> None:
    reasons = {rows_of(call.records).call["end_reason"] for call in hostile_calls()}
    assert reasons <= {reason.value for reason in EndReason}
    assert [rows_of(call.records).call["end_reason"] for call in hostile_calls()] == [
        call.reason and call.reason.value for call in hostile_calls()
    ]
