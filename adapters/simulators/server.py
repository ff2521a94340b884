"""The server of the simulators: one port on which all simulated vendors answer."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from attrs import define, field, frozen

from adapters.simulators import cartesia, deepgram, openai, twilio_rest
from adapters.simulators.deepgram_flux import FluxStream
from adapters.simulators.deepgram_nova import NovaStream
from adapters.simulators.dialects import SttDialect, TtsDialect
from adapters.simulators.faults import Fault, FaultKind, FaultPlan, Scenario, ScenarioError
from adapters.simulators.openai_dialects import DIALECTS, Dialect
from adapters.simulators.phone_dialects import TWILIO, PhoneDialect
from adapters.simulators.records import Exchange, Records
from adapters.simulators.script import Latencies, Script
from adapters.simulators.session import Sender, Session, World, incoming
from adapters.simulators.speech import Tone, Voice
from adapters.simulators.twilio import TelephoneNetwork
from adapters.simulators.wire import (
    ByteStream,
    HangupError,
    Head,
    HttpWire,
    RefusalError,
    WebSocketWire,
    parse_head,
    read_head,
)

ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", "/v1/listen"): "deepgram.v1",
    ("GET", "/v2/listen"): "deepgram.v2",
    ("POST", "/v1/chat/completions"): "openai.chat",
    ("GET", "/v1/models"): "openai.models",
    ("GET", "/tts/websocket"): "cartesia.websocket",
    ("POST", "/tts/sse"): "cartesia.sse",
    ("POST", "/tts/bytes"): "cartesia.bytes",
}
"""The simulated routes: (method, path) and the name that scenarios use. Twilio's paths hold ids of accounts
and calls, see `twilio_rest.route_of`."""

_VENDORS: Mapping[str, Any] = {
    "deepgram": deepgram,
    "openai": openai,
    "cartesia": cartesia,
    "twilio": twilio_rest,
}
_WEBSOCKETS = ("deepgram.v1", "deepgram.v2", "cartesia.websocket")


@define
class Simulators:
    """Running simulators."""

    port: int
    records: Records
    plan: FaultPlan
    telephones: TelephoneNetwork
    """The calls of the simulated Twilio."""
    _nursery: trio.Nursery
    _serve: Callable[[trio.abc.Stream], Awaitable[None]]

    @property
    def url(self) -> str:
        """The base URL with `http://`, also Cartesia's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def deepgram_url(self) -> str:
        """Deepgram's base URL."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """OpenAI's base URL."""
        return f"{self.url}/v1"

    @property
    def cartesia_url(self) -> str:
        """Cartesia's base URL."""
        return self.url

    @property
    def requests(self) -> list[Exchange]:
        """All requests and WebSockets so far."""
        return self.records.requests

    def fail(self, *faults: Fault) -> None:
        """Add faults for connections to come, besides those of the scenario."""
        self.plan.add(*faults)

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """Connect through memory instead of a socket, for tests in virtual time."""
        del host, port  # there is only one server
        await trio.lowlevel.checkpoint()
        theirs, ours = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def all_closed(self) -> None:
        """Wait until no client is connected."""
        await self.records.until(lambda: self.records.open_sockets == 0)


