"""Simulated vendors are as strict as the real ones, and logs hold no secrets: 35, 36."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import pytest
import structlog
import trio
from attrs import evolve
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.simulators import Fault, FaultKind, simulators
from adapters.vendor_socket import VendorSocket, open_vendor_socket
from machines import effects as do
from tests.faults.cells import REFUSALS
from tests.faults.vendors import KEY, Vendors
from tests.reference_defects.vendor_calls import MODEL, NOVA, VOICE, vendor_call

TOKEN = {"Authorization": f"Token {KEY}", "Cartesia-Version": "2026-08-14"}
LISTEN = "ws://simulated.invalid/v1/listen?model=nova-2&encoding=linear16&sample_rate=16000"
SPEAK = "ws://simulated.invalid/tts/websocket"
GENERATE: Mapping[str, object] = {
    "context_id": "one",
    "model_id": "sonic-3",
    "transcript": "Hello there.",
    "voice": {"mode": "id", "id": "any"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
}


# --- 35: doubles are as strict as what they stand for -----------------------------------------------------


async def test_35_a_simulated_vendor_refuses_what_it_does_not_know(autojump_clock: MockClock) -> None:
    async with simulators() as running:
        with pytest.raises(InvalidStatus) as refused:
            async with open_vendor_socket(LISTEN + "&vad=true", TOKEN, open_stream=running.connect):
                raise AssertionError("it was taken")
        assert refused.value.response.status_code == 400


async def test_35_a_simulated_vendor_closes_when_it_hears_nothing_and_not_before(
    autojump_clock: MockClock,
) -> None:
    async with (
        simulators() as running,
        open_vendor_socket(LISTEN, TOKEN, open_stream=running.connect) as socket,
    ):
        with trio.move_on_after(9.9) as waiting:
            await socket.recv()
        assert waiting.cancelled_caught, "nothing closes by itself"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011


async def test_35_a_simulated_voice_reports_errors_and_keeps_to_what_was_asked(
    autojump_clock: MockClock,
) -> None:
    async with (
        simulators() as running,
        open_vendor_socket(SPEAK, TOKEN, open_stream=running.connect) as socket,
    ):
        assert (await _kinds(socket, GENERATE))[-1] == "done"
        assert await _kinds(socket, GENERATE) == ["error"], "the context has ended"
        assert await _kinds(socket, {**GENERATE, "context_id": "two", "model_id": "other"}) == ["error"]
        assert running.records.open_contexts == []


async def _kinds(socket: VendorSocket, request: Mapping[str, object]) -> list[str]:
    """The types of what comes back, up to the end of the context or an error."""
    await socket.send(json.dumps(dict(request)))
    kinds: list[str] = []
    while not kinds or kinds[-1] not in ("done", "error"):
        kinds.append(json.loads(await socket.recv())["type"])
    return kinds


# --- 36: a key is in a header, and nowhere else -----------------------------------------------------------


@pytest.mark.parametrize("flux", [False, True], ids=["nova", "flux"])
async def test_36_no_key_is_in_an_address(made: Vendors, autojump_clock: MockClock, flux: bool) -> None:
    async with vendor_call(made, flux=flux) as held:
        await held.exchange("how is the weather", 1)
        assert len({one.route for one in held.vendors.requests}) == 4
        assert KEY not in repr(held.vendors.requests), "but in a header, which is not recorded"


@pytest.mark.parametrize("route", [NOVA, MODEL, VOICE])
@pytest.mark.parametrize(
    ("name", "fault"), REFUSALS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_36_no_key_is_logged_or_told_also_when_the_vendor_repeats_it(
    made: Vendors,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    route: str,
    name: str,
    fault: Fault,
) -> None:
    caplog.set_level(logging.DEBUG)
    repeats = evolve(fault, at=route, times=0, reason=f"{KEY} is not welcome")
    with structlog.testing.capture_logs() as logs:
        async with vendor_call(made, repeats) as held:
            await held.call.take_turn("how is the weather")
            await held.call.answered()
            told = [str(effect) for effect in held.caller.notified_of(do.NotifyClientError)]
    assert told or fault.kind is FaultKind.SLOW_ACCEPT
    assert any(entry["log_level"] == "warning" for entry in logs) or fault.kind is FaultKind.SLOW_ACCEPT
    assert KEY not in repr(logs) + caplog.text + repr(told)
