"""Runs the sessions of a server: each begins when its turn comes, and is counted when it is over."""

from __future__ import annotations

from collections import Counter

import trio
from attrs import define, field

from adapters.logs import library_logger
from adapters.tasks import Signal
from orchestrator.access.limits import CallShare
from orchestrator.server import turning_away
from orchestrator.server.capacity import Capacity
from orchestrator.server.pace_of_starts import PaceOfStarts
from orchestrator.server.paid_calls import run_paid
from orchestrator.sessions.call_socket import CloseCode, MessageSocket
from orchestrator.sessions.served_session import ServedSession, SharedResources

log = library_logger(__name__)


@define(eq=False)
class SessionRunner:
    """Runs sessions, many at once. An error of one does not affect the others."""

    capacity: Capacity
    counts: Counter[str]
    """Takes in what each session has counted."""
    budget_goodbye: str
    """Said to whose account has no money left."""
    ended: int = field(default=0, init=False)
    """Sessions that are over."""
    one_over: Signal = field(factory=Signal, init=False)
    """Wakes when one is."""
    _pace: PaceOfStarts = field(factory=PaceOfStarts, init=False)
    _scopes: set[trio.CancelScope] = field(factory=set, init=False)

    async def run(
        self,
        connection: MessageSocket,
        session: ServedSession,
        shared: SharedResources,
        share: CallShare | None,
    ) -> None:
        """Run a session until it is over, or its account has no money left. There must be room for it."""
        try:
            with self.capacity.line_of(session):
                try:
                    await self._run_in_turn(connection, session, shared, share)
                except* Exception as group:
                    log.exception("session broke", exc_info=group)
                    await turning_away.close(connection, CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self.ended += 1
            self.one_over.wake_all()
            self.counts.update(session.counts)
            seconds = round(trio.current_time() - session.started_at, 1)
            log.info("session over", seconds=seconds, **{k: v for k, v in session.counts.items() if v})

    async def _run_in_turn(
        self,
        connection: MessageSocket,
        session: ServedSession,
        shared: SharedResources,
        share: CallShare | None,
    ) -> None:
        sessions = self.capacity.sessions
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not await self._pace.may_begin() or self.capacity.closed_meanwhile(session):
                    log.warning("too many calls begin at once", sessions=len(sessions))
                    await turning_away.close(connection, CloseCode.TRY_AGAIN_LATER, turning_away.BUSY_CLOSE)
                    return
                log.info("session begins", kind=session.kind, sessions=len(sessions))
                self.capacity.begins(session)
                if share is not None:
                    share.begins()
                await run_paid(session, shared, share, self.budget_goodbye)
            finally:
                self._scopes.discard(scope)

    async def all_over(self) -> None:
        """Return when no session runs."""
        while self.capacity.sessions:
            await self.one_over.wait()

    async def cancel_all(self) -> None:
        """Cancel all sessions, and return when they are over, even if the caller is cancelled."""
        for scope in self._scopes:
            scope.cancel()
        with trio.CancelScope(shield=True):
            await self.all_over()
