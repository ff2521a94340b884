"""The port: HTTP and WebSocket beside each other, capacity, drain, and what breaks before a call begins."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import structlog
import trio
from attrs import evolve, field, frozen

from adapters.embedded.models import ModelsError
from machines.breaker import BreakerPolicy
from machines.facts import EndReason, ErrorClass
from machines.policy import FallbackTexts
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.server.server import Server
from orchestrator.server.startup import Bound, open_listeners, serve, serve_with
from orchestrator.sessions.session_settings import session_settings
from orchestrator.settings.settings import Settings, SettingsError
from orchestrator.simulation import (
    Answer,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken
from tests.orchestrator.real_servers import Running, eventually, quick_providers, serving
from tests.orchestrator.wire_clients import Client, ShippedClient, connect

JAVASCRIPT = ("text/javascript", "application/javascript")

Watch = Callable[[], AbstractContextManager[None]]


async def get(running: Running, path: str, method: str = "GET") -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=120) as http:
        return await http.request(method, f"http://127.0.0.1:{running.port}{path}")


async def exchange(running: Running, request: bytes) -> bytes:
    """What comes back for these bytes, until the server closes."""
    async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        await stream.send_all(request)
        with trio.fail_after(120):
            return b"".join([part async for part in stream])


# --- HTTP -------------------------------------------------------------------------------------------------


async def test_the_page_is_served_with_its_parts() -> None:
    async with serving() as running:
        page = await get(running, "/")
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["connection"] == "close"
        for script_file in ("/page/app.js", "/page/vendor/msgpack/index.mjs"):
            answer = await get(running, script_file)
            assert answer.status_code == 200
            # A browser runs a module of no other type.
            assert answer.headers["content-type"].partition(";")[0] in JAVASCRIPT
        drawing = await get(running, "/diagrams/conversation.svg")
        assert drawing.status_code == 200
        assert "<svg" in drawing.text


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/page/nothing.js", "/page/../server.py", "/page/0123456789ab/../../web.py", "/health/x"],
)
async def test_an_unknown_path_is_404(path: str) -> None:
    async with serving() as running:
        assert (await get(running, path)).status_code == 404


async def test_a_cache_never_mixes_the_files_of_two_versions_of_the_page() -> None:
    async with serving() as running:
        page = await get(running, "/")
        assert page.headers["cache-control"] == "no-store"
        [script_file] = re.findall(r'src="(page/[0-9a-f]{12}/app.js)"', page.text)
        named = await get(running, f"/{script_file}")
        assert "immutable" in named.headers["cache-control"]
        # Imports are relative, so they have the version, too.
        assert "from './connection.js'" in named.text
        other = await get(running, "/page/0123456789ab/app.js")
        assert (other.text, other.headers["cache-control"]) == (named.text, "no-cache")
        assert (await get(running, "/page/app.js")).headers["cache-control"] == "no-cache"


async def test_the_page_may_open_its_socket_in_browsers_that_do_not_take_it_for_self() -> None:
    async with serving() as running:
        policy = (await get(running, "/")).headers["content-security-policy"]
        host = f"127.0.0.1:{running.port}"
        assert f"; connect-src 'self' ws://{host} wss://{host};" in policy
        odd = await exchange(running, b"GET / HTTP/1.1\r\nhost: a; script-src *\r\n\r\n")
        assert odd.startswith(b"HTTP/1.1 400 ")
        assert b"connect-src" not in odd and b"script-src" not in odd


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


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/health", "/page/app.js", "/nothing", "/calls", "/ws"])
async def test_every_answer_says_that_it_may_not_be_framed_nor_guessed_at(path: str) -> None:
    async with serving() as running:
        headers = (await get(running, path)).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].endswith("; frame-ancestors 'none'")
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_pages_that_may_embed_ours_are_named() -> None:
    async with serving(page_embedded_by="self https://www.example.com:8443") as running:
        headers = (await get(running, "/")).headers
    assert "x-frame-options" not in headers
    wanted = "; frame-ancestors 'self' https://www.example.com:8443"
    assert headers["content-security-policy"].endswith(wanted)


@pytest.mark.parametrize(
    "origins", ["https://a; script-src *", "*", "example.com", "https://a/b", "https://a,b"]
)
def test_origins_that_are_none_are_refused(origins: str) -> None:
    with pytest.raises(SettingsError, match=r"PAGE_EMBEDDED_BY.* must be origins of pages"):
        Settings(page_embedded_by=origins)


# --- proxies ----------------------------------------------------------------------------------------------

HANDSHAKE = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws HTTP/1.1\r\nhost: a\r\nvia: 1.1 proxy\r\n" + HANDSHAKE,
        b"GET /twilio/media HTTP/1.1\r\nhost: a\r\nvia: 1.1 proxy\r\n" + HANDSHAKE,
        b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: close\r\n" + HANDSHAKE,
        b"GET /ws HTTP/1.0\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n" + HANDSHAKE,
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
        await stream.send_all(b"GET /ws HTTP/1.1\r\nhost: localhost\r\n" + asked + HANDSHAKE + b"\r\n")
        with trio.fail_after(120):
            answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 ")


async def test_a_client_that_offers_only_unknown_subprotocols_is_told_which_are_known() -> None:
    async with serving() as running:
        offer = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-protocol: x.v9, y\r\n"
        answer = await exchange(running, b"GET /ws HTTP/1.1\r\nhost: a\r\n" + offer + HANDSHAKE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x.v9, y are unknown here: offer vantum.v2, or none" in answer


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


async def test_health_has_the_references_fields_and_counts_sessions() -> None:
    async with serving() as running:
        async with (
            connect(running.port, client=ShippedClient) as recording,
            connect(running.port, client=ShippedClient) as recorded,
            connect(running.port),
        ):
            assert await recording.start()
            assert await recorded.start()
            assert await recorded.stop()
            health = (await get(running, "/health")).json()
            assert health["status"] == "ok"
            assert isinstance(health["message"], str)
            assert health["uptime"] >= 0
            assert {key: health["sessions"][key] for key in ("total", "idle", "active", "ended")} == {
                "total": 3,
                "idle": 1,
                "active": 1,
                "ended": 1,
            }
            assert health["sessions"]["avgDuration"] >= 0
            assert health["websocketServer"] == {
                "healthy": True,
                "totalConnections": 3,
                "activeSessions": 3,
            }
            assert health["providers"]["stt"] == "simulated speech to text"
        await eventually(lambda: not running.server.sessions)
        response = await get(running, "/health")
        assert response.json()["sessions"]["total"] == 0


async def test_another_method_is_405() -> None:
    async with serving() as running:
        assert (await get(running, "/health", "POST")).status_code == 405


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


# --- upgrades ---------------------------------------------------------------------------------------------

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n\r\n"
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


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


@pytest.mark.parametrize("language", ["de-DE", "multi"])
async def test_callers_who_state_no_language_speak_the_configured_one(language: str) -> None:
    async with serving(stt_language=language) as running, connect(running.port) as client:
        await client.send("voicechat.audio.start", {"samplingRate": 16_000})
        await eventually(lambda: running.providers.stt.languages)
        assert running.providers.stt.languages == [language]


# --- capacity ---------------------------------------------------------------------------------------------


async def test_the_call_beyond_the_capacity_is_told_busy_and_closed_with_1013() -> None:
    async with serving(local_max_calls=2) as running:
        async with connect(running.port, v2=True) as first, connect(running.port, v2=True) as second:
            await first.begin()
            await second.begin()
            async with connect(running.port, v2=True) as third:
                assert await third.is_closed() == 1013
                [busy] = third.messages
                assert busy["eventType"] == "system.status.busy"
                assert busy["payload"] == {"activeSessions": 2, "maxSessions": 2}
        await eventually(lambda: not running.server.sessions)
        async with connect(running.port, v2=True) as later:
            assert later.session_id
        assert running.server.counts["turned away"] == 1


@pytest.mark.parametrize(
    ("lacking", "capacity"),
    [(None, 500), ("deepgram_api_key", 3), ("cartesia_api_key", 3), ("llm_api_key", 3)],
)
async def test_embedded_models_bound_the_calls_only_where_one_is_used(
    lacking: str | None, capacity: int
) -> None:
    keys: dict[str, Any] = dict.fromkeys(("deepgram_api_key", "cartesia_api_key", "llm_api_key"), "key")
    if lacking:
        del keys[lacking]
    async with serving(local_max_calls=3, max_sessions=500, **keys) as running:
        assert running.server.capacity.most == capacity


async def test_a_server_whose_lines_are_all_busy_is_not_ready_until_one_is_free() -> None:
    async with serving(local_max_calls=2) as running, connect(running.port, v2=True) as first:
        assert (await get(running, "/ready")).json() == {"ready": True}
        async with connect(running.port, v2=True) as second:
            for client in (first, second):  # neither of them is silent and makes room
                await client.begin()
            full = await get(running, "/ready")
            assert (full.status_code, full.json()) == (
                503,
                {"ready": False, "waiting": "all lines are busy"},
            )
            assert (await get(running, "/health")).json()["status"] == "ok"
        await eventually(lambda: len(running.server.sessions) == 1)
        assert (await get(running, "/ready")).json() == {"ready": True}


async def test_a_shipped_client_beyond_the_capacity_is_shown_an_error() -> None:
    async with serving(local_max_calls=1) as running, connect(running.port, client=ShippedClient) as first:
        assert await first.start()
        async with connect(running.port, client=ShippedClient) as second:
            assert await second.is_closed() == 1013
            [error] = second.errors
            assert "busy" in error


@pytest.mark.slow
async def test_a_client_that_is_turned_away_and_does_not_care_is_let_go() -> None:
    async with serving(local_max_calls=1) as running, connect(running.port, client=ShippedClient) as first:
        assert await first.start()
        upgrade = UPGRADE.format(path="/ws", key=KEY, version=13).encode()
        answer = await exchange(running, upgrade)
        assert b"busy" in answer


# --- readiness --------------------------------------------------------------------------------------------


@frozen
class WaitsFor(Opening):
    """A check that lasts until something happens."""

    event: trio.Event = field(factory=trio.Event)

    async def open(self, random: Random) -> None:
        """Return when it has happened."""
        await self.event.wait()


@asynccontextmanager
async def starting(watched: Providers, **chosen: Any) -> AsyncIterator[Running]:
    """A server with a watch over its providers, as soon as it listens."""
    settings = Settings(**{"host": "127.0.0.1", "port": 0, **chosen})
    watch = ProviderWatch(watched, Random(0), BreakerPolicy(probe_delays_ms=(10,)))
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        bound = await nursery.start(serve_with, settings, watched, listeners, watch)
        yield Running(bound.server, bound.port, quick_providers(), nursery.cancel_scope)
        nursery.cancel_scope.cancel()


def with_models(*models: SimulatedLanguageModel) -> Providers:
    return evolve(quick_providers().for_calls(), llm=models)


async def test_a_server_with_its_providers_probed_is_ready_until_it_drains() -> None:
    async with serving() as running:
        assert (await get(running, "/ready")).status_code == 200
        assert (await get(running, "/ready")).json() == {"ready": True}
        await running.server.drain()
        stopping = await get(running, "/ready")
        assert stopping.status_code == 503
        assert stopping.json() == {"ready": False, "waiting": "the server is stopping"}
        assert stopping.headers["cache-control"] == "no-store"


async def test_before_the_providers_are_loaded_the_port_answers_and_takes_no_call() -> None:
    server = Server(Settings())
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(Settings(host="127.0.0.1", port=0))
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        running = Running(server, port, quick_providers(), nursery.cancel_scope)
        answer = await get(running, "/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "waiting": "the providers are being loaded"}
        assert (await get(running, "/")).status_code == 200
        assert (await get(running, "/health")).json()["status"] == "starting"
        async with connect(port, client=ShippedClient) as shipped, connect(port, v2=True) as other:
            assert await shipped.is_closed() == 1013
            assert await other.is_closed() == 1013
            # An error would stay on the shipped client's screen beside "Connected"; it tries again by itself.
            assert shipped.errors == []
            assert "the server is not ready" in str(other.messages)
        nursery.cancel_scope.cancel()


async def test_a_server_is_ready_when_every_role_has_a_provider_that_works() -> None:
    works = trio.Event()
    model = SimulatedLanguageModel(checks=script(then=WaitsFor(event=works)))
    async with starting(with_models(model)) as running:
        await eventually(lambda: running.server.watch)
        answer = await get(running, "/ready")
        assert answer.status_code == 503
        assert answer.json()["waiting"] == "no provider is known to work for llm"
        async with connect(running.port, client=ShippedClient) as early:
            assert await early.is_closed() == 1013
        works.set()
        await eventually(lambda: running.server.ready)
        assert (await get(running, "/ready")).status_code == 200
        async with connect(running.port, client=ShippedClient) as client:
            assert client.session_id


TWILIO: dict[str, Any] = {
    "twilio_account_sid": f"AC{0:032}",
    "twilio_auth_token": "the auth token",
    "twilio_from_number": "+15005550006",
    "twilio_public_url": "http://vantum.example",
    "twilio_base_url": "http://127.0.0.1:1",
}


async def dial(running: Running) -> httpx2.Response:
    key = {"authorization": f"Bearer {running.server.phone.own_key}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=120, headers=key) as http:
        return await http.post(f"http://127.0.0.1:{running.port}/calls", json={"to": "+15005551234"})


async def test_a_server_whose_only_provider_fails_in_a_call_takes_no_call_until_it_works_again() -> None:
    works = trio.Event()
    # One check is the probe at the start, and one opens the call's link.
    checks = script(Opening(), Opening(), then=WaitsFor(event=works))
    model = SimulatedLanguageModel(script(then=Answer(fault=Fails(ErrorClass.AUTH))), checks=checks)
    async with starting(with_models(model), allow_anybody=True, **TWILIO) as running:
        await eventually(lambda: running.server.ready)
        async with connect(running.port, client=ShippedClient) as client:
            await client.start()
            await client.chunk(pcm_to_bytes(spoken("tell me a joke")))
            await client.stop()
            await eventually(lambda: running.server.not_ready())
        why = "no provider is known to work for llm"
        answer = await get(running, "/ready")
        assert (answer.status_code, answer.json()["waiting"]) == (503, why)
        async with connect(running.port, client=ShippedClient) as next_one:
            assert await next_one.is_closed() == 1013
        dialled = await dial(running)
        assert (dialled.status_code, dialled.json()["error"]) == (503, why)
        works.set()
        await eventually(lambda: running.server.not_ready() is None)
        assert (await get(running, "/ready")).json() == {"ready": True}


async def test_a_provider_that_is_down_at_the_start_holds_up_nobody_where_there_is_another() -> None:
    dead = SimulatedLanguageModel(checks=script(then=Opening(fault=Fails())))
    async with starting(with_models(dead, SimulatedLanguageModel())) as running:
        await eventually(lambda: running.server.ready)
        states = (await get(running, "/health")).json()["providerStates"]
        assert [model["state"] for model in states["llm"]] == ["open", "closed"]
        assert states["llm"][0]["lastError"]["class"] == "transient"
        assert [voice["state"] for voice in states["tts"]] == ["closed"]


async def test_a_server_without_any_provider_that_works_goes_on_probing() -> None:
    refused = [Opening(fault=Fails(ErrorClass.AUTH))] * 5
    model = SimulatedLanguageModel(checks=script(*refused, then=Opening()))
    async with starting(with_models(model)) as running:
        await eventually(lambda: running.server.ready)
        assert (await get(running, "/ready")).status_code == 200
        [state] = (await get(running, "/health")).json()["providerStates"]["llm"]
        assert (state["state"], state["failures"]) == ("closed", 5)


# --- the end ----------------------------------------------------------------------------------------------


async def speaking(port: int, nursery: trio.Nursery) -> Client:
    """A client that the server is speaking to, and that stays until it is sent away."""

    async def talk(task_status: trio.TaskStatus[Client]) -> None:
        async with connect(port, client=ShippedClient) as client:
            await client.start()
            await client.chunk(pcm_to_bytes(spoken("tell me a joke")))
            await client.stop()
            await client.until(lambda: client.played)
            task_status.started(client)
            await client.closed.wait()

    client: Client = await nursery.start(talk)
    return client


@pytest.mark.slow
async def test_an_answer_is_finished_and_a_goodbye_said_before_the_server_stops() -> None:
    slow = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=20))))
    async with (
        serving(slow) as running,
        connect(running.port, v2=True) as quiet,
        trio.open_nursery() as nursery,
    ):
        busy = await speaking(running.port, nursery)
        with trio.fail_after(60):
            await running.server.drain(patience_s=50)
        assert await busy.is_closed() == 1000
        assert await quiet.is_closed() == 1000
        assert [each["payload"] for each in quiet.named("system.status.maintenance")] == [{}]
        assert busy.named("voicechat.response.stop") == []


async def test_a_drain_without_patience_closes_with_1001_for_everybody_and_takes_nobody_new() -> None:
    slow = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=100))))
    async with (
        serving(slow) as running,
        connect(running.port, v2=True) as quiet,
        trio.open_nursery() as nursery,
    ):
        busy = await speaking(running.port, nursery)
        running.server.draining = True
        async with (
            connect(running.port, client=ShippedClient) as late,
            connect(running.port, v2=True) as later,
        ):
            assert await late.is_closed() == 1001
            assert await later.is_closed() == 1001
            assert late.errors == []
            # Not that all lines are busy, which is another reason to wait.
            assert [each["eventType"] for each in later.messages] == ["system.status.maintenance"]
        with trio.fail_after(120):
            await running.server.drain()
        assert not running.server.sessions
        assert await quiet.is_closed() == 1001
        assert quiet.named("connection.lifecycle.disconnect")[0]["payload"] == {
            "reason": EndReason.SHUTDOWN.value,
            "code": 1001,
        }
        assert await busy.is_closed() == 1001
        assert busy.named("voicechat.response.stop")
        health = (await get(running, "/health")).json()
        assert health["status"] == "draining"
        assert health["websocketServer"]["healthy"] is False


@pytest.mark.slow
async def test_a_server_that_is_cancelled_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        async with serving() as running, connect(running.port, client=ShippedClient) as client:
            await client.start()
            running.stop.cancel()
            await client.is_closed()


async def test_hanging_up_by_message_is_answered_with_1000() -> None:
    for event, payload in (
        ("user.action.end_call", {"reason": "done"}),
        ("connection.lifecycle.disconnect", {"reason": "done"}),
    ):
        async with serving() as running, connect(running.port, v2=True) as client:
            await client.send(event, payload)
            assert await client.is_closed() == 1000
            [goodbye] = client.named("connection.lifecycle.disconnect")
            assert goodbye["payload"]["code"] == 1000


@pytest.mark.slow
async def test_providers_that_cannot_be_reached_end_the_call_with_1011() -> None:
    providers = SimulatedProviders(SimulatedSpeechToText(openings=script(then=Opening(fault=Fails()))))
    async with serving(providers) as running:
        async with connect(running.port, v2=True) as client:
            assert await client.is_closed() == 1011
            assert client.named("error.service.stt_unavailable")
        async with connect(running.port, client=ShippedClient) as shipped:
            assert not await _started_before_close(shipped)
            assert shipped.close_code == 1011
            assert shipped.errors[0].startswith("voicechat.audio.start: ")


async def _started_before_close(client: ShippedClient) -> bool:
    acknowledged = False
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def start() -> None:
            nonlocal acknowledged
            acknowledged = await client.start()

        await client.closed.wait()
        nursery.cancel_scope.cancel()
    return acknowledged


@pytest.mark.slow
async def test_a_port_that_is_taken_is_an_error_that_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing(), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            await open_listeners(Settings(host="127.0.0.1", port=taken.getsockname()[1]))


@pytest.mark.slow
async def test_missing_models_are_an_error_that_leaves_nothing(leaves_nothing: Watch, tmp_path: Path) -> None:
    settings = Settings(host="127.0.0.1", port=0, local_models_dir=tmp_path)
    announced: list[int] = []
    with pytest.RaisesGroup(ModelsError, flatten_subgroups=True):
        await serve(settings, announced.append)  # loads libraries that keep files of their own open
    with leaves_nothing(), pytest.RaisesGroup(ModelsError, flatten_subgroups=True):
        await serve(settings, announced.append)
    assert announced == []


SERVER = """
import sys, trio
from orchestrator.server import startup
from orchestrator.settings.settings import Settings, SettingsError
from tests.orchestrator.real_servers import quick_providers
from contextlib import asynccontextmanager

