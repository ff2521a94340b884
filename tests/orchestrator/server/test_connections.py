"""The port: what a connection becomes; heads and upgrades that are odd, wrong, or changed by proxies."""

from __future__ import annotations

import socket

import pytest
import structlog
import trio
import trio.testing
from trio.testing import MockClock

from orchestrator.settings.settings import Settings, SettingsError
from orchestrator.simulation import SimulatedProviders
from tests.orchestrator.memory_port import memory_port
from tests.orchestrator.real_servers import KEY, UPGRADE, eventually, exchange, get, serving
from tests.orchestrator.wire_clients import ShippedClient, connect
from tests.walls.peers import BINARY, HANDSHAKE, PATIENCE_S, START, Socket, a_socket, frame

HOSTS = [
    "[",
    "a[b",
    "a:b:c",
    "[::1",
    "a:-1",
    "a b",
    "\xff",
    "a/b",
    "a?b",
    "a@b",
    "a#b",
    "]",
    "a:x",
    "a,b",
    "%",
]


@pytest.mark.parametrize("path", ["/", "/health", "/ws", "/page", "/calls/", "/nothing"])
async def test_a_malformed_host_is_a_bad_request(path: str) -> None:
    async with serving() as running:
        for host in HOSTS:
            head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode("latin-1")
            assert (await exchange(running, head)).startswith(b"HTTP/1.1 400 "), host
        for host in ("a", "a:1", "[::1]:3001", "my_server.internal:80", "127.0.0.1", ""):
            head = f"GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
            assert (await exchange(running, head)).startswith(b"HTTP/1.1 200 "), host


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET / HTTP/9.9\r\nhost: a\r\n\r\n", b"505"),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n",
            b"200",
        ),
    ],
    ids=["with prior knowledge", "of the future", "by upgrade"],
)
async def test_no_other_http_is_spoken(request_: bytes, status: bytes) -> None:
    async with serving() as running:
        assert (await exchange(running, request_)).startswith(b"HTTP/1.1 " + status)


async def test_pipelined_requests_get_the_first_answer_and_a_close() -> None:
    async with serving() as running:
        answer = await exchange(running, b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00 a TLS hello", b"400"),
        (b"GET /ws HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 20_000, b"431"),
    ],
    ids=["TLS", "a broken head", "a huge head"],
)
async def test_a_head_that_cannot_be_used_is_answered(request_: bytes, status: bytes) -> None:
    async with serving() as running:
        assert (await exchange(running, request_)).startswith(b"HTTP/1.1 " + status)


