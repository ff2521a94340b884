"""The server of one process: what it is made of, whether it is ready, how its calls begin and how it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from attrs import Factory, define
from starlette.applications import Starlette

from adapters.logs import library_logger
from adapters.storage.store import Store
from machines.facts import EndReason, Role, SayMode, SayRequested
from machines.system import Charts
from orchestrator.access.doors import Doors
from orchestrator.access.grants import Grant
from orchestrator.access.limits import CallShare, Limits
from orchestrator.access.routes import access_routes
from orchestrator.calls.prices import Prices
from orchestrator.conversation.charts import charts_of_this_thread
from orchestrator.journal.writer import Journals
from orchestrator.logs import bind_session
from orchestrator.phone.routes import phone_routes
from orchestrator.phone.telephone import MEDIA_PATH, Telephone
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.providers.selection import brain
from orchestrator.server import turning_away, web
from orchestrator.server.capacity import Capacity
from orchestrator.server.connection_limits import ConnectionLimits, Place, descriptors
from orchestrator.server.connections import WEBSOCKET_PATH, Connections
from orchestrator.server.keeping import keeping
from orchestrator.server.peer_socket import PeerSocket
from orchestrator.server.session_runner import SessionRunner
from orchestrator.sessions.call_socket import MessageSocket
from orchestrator.sessions.served_session import ServedSession, SessionState, SharedResources
from orchestrator.sessions.session import Session
from orchestrator.sessions.session_settings import SessionSettings, session_settings
from orchestrator.settings.settings import Settings
from protocol import SystemMaintenance, dialect_for_subprotocol
from protocol.dialects import Dialect

log = library_logger(__name__)

TurnAway = Callable[[MessageSocket, Dialect], Awaitable[None]]
"""Tells a client why it cannot make a call, and closes its socket."""


@define(eq=False)
class Server:
    """Serves all connections of one process."""

    settings: Settings
    providers: Providers | None = None
    """None while they are being loaded."""
    watch: ProviderWatch | None = None
    """Knows which of the providers work."""
    store: Store | None = None
    """The database. None: there is none, and nothing is kept in one."""
    journals_at: Path | None = Factory(lambda self: self.settings.asked_journals, takes_self=True)
    """Where journals are kept. None: nowhere, and no rows are made of them."""
    prices: Prices | None = None
    """Of what calls use. None: list prices."""
    ready: bool = False
    """Sessions may begin: the providers are loaded, and every role had one that works."""
    counts: Counter[str] = Factory(Counter)
    """Counts over all ended sessions, and of the server itself."""
    started_at: float = Factory(trio.current_time)
    draining: bool = False
    limits: ConnectionLimits = Factory(
        lambda self: ConnectionLimits(
            descriptors(),
            self.settings.capacity,
            self.settings.max_connections_per_address,
            lambda: len(self.sessions),
        ),
        takes_self=True,
    )
    """How many connections there may be."""
    access_limits: Limits = Factory(lambda self: Limits(self.settings, counts=self.counts), takes_self=True)
    """How much everybody may take."""
    phone: Telephone = Factory(lambda self: Telephone(self), takes_self=True)
    """Its telephone calls."""
    capacity: Capacity = Factory(
        lambda self: Capacity(self.settings, self.limits, self.phone.promised), takes_self=True
    )
    """How many sessions there may be, and who makes room."""
    doors: Doors = Factory(
        lambda self: Doors(self.settings, self.phone.own_key, limits=self.access_limits), takes_self=True
    )
    """Who is let in."""
    session_runner: SessionRunner = Factory(
        lambda self: SessionRunner(self.capacity, self.counts, self.settings.budget_goodbye), takes_self=True
    )
    _app: Starlette = Factory(
        lambda self: web.make_app(
            self.health,
            self.not_ready,
            [*phone_routes(self.phone), *access_routes(self.doors, self.settings.tools)],
            (WEBSOCKET_PATH, MEDIA_PATH),
            self.settings.page_embedded_by.split(),
            self.doors.origins,
        ),
        takes_self=True,
    )
    _connections: Connections = Factory(
        lambda self: Connections(
            self.settings,
            self.limits,
            self.access_limits,
            self.doors,
            self.phone,
            self._app,
            self._converse,
            self.counts,
        ),
        takes_self=True,
    )
    _journals: Journals | None = None
    _charts: Charts = Factory(charts_of_this_thread)

    @asynccontextmanager
    async def taking_calls(
        self, providers: Providers, watch: ProviderWatch | None = None
    ) -> AsyncIterator[None]:
        """Let sessions begin while the block runs. Those that still run when it is left are cancelled.

        The block begins when the server is ready. With a `watch`, that is when all providers were probed and
        each role has a usable one, however long that takes.
        """
        self.providers, self.watch = providers, watch
        async with trio.open_nursery() as nursery:
            if watch is not None:
                await nursery.start(watch.run)
                if self._unserved():
                    log.warning("not ready", waiting=self.waiting())
                await watch.until_usable()
            async with self._keeping_journals(), self.phone.running():
                self.ready = True
                try:
                    yield
                finally:
                    self.ready = False
                    # The sessions run in other tasks, and use what is closed with this block.
                    await self.session_runner.cancel_all()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _keeping_journals(self) -> AsyncIterator[None]:
        """Keep journals of the sessions in the block, and rows of them if there is a database."""
        kept = keeping(self.settings, self.journals_at, self.store, self.counts, self.prices)
        async with kept as self._journals:
            yield

    def waiting(self) -> str | None:
        """What the server waits for before sessions may begin, in words; None if it is ready."""
        if self.draining:
            return "the server is stopping"
        if self.providers is None:
            return "the providers are being loaded"
        unserved = ", ".join(role.value for role in self._unserved())
        if unserved:
            return f"no provider is known to work for {unserved}"
        return None if self.ready else "the providers are being probed"

    def not_ready(self) -> str | None:
        """Why no call can be made now, as `/ready` reports it; None if one can."""
        return self.waiting() or self.capacity.would_refuse()

    def _unserved(self) -> list[Role]:
        return [role for role in Role if self.watch is not None and not self.watch.usable(role)]

    # --- connections and calls ----------------------------------------------------------------------------

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one TCP connection from its first byte to its close. Its errors do not affect others."""
        await self._connections.handle(stream)

    async def _converse(
        self, connection: PeerSocket, *, place: Place, grant: Grant, share: CallShare
    ) -> None:
        """As `Converse`."""
        address = place.address or ""
        session = Session(
            connection,
            self.session_settings.under(grant.terms),
            dialect_for_subprotocol(connection.subprotocol),
            connection.subprotocol is not None,
            language=self.settings.stt_language,
            on_begun=place.begins,
        )
        with bind_session(session.session_id):
            turn_away = self._turn_away_from(address)
            if turn_away is not None:
                self.counts["turned away"] += 1
                share.release()  # before it is told: whoever comes again at once has it
                await turn_away(connection, session.dialect)
            else:
                with self.capacity.comes_from(session, address):
                    await self.run_session(connection, session, share)

    def _turn_away_from(self, address: str) -> TurnAway | None:
        """How a client from this address is told that it cannot make a call now; None if it can."""
        sessions, capacity = len(self.sessions), self.capacity.most
        if self.draining:
            log.info("stopping, nobody new is taken", sessions=sessions)
            return turning_away.as_stopping
        if self.capacity.would_harm():  # logged when that began
            return partial(turning_away.as_busy, sessions=sessions, capacity=min(capacity, sessions))
        if not self.capacity.make_room(address=address) or self.capacity.too_many_of(address):
            log.info("no room", sessions=sessions, capacity=capacity)
            return partial(turning_away.as_busy, sessions=sessions, capacity=capacity)
        if self.waiting() is not None:
            log.info("not ready", waiting=self.waiting())
            return turning_away.as_not_ready
        return None

    @property
    def sessions(self) -> Set[ServedSession]:
        """Those that run, and those that wait for their turn to begin."""
        return self.capacity.sessions

    @property
    def session_settings(self) -> SessionSettings:
        """The settings of sessions."""
        return session_settings(self.settings)

    def no_room(self, promised: int = 0, *, taken: bool = False) -> str | None:
        """As `PhoneServer.no_room`."""
        return self.capacity.no_room(promised, taken=taken) or self.waiting()

    async def run_session(
        self, connection: MessageSocket, session: ServedSession, share: CallShare | None
    ) -> None:
        """As `PhoneServer.run_session`."""
        assert self.providers is not None
        left_out = self.capacity.admissions.left_out
        shared = SharedResources(self.providers, self._charts, self.watch, self._journals, left_out)
        await self.session_runner.run(connection, session, shared, share)

    # --- health -------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """The body of `/health`: the fields of the reference server, and ours."""
        ages = [trio.current_time() - session.started_at for session in self.sessions]
        states = Counter(session.state for session in self.sessions)
        return {
            "status": "draining" if self.draining else "ok" if self.ready else "starting",
            "message": "Vantum is listening",
            "uptime": round(trio.current_time() - self.started_at, 3),
            "sessions": {
                "total": len(self.sessions),
                "idle": states[SessionState.IDLE],
                "active": states[SessionState.ACTIVE],
                "ended": states[SessionState.ENDED],
                "avgDuration": round(1000 * sum(ages) / len(ages)) if ages else 0,
            },
            "websocketServer": {
                "healthy": not self.draining,
                "totalConnections": len(self.sessions),
                "activeSessions": len(self.sessions),
            },
            "capacity": self.capacity.most,
            "admission": self.capacity.admissions.report(),
            "brain": brain(self.settings),
            "providers": _first_choices(self.providers) if self.providers else {},
            "providerStates": self.watch.report() if self.watch else {},
            "counts": dict(sorted(self.counts.items())),
            **({"database": self.store.report()} if self.store else {}),
        }

    # --- the end ------------------------------------------------------------------------------------------

    async def drain(self, patience_s: float = 0.0) -> None:
        """End all sessions and telephone calls, and return when they are over.

        For `patience_s` seconds each answer may be finished and a goodbye said; then calls are hung up.
        """
        self.draining = True
        log.info("draining", sessions=len(self.sessions))
        text = self.settings.shutdown_goodbye
        if text and patience_s > 0:
            goodbye = SayRequested(text, SayMode.QUEUE, interruptible=False, then=EndReason.SHUTDOWN)
            for session in self.sessions:
                session.say_goodbye(goodbye, SystemMaintenance())
            self.phone.hang_up_unanswered()
            with trio.move_on_after(patience_s):
                await self.session_runner.all_over()
        for session in self.sessions:
            session.hang_up(EndReason.SHUTDOWN)
        await self.phone.drain()
        await self.session_runner.all_over()


def _first_choices(providers: Providers) -> dict[str, str]:
    names = {role.value: providers.of(role)[0].name for role in Role}
    return {**names, "vad": providers.voice_activity.name}
