"""Who is let in: signatures, tokens of streams, and who may make calls."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from adapters.simulators.telephone import Telephone
from adapters.simulators.twilio_webhooks import ask, signature_of
from orchestrator.phone.stream_start import START_TIMEOUT_S
from orchestrator.phone.stream_tokens import VALID_S
from protocol.twilio import Started, Stopped, StreamMessage
from tests.orchestrator.phone.phone_lines import (
    ACCOUNT,
    CHOSEN,
    OURS,
    PUBLIC,
    STATUS,
    THEIRS,
    TOKEN,
    VOICE,
    Line,
    a_line,
)

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
    nothing: dict[str, Any] = {
        **dict.fromkeys(CHOSEN),
        "twilio_base_url": "http://twilio.example",
        "twilio_lead_ms": 0,
    }
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


SEEN = "http://10.0.0.7:3001/twilio/voice"
"""As it is asked on our machine."""


@pytest.mark.parametrize(
    ("signed", "headers", "trust"),
    [
        # A proxy that ends TLS and passes the host on.
        ("https://10.0.0.7:3001/twilio/voice", {}, False),
        ("https://phone.example/twilio/voice", {"host": "phone.example"}, False),
        ("https://phone.example:443/twilio/voice", {"host": "phone.example"}, False),
        ("https://phone.example/twilio/voice", {"host": "phone.example:443"}, False),
        (
            "https://phone.example/twilio/voice",
            {"forwarded": 'for=1.2.3.4;host="phone.example";proto=https'},
            True,
        ),
        (
            "https://phone.example:8443/twilio/voice",
            {"x-forwarded-host": "phone.example", "x-forwarded-port": "8443", "x-forwarded-proto": "https"},
            True,
        ),
        (
            "https://phone.example/bots/ann/twilio/voice",
            {"x-forwarded-host": "phone.example", "x-forwarded-prefix": "/bots/ann/"},
            True,
        ),
        ("https://phone.example/twilio/voice", {"x-forwarded-host": "phone.example, inner"}, True),
    ],
)
async def test_a_signature_is_looked_for_behind_proxies(
    signed: str, headers: dict[str, str], trust: bool, autojump_clock: MockClock
) -> None:
    async with a_line(twilio_public_url=None, twilio_trust_proxy=trust) as line:
        own = {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": signature_of(signed, FORM, TOKEN),
        }
        status, body = await ask(
            "POST", SEEN, {**own, **headers}, urlencode(FORM).encode(), line.port.connect
        )
        assert status == 200
        media = signed.replace("https:", "wss:").replace("/voice", "/media")
        assert f'url="{media}"'.replace(":443", "") in body.decode().replace(":443", "")


@pytest.mark.parametrize("port", ["", ":443"])
async def test_a_signature_may_or_may_not_be_of_the_port(port: str, autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {
        "twilio_public_url": f"https://vantum.example{port}",
        "twilio_base_url": "http://twilio.example",
    }
    for signed in ("https://vantum.example", "https://vantum.example:443"):
        async with a_line(**chosen) as line:
            url = f"{signed}/twilio/voice"
            status, _ = await line.webhook(SEEN, FORM, signature_of(url, FORM, TOKEN))
            assert status == 200


async def test_what_is_refused_is_complained_of_once_a_minute(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        with capture_logs() as logged:
            for _ in range(3):
                await line.webhook(VOICE, FORM, "wrong")
            await trio.sleep(60)
            await line.webhook(VOICE, FORM, "wrong")
        complaints = [each for each in logged if each["log_level"] == "warning"]
        assert len(complaints) == 2
        assert "TWILIO_PUBLIC_URL" in complaints[0]["event"]
        assert complaints[0]["urls"] == [VOICE]


async def test_a_number_that_points_at_a_server_without_a_telephone_is_told(
    autojump_clock: MockClock,
) -> None:
    nothing: dict[str, Any] = {
        **dict.fromkeys(CHOSEN),
        "twilio_base_url": "http://twilio.example",
        "twilio_lead_ms": 0,
    }
    async with a_line(**nothing) as line:
        with capture_logs() as logged:
            assert (await line.webhook(VOICE, FORM))[0] == 404
        assert ["TWILIO_AUTH_TOKEN" in each["event"] for each in logged] == [True]


async def test_a_webhook_in_another_form_than_twilios_is_refused(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        status, told = await line.ask("POST", "/twilio/voice", {"CallSid": "CA1"}, base=PUBLIC)
        assert (status, "content type application/x-www-form-urlencoded" in told["error"]) == (415, True)


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

INSIDE: dict[str, Any] = {"twilio_public_url": None, "twilio_base_url": "http://127.0.0.1:1"}
"""A simulated Twilio, on this machine."""


@pytest.mark.parametrize(
    ("peer", "base", "headers"),
    [
        ("127.0.0.1", "http://localhost:3001", {}),
        ("203.0.113.5", "http://localhost:3001", {}),
        ("127.0.0.1", "http://vantum.example", {}),
        ("127.0.0.1", "http://localhost:3001", {"x_forwarded_for": "203.0.113.5"}),
        ("127.0.0.1", "http://localhost:3001", {"authorization": "Basic x"}),
        ("127.0.0.1", "http://localhost:3001", {"authorization": "Bearer é"}),
    ],
)
@pytest.mark.parametrize("chosen", [INSIDE, {}], ids=["simulated", "reached from outside"])
async def test_calls_need_a_key_wherever_a_request_says_that_it_comes_from(
    peer: str, base: str, headers: dict[str, str], chosen: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with a_line(**chosen) as line:
        line.port.peer = peer
        for method, order in (("POST", {"to": THEIRS}), ("GET", None)):
            status, body = await line.ask_without_key(method, "/calls", order, base, **headers)
            assert status == 401
            assert body["error"].startswith("a key or token is needed")
        assert not line.port.server.phone.calls
        assert (await line.ask("GET", "/calls"))[0] == 200


async def test_a_web_page_makes_no_calls_even_with_a_key(autojump_clock: MockClock) -> None:
    async with a_line(**INSIDE) as line:
        status, _ = await line.ask("POST", "/calls", {"to": THEIRS}, origin="http://evil.example")
        assert status == 403
        assert not line.port.server.phone.calls


async def test_with_a_token_whoever_has_it_makes_calls(autojump_clock: MockClock) -> None:
    async with a_line(api_token="s3cret") as line:
        line.port.peer = "203.0.113.5"
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
            assert (await line.ask_without_key("POST", "/calls", {"to": THEIRS}, **given))[0] == 401
        bearer = {"authorization": "Bearer s3cret"}
        status, told = await line.ask("POST", "/calls", {"to": THEIRS}, **bearer)
        assert status == 201
        assert (await line.ask("GET", f"/calls/{told['id']}", **bearer))[0] == 200
        assert (await line.ask_without_key("GET", f"/calls/{told['id']}"))[0] == 401


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({}, "to must be a telephone number in E.164 form"),
        ({"to": "555-1234"}, "to must be a telephone number in E.164 form"),
        ({"to": THEIRS, "language": "klingon!"}, "language must be a language's code, such as en-US"),
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


async def test_a_number_may_be_written_as_people_write_it(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        status, body = await line.ask("POST", "/calls", {"to": " +1 (500) 555-1234 "})
        assert (status, body["to"]) == (201, THEIRS)


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


@pytest.mark.parametrize("received", [b"C", b"", b"2\r\nCa\r\n"])
async def test_a_client_that_leaves_within_its_request_is_one_line_without_a_traceback(
    received: bytes, autojump_clock: MockClock
) -> None:
    chunked = received[:1] == b"2"
    length = b"transfer-encoding: chunked" if chunked else b"content-length: 100"
    head = b"POST /twilio/voice HTTP/1.1\r\nhost: phone.example\r\nx-twilio-signature: x\r\n"
    form = b"content-type: application/x-www-form-urlencoded\r\n"
    async with a_line() as line:
        with capture_logs() as logged:
            stream = await line.port.connect()
            await stream.send_all(head + form + length + b"\r\n\r\n" + received)
            await trio.sleep(1)
            await stream.aclose()
            await trio.sleep(1)
    told = [each for each in logged if each["log_level"] != "debug"]
    assert len(told) <= 1
    assert not any("exc_info" in each for each in logged)
