"""How much everybody may take: checked before anything costs money. `counters.py` counts it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio
from attrs import Factory, define, field, frozen

from adapters.logs import library_logger
from machines.rate_limit import MICROS, Asked, Patience, Rate
from orchestrator.access.accounts import ANYBODY, OWN_KEY, TELEPHONE, THIS_MACHINE
from orchestrator.access.counters import Counters, Lease, Place, ProcessCounters
from orchestrator.access.grants import Grant, KeyLimits
from orchestrator.access.refusal import Refusal
from orchestrator.addresses import is_private
from orchestrator.clock import epoch_ms
from orchestrator.settings.settings import Settings

log = library_logger(__name__)

OPERATORS = (THIS_MACHINE, OWN_KEY)
"""Accounts of whoever runs the server: nothing that they do is too much."""
CROWDS = (ANYBODY, TELEPHONE)
"""Accounts that many have together, of whom one must not use up what all have: no rates, but money."""
MOST_CONNECTIONS_PER_MINUTE = 3000
"""From one public address, such as that of an office or a carrier: our page takes about thirty, a telephone
call about six. A private one may be a proxy's, behind which all are."""
AT_ONCE = 4
"""A quarter of a minute's connections may come at once."""
SLICE_S = 10.0
"""Calls are paid for in advance, for so long each time; the last slice is for the goodbye."""
UNBOUNDED = 1_000_000_000
"""Places of an account that has no bound of its own: they are counted all the same."""
TRY_CALL_AGAIN_S = 10.0
"""Whoever has too many calls at once may ask again after this: calls do not end every second."""
MOST_WARNED = 1000
"""Accounts of which the operator is told in a day that their money is used up."""
DAY_MS = 86_400_000
DOLLAR = 1_000_000
"""Millionths."""


class Limited(Refusal):
    """Somebody asked for more than they may have now, and may ask again in `retry_after_s` seconds."""

    def __init__(self, sentence: str, retry_after_s: float, told: dict[str, str] | None = None) -> None:
        super().__init__(429, sentence, retry_after_s)
        self.told = told or {}
        """More headers: those of the IETF's draft on rate limits."""

    @property
    def headers(self) -> dict[str, str]:
        """As `Refusal.headers`, and how much may be taken."""
        return {**super().headers, **self.told}


def _told(policy: str, rate: Rate, asked: Asked) -> dict[str, str]:
    after = math.ceil((asked.retry_after_us or asked.full_after_us) / MICROS)
    return {
        "ratelimit-policy": f'"{policy}";q={rate.most};w={rate.per_s}',
        "ratelimit": f'"{policy}";r={asked.left};t={after}',
    }


@frozen
class Paid:
    """Money that was spent on a day, in millionths of a dollar."""

    day: int
    micros: int


@define(eq=False)
class CallShare:
    """What one call takes of its account, from before it begins until it is over: `release` it, or use it as
    a context manager. A call that does not begin costs nothing."""

    limits: Limits
    account: str
    budget: int | None
    """What the account may spend in a day, in millionths of a dollar."""
    _lease: Lease
    _paid: Paid | None
    """In advance."""
    if_not_begun: Callable[[], None] = field(default=lambda: None)
    """Gives back what else the call took."""
    _is_open: bool = field(default=True, init=False)
    """Neither has the call begun, nor is it over."""

    def begins(self) -> None:
        """The call begins: what it took is used."""
        self._is_open = False

    async def lasts(self) -> None:
        """Pay for the call while it runs. Returns when the account's money for the day does not last for one
        more slice, one slice before that is used up; without a budget, never."""
        if self.budget is None:
            await trio.sleep_forever()
            return
        while True:
            await trio.sleep(SLICE_S)
            if await self.limits.pay(self.account, self.budget, slices=1) is None:
                return

    def release(self) -> None:
        """The call is over, or will not be. More than once does nothing."""
        self._lease.release()
        if self._is_open:
            self._is_open = False
            if self._paid is not None:
                self.limits.counters.refund(self.account, self._paid.day, self._paid.micros)
            self.if_not_begun()

    def __enter__(self) -> Self:
        """The share, which is released at the end of the block whatever happens."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release it."""
        self.release()


