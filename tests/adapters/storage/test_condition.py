"""How a database does, by what was asked of it: in virtual time."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from adapters.storage.condition import STUCK_S, Asked, Condition
from adapters.storage.errors import UnavailableError


async def test_what_does_not_come_back_is_slow_and_then_unavailable(
    autojump_clock: trio.testing.MockClock,
) -> None:
    condition = Condition("a database")
    told = [condition.state.value]
    with condition.attempt(Asked.READING):
        for wait_s in (0.5, 1.0, STUCK_S):
            await trio.sleep(wait_s)
            told.append(condition.state.value)
    told.append(condition.state.value)
    assert told == ["ok", "ok", "slow", "unavailable", "slow"]


async def test_after_a_quick_answer_all_is_well_again(autojump_clock: trio.testing.MockClock) -> None:
    condition = Condition("a database")
    with pytest.raises(UnavailableError), condition.attempt(Asked.READING):
        raise UnavailableError("gone")
    assert condition.state.value == "unavailable"
    with condition.attempt(Asked.READING):
        await trio.sleep(0.1)
    assert condition.state.value == "ok"


async def test_what_is_given_up_says_nothing_of_the_database(autojump_clock: trio.testing.MockClock) -> None:
    condition = Condition("a database")
    with trio.move_on_after(5), condition.attempt(Asked.READING):
        await trio.sleep_forever()
    assert condition.state.value == "ok"


async def test_what_can_be_read_and_not_written_cannot_be_used_and_that_is_told_once(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk is full, or another process writes: keys are read each second all the same."""
    condition = Condition("a database")
    caplog.set_level(logging.INFO)
    told = []
    for _ in range(5):
        with pytest.raises(UnavailableError), condition.attempt(Asked.WRITING):
            raise UnavailableError("the disk is full")
        told.append(condition.state.value)
        with condition.attempt(Asked.READING):
            await trio.sleep(0.1)
        told.append(condition.state.value)
    assert set(told) == {"unavailable"}
    with condition.attempt(Asked.WRITING):
        await trio.sleep(0.1)
    assert condition.state.value == "ok"
    assert caplog.text.count("the database cannot be used; calls go on") == 1
    assert caplog.text.count("the database can be used again") == 1
