"""Rows of tool calls: what was asked, what came of it, and what nobody knows after a crash."""

from __future__ import annotations

from machines import effects as do
from machines.system import Handled
from orchestrator.calls.call_fold import CallFold
from orchestrator.journal.format import Record, plain_record
from tests.orchestrator.calls.kept import hostile_calls, rows_of


def test_tool_calls_of_any_call_have_a_row_each() -> None:
    outcomes = set()
    for call in hostile_calls():
        rows = rows_of(call.records).parts["tool_calls"]
        effects = [effect for each in call.records if isinstance(each, Handled) for effect in each.effects]
        begun = {each.call: each.asked for each in effects if isinstance(each, do.RunTool)}
        assert [row["number"] for row in rows] == sorted(begun)
        assert [row["name"] for row in rows] == [begun[number].name for number in sorted(begun)]
        outcomes |= {row["outcome"] for row in rows}
    assert {"finished", "failed"} <= outcomes


def test_after_a_crash_it_is_uncertain_what_a_tool_did() -> None:
    cut = next(cut for call in hostile_calls() if (cut := _until_a_tool_runs(call.records)))
    fold = CallFold()
    for record in cut:
        fold.take(plain_record(record))
    kept = fold.rows()
    assert kept.parts["tool_calls"][-1]["outcome"] == "uncertain"
    assert kept.parts["tool_calls"][-1]["result"] is None
    assert (kept.call["complete"], kept.call["end_reason"]) == (False, None)


def _until_a_tool_runs(records: tuple[Record, ...]) -> list[Record] | None:
    for place, record in enumerate(records):
        if isinstance(record, Handled) and any(isinstance(each, do.RunTool) for each in record.effects):
            return list(records[: place + 1])
    return None
