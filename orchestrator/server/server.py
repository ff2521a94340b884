"""The server: accepts connections on one port, and runs sessions, the telephone and the HTTP application."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import trio
from attrs import Factory, define, frozen
from starlette.applications import Starlette
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
)

from adapters.logs import library_logger
from adapters.storage.store import Store, open_store
from adapters.tasks import Signal
from machines.facts import EndReason, Role, SayMode, SayRequested
from machines.system import Charts
from orchestrator.access.credentials import TOKEN_SUBPROTOCOL
from orchestrator.access.doors import Doors
from orchestrator.access.grants import Grant
from orchestrator.access.limits import CallShare, Limits
from orchestrator.access.refusal import Refusal
from orchestrator.access.routes import access_routes
from orchestrator.access.stored_book import open_key_book
from orchestrator.addresses import address_of
from orchestrator.calls.prices import Prices
from orchestrator.conversation.charts import charts_of_this_thread
from orchestrator.journal.writer import Journals
from orchestrator.logs import bind_session
from orchestrator.phone.call_key import kept_key
from orchestrator.phone.routes import phone_routes
from orchestrator.phone.telephone import MEDIA_PATH, Telephone
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.providers.selection import brain, open_providers
from orchestrator.server import request_head, socket_door, turning_away, web
from orchestrator.server.admissions import OVERLOADED, Admissions, end_overloaded
from orchestrator.server.asgi import serve_request
from orchestrator.server.connection_limits import (
    ConnectionLimits,
    Place,
    ask_for_descriptors,
    descriptors,
    most_calls,
)
from orchestrator.server.garbage import collect_seldom, forget_what_is_loaded
from orchestrator.server.keeping import keeping, known_prices, usable_directory
from orchestrator.server.listening import listen
from orchestrator.server.load import Load, measure_load
from orchestrator.server.pace_of_starts import PaceOfStarts
from orchestrator.server.paid_calls import run_paid
from orchestrator.server.peer_socket import PeerSocket
from orchestrator.sessions.call_socket import CloseCode, MessageSocket
from orchestrator.sessions.served_session import ServedSession, SessionState, SharedResources
from orchestrator.sessions.session import Session
from orchestrator.sessions.session_settings import SessionSettings, session_settings
from orchestrator.settings.processors import processors
from orchestrator.settings.settings import Settings
from orchestrator.tools.builtin_tools import built_in
from protocol import (
    HIERARCHICAL,
    HIERARCHICAL_SUBPROTOCOL,
    MAX_MESSAGE_BYTES,
    ConnectionFailure,
    SystemBusy,
    SystemMaintenance,
    dialect_for_subprotocol,
)
from protocol.twilio import MAX_START_BYTES, MAX_STREAM_MESSAGE_BYTES

log = library_logger(__name__)

WEBSOCKET_PATH = "/ws"
ServeSocket = Callable[[PeerSocket], Awaitable[None]]
"""Serves an accepted WebSocket until it is closed."""
SEND_BUFFER_BYTES = 32 * 1024
"""The kernel's buffer for one client: audio in it cannot be dropped when the caller interrupts."""
REFUSAL_S = 0.25
"""So long a connection that has no place may take to read why."""
MOST_REFUSED_AT_ONCE = 16
"""More are closed without a word: each takes a descriptor as long as it is told."""
BUSY_RETRY_MS = 10_000
"""A caller for whom there is no room is asked to call again after this; calls do not end every second."""
BUSY_CLOSE = f"busy; retry={BUSY_RETRY_MS}"
"""The reason of the close that says so."""
SILENT_S = 5.0
"""A session that has begun nothing for so long ends if somebody else needs its line."""
CROWD_OF_LINES = 3
"""Of so many sessions from one address that have begun nothing, the oldest makes room at once."""
BUSY = "all lines are busy"
"""Why no call can be made, in words."""
HANGING_UP_S = 1.0
"""The part of the shutdown budget that is left for hanging up on those who were not done."""


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
    sessions: set[ServedSession] = Factory(set)
    sessions_ended: int = 0
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
    admissions: Admissions = Factory(
        lambda self: Admissions(self.settings.admission_policy, self._end_newest), takes_self=True
    )
    """Refuses calls that would harm the others."""
    _journals: Journals | None = None
    _charts: Charts = Factory(charts_of_this_thread)
    phone: Telephone = Factory(lambda self: Telephone(self), takes_self=True)
    """Its telephone calls."""
    doors: Doors = Factory(
        lambda self: Doors(self.settings, self.phone.own_key, limits=self.access_limits), takes_self=True
    )
    """Who is let in."""
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
    _pace: PaceOfStarts = Factory(PaceOfStarts)
    _handshakes: trio.Lock = Factory(trio.Lock)
    """Held by the connection that becomes a WebSocket: many that come together leave others their turns."""
    _running_since: dict[ServedSession, float] = Factory(dict)
    """When each session began, in that order."""
    _leaving: set[ServedSession] = Factory(set)
    """Sessions that are being ended to make room: their lines are free."""
    _address_of: dict[ServedSession, str] = Factory(dict)
    """Of each session of a client."""
    _refusing: int = 0
    """Connections without a place that are being told so."""
    _session_over: Signal = Factory(Signal)
    _session_scopes: set[trio.CancelScope] = Factory(set)

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
                    for scope in self._session_scopes:
                        scope.cancel()
                    with trio.CancelScope(shield=True):
                        await self._all_over()
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
        missing = self._missing(0)
        full = len(self._giving_way(missing, "")) < missing
        return self.waiting() or (BUSY if full else None) or (OVERLOADED if self._would_harm() else None)

    def _unserved(self) -> list[Role]:
        return [role for role in Role if self.watch is not None and not self.watch.usable(role)]

    @property
    def capacity(self) -> int:
        """How many sessions may run at once."""
        return min(self.settings.capacity, most_calls(self.limits.descriptors))

    # --- connections --------------------------------------------------------------------------------------

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one TCP connection from its first byte to its close. Its errors do not affect others."""
        async with stream:
            try:
                await self._admit(stream)
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                log.debug("connection broke")
            except* Exception as group:
                log.exception("connection failed", exc_info=group)

    async def _admit(self, stream: trio.SocketStream) -> None:
        """Serve the connection if there is a place for it."""
        address = None if self.settings.twilio_trust_proxy else self._address(stream, {})
        try:
            with trio.CancelScope() as scope, self.limits.place(scope.cancel, address) as place:
                if address is not None:
                    await self._know(place, address)
                await self._route(stream, place)
        except request_head.RequestError as error:
            # It has no place: it may not wait for anything, and not many may at once.
            if self._refusing < MOST_REFUSED_AT_ONCE:
                self._refusing += 1
                try:
                    await request_head.refuse(stream, error, REFUSAL_S)
                finally:
                    self._refusing -= 1

    async def _know(self, place: Place, address: str) -> None:
        """The peer's address is known. Raises `RequestError` if too many come from there."""
        place.belongs_to(address)
        try:
            await self.access_limits.connect(address)
        except Refusal as refusal:
            raise socket_door.as_request_error(refusal) from None

    def _address(self, stream: trio.SocketStream, headers: Mapping[str, str]) -> str:
        peer = request_head.peer_of(stream.socket)
        return address_of(peer and peer[0], headers, behind_proxy=self.settings.twilio_trust_proxy)

    async def _route(self, stream: trio.SocketStream, place: Place) -> None:
        try:
            await self._dispatch(stream, place)
        except request_head.RequestError as error:
            log.info("bad request", status=error.status, error=str(error))
            await request_head.refuse(stream, error)

    async def _dispatch(self, stream: trio.SocketStream, place: Place) -> None:
        base_path = self.settings.base_path
        head = await request_head.read_head(stream, base_path)
        if head is None:
            return
        if place.address is None:
            await self._know(place, self._address(stream, head.headers))
        if base_path and head.path == base_path:
            # Addresses in the page are relative to it.
            raise request_head.RequestError(308, f"the page is at {base_path}/", f"{base_path}/")
        if head.kind is request_head.Kind.HTTP:
            await self._serve_http(request_head.ReplayedStream(stream, head.received))
        elif head.path == WEBSOCKET_PATH:
            _check_subprotocols(head.headers.get("sec-websocket-protocol", ""))
            with ExitStack() as shares:
                serve = await self._let_in(stream, head, place, shares)
                await self._serve_websocket(stream, head, PeerSocket(stream, MAX_MESSAGE_BYTES), serve)
        elif head.path == MEDIA_PATH:
            asked = socket_door.asked_of(stream, head)
            peer = PeerSocket(stream, MAX_START_BYTES, MAX_STREAM_MESSAGE_BYTES)

            def on_admitted() -> None:
                peer.admit()
                place.is_trusted()

            serve = partial(self.phone.serve_stream, asked=asked, on_admitted=on_admitted)
            await self._serve_websocket(stream, head, peer, serve)
        else:
            paths = f"{WEBSOCKET_PATH} and {MEDIA_PATH}"
            raise request_head.RequestError(400, f"there is no WebSocket at {head.path}, only at {paths}")

    async def _let_in(
        self, stream: trio.SocketStream, head: request_head.Head, place: Place, shares: ExitStack
    ) -> ServeSocket:
        """What serves a caller: a conversation, or words why there is none. Raises `RequestError`.

        What a conversation takes of its account is among the `shares`.
        """
        try:
            grant, share = await self.doors.begin_call(socket_door.asked_of(stream, head))
        except Refusal as refusal:
            self.counts["refused"] += 1
            if not socket_door.is_browser(head.headers):
                raise socket_door.as_request_error(refusal) from None
            return partial(socket_door.turn_away, refusal=refusal)
        shares.enter_context(share)
        return partial(self._converse, place=place, grant=grant, share=share)

    async def _serve_http(self, stream: request_head.ReplayedStream) -> None:
        try:
            await serve_request(self._app, stream)
        except* trio.TooSlowError:
            log.info("an answer was not taken in time", peer=stream.peer)

    async def _serve_websocket(
        self, stream: trio.SocketStream, head: request_head.Head, peer: PeerSocket, serve: ServeSocket
    ) -> None:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            asked, following = head.received[: head.length], head.received[head.length :]
            with trio.fail_after(request_head.HEAD_TIMEOUT_S):
                async with self._handshakes:
                    await peer.accept(asked, following, [HIERARCHICAL_SUBPROTOCOL])
            await serve(peer)
        except* (HandshakeError, ConnectionClosed, trio.TooSlowError):
            log.info("handshake failed")

    # --- sessions -----------------------------------------------------------------------------------------

    async def _converse(
        self, connection: PeerSocket, *, place: Place, grant: Grant, share: CallShare
    ) -> None:
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
            if self.draining:
                await self._turn_away_stopping(connection, session)
            elif self._would_harm():
                await self._turn_away(connection, session, overloaded=True)
            elif not self._has_room(0, address) or self._too_many_of(address):
                await self._turn_away(connection, session, overloaded=False)
            elif self.waiting() is not None:
                await self._turn_away_unready(connection, session)
            else:
                self._address_of[session] = address
                try:
                    await self.run_session(connection, session, share)
                finally:
                    del self._address_of[session]

    def _too_many_of(self, address: str) -> bool:
        most = self.settings.max_sessions_per_address
        return most is not None and sum(each == address for each in self._address_of.values()) >= most

    def _calls(self) -> int:
        """How many calls run or were promised."""
        return len(self.sessions - self._leaving) + self.phone.promised()

    def _would_harm(self) -> bool:
        """Whether one more call would harm the others."""
        return self.admissions.refuses(self._calls())

    def _end_newest(self, count: int) -> None:
        """End the calls that began last."""
        staying = [each for each in self._running_since if each not in self._leaving]
        newest = staying[max(0, len(staying) - count) :]
        self._leaving.update(newest)
        busy = SystemBusy(len(self.sessions), self.capacity)
        end_overloaded(newest, self.settings.admission_goodbye, busy)

    async def measure(self) -> None:
        """Measure the load, which decides about further calls, until cancelled."""
        if self.settings.admission_policy is None:
            return

        def report(load: Load) -> None:
            self.admissions.measured(load, self._calls())

        await measure_load(report, processors(), of_threads=not self.settings.embedded)

    def _has_room(self, promised: int, address: str = "") -> bool:
        """Whether one more session can begin, for somebody from this address. If not, those make room that
        have begun nothing."""
        lacking = self.limits.lacking_for_call
        if lacking > 0:
            self.limits.make_room(address, lacking)
        missing = self._missing(promised)
        giving_way = self._giving_way(missing, address)
        if len(giving_way) < missing:
            return False
        for session in giving_way:
            self._leaving.add(session)
            log.info("a silent session makes room", silent=session.session_id)
            session.give_up("somebody else needs the line")
        return True

    def _missing(self, promised: int) -> int:
        """How many sessions must end before one more can begin; 0 or less: none."""
        missing = len(self.sessions - self._leaving) + promised + 1 - self.capacity
        return max(missing, 1 if self.limits.lacking_for_call > 0 else 0)

    def _giving_way(self, missing: int, address: str) -> list[ServedSession]:
        """The sessions that make so much room for somebody from this address, or fewer: those that have begun
        nothing for a while, and then always the oldest of where most of them came from."""
        late = trio.current_time() - SILENT_S
        silent = [each for each in self._running_since if not each.begun and each not in self._leaving]
        found = [each for each in silent if self._running_since[each] <= late][: max(0, missing)]
        crowds: dict[str, list[ServedSession]] = {}
        for session in silent:
            if session not in found and session in self._address_of:
                crowds.setdefault(self._address_of[session], []).append(session)
        own = len(crowds.get(address, ()))
        while len(found) < missing:
            crowd = max(crowds.values(), key=len, default=[])
            if len(crowd) < max(CROWD_OF_LINES, own + 2):
                break
            found.append(crowd.pop(0))
        return found

    @property
    def session_settings(self) -> SessionSettings:
        """The settings of sessions."""
        return session_settings(self.settings)

    def no_room(self, promised: int = 0, *, taken: bool = False) -> str | None:
        """As `PhoneServer.no_room`."""
        if not taken and self._would_harm():
            return OVERLOADED
        if not self._has_room(promised):
            return BUSY
        return self.waiting()

    async def run_session(
        self, connection: MessageSocket, session: ServedSession, share: CallShare | None
    ) -> None:
        """As `PhoneServer.run_session`."""
        assert self.providers is not None
        self.sessions.add(session)
        try:
            with trio.CancelScope() as scope:
                self._session_scopes.add(scope)
                if not await self._pace.may_begin() or self._closed_meanwhile(session):
                    log.warning("too many calls begin at once", sessions=len(self.sessions))
                    await turning_away.close(
                        connection, CloseCode.TRY_AGAIN_LATER, f"busy; retry={BUSY_RETRY_MS}"
                    )
                    return
                log.info("session begins", kind=session.kind, sessions=len(self.sessions))
                self._running_since[session] = trio.current_time()
                shared = SharedResources(
                    self.providers, self._charts, self.watch, self._journals, self.admissions.left_out
                )
                await run_paid(session, shared, share, self.settings.budget_goodbye)
        except* Exception as group:
            log.exception("session broke", exc_info=group)
            await turning_away.close(connection, CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self._session_scopes.discard(scope)
            self.sessions.discard(session)
            self.sessions_ended += 1
            self._leaving.discard(session)
            self._running_since.pop(session, None)
            self._session_over.wake_all()
            self.counts.update(session.counts)
            seconds = round(trio.current_time() - session.started_at, 1)
            log.info("session over", seconds=seconds, **{k: v for k, v in session.counts.items() if v})

    def _closed_meanwhile(self, session: ServedSession) -> bool:
        """Whether a client that waited for its turn to begin would harm the others by now. A telephone call
        was answered, and is not given up any more."""
        waited = session in self._address_of and self.admissions.closed
        return waited and self.admissions.refuses(self._calls() - 1)

    async def _turn_away_unready(self, connection: MessageSocket, session: Session) -> None:
        """Close the socket of a client that came before calls can be made. It may try again: no error."""
        log.info("not ready", waiting=self.waiting())
        self.counts["turned away"] += 1
        if session.dialect is HIERARCHICAL:
            error = ConnectionFailure("the server is not ready, please try again in a moment")
            await turning_away.refuse(connection, session.dialect, error)
        await turning_away.close(connection, CloseCode.TRY_AGAIN_LATER, "not ready")

    async def _turn_away_stopping(self, connection: MessageSocket, session: Session) -> None:
        """Close the socket of a client that came while the server stops. Another one may take its call."""
        log.info("stopping, nobody new is taken", sessions=len(self.sessions))
        self.counts["turned away"] += 1
        await turning_away.tell(connection, session.dialect, SystemMaintenance())
        await turning_away.close(connection, CloseCode.GOING_AWAY, "the server is stopping")

    async def _turn_away(self, connection: MessageSocket, session: Session, *, overloaded: bool) -> None:
        """Tell a client that there is no room, in words for its user, and close."""
        sessions, capacity = len(self.sessions), self.capacity
        if overloaded:  # logged when that began
            capacity = min(capacity, sessions)
        else:
            log.info("no room", sessions=sessions, capacity=capacity)
        self.counts["turned away"] += 1
        if not await turning_away.tell(connection, session.dialect, SystemBusy(sessions, capacity)):
            error = ConnectionFailure("the server is busy, please try again later")
            await turning_away.refuse(connection, session.dialect, error)
        await turning_away.close(connection, CloseCode.TRY_AGAIN_LATER, BUSY_CLOSE)

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
            "capacity": self.capacity,
            "admission": self.admissions.report(),
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
                await self._all_over()
        for session in self.sessions:
            session.hang_up(EndReason.SHUTDOWN)
        await self.phone.drain()
        await self._all_over()

    async def _all_over(self) -> None:
        while self.sessions:
            await self._session_over.wait()


def _first_choices(providers: Providers) -> dict[str, str]:
    names = {role.value: providers.of(role)[0].name for role in Role}
    return {**names, "vad": providers.voice_activity.name}


async def serve(
    settings: Settings, announce: Callable[[int], None], sockets: Sequence[socket.socket] = ()
) -> None:
    """Load the providers and serve until SIGTERM, SIGINT or cancellation. Signals drain within the budget.

    The port answers at once; `sockets` are used if they listen on it already. When the server is ready,
    sessions may begin and `announce` is called with the port. Raises `JournalError` if journals cannot be
    written, `ModelsError` if a model file is missing, `SettingsError` if TURN_MODEL is not a usable model or
    if others could reach the server and nobody has a key, `StorageError` if the database is damaged or the
    like, `PepperError` if its keys cannot be read, and `OSError` if the address cannot be listened on.
    """
    journals_at = await trio.to_thread.run_sync(usable_directory, settings)
    prices = await trio.to_thread.run_sync(known_prices, settings)
    listeners = _listeners(sockets) if sockets else await open_listeners(settings)
    ask_for_descriptors()
    server = Server(settings, journals_at=journals_at, prices=prices)
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener)
        # Before anybody is let in. Without a file, nothing is read.
        server.store = await stack.enter_async_context(open_store(settings.database))
        server.doors.use(await stack.enter_async_context(open_key_book(settings, server.store)))
        server.doors.check_reach(_addresses_of(listeners))
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        await nursery.start(_drain_on_signal, server, nursery.cancel_scope)
        if journals_at is not None:
            nursery.start_soon(server.store.load)
            nursery.start_soon(trio.to_thread.run_sync, prices.load)
        port = _port_of(listeners)
        server.phone.own_url = f"http://127.0.0.1:{port}"
        stack.enter_context(kept_key(port, server.phone.own_key))
        log.info("listening", host=settings.host, port=port)
        tools = [each.spec for each in built_in(settings.tools)]
        async with open_providers(settings, tools) as providers:
            watch = ProviderWatch(providers, Random(), language=settings.stt_language)
            async with server.taking_calls(providers, watch):
                forget_what_is_loaded()
                nursery.start_soon(server.measure)
                nursery.start_soon(
                    collect_seldom, lambda: len(server.sessions), lambda: server.sessions_ended
                )
                log.info("ready", host=settings.host, port=port)
                announce(port)
                await trio.sleep_forever()