@asynccontextmanager
async def simulated(settings, tools):
    yield quick_providers().for_calls()

startup.open_providers = simulated

def announce(port):
    print(port, flush=True)

trio.run(startup.serve, Settings(host="127.0.0.1", port=0), announce)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_a_signal_drains_a_real_process(number: signal.Signals) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", SERVER], stdin=None, stdout=-1, stderr=-1, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with trio.fail_after(300):
            line = b""
            while b"\n" not in line or not line.split(b"\n")[-2].isdigit():
                part = await process.stdout.receive_some()
                assert part, (await process.stderr.receive_some()).decode()
                line += part
        port = int(line.split(b"\n")[-2])
        async with connect(port, client=ShippedClient) as client:
            assert await client.start()
            for harmless in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO"):
                process.send_signal(signal.Signals[harmless])
            process.send_signal(number)
            # It has heard a goodbye, and shall not call again by itself.
            assert await client.is_closed() == 1000
        with trio.fail_after(120):
            assert await process.wait() == 0
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()
        await process.stderr.aclose()


async def test_the_server_says_where_it_listens() -> None:
    settings = Settings(host="127.0.0.1", port=0)
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        bound = await nursery.start(serve_with, settings, quick_providers().for_calls(), listeners)
        assert isinstance(bound, Bound)
        assert json.dumps(bound.server.health())
        assert bound.server.capacity.most == settings.local_max_calls
        nursery.cancel_scope.cancel()


