"""What is too much is refused, with the time after which it is not, and takes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestrator.access.accounts import ANYBODY, OWN_KEY, TELEPHONE, THIS_MACHINE
from orchestrator.access.counters import ProcessCounters
from orchestrator.access.grants import Grant, KeyLimits, Scope
from orchestrator.access.limits import (
    DAY_MS,
    MOST_CONNECTIONS_PER_MINUTE,
    SLICE_S,
    CallShare,
    Limited,
    Limits,
)
from orchestrator.settings.settings import Settings

DAY = 20_000
"""Days since the epoch."""
PUBLIC, ANOTHER = "8.8.8.8", "2001:4860::/64"


def limits(**chosen: Any) -> Limits:
    began = trio.current_time()
    return Limits(Settings(**chosen), now_ms=lambda: DAY * DAY_MS + 1000 * (trio.current_time() - began))


def grant(account: str = "k1", **of_key: int) -> Grant:
    return Grant(account, frozenset({Scope.CALL}), KeyLimits(**of_key))


def at_once(of: Limits) -> int:
    assert isinstance(of.counters, ProcessCounters)
    return of.counters.at_once.total()


# --- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [PUBLIC, ANOTHER])
async def test_an_address_may_connect_so_often_and_no_more(address: str, autojump_clock: MockClock) -> None:
    of = limits(connections_per_minute_per_address=40)
    for _ in range(10):
        await of.connect(address)
    with pytest.raises(Limited, match="there are too many connections from") as refused:
        await of.connect(address)
    assert refused.value.retry_after_s == 1.5
    assert refused.value.headers == {
        "retry-after": "2",
        "ratelimit-policy": '"connections";q=40;w=60',
        "ratelimit": '"connections";r=0;t=2',
    }
    await of.connect("9.9.9.9")
    await trio.sleep(refused.value.retry_after_s)
    await of.connect(address)
    assert of.counts == {"too many connections": 1}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.7", "fd00::/64"])
async def test_behind_a_private_address_there_may_be_everybody(
    address: str, autojump_clock: MockClock
) -> None:
    of = limits()
    for _ in range(2 * MOST_CONNECTIONS_PER_MINUTE):
        await of.connect(address)
    with pytest.raises(Limited):
        for _ in range(2 * MOST_CONNECTIONS_PER_MINUTE):
            await of.connect(PUBLIC)


async def test_whoever_shows_wrong_keys_waits_and_each_time_for_longer(autojump_clock: MockClock) -> None:
    of = limits(failed_logins_per_address=3)
    waits = []
    for _ in range(6):
        await of.may_log_in(PUBLIC)
        await of.login_failed(PUBLIC)
        try:
            await of.may_log_in(PUBLIC)
        except Limited as refused:
            assert refused.status == 429
            assert refused.retry_after_s is not None
            waits.append(refused.retry_after_s)
            await trio.sleep(refused.retry_after_s)
    assert waits == [60, 120, 240]
    await of.may_log_in(ANOTHER)


async def test_wrong_keys_from_a_proxys_address_lock_nobody_out(autojump_clock: MockClock) -> None:
    of = limits(failed_logins_per_address=1)
    for _ in range(10):
        await of.login_failed("10.0.0.7")
    await of.may_log_in("10.0.0.7")
    told_apart = limits(failed_logins_per_address=1, twilio_trust_proxy=True)
    for _ in range(2):
        await told_apart.login_failed("10.0.0.7")
    with pytest.raises(Limited):
        await told_apart.may_log_in("10.0.0.7")


# --- keys -------------------------------------------------------------------------------------------------


async def test_a_keys_own_limits_go_before_those_of_the_settings(autojump_clock: MockClock) -> None:
    of = limits(tokens_per_minute_per_key=2)
    for _ in range(2):
        await of.mint(grant())
    with pytest.raises(Limited, match="this key may have 2 tokens a minute, and asked for more") as refused:
        await of.mint(grant())
    assert refused.value.retry_after_s == 30
    for _ in range(3):
        await of.mint(grant("k2", tokens_per_minute=3))
    with pytest.raises(Limited):
        await of.mint(grant("k2", tokens_per_minute=3))


async def test_calls_at_once_are_held_by_a_hundred_who_come_together(autojump_clock: MockClock) -> None:
    of = limits(max_calls_per_key=7)
    shares: list[CallShare] = []
    refusals: list[Limited] = []

    async def call() -> None:
        try:
            shares.append(await of.begin(grant()))
        except Limited as refused:
            refusals.append(refused)

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(call)
    assert (len(shares), len(refusals)) == (7, 93)
    assert str(refusals[0]) == "this key may have 7 calls at once, and has them"
    assert isinstance(await of.begin(grant("k2")), CallShare)
    shares.pop().release()
    shares.append(await of.begin(grant()))
    with pytest.raises(Limited):
        await of.begin(grant())


@pytest.mark.parametrize("how", ["returned", "raised", "cancelled"])
async def test_a_place_is_given_back_however_a_call_ends(how: str, autojump_clock: MockClock) -> None:
    of = limits(max_calls_per_key=1)
    with trio.move_on_after(1) as scope:
        try:
            with await of.begin(grant()):
                assert at_once(of) == 1
                if how == "raised":
                    raise KeyError
                if how == "cancelled":
                    await trio.sleep_forever()
        except KeyError:
            assert how == "raised"
    assert scope.cancelled_caught == (how == "cancelled")
    assert at_once(of) == 0


async def test_what_is_refused_takes_no_place(autojump_clock: MockClock) -> None:
    of = limits(max_calls_per_key=10, calls_per_minute_per_key=1)
    with await of.begin(grant()):
        with pytest.raises(Limited, match="this key may have 1 calls a minute"):
            await of.begin(grant())
        with pytest.raises(Limited, match="the money of this key"):
            await of.begin(grant("k2", micros_per_day=1))
        assert at_once(of) == 1


async def test_calls_are_bounded_by_key_and_minute(autojump_clock: MockClock) -> None:
    of = limits()
    few = grant(calls_per_minute=2)
    for _ in range(2):
        (await of.begin(few)).release()
    with pytest.raises(Limited) as refused:
        await of.begin(few)
    await trio.sleep(refused.value.retry_after_s or 0)
    (await of.begin(few)).release()


@pytest.mark.parametrize("account", [THIS_MACHINE, OWN_KEY, ANYBODY, TELEPHONE])
async def test_who_has_no_key_is_not_held_to_what_keys_may(account: str, autojump_clock: MockClock) -> None:
    of = limits(max_calls_per_key=1, calls_per_minute_per_key=1, dials_per_minute_per_key=1)
    for number in range(50):
        await of.begin(grant(account))
        await of.dial(grant(account), f"+4930{number:07}")


async def test_one_number_is_not_called_without_end_whoever_wants_it(autojump_clock: MockClock) -> None:
    of = limits(dials_per_hour_per_number=3)
    for account in ("k1", "k2", OWN_KEY):
        await of.dial(grant(account), "+493012345678")
    with pytest.raises(Limited, match="this number was called too often in the last hour") as refused:
        await of.dial(grant("k4"), "+493012345678")
    assert refused.value.retry_after_s == 1200
    await of.dial(grant("k4"), "+493012345679")


# --- money ------------------------------------------------------------------------------------------------

PRICE = {"call_price_per_minute": 0.6}
"""A slice costs ten cents."""
CENT = 10_000


async def test_a_call_is_paid_for_while_it_runs_and_ends_before_it_is_not(autojump_clock: MockClock) -> None:
    of = limits(**PRICE)
    began = trio.current_time()
    share = await of.begin(grant(micros_per_day=55 * CENT))
    await share.lasts()
    # Five slices are paid for; one of them is left, for the goodbye.
    assert trio.current_time() - began == pytest.approx(4 * SLICE_S)
    with pytest.raises(Limited, match="the money of this key is used up for today") as refused:
        await of.begin(grant(micros_per_day=55 * CENT))
    assert refused.value.retry_after_s == pytest.approx(86_400 - 4 * SLICE_S)
    await trio.sleep(refused.value.retry_after_s or 0)
    await of.begin(grant(micros_per_day=55 * CENT))


async def test_a_hundred_calls_together_never_cost_more_than_the_budget(autojump_clock: MockClock) -> None:
    of = limits(daily_budget_per_key=5.0, **PRICE)
    paid_s = 0.0

    async def call() -> None:
        nonlocal paid_s
        began = trio.current_time()
        try:
            share = await of.begin(grant())
        except Limited:
            return
        await share.lasts()
        paid_s += trio.current_time() - began + SLICE_S

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(call)
    assert paid_s * 0.6 / 60 == pytest.approx(5.0)


async def test_all_who_call_by_telephone_have_one_budget_together(autojump_clock: MockClock) -> None:
    of = limits(daily_budget_per_key=0.2, **PRICE)
    await of.begin(grant(TELEPHONE))
    with pytest.raises(Limited):
        await of.begin(grant(TELEPHONE))
    await of.begin(grant(OWN_KEY))
    await of.begin(grant(OWN_KEY))


async def test_without_a_budget_a_call_lasts(autojump_clock: MockClock) -> None:
    share = await limits().begin(grant())
    with trio.move_on_after(DAY_MS / 1000) as scope:
        await share.lasts()
    assert scope.cancelled_caught


async def test_a_call_that_does_not_begin_costs_nothing(autojump_clock: MockClock) -> None:
    of = limits(**PRICE)
    for _ in range(10):
        with await of.begin(grant(micros_per_day=20 * CENT)):
            pass
    share = await of.begin(grant(micros_per_day=20 * CENT))
    share.begins()
    share.release()
    with pytest.raises(Limited, match="used up for today"):
        await of.begin(grant(micros_per_day=20 * CENT))


async def test_what_a_call_of_yesterday_did_not_cost_is_nobodys_today(autojump_clock: MockClock) -> None:
    of = limits(**PRICE)
    late = await of.begin(grant(micros_per_day=20 * CENT))
    await trio.sleep(DAY_MS / 1000)
    (await of.begin(grant(micros_per_day=20 * CENT))).begins()
    late.release()
    with pytest.raises(Limited, match="used up for today"):
        await of.begin(grant(micros_per_day=20 * CENT))