async def open_listeners(settings: Settings) -> list[trio.SocketListener]:
    """Listen on the address of the settings. Raises `OSError` if that is impossible."""
    return _listeners(await trio.to_thread.run_sync(listen, settings.host, settings.port))


def _listeners(sockets: Sequence[socket.socket]) -> list[trio.SocketListener]:
    return [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]


@frozen
class Bound:
    """A server and the port on which it listens."""

    server: Server
    port: int


async def serve_with(
    settings: Settings,
    providers: Providers,
    listeners: list[trio.SocketListener],
    watch: ProviderWatch | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on these listeners, with these providers, until cancelled.

    Reports as started when it listens. Without a `watch`, it is ready by then.
    """
    server = Server(settings)
    server.doors.check_reach(_addresses_of(listeners))
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        port = _port_of(listeners)
        server.phone.own_url = f"http://127.0.0.1:{port}"
        task_status.started(Bound(server, port))
        async with server.taking_calls(providers, watch):
            await trio.sleep_forever()


def _addresses_of(listeners: list[trio.SocketListener]) -> list[str]:
    return [str(each.socket.getsockname()[0]) for each in listeners]


def _port_of(listeners: list[trio.SocketListener]) -> int:
    return int(listeners[0].socket.getsockname()[1])


ENDING = ("SIGTERM", "SIGINT", "SIGQUIT")
IGNORED = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO")


def _signals(names: tuple[str, ...]) -> list[signal.Signals]:
    """Those of them that this system has."""
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]


async def _drain_on_signal(
    server: Server,
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Drain at SIGTERM, SIGINT and SIGQUIT, stop at once at the second. The other signals that would end the
    process are ignored: what somebody sends to have a log or settings read again must not end calls."""
    with trio.open_signal_receiver(*_signals(ENDING), *_signals(IGNORED)) as signals:
        task_status.started()
        async with trio.open_nursery() as nursery:
            async for number in signals:
                name = signal.Signals(number).name
                if name in IGNORED:
                    log.warning(
                        "signal ignored: settings are read, and the log is opened, at the start only",
                        signal=name,
                    )
                elif server.draining:
                    log.info("stopping at once", signal=name)
                    everything.cancel()
                else:
                    log.info("stopping; the same signal again stops at once", signal=name)
                    nursery.start_soon(_drain_within_budget, server, everything)


async def _drain_within_budget(server: Server, everything: trio.CancelScope) -> None:
    server.draining = True
    budget_s = server.settings.shutdown_budget_ms / 1000
    with trio.move_on_after(budget_s):
        await server.drain(budget_s - HANGING_UP_S)
    everything.cancel()


def _check_subprotocols(offered: str) -> None:
    """Refuse a client that offers only what nobody knows: a browser would fail without a reason.

    One that offers nothing speaks the legacy dialect.
    """
    names = [name.strip() for name in offered.split(",") if name.strip()]
    if names and HIERARCHICAL_SUBPROTOCOL not in names:
        # A token among them must not come into the log.
        unknown = (
            ", ".join(name for name in names if not name.startswith(TOKEN_SUBPROTOCOL)) or "with a token"
        )
        raise request_head.RequestError(
            400, f"the subprotocols {unknown} are unknown here: offer {HIERARCHICAL_SUBPROTOCOL}, or none"
        )
