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

from machines.phone_call import Call
from machines.tables import leaves
from orchestrator.cli.call import STATES_IN_WORDS, CallError, client, place_call
from tests.faults.network import Network, connect_http
from tests.orchestrator.phone.phone_lines import THEIRS, Line, a_line, listens


@asynccontextmanager
async def http_to(line: Line, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    network = Network()
    network.attach(cast(Any, line.port))
    async with client("http://localhost:3001", token) as http:
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
    assert [each.removeprefix(f"{THEIRS}: ") for each in told] == [
        "asking the carrier",
        "dialling",
        "ringing",
        "talking",
        "completed",
    ]


def test_every_state_of_a_call_that_is_under_way_has_words() -> None:
    assert set(STATES_IN_WORDS) == {state.id for state in leaves(Call)} - {"idle", "ENDED"}


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
        with pytest.raises(CallError, match=r"^The server refuses: API_TOKEN is needed as bearer token.$"):
            await call(line, [], token="wrong")


async def test_a_server_that_cannot_be_reached_is_an_error_of_one_sentence() -> None:
    async with client("http://127.0.0.1:1", None) as http:
        with pytest.raises(CallError, match=r"^The server at http://127.0.0.1:1 cannot be asked"):
            await place_call(http, {"to": THEIRS}, print)
