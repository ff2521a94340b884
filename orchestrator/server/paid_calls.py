"""A session that its account pays for, and how it ends when the money of the day is used up."""

from __future__ import annotations

import trio

from adapters.logs import library_logger
from machines.facts import EndReason, SayMode, SayRequested
from orchestrator.access.limits import SLICE_S, CallShare
from orchestrator.sessions.served_session import ServedSession, SharedResources
from protocol import QuotaExceeded

log = library_logger(__name__)

MONEY = "money"
"""The service of the event that tells a client."""


async def run_paid(
    session: ServedSession, shared: SharedResources, share: CallShare | None, goodbye: str
) -> None:
    """Run a session until it ends. When its account has no money left, it says `goodbye`, and ends while what
    is paid for lasts; without a text it ends at once."""
    if share is None:
        await session.run(shared)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_unpaid, session, share, goodbye)
        await session.run(shared)
        nursery.cancel_scope.cancel()


async def _end_unpaid(session: ServedSession, share: CallShare, goodbye: str) -> None:
    await share.lasts()
    log.info("no money left", account=share.account)
    if goodbye:
        last = SayRequested(goodbye, SayMode.QUEUE, interruptible=False, then=EndReason.BUDGET_SPENT)
        session.say_goodbye(last, QuotaExceeded(MONEY, share.limits.day_over_at_ms))
        await trio.sleep(SLICE_S)
    session.hang_up(EndReason.BUDGET_SPENT)