@asynccontextmanager
async def simulators(
    *,
    seed: int = 0,
    faults: Sequence[Fault] | Scenario = (),
    script: Script | None = None,
    latencies: Latencies | None = None,
    voice: Voice | None = None,
    keys: Sequence[str] | None = None,
    llm_dialect: str | None = None,
    stt_dialect: SttDialect = SttDialect.PLAIN,
    tts_dialect: TtsDialect = TtsDialect.PLAIN,
    phone_dialect: PhoneDialect = TWILIO,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Simulators]:
    """Run all simulators on one port of `host`, as long as the block runs. Port 0 means a free one.

    Without `latencies` nothing takes time; without `voice` speech is tones; with `keys` only these are
    accepted, else any. `llm_dialect` is a name in `DIALECTS`; dialects are used instead of the scenario's.
    The same seed and requests give the same answers and faults. Raises `ScenarioError` for an unknown
    dialect.
    """
    scenario = faults if isinstance(faults, Scenario) else Scenario(tuple(faults))
    records, plan = Records(), FaultPlan.of(scenario, seed)
    world = World(
        seed,
        script or Script(),
        latencies or Latencies.none(),
        voice or Tone(),
        records,
        None if keys is None else frozenset(keys),
        _dialect(llm_dialect or scenario.llm_dialect),
        scenario.stt_dialect if stt_dialect is SttDialect.PLAIN else stt_dialect,
        scenario.tts_dialect if tts_dialect is TtsDialect.PLAIN else tts_dialect,
        phone_dialect,
    )
    async with trio.open_nursery() as nursery:
        telephones = TelephoneNetwork(world, nursery)
        server = _Server(world, plan, telephones)
        listeners = await trio.open_tcp_listeners(port, host=host)
        number = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        try:
            yield Simulators(number, records, plan, telephones, nursery, server.serve)
        finally:
            nursery.cancel_scope.cancel()


def _dialect(name: str) -> Dialect:
    """The dialect of this name. Raises `ScenarioError` if there is none."""
    if name not in DIALECTS:
        raise ScenarioError(f"llm_dialect is {name!r}, but must be one of {', '.join(DIALECTS)}")
    return DIALECTS[name].make()