async def test_connections_that_say_nothing_or_break_leave_the_others_alone() -> None:
    async with serving() as running:
        for request in (b"", b"GET /he", b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"):
            raw = socket.create_connection(("127.0.0.1", running.port))
            raw.sendall(request)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            raw.close()  # with a reset
        async with connect(running.port, client=ShippedClient) as client:
            assert await client.start()


# --- proxies ----------------------------------------------------------------------------------------------

UPGRADE_HEADERS = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws HTTP/1.1\r\nhost: a\r\nvia: 1.1 proxy\r\n" + UPGRADE_HEADERS,
        b"GET /twilio/media HTTP/1.1\r\nhost: a\r\nvia: 1.1 proxy\r\n" + UPGRADE_HEADERS,
        b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: close\r\n" + UPGRADE_HEADERS,
        b"GET /ws HTTP/1.0\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n" + UPGRADE_HEADERS,
    ],
    ids=["nothing left", "a telephone's", "half of it left", "over HTTP/1.0"],
)
async def test_an_upgrade_that_a_proxy_dropped_is_explained_and_warned_about_once(head: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        async with serving() as running:
            for _ in range(3):
                answer = await exchange(running, head + b"\r\n")
                assert answer.startswith(b"HTTP/1.1 426 ") and b"\r\nupgrade: websocket\r\n" in answer
                assert b"a proxy has dropped the headers" in answer
    warnings = [line for line in lines if "Upgrade" in line["event"]]
    assert len(warnings) == 1
    assert warnings[0]["log_level"] == "warning"


async def test_a_person_who_looks_at_the_sockets_address_is_no_reason_for_a_warning() -> None:
    with structlog.testing.capture_logs() as lines:
        async with serving() as running:
            assert (await get(running, "/ws")).status_code == 426
    assert not [line for line in lines if "Upgrade" in line["event"]]


@pytest.mark.parametrize(
    "asked",
    [
        b"upgrade: websocket, h2c\r\nconnection: upgrade\r\n",
        b"upgrade: h2c\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\n",
        b"upgrade: websocket\r\nconnection: upgrade\r\nconnection: keep-alive\r\n",
        b"upgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n",
    ],
    ids=["a list", "two headers", "two of the other", "usual"],
)
async def test_an_upgrade_is_seen_among_other_tokens(asked: bytes) -> None:
    async with serving() as running, await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        await stream.send_all(b"GET /ws HTTP/1.1\r\nhost: localhost\r\n" + asked + UPGRADE_HEADERS + b"\r\n")
        with trio.fail_after(120):
            answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 ")


async def test_a_client_that_offers_only_unknown_subprotocols_is_told_which_are_known() -> None:
    async with serving() as running:
        offer = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-protocol: x.v9, y\r\n"
        answer = await exchange(
            running, b"GET /ws HTTP/1.1\r\nhost: a\r\n" + offer + UPGRADE_HEADERS + b"\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x.v9, y are unknown here: offer vantum.v2, or none" in answer


async def test_a_token_that_was_offered_wrongly_is_not_repeated() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ2YW50dW0ifQ.c2lnbmF0dXJl"
    async with serving() as running:
        for offered in (f"Vantum.Token.{token}", f"vantum.v1 vantum.token.{token}", token):
            offer = f"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-protocol: {offered}\r\n"
            answer = await exchange(
                running, b"GET /ws HTTP/1.1\r\nhost: a\r\n" + offer.encode() + UPGRADE_HEADERS + b"\r\n"
            )
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"are unknown here" in answer
            assert token[-9:].encode() not in answer


async def test_a_proxy_that_passes_its_path_on_needs_one_setting() -> None:
    async with serving(base_path="/agent/one", allow_anybody=True) as running:
        assert "<title>Vantum" in (await get(running, "/agent/one/")).text
        assert (await get(running, "/agent/one/health?x=1")).json()["status"] == "ok"
        assert (await get(running, "/health")).status_code == 200  # a look from inside
        bare = await get(running, "/agent/one")
        assert (bare.status_code, bare.headers["location"]) == (308, "/agent/one/")
        assert (await get(running, "/agent/onetwo")).status_code == 404
        async with connect(running.port, path="/agent/one/ws", v2=True) as client:
            assert await client.is_alive()


@pytest.mark.parametrize("path", ["agent", "/agent/", "/a b", "/", "//", "/a?b"])
def test_a_base_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="BASE_PATH"):
        Settings(base_path=path)


async def test_each_answer_ends_its_connection_so_that_a_proxy_cannot_hide_an_upgrade_behind_it() -> None:
    async with serving() as running:
        for path in ("/", "/health", "/nothing", "/ws"):
            assert (await get(running, path)).headers["connection"] == "close"


# --- upgrades ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/wss", "/ws/", "/ws/x", "/WS", "//ws"])
async def test_an_upgrade_on_another_path_is_400(path: str) -> None:
    async with serving() as running:
        answer = await exchange(running, UPGRADE.format(path=path, key=KEY, version=13).encode())
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"/ws" in answer


async def test_a_query_does_not_matter() -> None:
    async with serving() as running, connect(running.port, path="/ws?token=1") as client:
        assert client.session_id


@pytest.mark.parametrize(
    "request_",
    [
        UPGRADE.format(path="/ws", key=KEY, version=13).replace("Sec-WebSocket-Key", "X-Key"),
        UPGRADE.format(path="/ws", key=KEY, version=8),
        UPGRADE.format(path="/ws", key=KEY, version=13).replace("GET", "POST"),
        UPGRADE.format(path="/ws", key=KEY, version=13).replace("Connection: Upgrade\r\n", ""),
    ],
    ids=["no key", "old version", "no GET", "no connection header"],
)
async def test_an_upgrade_that_is_none_begins_no_session(request_: str) -> None:
    async with serving() as running:
        answer = await exchange(running, request_.encode())
        assert b" 101 " not in answer.partition(b"\r\n")[0]
        assert not running.server.sessions
        async with connect(running.port) as client:
            assert client.session_id


async def test_garbage_after_the_upgrade_ends_that_session_only() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as neighbour:
        async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
            await stream.send_all(UPGRADE.format(path="/ws", key=KEY, version=13).encode())
            assert b" 101 " in await stream.receive_some()
            await stream.send_all(b"\xff\xff\xff\xff garbage")
            with trio.fail_after(120):
                async for _ in stream:
                    pass
        await eventually(lambda: len(running.server.sessions) == 1)
        assert await neighbour.start()


async def test_a_client_that_pings_and_one_that_is_reset_leave_the_others_alone() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as neighbour:
        async with connect(running.port) as client:
            with trio.fail_after(120):
                await client.socket.ping()
            assert isinstance(client.stream, trio.SocketStream)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await trio.aclose_forcefully(client.stream)
        await eventually(lambda: len(running.server.sessions) == 1)
        assert await neighbour.start()


# --- upgrades that fail ---------------------------------------------------------------------------------


WITHOUT_KEY = HANDSHAKE.replace(b"sec-websocket-key", b"x-key")
OF_ANOTHER_VERSION = HANDSHAKE.replace(b"sec-websocket-version: 13", b"sec-websocket-version: 8")


@pytest.mark.parametrize("path", [b"/ws", b"/twilio/media"])
@pytest.mark.parametrize("refused", [WITHOUT_KEY, OF_ANOTHER_VERSION], ids=["no key", "another version"])
async def test_an_upgrade_that_is_refused_keeps_nobody_else_waiting(
    refused: bytes, path: bytes, autojump_clock: MockClock
) -> None:
    async with memory_port(SimulatedProviders()) as port, await port.connect() as stream:
        began = trio.current_time()
        await stream.send_all(refused % path)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 4")
        async with a_socket(port) as other:
            assert (await other.next_frame())[0] == BINARY
        assert trio.current_time() - began < 1


async def test_a_client_is_served_though_the_server_stood_still_while_it_was_accepted(
    autojump_clock: MockClock,
) -> None:
    """As when the machine sleeps, or has no time for the process."""
    async with memory_port(SimulatedProviders()) as port:
        ours, theirs = trio.testing.memory_stream_pair()

        carry = theirs.send_stream.send_all_hook
        assert carry is not None

        async def stand_still() -> None:
            theirs.send_stream.send_all_hook = carry
            autojump_clock.jump(15)
            await carry()

        theirs.send_stream.send_all_hook = stand_still
        async with ours, trio.open_nursery() as nursery:
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HANDSHAKE % b"/ws")
            client = Socket(ours)
            assert (await client.hears(12)).startswith(b"HTTP/1.1 101")
            await ours.send_all(frame(BINARY, START))
            await trio.testing.wait_all_tasks_blocked()
            assert [session.begun for session in port.server.sessions] == [True]
            nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_when_there_is_no_room_for_it_is_no_failed_handshake(
    autojump_clock: MockClock,
) -> None:
    async with (
        memory_port(SimulatedProviders(), max_sessions=1) as port,
        a_socket(port) as holder,
        trio.open_nursery() as nursery,
    ):
        await holder.stream.send_all(frame(BINARY, START))
        await trio.testing.wait_all_tasks_blocked()
        ours, theirs = trio.testing.lockstep_stream_pair()
        with structlog.testing.capture_logs() as lines:
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HANDSHAKE % b"/ws")
            with trio.fail_after(PATIENCE_S):
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await ours.receive_some()
            assert answer.startswith(b"HTTP/1.1 101 ")
            await ours.aclose()
            await trio.testing.wait_all_tasks_blocked()
        assert [each["event"] for each in lines if each["log_level"] != "debug"] == ["no room"]
        assert port.open_connections == 1


async def test_a_handshake_that_is_refused_is_logged_as_such(autojump_clock: MockClock) -> None:
    with structlog.testing.capture_logs() as lines:
        async with memory_port(SimulatedProviders()) as port, await port.connect() as stream:
            await stream.send_all(WITHOUT_KEY % b"/ws")
            await stream.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            assert "handshake failed" in [each["event"] for each in lines]
