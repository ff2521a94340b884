"""Limits where callers come in: before a WebSocket is opened, to programs and to browsers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
from trio.testing import MockClock

from orchestrator.access.client_tokens import TokenOrder
from orchestrator.access.counters import ProcessCounters
from orchestrator.access.credentials import Asked
from orchestrator.access.doors import plain_digest
from orchestrator.access.grants import ApiKey, KeyLimits, Scope
from orchestrator.access.memory_book import MemoryKeyBook
from orchestrator.server.server import Server
from orchestrator.server.startup import Bound, serve_with
from orchestrator.settings.settings import Settings
from orchestrator.simulation import SimulatedProviders
from tests.orchestrator.access.shown import SIGNING, signed
from tests.orchestrator.memory_port import memory_port
from tests.walls.peers import BINARY, CLOSE, PATIENCE_S, START, Port, Socket, frame

KEY, ANOTHER = "the key of k1", "the key of k2"
SCOPES = frozenset({Scope.CALL, Scope.DIAL})


def book(**limits: int) -> MemoryKeyBook:
    """Two keys, the first of which has these limits."""
    keys = [(KEY, "k1", KeyLimits(**limits)), (ANOTHER, "k2", KeyLimits())]
    found: dict[bytes, ApiKey] = {}
    for secret, key_id, of_key in keys:
        digest = plain_digest(secret)
        assert digest is not None
        found[digest] = ApiKey(key_id, "", "", SCOPES, 0, of_key)
    return MemoryKeyBook(found)


def places(server: Server) -> dict[str, int]:
    counters = server.access_limits.counters
    assert isinstance(counters, ProcessCounters)
    return dict(counters.at_once)


async def asks(port: Port, key: str = KEY, *more: str) -> tuple[bytes, Socket]:
    """The head of the answer to whoever wants a call, and the connection."""
    return await upgrades(port, "sec-websocket-protocol: vantum.v2", f"authorization: Bearer {key}", *more)


async def upgrades(port: Port, *more: str) -> tuple[bytes, Socket]:
    """The same, with only these lines beside those of every upgrade."""
    lines = [
        "GET /ws HTTP/1.1",
        "host: localhost",
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version: 13",
        *more,
    ]
    stream = await port.connect()
    await stream.send_all("\r\n".join([*lines, "", ""]).encode())
    socket, head = Socket(stream), b""
    while not head.endswith(b"\r\n\r\n"):
        head += await socket.hears(1)
    return head, socket


async def a_token(server: Server) -> str:
    """A token of the first key, for one call."""
    headers = {"authorization": f"Bearer {KEY}", "host": "localhost"}
    minted = await server.doors.minting(Asked(("127.0.0.1", 1), ("127.0.0.1", 2), headers))
    return minted(TokenOrder())[0]


async def closes(socket: Socket) -> tuple[int, str]:
    """The code and the reason with which the server closes, whatever it says before."""
    while True:
        opcode, payload = await socket.next_frame()
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def status(head: bytes) -> int:
    return int(head.split()[1])


def header(head: bytes, name: str) -> str | None:
    lines = (line.partition(": ") for line in head.decode().split("\r\n"))
    return next((value for found, _, value in lines if found == name), None)


class Listening:
    """A server at a real port."""

    def __init__(self, bound: Bound) -> None:
        self.server, self.port = bound.server, bound.port

    async def connect(self) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def listening(**chosen: Any) -> AsyncIterator[Listening]:
    settings = Settings(**{"local_max_calls": 64, "host": "127.0.0.1", **chosen})
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        serve = partial(serve_with, settings, SimulatedProviders().for_calls(), listeners)
        yield Listening(await nursery.start(serve))
        nursery.cancel_scope.cancel()


async def a_hundred_at_once(port: Port) -> list[tuple[bytes, Socket]]:
    answers: list[tuple[bytes, Socket]] = []

    async def ask() -> None:
        answers.append(await asks(port))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    return answers


# --- programs ---------------------------------------------------------------------------------------------


async def test_of_a_hundred_callers_at_once_as_many_talk_as_may(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book(calls_at_once=7)
        answers = await a_hundred_at_once(port)
        assert sorted(status(head) for head, _ in answers) == [101] * 7 + [429] * 93
        refused = next(head for head, _ in answers if status(head) == 429)
        assert header(refused, "retry-after") == "10"
        assert places(port.server) == {"calls of k1": 7}
        assert port.server.counts["too many calls at once"] == 93
        # Another key has its own.
        head, other = await asks(port, ANOTHER)
        assert status(head) == 101
        for _, socket in [*answers, (b"", other)]:
            await socket.stream.aclose()
        await trio.sleep(5)
        assert places(port.server) == {}
        head, again = await asks(port)
        assert status(head) == 101
        await again.stream.aclose()
    assert places(port.server) == {}


async def test_so_it_is_over_real_sockets() -> None:
    async with listening() as port:
        port.server.doors.book = book(calls_at_once=7)
        with trio.fail_after(PATIENCE_S):
            answers = await a_hundred_at_once(port)
        assert sorted(status(head) for head, _ in answers) == [101] * 7 + [429] * 93
        assert places(port.server) == {"calls of k1": 7}
        for _, socket in answers:
            await socket.stream.aclose()
        with trio.fail_after(PATIENCE_S):
            while places(port.server):
                await port.server.session_runner.one_over.wait()


async def test_of_a_hundred_callers_at_once_as_many_talk_as_the_server_takes(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders(), local_max_calls=7) as port:
        port.server.doors.book = book()
        answers = await a_hundred_at_once(port)
        first = []
        for _, socket in answers:
            opcode, payload = await socket.next_frame()
            first.append(msgpack.unpackb(payload)["eventType"] if opcode == BINARY else opcode)
        assert Counter(first) == {"connection.lifecycle.ack": 7, "system.status.busy": 93}
        assert len(port.server.sessions) == 7
        for _, socket in answers:
            await socket.stream.aclose()


async def test_calls_that_begin_too_often_are_refused_with_the_time_to_wait(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders()) as port, AsyncExitStack() as stack:
        port.server.doors.book = book(calls_per_minute=2)
        for expected in (101, 101, 429):
            head, socket = await asks(port)
            stack.push_async_callback(socket.stream.aclose)
            assert status(head) == expected
        assert header(head, "ratelimit-policy") == '"calls";q=2;w=60'
        await trio.sleep(int(header(head, "retry-after") or ""))
        head, socket = await asks(port)
        assert status(head) == 101
        await socket.stream.aclose()


async def test_a_handshake_that_goes_wrong_gives_its_place_back(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book(calls_at_once=1)
        stream = await port.connect()
        await stream.send_all(
            b"GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"authorization: Bearer " + KEY.encode() + b"\r\n\r\n"
        )
        await trio.sleep(60)
        assert places(port.server) == {}
        await stream.aclose()


async def test_a_token_that_is_refused_since_it_is_too_much_is_good_for_another_try(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book(calls_at_once=1)
        token = await a_token(port.server)
        head, first = await asks(port)
        assert status(head) == 101
        assert status((await asks(port, token))[0]) == 429
        await first.stream.aclose()
        await trio.sleep(5)
        head, second = await asks(port, token)
        assert status(head) == 101
        await second.stream.aclose()
        await trio.sleep(5)
        assert status((await asks(port, token))[0]) == 401
        assert places(port.server) == {}


async def test_a_token_that_is_spent_takes_nothing_of_its_keys_share(autojump_clock: MockClock) -> None:
    """Whoever has one, from a browser's history for instance, could use up a key's money and calls."""
    async with memory_port(SimulatedProviders(), call_price_per_minute=0.06) as port:
        port.server.doors.book = book(calls_per_minute=2, micros_per_day=40_000)  # two beginnings
        token = await a_token(port.server)
        for expected in (101, *[401] * 20):
            head, socket = await asks(port, token)
            assert status(head) == expected
            await socket.stream.aclose()
        head, socket = await asks(port)
        assert status(head) == 101
        await socket.stream.aclose()


async def test_who_is_turned_away_since_the_server_is_busy_has_paid_nothing(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders(), call_price_per_minute=0.06, max_sessions=1) as port:
        port.server.doors.book = book(micros_per_day=20_000)  # one beginning
        token = await a_token(port.server)
        _, another = await asks(port, ANOTHER)
        await another.stream.send_all(frame(BINARY, START))
        await trio.sleep(1)
        for _ in range(3):
            head, refused = await asks(port, token)
            assert status(head) == 101
            assert await closes(refused) == (1013, "busy; retry=10000")
        await another.stream.aclose()
        await trio.sleep(5)
        head, socket = await asks(port, token)
        assert status(head) == 101
        await trio.sleep(1)
        assert len(port.server.sessions) == 1
        await socket.stream.aclose()


async def test_tokens_are_made_so_often_and_no_more(autojump_clock: MockClock) -> None:
    request = (
        "POST /v1/client-tokens HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n"
    ).encode()
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book(tokens_per_minute=3)
        answers = []
        for _ in range(4):
            async with await port.connect() as stream:
                await stream.send_all(request)
                answers.append(b"".join([part async for part in stream]))
        assert [status(answer) for answer in answers] == [201, 201, 201, 429]
        assert header(answers[-1], "retry-after") == "20"


async def test_a_key_that_may_have_none_of_something_is_told_so(autojump_clock: MockClock) -> None:
    ordered = (
        "POST /v1/client-tokens HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n"
    ).encode()
    async with memory_port(SimulatedProviders()) as port:
        for kind in ("calls_at_once", "calls_per_minute"):
            port.server.doors.book = book(**{kind: 0})
            head, _ = await asks(port)
            assert (status(head), header(head, "retry-after")) == (403, None)
        port.server.doors.book = book(tokens_per_minute=0)
        async with await port.connect() as stream:
            await stream.send_all(ordered)
            answer = b"".join([part async for part in stream])
        assert status(answer) == 403
        assert b"this key may have no tokens" in answer
        assert places(port.server) == {}


# --- browsers ---------------------------------------------------------------------------------------------


async def test_a_browser_is_told_after_the_upgrade_what_it_could_not_read_before(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book(calls_at_once=1)
        _, first = await asks(port)
        head, socket = await asks(port, KEY, "origin: http://localhost")
        assert status(head) == 101
        opcode, payload = await socket.next_frame()
        assert opcode == BINARY
        told = msgpack.unpackb(payload)["payload"]["error"]["message"]
        assert told == "this key may have 1 calls at once, and has them"
        assert await socket.is_closed() == (4429, f"{told}; retry=10000")
        await first.stream.aclose()


# --- wrong keys -------------------------------------------------------------------------------------------


API_TOKEN_HERE = "short"


async def test_an_address_that_shows_wrong_keys_must_wait_and_nobody_else(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"failed_logins_per_address": 3, "api_token": API_TOKEN_HERE}
    async with memory_port(SimulatedProviders(), **chosen) as port, AsyncExitStack() as stack:
        port.server.doors.book = book()

        async def is_answered(peer: str, key: str) -> tuple[int, str | None]:
            port.peer = peer
            head, socket = await asks(port, key)
            stack.push_async_callback(socket.stream.aclose)
            return status(head), header(head, "retry-after")

        assert [(await is_answered("8.8.8.8", "wrong"))[0] for _ in range(5)] == [401] * 4 + [429]
        for guessed in ("wrong", API_TOKEN_HERE):
            assert await is_answered("8.8.8.8", guessed) == (429, "60")
            # Of an operator's own words somebody may have guessed the right ones, and must not be told.
        assert await is_answered("8.8.4.4", API_TOKEN_HERE) == (101, None)
        await trio.sleep(60)
        assert await is_answered("8.8.8.8", API_TOKEN_HERE) == (101, None)


async def test_whoever_has_a_key_does_not_wait_for_the_mistakes_of_others_at_the_address(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders(), failed_logins_per_address=1) as port:
        doors, port.peer = port.server.doors, "8.8.8.8"
        doors.book = book()
        minted = await doors.minting(
            Asked(("127.0.0.1", 1), ("127.0.0.1", 2), {"authorization": f"Bearer {KEY}"})
        )
        token, _ = minted(TokenOrder())
        assert [status((await asks(port, "wrong"))[0]) for _ in range(3)] == [401, 401, 429]
        for credential in (KEY, token, port.server.phone.own_key):
            head, socket = await asks(port, credential)
            assert status(head) == 101
            await socket.stream.aclose()


async def test_tokens_of_ours_that_are_over_make_nobody_wait(autojump_clock: MockClock) -> None:
    over = signed(exp=int(time.time()) - 1)
    async with memory_port(
        SimulatedProviders(), failed_logins_per_address=1, client_token_key=SIGNING
    ) as port:
        port.server.doors.book, port.peer = book(), "8.8.8.8"
        spent = signed()
        head, socket = await asks(port, spent)
        assert status(head) == 101
        await socket.stream.aclose()
        for token in (over, spent):
            assert [status((await asks(port, token))[0]) for _ in range(5)] == [401] * 5
        assert [status((await asks(port, "wrong"))[0]) for _ in range(3)] == [401, 401, 429]
        # Now nothing is told of these either.
        assert [status((await asks(port, token))[0]) for token in (over, spent)] == [429, 429]


@pytest.mark.parametrize("path", ["/calls", "/ws"])
async def test_nobody_chooses_whose_address_is_shut_out(path: str, autojump_clock: MockClock) -> None:
    """Some proxies add a line of their own behind the one that the client has sent."""
    chosen: dict[str, Any] = {
        "failed_logins_per_address": 1,
        "twilio_trust_proxy": True,
        "api_token": "sesame",
    }

    async def shows(key: str, *addresses: str) -> int:
        lines = [f"GET {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}"]
        lines += [f"x-forwarded-for: {address}" for address in addresses]
        if path == "/ws":
            lines += ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"]
            lines += ["sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="]
        async with await port.connect() as stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode())
            return status(bytes(await stream.receive_some()))

    async with memory_port(SimulatedProviders(), **chosen) as port:
        for _ in range(5):
            await shows("wrong", "203.0.113.7", "198.51.100.1")
        assert await shows("sesame", "203.0.113.7") in (101, 200)
        assert await shows("sesame", "198.51.100.1") == 429


# --- where a credential is --------------------------------------------------------------------------------


async def test_what_a_proxy_was_shown_does_not_hide_a_token(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book()
        token = await a_token(port.server)
        head, _ = await upgrades(port, "authorization: Basic YW5uOnBhc3N3b3Jk")
        assert status(head) == 401
        head, socket = await upgrades(
            port,
            "authorization: Basic YW5uOnBhc3N3b3Jk",
            f"sec-websocket-protocol: vantum.v2, vantum.token.{token}",
        )
        assert status(head) == 101
        await socket.stream.aclose()


async def test_where_a_proxy_asks_who_it_is_what_it_was_shown_is_no_wrong_key(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders(), allow_anybody=True) as port:
        head, socket = await upgrades(port, "authorization: Basic YW5uOnBhc3N3b3Jk")
        assert status(head) == 101
        await socket.stream.aclose()
        assert status((await asks(port, "wrong"))[0]) == 401


async def test_a_token_may_be_offered_in_a_line_of_its_own(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        port.server.doors.book = book()
        for order in (1, -1):
            token = await a_token(port.server)
            lines = ["sec-websocket-protocol: vantum.v2", f"sec-websocket-protocol: vantum.token.{token}"]
            head, socket = await upgrades(port, *lines[::order])
            assert (status(head), header(head, "Sec-WebSocket-Protocol")) == (101, "vantum.v2")
            await socket.stream.aclose()


# --- money ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goodbye", ["We must end.", ""])
async def test_a_client_is_told_that_the_money_is_used_up(goodbye: str, autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"call_price_per_minute": 0.06, "budget_goodbye": goodbye}
    async with memory_port(SimulatedProviders(), **chosen) as port:
        port.server.doors.book = book(micros_per_day=30_000)  # half a minute
        _, socket = await asks(port)
        began = trio.current_time()
        await socket.stream.send_all(frame(BINARY, START))
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["eventType"] != "connection.lifecycle.disconnect":
            opcode, payload = await socket.next_frame()
            if opcode == BINARY:
                heard.append(msgpack.unpackb(payload))
        assert trio.current_time() - began <= 30
        told = [each["payload"] for each in heard if each["eventType"].endswith("quota_exceeded")]
        assert [each["service"] for each in told] == (["money"] if goodbye else [])
        assert heard[-1]["payload"]["reason"] == "budget_spent"
        assert await socket.is_closed() == (1000, "budget_spent")
        head, _ = await asks(port)
        assert status(head) == 429