@define(eq=False)
class Limits:
    """Refuses what is too much. All methods raise `Limited`, or `Refusal` (403) for a key that may have none
    at all, and take nothing if they do."""

    settings: Settings
    counters: Counters = Factory(ProcessCounters)
    counts: Counter[str] = Factory(Counter)
    """How often what was too much, for the operator."""
    now_ms: Callable[[], float] = epoch_ms
    """By this clock a day is over."""
    _warned_day: dict[str, int] = field(factory=dict, init=False)

    # --- addresses ----------------------------------------------------------------------------------------

    async def connect(self, address: str) -> None:
        """Somebody connects from there. It is an address as `connection_limits.address_of` has it: an IPv6
        network of 64 bits counts as one."""
        most = self.settings.connections_per_minute_per_address
        if most is None:
            if is_private(address):
                return
            most = MOST_CONNECTIONS_PER_MINUTE
        rate = Rate(most, 60, max(1, most // AT_ONCE))
        sentence = f"there are too many connections from {address}"
        await self._take("connections", address, rate, sentence)

    async def may_log_in(self, address: str) -> None:
        """Somebody shows a credential that is wrong, or that could have been guessed."""
        if is_private(address) and not self.settings.twilio_trust_proxy:
            return
        wait_s = await self.counters.wait_s("failed logins", address, self._patience)
        if wait_s > 0:
            self.counts["too many failed logins"] += 1
            raise Limited("there were too many wrong keys and tokens from your address", wait_s)

    async def login_failed(self, address: str) -> None:
        """A credential from there was not valid."""
        await self.counters.note_failure("failed logins", address, self._patience)

    @property
    def _patience(self) -> Patience:
        return Patience(self.settings.failed_logins_per_address)

    # --- keys ---------------------------------------------------------------------------------------------

    async def mint(self, grant: Grant) -> None:
        """Somebody wants a client token."""
        await self._take_by_key(grant, "tokens", self._of(grant).tokens_per_minute)

    async def dial(self, grant: Grant, to: str) -> None:
        """Somebody wants a telephone call to this number."""
        await self._take_by_key(grant, "dials", self._of(grant).dials_per_minute)
        most = self.settings.dials_per_hour_per_number
        sentence = "this number was called too often in the last hour"
        await self._take("dials to a number", to, Rate(most, 3600, most), sentence)

    async def begin(self, grant: Grant) -> CallShare:
        """Somebody wants to begin a call."""
        limits = self._of(grant)
        most = UNBOUNDED if limits.calls_at_once is None else limits.calls_at_once
        self._refuse_none(most, "calls")
        lease = await self.counters.lease([Place(f"calls of {grant.account}", most)])
        if isinstance(lease, Place):
            self.counts["too many calls at once"] += 1
            raise Limited(f"this key may have {lease.most} calls at once, and has them", TRY_CALL_AGAIN_S)
        try:
            await self._take_by_key(grant, "calls", limits.calls_per_minute)
            paid = await self._pay_for_beginning(grant.account, limits.micros_per_day)
        except BaseException:
            lease.release()
            raise
        return CallShare(self, grant.account, limits.micros_per_day, lease, paid)

    async def _take_by_key(self, grant: Grant, kind: str, per_minute: int | None) -> None:
        if per_minute is not None:
            self._refuse_none(per_minute, kind)
            sentence = f"this key may have {per_minute} {kind} a minute, and asked for more"
            await self._take(kind, grant.account, Rate(per_minute, 60, per_minute), sentence)

    def _refuse_none(self, most: int, kind: str) -> None:
        """Whoever may have none at all is not told to come again."""
        if most == 0:
            self.counts[f"too many {kind}"] += 1
            raise Refusal(403, f"this key may have no {kind}")

    async def _take(self, kind: str, who: str, rate: Rate, sentence: str) -> None:
        asked = await self.counters.take(kind, who, rate)
        if not asked.taken:
            self.counts[f"too many {kind}"] += 1
            raise Limited(sentence, asked.retry_after_us / MICROS, _told(kind, rate, asked))

    def _of(self, grant: Grant) -> KeyLimits:
        """The limits of an account: its own, and for what it has none of, those of the settings."""
        if grant.account in OPERATORS:
            return grant.limits
        settings, own = self.settings, grant.limits
        dollars = settings.daily_budget_per_key
        micros = _either(own.micros_per_day, None if dollars is None else round(dollars * DOLLAR))
        if grant.account in CROWDS:
            return KeyLimits(micros_per_day=micros)
        return KeyLimits(
            _either(own.calls_at_once, settings.max_calls_per_key),
            _either(own.calls_per_minute, settings.calls_per_minute_per_key),
            _either(own.tokens_per_minute, settings.tokens_per_minute_per_key),
            _either(own.dials_per_minute, settings.dials_per_minute_per_key),
            micros,
        )

    # --- money --------------------------------------------------------------------------------------------

    async def _pay_for_beginning(self, account: str, budget: int | None) -> Paid | None:
        if budget is None:
            return None
        paid = await self.pay(account, budget, slices=2)
        if paid is None:
            self.counts["no money left"] += 1
            self._warn(account)
            raise Limited("the money of this key is used up for today", self.day_over_in_s)
        return paid

    async def pay(self, account: str, budget: int, slices: int) -> Paid | None:
        """Spend the estimated price of so many slices; None if the account has not so much left today."""
        micros = math.ceil(self.settings.call_price_per_minute * DOLLAR * slices * SLICE_S / 60)
        paid = Paid(self._today, micros)
        return paid if await self.counters.spend(account, paid.day, micros, budget) else None

    @property
    def _today(self) -> int:
        return int(self.now_ms() // DAY_MS)

    @property
    def day_over_at_ms(self) -> float:
        """When there is money again, in ms since the epoch."""
        return float((self._today + 1) * DAY_MS)

    @property
    def day_over_in_s(self) -> float:
        """After how many seconds there is money again."""
        return (self.day_over_at_ms - self.now_ms()) / 1000

    def _warn(self, account: str) -> None:
        """Tell the operator, once a day and account."""
        if any(day != self._today for day in self._warned_day.values()):
            self._warned_day.clear()
        if account not in self._warned_day and len(self._warned_day) < MOST_WARNED:
            self._warned_day[account] = self._today
            log.warning("the money of an account is used up for today", account=account)


def _either(own: int | None, usual: int | None) -> int | None:
    return usual if own is None else own
