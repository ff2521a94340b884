"""The Twilio account: requests to the REST interface through Twilio's SDK, and its refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from attrs import define, evolve
from trio.testing import MockClock

from adapters.interfaces import ProviderError
from adapters.simulators import Fault, FaultKind, Simulators, simulators
from adapters.twilio.account import TIMEOUT_S, Order, TwilioAccount
from adapters.twilio.webhooks import dial
from machines.facts import ErrorClass
from tests.faults.network import Network, connect_http

ACCOUNT, TOKEN = "AC" + "1" * 32, "the auth token"
ORDER = Order(
    to="+15005551234",
    from_="+15005550006",
    voice_url="http://vantum.example/twilio/voice?call=1",
    status_url="http://vantum.example/twilio/status?call=1",
    ring_timeout_s=30,
    machine_detection=False,
)


@define
class Twilio:
    """An account of a simulated Twilio."""

    account: TwilioAccount
    vendor: Simulators

    def asked(self) -> list[object]:
        return [each.body for each in self.vendor.records.at("twilio")]


@asynccontextmanager
async def twilio(*faults: Fault, sid: str = ACCOUNT, keys: list[str] | None = None) -> AsyncIterator[Twilio]:
    network = Network()
    async with simulators(faults=faults, keys=keys) as vendor, httpx2.AsyncClient() as http:
        network.attach(vendor)
        pool = connect_http(http, network, "twilio")
        yield Twilio(TwilioAccount(http, sid, TOKEN, "http://twilio.example"), vendor)
        await pool.aclose()


async def test_a_call_is_ordered_with_all_that_twilio_needs(autojump_clock: MockClock) -> None:
    async with twilio() as line:
        sid = await line.account.place(evolve(ORDER, machine_detection=True))
        assert sid in line.vendor.telephones.calls
        assert line.asked() == [
            {
                "To": ORDER.to,
                "From": ORDER.from_,
                "Url": ORDER.voice_url,
                "StatusCallback": ORDER.status_url,
                "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
                "Timeout": "30",
                "MachineDetection": "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": ORDER.status_url,
            }
        ]
        assert line.vendor.requests[0].path == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"


async def test_a_call_can_be_hung_up_once_and_is_over_then(autojump_clock: MockClock) -> None:
    async with twilio() as line:
        sid = await line.account.place(ORDER)
        await line.account.hang_up(sid)
        await line.vendor.telephones.calls[sid].over.wait()
        assert line.vendor.telephones.calls[sid].status == "canceled"
        assert await line.account.hang_up(sid) is None
        assert await line.account.hang_up("CAunknown") is None


async def test_a_call_that_is_over_cannot_be_redirected(autojump_clock: MockClock) -> None:
    async with twilio() as line:
        sid = await line.account.place(ORDER)
        await line.account.hang_up(sid)
        await line.vendor.telephones.calls[sid].over.wait()
        assert not await line.account.redirect(sid, dial("+15005557777"))
        assert not await line.account.redirect("CAunknown", dial("+15005557777"))


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, ErrorClass.FATAL),
        (401, ErrorClass.AUTH),
        (403, ErrorClass.AUTH),
        (429, ErrorClass.RATE_LIMIT),
        (500, ErrorClass.TRANSIENT),
        (503, ErrorClass.TRANSIENT),
        (504, ErrorClass.TIMEOUT),
    ],
)
async def test_refusals_are_classified_and_not_retried(
    status: int, error_class: ErrorClass, autojump_clock: MockClock
) -> None:
    fault = Fault(FaultKind.STATUS, "twilio", status=status, reason=f"not\nwith {TOKEN}")
    async with twilio(fault) as line:
        with pytest.raises(ProviderError) as raised:
            await line.account.place(ORDER)
        assert raised.value.failure.error_class is error_class
        assert f"twilio: HTTP {status}" in raised.value.failure.message
        assert TOKEN not in raised.value.failure.message
        assert len(line.asked()) == 1


async def test_a_number_that_does_not_exist_is_said_with_twilios_code(autojump_clock: MockClock) -> None:
    async with twilio() as line:
        with pytest.raises(ProviderError, match=r"HTTP 400, code 21211: .*15005550001"):
            await line.account.place(evolve(ORDER, to="+15005550001"))


async def test_what_a_setting_is_the_reason_of_is_said_with_its_name(autojump_clock: MockClock) -> None:
    async with twilio() as line:
        with pytest.raises(
            ProviderError, match=r"code 21210: .*not yet verified.* \(TWILIO_FROM_NUMBER must be"
        ):
            await line.account.place(evolve(ORDER, from_="+1"))


async def test_a_wrong_token_is_refused(autojump_clock: MockClock) -> None:
    async with twilio(keys=["another"]) as line:
        with pytest.raises(ProviderError, match=r"HTTP 401, code 20003: .*Authenticate"):
            await line.account.place(ORDER)


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        (Fault(FaultKind.REFUSE, "twilio"), ErrorClass.CONNECTION),
        (Fault(FaultKind.SLOW_ACCEPT, "twilio", seconds=TIMEOUT_S * 2), ErrorClass.TIMEOUT),
    ],
)
async def test_a_twilio_that_cannot_be_reached_is_a_classified_error(
    fault: Fault, error_class: ErrorClass, autojump_clock: MockClock
) -> None:
    async with twilio(fault) as line:
        for ask in (line.account.place(ORDER), line.account.hang_up("CA1")):
            line.vendor.fail(evolve(fault, skip=0))
            with pytest.raises(ProviderError) as raised:
                await ask
            assert raised.value.failure.error_class is error_class


@pytest.mark.parametrize("status", [200, 502])
async def test_a_proxy_that_answers_with_a_page_of_its_own_has_placed_no_call(
    status: int, autojump_clock: MockClock
) -> None:
    async def page(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, text="<html>Welcome</html>")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(page)) as http:
        account = TwilioAccount(http, ACCOUNT, TOKEN, "http://twilio.example")
        with pytest.raises(ProviderError):
            await account.place(ORDER)
        with pytest.raises(ProviderError):
            await account.hang_up("CA1")
