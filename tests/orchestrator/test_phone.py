"""Telephone calls, both ways, in virtual time: the whole server against the simulated Twilio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import trio
from attrs import define
from trio.testing import MockClock

from adapters.simulators import Fault, FaultKind, Script, Simulators, simulators
from adapters.simulators.script import Latency
from adapters.simulators.telephone import Telephone
from adapters.simulators.twilio import SimulatedCall, ask
from adapters.twilio_webhooks import signature_of
from machines.history import Speaker
from orchestrator.phone import START_TIMEOUT_S
from orchestrator.phone_call import PhoneCall
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Speaking,
    script,
)
from orchestrator.simulation.speech import spoken
from orchestrator.stream_tokens import VALID_S
from protocol.twilio import Clear, Started, Stopped, StreamMessage
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
    **chosen: Any,
) -> AsyncIterator[Line]:
    """A line whose calls are all over, each with one outcome, and of which nothing is left afterwards."""
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=answer)),
        tts=SimulatedTextToSpeech(script(then=Speaking(rate=RATE))),
    )
    network = Network()
    with trio.fail_after(7200):
        async with (
            simulators(seed=1, faults=faults, script=Script(caller_says=("hello",))) as twilio,
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
        assert counted - turned_away == len(calls), "an outcome was recorded twice, or not at all"
        assert not port.server.sessions
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


# --- inbound ----------------------------------------------------------------------------------------------


async def test_a_call_to_our_number_is_a_conversation(autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks")) as line:
        call = line.rings(status_url=STATUS)
        await call.over.wait()
        assert call.complaints == []
        assert call.status == "completed"
        assert [m.text for m in line.providers.llm.requests[-1] if m.speaker is Speaker.USER] == [
            "hello",
            "thanks",
        ]
        ours = line.inbound()
        await ours.over.wait()
        told = ours.report()
        assert (told["direction"], told["from"], told["to"]) == ("inbound", THEIRS, OURS)
        assert (told["outcome"], told["endReason"], told["callSid"]) == (
            "completed",
            "caller_hung_up",
            call.sid,
        )


async def test_options_in_the_numbers_address_reach_the_conversation(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        options = {"greeting": "Guten Tag.", "language": "de-DE", "voice": "kyle", "system_prompt": "Kurz."}
        call = line.rings(url=f"{VOICE}?{urlencode(options)}")
        await call.over.wait()
        assert call.complaints == []
        assert line.providers.stt.languages == ["de-DE"]
        assert set(line.providers.tts.voices) == {"kyle"}
        assert line.providers.llm.requests[-1][0].text == "Kurz."


async def test_a_bad_option_in_the_numbers_address_is_said(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        call = line.rings(url=f"{VOICE}?language=klingon!")
        await call.over.wait()
        assert "language is 'klingon!', but must be a language's code" in call.complaints[0]
        assert call.status == "failed"


async def test_a_server_without_room_is_busy(autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks", "bye"), local_max_calls=1) as line:
        first = line.rings(status_url=STATUS)
        await line.talking(first)
        await trio.sleep(1)
        second = line.rings(status_url=STATUS)
        await second.over.wait()
        assert second.status == "busy"
        assert line.port.server.counts["calls turned away"] == 1
        await first.over.wait()


async def test_a_call_whose_end_nobody_reports_has_an_outcome_all_the_same(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        await line.rings().over.wait()
        await line.inbound().over.wait()
        assert line.inbound().report()["outcome"] == "completed"


# --- outbound ---------------------------------------------------------------------------------------------


async def test_a_call_is_made_and_reported(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        call = await line.order(greeting="Good morning.", system_prompt="Sell.")
        states: list[str] = []
        while not call.over.is_set():
            status, told = await line.ask("GET", f"/calls/{call.call_id}")
            assert status == 200
            states += [told["state"]] if states[-1:] != [told["state"]] else []
            await trio.sleep(0.05)
        assert states[:3] == ["placed", "ringing", "TALKING"] or states[:4] == [
            "placing",
            "placed",
            "ringing",
            "TALKING",
        ]
        assert call.report()["outcome"] == "completed"
        there = await line.in_network(call)
        assert there.complaints == []
        assert there.statuses == ["initiated", "ringing", "in-progress", "completed"]
        assert line.providers.llm.requests[-1][0].text == "Sell."


@pytest.mark.parametrize(
    ("number", "outcome", "said"),
    [
        ("+15005550001", "failed", "HTTP 400, code 21211: Unable to create record: The phone number you are"),
        ("+15005550002", "busy", ""),
        ("+15005550003", "no_answer", ""),
        ("+15005550004", "failed", ""),
    ],
)
async def test_every_way_in_which_nobody_answers_is_told_apart(
    number: str, outcome: str, said: str, autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        call = await line.order(number)
        await call.over.wait()
        told = call.report()
        assert told["outcome"] == outcome
        assert said in told["reason"]
        assert line.port.server.counts[f"calls {outcome}"] == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(FaultKind.STATUS, "twilio", status=503), "HTTP 503"),
        (Fault(FaultKind.STATUS, "twilio", status=429), "HTTP 429"),
        (Fault(FaultKind.REFUSE, "twilio"), "twilio: "),
        (
            Fault(FaultKind.SLOW_ACCEPT, "twilio", seconds=60),
            "the carrier did not take the call in time|Timeout",
        ),
    ],
)
async def test_a_call_that_twilio_does_not_take_has_failed_and_is_not_placed_twice(
    fault: Fault, said: str, autojump_clock: MockClock
) -> None:
    async with a_line(faults=(fault,)) as line:
        call = await line.order()
        await call.over.wait()
        told = call.report()
        assert told["outcome"] == "failed"
        assert any(each in told["reason"] for each in said.split("|"))
        assert len(line.twilio.records.at("twilio")) == 1


async def test_a_refused_account_is_said_without_its_token(autojump_clock: MockClock) -> None:
    fault = Fault(FaultKind.STATUS, "twilio", status=401, reason=f"no, {TOKEN}")
    async with a_line(faults=(fault,)) as line:
        call = await line.order()
        await call.over.wait()
        assert TOKEN not in call.report()["reason"]
        assert "HTTP 401" in call.report()["reason"]


async def test_an_answering_machine_is_hung_up_on(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order("+15005550005", machine_detection=True)
        await call.over.wait()
        assert call.report()["outcome"] == "machine_answered"
        assert call.report()["endReason"] == "operator_hung_up"
        await (await line.in_network(call)).over.wait()


async def test_a_person_is_not_taken_for_a_machine(autojump_clock: MockClock) -> None:
    async with a_line(twilio_machine_detection=True) as line:
        call = await line.order()
        await call.over.wait()
        assert call.report()["outcome"] == "completed"


async def test_we_hang_up_after_goodbye_was_heard_to_its_end(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"idle_nudge_ms": 1000, "idle_goodbye": "Goodbye for now."}
    async with a_line(listens, **chosen) as line:
        call = await line.order()
        await call.over.wait()
        there = await line.in_network(call)
        await there.over.wait()
        assert there.telephone is not None
        texts = ("Are you still there?", "I am still here, if there is anything else.", "Goodbye for now.")
        assert there.telephone.heard_seconds() == pytest.approx(sum(map(len, texts)) * 0.06)
        assert (call.report()["outcome"], call.report()["endReason"]) == ("completed", "idle")


async def test_a_call_that_still_rings_has_its_line_already(autojump_clock: MockClock) -> None:
    async with a_line(local_max_calls=1) as line:
        call = await line.order("+15005550003")
        status, body = await line.ask("POST", "/calls", {"to": THEIRS})
        assert (status, body["error"]) == (503, "all lines are busy")
        await call.over.wait()
        again = await line.order()
        await again.over.wait()
        assert again.report()["outcome"] == "completed"


@pytest.mark.parametrize("after_s", [0, 0.01, 0.3, 0.7, 1.5, 2.4, 2.6, 3.0, 4.0, 6.0])
async def test_a_call_can_be_hung_up_at_any_moment(after_s: float, autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks", "bye")) as line:
        call = await line.order()
        await trio.sleep(after_s)
        status, _ = await line.ask("DELETE", f"/calls/{call.call_id}")
        assert status == 202
        await call.over.wait()
        talked = call.report()["sessionId"] is not None
        assert call.report()["outcome"] == ("completed" if talked else "cancelled")
        there = await line.in_network(call)
        await there.over.wait()
        assert there.status == ("completed" if "in-progress" in there.statuses else "canceled")


@pytest.mark.parametrize("after_s", [0.01, 0.7, 2.6, 4.0])
async def test_a_server_that_stops_ends_its_calls(after_s: float, autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order()
        await trio.sleep(after_s)
        with trio.fail_after(20):
            await line.port.server.drain()
        assert call.outcome is not None
        assert line.twilio.telephones.calls[call.call_sid or ""].status in ("completed", "canceled")


async def test_a_server_that_is_cut_off_records_what_there_was(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        call = await line.order("+15005550003")
        await trio.sleep(1)
        line.port.nursery.cancel_scope.cancel()
        await trio.sleep_forever()
    assert call.report()["outcome"] == "cancelled"


async def test_a_call_that_cannot_be_hung_up_is_over_all_the_same(autojump_clock: MockClock) -> None:
    async with a_line(faults=(Fault(FaultKind.STATUS, "twilio.call", status=503, times=0),)) as line:
        call = await line.order("+15005550003")
        await trio.sleep(1)
        await line.ask("DELETE", f"/calls/{call.call_id}")
        with trio.fail_after(30):
            await call.over.wait()
        assert call.report()["outcome"] == "cancelled"


async def test_people_of_the_script_talk_in_turns_and_machines_talk_at_once(
    autojump_clock: MockClock,
) -> None:
    async with a_line(greeting="Good morning.", idle_nudge_ms=3000, idle_goodbye="Goodbye.") as line:
        line.twilio.telephones.talks = None
        for number in (THEIRS, "+15005550005"):
            call = await line.order(number)
            await call.over.wait()
            assert call.report()["outcome"] == "completed"
            there = await line.in_network(call)
            assert there.complaints == []
            assert there.telephone is not None
            assert there.telephone.heard_seconds() > 0.7


# --- the stream -------------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten eleven twelve."


async def test_an_interruption_is_heard_over_the_whole_network(autojump_clock: MockClock) -> None:
    async def interrupts(telephone: Telephone) -> None:
        telephone.say(spoken("hello", RATE))
        await telephone.until(lambda: telephone.heard_seconds() > 1.5)
        telephone.say(spoken("stop please stop", RATE))
        await telephone.until(lambda: Clear() in telephone.messages)
        await trio.sleep(3)

    async with a_line(interrupts, answer=Answer(TEXT), jitter=Latency(40, 0.5)) as line:
        call = await line.order()
        await call.over.wait()
        said = next(m for m in line.providers.llm.requests[-1] if m.speaker is Speaker.ASSISTANT)
        assert said.interrupted
        assert 3 <= len(said.text.split()) <= 8


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
async def test_a_stream_that_breaks_at_any_moment_leaves_nothing_and_one_outcome(
    after_s: float, autojump_clock: MockClock
) -> None:
    async def breaks(telephone: Telephone) -> None:
        telephone.say(spoken("hello", RATE))
        await trio.sleep(after_s)
        telephone.cut()

    async with a_line(breaks, answer=Answer(TEXT)) as line:
        call = await line.order()
        await call.over.wait()
        assert call.report()["outcome"] in ("completed", "failed")


# --- signatures and tokens --------------------------------------------------------------------------------

FORM = {"CallSid": "CA1", "From": THEIRS, "To": OURS, "CallStatus": "ringing", "AccountSid": ACCOUNT}


@pytest.mark.parametrize("url", [VOICE, STATUS])
@pytest.mark.parametrize("signature", [None, "", "nonsense", "é", signature_of(VOICE, FORM, "another token")])
async def test_a_request_without_twilios_signature_is_refused(
    url: str, signature: str | None, autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        status, body = await line.webhook(url, FORM, signature)
        assert status == 403
        assert "signature" in body
        assert not line.port.server.phone.calls
        assert line.port.server.counts["bad signatures"] == 1


async def test_a_signature_is_for_one_address_and_one_form(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        signature = signature_of(VOICE, FORM, TOKEN)
        assert (await line.webhook(VOICE, {**FORM, "From": "+1"}, signature))[0] == 403
        assert (await line.webhook(f"{VOICE}?voice=x", FORM, signature))[0] == 403
        assert (await line.webhook(VOICE, FORM, signature))[0] == 200


async def test_without_an_account_there_is_no_telephone(autojump_clock: MockClock) -> None:
    nothing: dict[str, Any] = {**dict.fromkeys(CHOSEN), "twilio_base_url": "http://twilio.example"}
    async with a_line(**nothing) as line:
        assert (await line.webhook(VOICE, FORM))[0] == 404
        status, body = await line.ask("POST", "/calls", {"to": THEIRS})
        assert (status, body["error"]) == (503, "TWILIO_ACCOUNT_SID is not set: it is needed to make calls")


@pytest.mark.parametrize("trust", [True, False])
async def test_a_proxys_word_for_our_address_is_taken_where_it_is_trusted(
    trust: bool, autojump_clock: MockClock
) -> None:
    async with a_line(twilio_public_url=None, twilio_trust_proxy=trust) as line:
        outside = "https://phone.example/twilio/voice"
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": signature_of(outside, FORM, TOKEN),
            "x-forwarded-proto": "https",
            "x-forwarded-host": "phone.example",
        }
        status, body = await ask(
            "POST",
            "http://10.0.0.7:3001/twilio/voice",
            headers,
            urlencode(FORM).encode(),
            line.port.connect,
        )
        assert status == (200 if trust else 403)
        assert ('url="wss://phone.example/twilio/media"' in body.decode()) == trust


async def token_of(line: Line, call_sid: str = "CA1") -> str:
    _, document = await line.webhook(VOICE, {**FORM, "CallSid": call_sid})
    return document.partition('name="token" value="')[2].partition('"')[0]


async def opens(line: Line, call_sid: str, token: str) -> bool:
    """Whether a stream is taken; it is hung up then."""
    started = Started("MZ1", call_sid, ACCOUNT, {"token": token})
    telephone = Telephone("ws://vantum.example/twilio/media", started, line.port.connect)
    async with trio.open_nursery() as nursery:
        await nursery.start(telephone.run)
        await trio.sleep(1)
        taken = not telephone.over.is_set()
        telephone.hang_up()
    return taken


async def test_a_token_opens_one_stream_of_its_own_call_for_a_minute(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        token = await token_of(line)
        assert not await opens(line, "CA1", "")
        assert not await opens(line, "CA1", "guessed")
        assert await opens(line, "CA1", token)
        assert not await opens(line, "CA1", token), "a token is used up"
        other = await token_of(line, "CA2")
        assert not await opens(line, "CA1", other), "a token is its call's"
        assert not await opens(line, "CA2", other), "a token that was tried is used up"
        late = await token_of(line, "CA3")
        await trio.sleep(VALID_S + 1)
        assert not await opens(line, "CA3", late)


async def test_a_token_of_a_call_that_is_over_opens_nothing(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        token = await token_of(line)
        await line.ask("DELETE", f"/calls/{line.inbound().call_id}")
        assert not await opens(line, "CA1", token)
        assert line.inbound().report()["outcome"] == "cancelled"
        _, again = await line.webhook(VOICE, FORM)
        assert "<Hangup" in again or "<Connect" in again


async def test_a_stream_with_a_bad_parameter_is_refused_though_its_token_is_good(
    autojump_clock: MockClock,
) -> None:
    async with a_line() as line:
        token = await token_of(line)
        started = Started("MZ1", "CA1", ACCOUNT, {"token": token, "voice": "x" * 300})
        telephone = Telephone("ws://vantum.example/twilio/media", started, line.port.connect)
        await telephone.run()
        assert telephone.closed_by_server


async def test_a_stream_that_begins_with_something_else_is_closed(autojump_clock: MockClock) -> None:
    class Strange(Telephone):
        def _send(self, message: StreamMessage) -> None:
            super()._send(Stopped() if isinstance(message, Started) else message)

    async with a_line() as line:
        telephone = Strange("ws://vantum.example/twilio/media", Started("MZ1", "CA1"), line.port.connect)
        await telephone.run()
        assert line.port.server.counts["media streams refused"] == 1


async def test_a_stream_that_never_begins_is_closed(autojump_clock: MockClock) -> None:
    from trio_websocket import ConnectionClosed, wrap_client_stream

    async with a_line() as line, trio.open_nursery() as nursery:
        stream = await line.port.connect()
        began = trio.current_time()
        socket = await wrap_client_stream(nursery, stream, "localhost", "/twilio/media")  # type: ignore[arg-type]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1008
        assert trio.current_time() - began == pytest.approx(START_TIMEOUT_S)
        nursery.cancel_scope.cancel()


# --- who may make calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "base", "headers"),
    [
        ("203.0.113.5", "http://localhost:3001", {}),
        ("127.0.0.1", "http://vantum.example", {}),
        ("127.0.0.1", "http://localhost:3001", {"x_forwarded_for": "203.0.113.5"}),
        ("127.0.0.1", "http://localhost:3001", {"origin": "http://evil.example"}),
    ],
)
async def test_without_a_token_only_this_machine_makes_calls(
    peer: str, base: str, headers: dict[str, str], autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        line.port.peer = peer
        status, body = await line.ask("POST", "/calls", {"to": THEIRS}, base, **headers)
        assert status == 403
        assert body["error"] == "without API_TOKEN, calls are made from this machine only"
        assert not line.port.server.phone.calls


async def test_with_a_token_whoever_has_it_makes_calls(autojump_clock: MockClock) -> None:
    async with a_line(api_token="s3cret") as line:
        line.port.peer = "203.0.113.5"
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
            assert (await line.ask("POST", "/calls", {"to": THEIRS}, **given))[0] == 401
        bearer = {"authorization": "Bearer s3cret"}
        status, told = await line.ask("POST", "/calls", {"to": THEIRS}, **bearer)
        assert status == 201
        assert (await line.ask("GET", f"/calls/{told['id']}", **bearer))[0] == 200
        assert (await line.ask("GET", f"/calls/{told['id']}"))[0] == 401


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({}, "to must be a telephone number in E.164 form"),
        ({"to": "555-1234"}, "to must be a telephone number in E.164 form"),
        ({"to": THEIRS, "language": "klingon!"}, "language is 'klingon!', but must be"),
        ({"to": THEIRS, "voise": "kyle"}, "voise: Extra inputs are not permitted"),
        ({"to": THEIRS, "greeting": 5}, "greeting: Input should be a valid string"),
        ([], "Input should be an object"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_is_refused_with_the_reason(
    order: Any, said: str, autojump_clock: MockClock
) -> None:
    async with a_line() as line:
        status, body = await line.ask("POST", "/calls", order)
        assert status == 400
        assert said in body["error"]


async def test_an_order_in_another_form_than_json_is_refused(autojump_clock: MockClock) -> None:
    """A web page can send a form to this machine without asking anybody; it cannot send JSON."""
    async with a_line() as line:
        status, _ = await line.ask("POST", "/calls", {"to": THEIRS}, content_type="text/plain")
        assert status == 415


async def test_a_body_without_end_is_not_read(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        status, _ = await line.ask("POST", "/calls", {"to": "1" * 300_000})
        assert status == 413


async def test_unknown_calls_are_said_to_be_unknown(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        assert (await line.ask("GET", "/calls/nobody"))[0] == 404
        assert (await line.ask("DELETE", "/calls/nobody"))[0] == 404
        assert (await line.webhook(STATUS, FORM))[0] == 204
        assert line.port.server.counts["unknown calls"] == 1
        status, body = await line.webhook(f"{VOICE}?call=nobody", FORM)
        assert (status, "<Hangup" in body) == (200, True)
