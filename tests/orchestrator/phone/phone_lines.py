"""A server and the simulated telephone network, connected through memory: for whole calls in virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx2
import trio
from attrs import define

from adapters.simulators import Fault, Script, Simulators, simulators
from adapters.simulators.phone_dialects import TWILIO, PhoneDialect
from adapters.simulators.script import Latency
from adapters.simulators.speech import Voice
from adapters.simulators.telephone import Telephone
from adapters.simulators.twilio import SimulatedCall
from adapters.simulators.twilio_webhooks import ask, signature_of
from orchestrator.access.counters import ProcessCounters
from orchestrator.phone.phone_call import PhoneCall
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken
from tests.faults.network import Network, connect_http
from tests.orchestrator.memory_port import MemoryPort, memory_port

ACCOUNT, TOKEN = "AC" + "0" * 32, "the auth token"
OURS, THEIRS = "+15005550006", "+15005551234"
PUBLIC = "http://vantum.example"
VOICE, STATUS = f"{PUBLIC}/twilio/voice", f"{PUBLIC}/twilio/status"
CHOSEN = {
    "twilio_account_sid": ACCOUNT,
    "twilio_auth_token": TOKEN,
    "twilio_from_number": OURS,
    "twilio_public_url": PUBLIC,
    "twilio_base_url": "http://twilio.example",
    "twilio_lead_ms": 0,
}
RATE = 8000


@define
class Line:
    """A server and the telephone network, connected."""

    port: MemoryPort
    twilio: Simulators
    providers: SimulatedProviders

    def rings(self, **more: Any) -> SimulatedCall:
        """Somebody calls our number."""
        chosen = {"auth_token": TOKEN, "account_sid": ACCOUNT, "to": OURS, "from_": THEIRS, **more}
        return self.twilio.telephones.ring(chosen.pop("url", VOICE), **chosen)

    async def order(self, number: str = THEIRS, **more: Any) -> PhoneCall:
        """`POST /calls`."""
        status, body = await self.ask("POST", "/calls", {"to": number, **more})
        assert status == 201, body
        return self.port.server.phone.calls[body["id"]]

    async def ask(
        self, method: str, path: str, body: Any = None, base: str = "http://localhost:3001", **headers: str
    ) -> tuple[int, Any]:
        """The HTTP interface, as whoever has the server's own key uses it."""
        key = {"authorization": f"Bearer {self.port.server.phone.own_key}", **headers}
        return await self.ask_without_key(method, path, body, base, **key)

    async def ask_without_key(
        self, method: str, path: str, body: Any = None, base: str = "http://localhost:3001", **headers: str
    ) -> tuple[int, Any]:
        """The HTTP interface."""
        content = b"" if body is None else json.dumps(body).encode()
        own = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        status, answer = await ask(method, base + path, own, content, self.port.connect)
        return status, json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    async def webhook(
        self, url: str, form: dict[str, str], signature: str | None = "ours"
    ) -> tuple[int, str]:
        """A request as Twilio makes it, with a signature that is right unless another is given."""
        signed = signature_of(url, form, TOKEN) if signature == "ours" else signature
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if signed is not None:
            headers["x-twilio-signature"] = signed
        status, body = await ask("POST", url, headers, urlencode(form).encode(), self.port.connect)
        return status, body.decode()

    async def in_network(self, call: PhoneCall) -> SimulatedCall:
        """The network's side of a call that we have made."""
        calls = self.twilio.telephones.calls
        await self.twilio.telephones.until(lambda: call.call_sid in calls)
        return calls[call.call_sid or ""]

    async def talking(self, call: SimulatedCall) -> Telephone:
        await self.twilio.telephones.until(lambda: call.telephone is not None)
        assert call.telephone is not None
        return call.telephone

    def inbound(self) -> PhoneCall:
        [call] = self.port.server.phone.calls.values()
        return call


@asynccontextmanager
async def a_line(
    talks: Callable[[Telephone], Awaitable[None]] | None = None,
    faults: tuple[Fault, ...] = (),
    answer: Answer = Answer(),  # noqa: B008 - frozen
    jitter: Latency = Latency(0),  # noqa: B008 - frozen
    forgotten: int = 0,
    dialect: PhoneDialect = TWILIO,
    answers: tuple[Answer, ...] = (),
    voice: Voice | None = None,
    **chosen: Any,
) -> AsyncIterator[Line]:
    """A line whose calls are all over, each with one outcome, and of which nothing is left afterwards.

    The model gives `answers`, and then always `answer`. The server has `forgotten` so many of the calls in
    the end.
    """
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(*answers, then=answer)),
        tts=SimulatedTextToSpeech(script(then=Synthesis(rate=RATE))),
    )
    network = Network()
    with trio.fail_after(7200):
        async with (
            simulators(
                seed=1,
                faults=faults,
                script=Script(caller_says=("hello",)),
                voice=voice,
                phone_dialect=dialect,
            ) as twilio,
            httpx2.AsyncClient() as http,
        ):
            network.attach(twilio)
            pool = connect_http(http, network, "twilio")
            twilio.telephones.jitter = jitter
            twilio.telephones.talks = talks or says("hello")
            async with memory_port(providers, http, **{**CHOSEN, **chosen}) as port:
                twilio.telephones.open_stream = port.connect
                yield Line(port, twilio, providers)
            await pool.aclose()
            for call in twilio.telephones.calls.values():
                await call.over.wait()
        calls = port.server.phone.calls.values()
        counted = sum(number for name, number in port.server.counts.items() if name.startswith("calls "))
        turned_away = port.server.counts["calls turned away"]
        assert all(call.outcome is not None and call.state == "ENDED" for call in calls)
        assert counted - turned_away == len(calls) + forgotten, "an outcome was recorded twice, or not at all"
        assert not port.server.sessions
        assert isinstance(port.server.access_limits.counters, ProcessCounters)
        assert not port.server.access_limits.counters.at_once, "a place was not given back"
        assert not port.open_connections
        assert providers.in_use() == 0


def says(*lines: str) -> Callable[[Telephone], Awaitable[None]]:
    """Somebody who says these things, hears each answer out, and hangs up."""

    async def talk(telephone: Telephone) -> None:
        for line in lines:
            await telephone.until(lambda: telephone.quiet_seconds() > 0.5)
            pieces = len(telephone.heard)
            telephone.say(spoken(line, RATE))
            await telephone.until(lambda pieces=pieces: len(telephone.heard) > pieces)  # type: ignore[misc]
            await telephone.until(lambda: telephone.quiet_seconds() > 0.5)

    return talk


async def listens(telephone: Telephone) -> None:
    """Somebody who says nothing and does not hang up."""
    await telephone.over.wait()