# --- settings of calls ------------------------------------------------------------------------------------


def test_what_an_operator_chose_reaches_the_calls() -> None:
    chosen = Settings.model_validate(
        {
            "llm_max_queue_size": 3,
            "llm_max_messages": 20,
            "llm_max_context_tokens": 1000,
            "llm_max_retries": 4,
            "first_token_timeout_ms": 1000,
            "token_gap_timeout_ms": 2000,
            "barge_in": False,
            "llm_fallback_tier3_then": "hand_over",
            "llm_fallback_tier1": "one",
            "llm_fallback_tier2": "two",
            "llm_fallback_tier3": "three",
            "stt_fallback": "what?",
            "greeting": "Good day.",
            "reprompt": "Pardon?",
            "idle_nudge_ms": 7000,
            "idle_nudge_1": "Hello?",
            "idle_nudge_2": "Still there?",
            "idle_goodbye": "Bye.",
            "unfinished_delay_ms": 700,
            "barge_in_thinking": False,
            "barge_in_greeting": False,
            "barge_in_min_words": 2,
            "backchannels": "aha, go on ,",
            "llm_anticipations": 2,
            "dtmf_timeout_ms": 1500,
            "dtmf_terminator": "none",
        }
    )
    policy = session_settings(chosen).policy
    assert (policy.greeting, policy.reprompt, policy.idle_goodbye) == ("Good day.", "Pardon?", "Bye.")
    assert (policy.idle_after_ms, policy.nudges) == (7000, ("Hello?", "Still there?"))
    assert policy.unfinished_delay_ms == 700
    assert (policy.max_queue, policy.max_history, policy.max_history_tokens) == (3, 20, 1000)
    assert (policy.first_token_timeout_ms, policy.token_gap_timeout_ms) == (1000, 2000)
    assert policy.llm_retry_delays_ms == (0, 100, 200, 400)
    assert (policy.barge_in, policy.hand_over) == (False, True)
    assert (policy.barge_in_thinking, policy.barge_in_greeting) == (False, False)
    assert (policy.barge_in_min_words, policy.backchannels) == (2, ("aha", "go on"))
    assert policy.speculations == 2
    assert (policy.digits_timeout_ms, policy.digits_terminator) == (1500, "")
    assert policy.fallback == FallbackTexts("one", "two", "three", "what?")


def test_the_most_retries_that_can_be_set_are_made() -> None:
    most = session_settings(Settings(llm_max_retries=6)).policy.llm_retry_delays_ms
    assert len(most) == 6
    assert session_settings(Settings(llm_max_retries=0)).policy.llm_retry_delays_ms == ()
