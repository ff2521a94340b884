"""Counting in this process: memory is bounded, and what is taken by many at once is never too much."""

from __future__ import annotations

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from trio.testing import MockClock

from machines.rate_limit import Patience, Rate
from orchestrator.access.counters import Lease, Place, ProcessCounters

RATE = Rate(60, 60, 5)


async def test_a_million_addresses_are_not_remembered(autojump_clock: MockClock) -> None:
    counters = ProcessCounters(most_remembered=1000)
    for number in range(20_000):
        await counters.take("connections", str(number), RATE)
        await counters.note_failure("logins", str(number), Patience(3))
        await counters.spend(str(number), 0, 1, 10)
    assert max(counters.remembered()) <= 1000


async def test_what_is_free_again_is_forgotten(autojump_clock: MockClock) -> None:
    counters = ProcessCounters()
    for number in range(500):
        await counters.take("connections", str(number), RATE)
    assert max(counters.remembered()) == 500
    await trio.sleep(10)
    for _ in range(300):
        await counters.take("connections", "one who stays", RATE)
    assert max(counters.remembered()) == 1


async def test_a_refusal_does_not_make_anybody_forgotten_before_their_time(autojump_clock: MockClock) -> None:
    counters = ProcessCounters()
    for _ in range(RATE.burst):
        assert (await counters.take("connections", "greedy", RATE)).taken
    for number in range(1000):
        await counters.take("connections", str(number), RATE)
    refused = await counters.take("connections", "greedy", RATE)
    assert not refused.taken
    await trio.sleep(refused.retry_after_us / 1e6)
    assert (await counters.take("connections", "greedy", RATE)).taken


async def test_kinds_do_not_take_from_each_other(autojump_clock: MockClock) -> None:
    counters = ProcessCounters()
    once = Rate(1, 60, 1)
    assert (await counters.take("calls", "k", once)).taken
    assert (await counters.take("dials", "k", once)).taken
    assert not (await counters.take("calls", "k", once)).taken


async def test_places_are_taken_all_or_none() -> None:
    counters = ProcessCounters()
    mine, all_of_us = Place("mine", 2), Place("all", 1)
    first = await counters.lease([mine, all_of_us])
    assert not isinstance(first, Place)
    assert await counters.lease([mine, all_of_us]) == all_of_us
    assert counters.at_once == {"mine": 1, "all": 1}
    first.release()
    first.release()
    assert not counters.at_once


@pytest.mark.parametrize("most", [0, 1, 7, 100])
async def test_of_a_hundred_at_once_as_many_get_a_place_as_there_are(most: int) -> None:
    counters = ProcessCounters()
    leases: list[Lease] = []

    async def ask() -> None:
        lease = await counters.lease([Place("k", most)])
        if not isinstance(lease, Place):
            leases.append(lease)

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert len(leases) == most
    for lease in leases:
        lease.release()
    assert not counters.at_once


async def test_a_budget_is_never_overdrawn_and_is_new_each_day() -> None:
    counters = ProcessCounters()
    assert [await counters.spend("k", 1, 40, 100) for _ in range(3)] == [True, True, False]
    assert await counters.spend("k", 1, 20, 100)
    assert await counters.spend("other", 1, 100, 100)
    assert not await counters.spend("k", 1, 1, 100)
    assert await counters.spend("k", 2, 100, 100)


class Places(RuleBasedStateMachine):
    """Whatever is taken and given back, nobody has more places than there are, and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = ProcessCounters()
        self.leases: list[tuple[str, Lease]] = []
        self.most = {"a": 2, "b": 5}

    def held(self, scope: str) -> int:
        return sum(each == scope for each, _ in self.leases)

    @rule(scope=some.sampled_from("ab"))
    def take(self, scope: str) -> None:
        lease = trio.run(self.counters.lease, [Place(scope, self.most[scope])])
        assert isinstance(lease, Place) == (self.held(scope) >= self.most[scope])
        if not isinstance(lease, Place):
            self.leases.append((scope, lease))

    @rule(which=some.integers(0, 9), times=some.integers(1, 2))
    def give_back(self, which: int, times: int) -> None:
        if which < len(self.leases):
            _, lease = self.leases.pop(which)
            for _ in range(times):
                lease.release()

    @rule(scope=some.sampled_from("ab"), most=some.integers(0, 6))
    def change(self, scope: str, most: int) -> None:
        self.most[scope] = most

    @invariant()
    def counts_are_true(self) -> None:
        assert self.counters.at_once == {each: self.held(each) for each in "ab" if self.held(each)}


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
