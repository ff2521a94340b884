"""How often each transition was taken, and how long it took: by hour, in buckets that can be added."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from machines.declarations import Outcome
from machines.system import Handled
from orchestrator.calls.edges import HOUR_MS, LAST_BUCKET, bucket_of, least_ms
from orchestrator.journal.format import Head
from tests.orchestrator.calls.kept import hostile_calls, rows_of


@given(st.floats(min_value=0, max_value=1e9))
def test_a_bucket_holds_what_is_at_least_as_long_as_its_least(ms: float) -> None:
    bucket = bucket_of(ms)
    assert least_ms(bucket) <= ms * (1 + 1e-9)
    assert bucket == LAST_BUCKET or ms < max(1.0, least_ms(bucket + 1)) * (1 + 1e-9)


def test_all_transitions_of_any_call_are_counted() -> None:
    for call in hostile_calls():
        steps = [step for each in call.records if isinstance(each, Handled) for step in each.steps]
        taken = Counter(
            (step.machine, step.source, step.fact.name, step.target)
            for step in steps
            if step.outcome is Outcome.TAKEN
        )
        counted: Counter[tuple[str, str, str, str]] = Counter()
        for (_, _, _, machine, source, event, target, bucket), (count, dwell) in rows_of(
            call.records
        ).edges.items():
            counted[machine, source, event, target] += count
            assert (bucket < 0) is (source == target)
            assert (dwell == 0) or bucket > 0
        assert counted == taken


def test_the_time_in_all_states_is_the_time_of_the_call() -> None:
    call = hostile_calls()[2]
    head = call.records[0]
    assert isinstance(head, Head)
    kept = rows_of(call.records)
    conversation = [
        dwell for (_, _, _, machine, *_), (_, dwell) in kept.edges.items() if machine == "conversation"
    ]
    lasted = int(kept.call["ended_ms"] or 0) - int(kept.call["began_ms"] or 0)
    assert sum(conversation) == pytest.approx(lasted, abs=len(conversation))


def test_a_call_over_the_full_hour_counts_in_both() -> None:
    head, *others = hostile_calls()[2].records
    assert isinstance(head, Head)
    late = evolve(head, about=evolve(head.about, began_at=HOUR_MS * 480_000 - 1000.0))
    edges = rows_of([late, *others]).edges
    assert {edge[0] for edge in edges} == {HOUR_MS * 479_999, HOUR_MS * 480_000}
    assert sum(count for count, _ in edges.values()) == sum(
        count for count, _ in rows_of([head, *others]).edges.values()
    )
