"""`vantum call`: what it prints of a call, and its exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from machines.tables import leaves
from machines.telephone_call.machine import TelephoneCall
from orchestrator.cli.call import STATES_IN_WORDS, CallError, client, place_call
from tests.faults.network import Network, connect_http
from tests.orchestrator.phone.phone_lines import THEIRS, Line, a_line, listens


@asynccontextmanager
async def http_to(line: Line, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    network = Network()
    network.attach(cast(Any, line.port))
    key = line.port.server.phone.own_key
    async with client("http://localhost:3001", token or key) as http:
        pool = connect_http(http, network, "vantum")
        yield http
        await pool.aclose()


async def call(line: Line, told: list[str], number: str = THEIRS, token: str | None = None) -> bool:
    async with http_to(line, token) as http:
        return await place_call(http, {"to": number, "greeting": "Good morning."}, told.append)


@pytest.mark.slow
async def test_a_call_is_reported_step_by_step(autojump_clock: MockClock) -> None:
    told: list[str] = []
    async with a_line() as line:
        assert await call(line, told)
    steps = [each.removeprefix(f"{THEIRS}: ") for each in told]
    # Some states change in the same moments as the call is asked about: they may be seen, or not.
    assert [each for each in steps if each not in ("dialling", "answered")] == [
        "asking the carrier",
        "ringing",
        "talking",
        "completed",
    ]


def test_every_state_of_a_call_that_is_under_way_has_words() -> None:
    assert set(STATES_IN_WORDS) == {state.id for state in leaves(TelephoneCall)} - {"idle", "ENDED"}


@pytest.mark.slow
async def test_a_call_that_nobody_takes_has_failed_for_the_shell(autojump_clock: MockClock) -> None:
    told: list[str] = []
    async with a_line() as line:
        assert not await call(line, told, "+15005550003")
        assert told[-1] == "+15005550003: no answer"
        assert not await call(line, told, "+15005550001")
        assert told[-1].startswith("+15005550001: failed (twilio: HTTP 400, code 21211")


async def test_ctrl_c_hangs_up(autojump_clock: MockClock) -> None:
    told: list[str] = []
    async with a_line(listens) as line, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def dial() -> None:
            assert await call(line, told)

        await trio.sleep(6)
        assert told[-1].endswith("talking")
        os.kill(os.getpid(), signal.SIGINT)
        await wait_all_tasks_blocked()
    assert told[-1].endswith("completed")


async def test_a_token_is_sent(autojump_clock: MockClock) -> None:
    async with a_line(api_token="s3cret") as line:
        assert await call(line, [], token="s3cret")
        with pytest.raises(CallError, match=r"^The server refuses: a key or token is needed"):
            await call(line, [], token="wrong")


async def test_a_server_that_cannot_be_reached_is_an_error_of_one_sentence() -> None:
    async with client("http://127.0.0.1:1", None) as http:
        with pytest.raises(CallError, match=r"^The server at http://127.0.0.1:1 cannot be asked"):
            await place_call(http, {"to": THEIRS}, print)


# --- a call that costs money is hung up however the command is left ---------------------------------------

UNTIL_TALKING_S = 6


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
async def test_every_signal_that_ends_a_program_hangs_up(name: str, autojump_clock: MockClock) -> None:
    told: list[str] = []
    async with a_line(listens) as line, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def dial() -> None:
            assert await call(line, told)

        await trio.sleep(UNTIL_TALKING_S)
        assert told[-1].endswith("talking")
        os.kill(os.getpid(), getattr(signal, name))
        await wait_all_tasks_blocked()
    assert told[-1].endswith("completed")


async def test_being_cancelled_hangs_up(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        with trio.move_on_after(UNTIL_TALKING_S):
            await call(line, [])


class NobodyReads(list[str]):
    """A pipe whose reader goes away when the call is talking, as `| head -3` does."""

    def append(self, line: str) -> None:
        if line.endswith("talking"):
            raise BrokenPipeError(32, "Broken pipe")
        super().append(line)


async def test_a_broken_pipe_hangs_up_and_comes_out(autojump_clock: MockClock) -> None:
    async with a_line(listens) as line:
        with pytest.raises(BrokenPipeError):
            await call(line, NobodyReads())


class Unreliable(httpx2.AsyncBaseTransport):
    """The way to the server, on which some questions get lost."""

    def __init__(self, way: httpx2.AsyncBaseTransport, lost: set[int]) -> None:
        self.way, self.lost, self.questions = way, lost, 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            self.questions += 1
            if self.questions in self.lost:
                raise httpx2.ReadTimeout("lost", request=request)
        return await self.way.handle_async_request(request)


@pytest.mark.parametrize(("lost", "goes_on"), [({3, 4}, True), ({15, 16, 17}, False)])
async def test_a_server_that_does_not_answer_for_a_moment_is_asked_again_and_then_hung_up_on(
    lost: set[int], goes_on: bool, autojump_clock: MockClock
) -> None:
    told: list[str] = []
    async with a_line() if goes_on else a_line(listens) as line, http_to(line) as http:
        unreliable = httpx2.AsyncClient(
            base_url=http.base_url,
            headers=http.headers,
            transport=Unreliable(http._transport, lost),
            trust_env=False,
        )
        if goes_on:
            assert await place_call(unreliable, {"to": THEIRS}, told.append)
        else:
            with pytest.raises(CallError, match="cannot be asked: ReadTimeout: lost"):
                await place_call(unreliable, {"to": THEIRS}, told.append)


@pytest.mark.slow
async def test_that_a_call_could_not_be_hung_up_is_said() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            raise httpx2.ConnectError("gone", request=request)
        if request.method == "GET":
            return httpx2.Response(404, json={"error": "no such call"})
        return httpx2.Response(201, json={"id": "1", "to": THEIRS, "state": "placing", "outcome": None})

    told: list[str] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://vantum") as http:
        with pytest.raises(CallError, match="no such call"):
            await place_call(http, {"to": THEIRS}, told.append)
    assert told[-1].startswith(
        "The call may go on, since it could not be hung up: The server at http://vantum"
    )