@frozen
class _Server:
    """Serves connections. An error in one does not end the others."""

    world: World
    plan: FaultPlan
    telephones: TelephoneNetwork
    _numbers: dict[str, int] = field(factory=dict)

    async def serve(self, stream: trio.abc.Stream) -> None:
        records = self.world.records
        records.open_sockets += 1
        records.accepted_sockets += 1
        records.change()
        try:
            await self._serve_bytes(ByteStream(stream))
        except HangupError:
            pass
        finally:
            await trio.aclose_forcefully(stream)
            records.open_sockets -= 1
            records.change()

    async def _serve_bytes(self, stream: ByteStream) -> None:
        first = await read_head(stream)
        head = parse_head(first)
        if head.upgrades:
            await self._serve_websocket(stream, head, first)
            return
        wire = HttpWire(stream, first)
        while (request := await wire.next_request()) is not None:
            await self._serve_request(wire, *request)

    # --- before the answer ---

    def _begin(self, head: Head) -> Session:
        twilios = twilio_rest.route_of(head.method, head.path)
        route = ROUTES.get((head.method, head.path)) or twilios or "nowhere"
        number = self._numbers[route] = self._numbers.get(route, 0) + 1
        faults = self.plan.next_connection(route)
        exchange = Exchange(
            route,
            head.path,
            head.query,
            _without_key(head.headers),
            faults=tuple(fault.kind for fault in faults),
        )
        self.world.records.requests.append(exchange)
        self.world.records.change()
        return Session(self.world, exchange, faults, random.Random(f"{self.world.seed} {route} {number}"))

    async def _knock(self, session: Session, head: Head, stream: ByteStream) -> None:
        """Let faults happen that come before an answer, and check the request as the vendor does.

        Raises `RefusalError`, `HangupError`.
        """
        vendor = _VENDORS.get(session.exchange.route.partition(".")[0])
        if vendor is None:
            raise RefusalError(404, json.dumps({"error": f"nothing is simulated at {head.path}"}))
        await trio.sleep(self.world.latencies.accept.draw(session.randomness))
        for fault in session.faults:
            match fault.kind:
                case FaultKind.REFUSE:
                    await stream.reset()
                case FaultKind.SLOW_ACCEPT:
                    await trio.sleep(fault.seconds)
                case FaultKind.STATUS:
                    raise _with_retry_after(
                        vendor.refuse(fault.status, fault.reason or "simulated", session), fault
                    )
        vendor.check(head, session)

    # --- WebSockets ---

    async def _serve_websocket(self, stream: ByteStream, head: Head, first: bytes) -> None:
        session = self._begin(head)
        try:
            if session.exchange.route not in _WEBSOCKETS:
                raise RefusalError(400, json.dumps({"error": "this is not a WebSocket"}))
            await self._knock(session, head, stream)
        except RefusalError as refusal:
            wire = HttpWire(stream, first)
            await wire.next_request()
            await self._refuse(session, wire, refusal)
            return
        websocket = WebSocketWire(stream)
        await websocket.accept(first)
        try:
            await self._serve_until_hangup(session, websocket)
        finally:
            session.exchange.closed = True
            self.world.records.change()

    async def _serve_until_hangup(self, session: Session, wire: WebSocketWire) -> None:
        """Serve the WebSocket until either side hangs up."""
        sender = Sender(session, session.outlet(wire))
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    await sender.run(wire)
                except HangupError:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(send)
            take = self._open(session, sender, nursery)
            try:
                async for message in incoming(session, wire):
                    take(message)
            except HangupError:
                pass  # the client is gone, which is how calls end
            nursery.cancel_scope.cancel()

    def _open(
        self, session: Session, sender: Sender, nursery: trio.Nursery
    ) -> Callable[[dict[str, Any] | bytes | str], None]:
        """The function that processes the messages of this WebSocket."""
        match session.exchange.route:
            case "deepgram.v1":
                nova = NovaStream(session, sender, session.exchange.query)
                nursery.start_soon(nova.watch)
                return nova.process
            case "deepgram.v2":
                flux = FluxStream(session, sender, session.exchange.query)
                nursery.start_soon(flux.watch)
                flux.begin()
                return flux.process
            case _:
                return cartesia.CartesiaSocket(session, sender, nursery).process

    # --- HTTP ---

    async def _serve_request(self, wire: HttpWire, head: Head, body: bytes) -> None:
        session = self._begin(head)
        try:
            if session.exchange.route in _WEBSOCKETS:
                raise RefusalError(426, json.dumps({"error": "this is a WebSocket"}))
            await self._knock(session, head, wire.bytes)
            if session.exchange.route.startswith("twilio."):
                await twilio_rest.serve(session, wire, head, body, self.telephones)
            else:
                await self._answer(session, wire, body)
        except RefusalError as refusal:
            await self._refuse(session, wire, refusal)
        finally:
            session.exchange.closed = True
            self.world.records.change()

    async def _answer(self, session: Session, wire: HttpWire, body: bytes) -> None:
        if session.exchange.route == "openai.models":
            await wire.reply(200, openai.models(session), {"content-type": "application/json"})
            return
        vendor = _VENDORS[session.exchange.route.partition(".")[0]]
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise vendor.refuse(400, "The body is not a JSON object.", session)
        session.exchange.body = parsed
        self.world.records.change()
        serve = {
            "openai.chat": openai.serve_chat,
            "cartesia.sse": cartesia.serve_sse,
            "cartesia.bytes": cartesia.serve_bytes,
        }[session.exchange.route]
        await _until_hangup(wire, lambda: serve(session, wire, parsed))

    async def _refuse(self, session: Session, wire: HttpWire, refusal: RefusalError) -> None:
        session.exchange.refused = refusal.status
        self.world.records.change()
        await wire.reply(refusal.status, refusal.body, refusal.headers)


async def _until_hangup(wire: HttpWire, answer: Callable[[], Awaitable[None]]) -> None:
    """Run `answer` until it ends or the client hangs up. Raises what `answer` raises."""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.watch_for_hangup, nursery.cancel_scope)
        try:
            await answer()
        except (HangupError, RefusalError) as raised:
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error


def _with_retry_after(refusal: RefusalError, fault: Fault) -> RefusalError:
    if fault.retry_after is None:
        return refusal
    headers = {**refusal.headers, "retry-after": f"{fault.retry_after:g}"}
    return RefusalError(refusal.status, refusal.body, headers)


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without the key, since records may be shown."""
    kept = {name: value for name, value in headers.items() if name != "x-api-key"}
    if "authorization" in kept:
        kept["authorization"] = kept["authorization"].partition(" ")[0]
    return kept
