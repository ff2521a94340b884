"""A proxy or tunnel on the server's machine makes nobody local, whatever the stranger says of himself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from orchestrator.access.peer_process import PROC
from tests.doors.forwarders import FORKING, forward, nginx, of_our_page
from tests.doors.table import Shown, a_server, ask, call

pytestmark = pytest.mark.skipif(not (PROC / "net" / "tcp").exists(), reason="needs Linux's /proc")

Forwarder = Callable[[int, Path], AbstractContextManager[int]]
FORWARDERS = [
    pytest.param(nginx, marks=pytest.mark.nginx, id="nginx"),
    pytest.param(lambda server, directory: forward(server), id="a bare forward"),
    pytest.param(lambda server, directory: forward(server, FORKING), id="a forward that forks"),
]


@pytest.mark.parametrize("forwarder", FORWARDERS)
async def test_without_a_key_a_stranger_can_do_nothing_and_this_machine_can_talk(
    forwarder: Forwarder, tmp_path: Path
) -> None:
    async with a_server(keys=False) as running:
        # As the server is asked by nginx, which names it by the address of its configuration.
        here = f"127.0.0.1:{running.port}"
        with forwarder(running.port, tmp_path) as port:
            outside = evolve(running, port=port)
            liar = Shown("a program that lies", host=here)
            assert await call(outside, liar) == "401"
            assert await call(outside, evolve(liar, origin=f"http://{here}")) == "4401"
            assert await call(outside, evolve(liar, origin="https://voice.example")) == "4403"
            assert await ask(outside, liar, "POST", "/v1/client-tokens", {}) == "401"
            assert await ask(outside, liar, "POST", "/calls", {"to": "+19005550199"}) == "401"
            assert await ask(outside, liar, "GET", "/calls") == "401"
            assert await ask(outside, liar, "GET", "/health") == "200", "it does pass on"
        assert await call(running, Shown("a program here")) == "let in"


@pytest.mark.parametrize("forwarder", FORWARDERS)
async def test_with_a_key_whoever_has_one_is_let_in_through_it(forwarder: Forwarder, tmp_path: Path) -> None:
    async with a_server(keys=True) as running:
        with forwarder(running.port, tmp_path) as port:
            outside = evolve(running, port=port)
            assert await call(outside, Shown("a key", "vsk_caller")) == "let in"
            assert await call(outside, Shown("nothing")) == "401"
            page = Shown("a page", "vsk_caller", "https://shop.example")
            assert await call(outside, page) == "let in"


async def answered(port: int, source: str, *headers: str) -> int:
    """The status that somebody at this address is answered, who asks for tokens."""
    head = ["POST /v1/client-tokens HTTP/1.1", "host: voice.example.com", "content-length: 0", *headers]
    stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
    async with stream:
        await stream.send_all("\r\n".join([*head, "", ""]).encode())
        return int((await stream.receive_some()).split()[1])


@pytest.mark.nginx
async def test_behind_nginx_as_our_page_configures_it_the_page_may_talk_and_visitors_are_told_apart(
    tmp_path: Path,
) -> None:
    ours = "https://voice.example.com"
    chosen = {"allowed_origins": ours, "twilio_trust_proxy": True, "failed_logins_per_address": 2}
    async with a_server(keys=True, **chosen) as running:
        with nginx(running.port, tmp_path, of_our_page()) as port:
            page = Shown("our page", "vsk_caller", ours, "voice.example.com")
            assert await call(evolve(running, port=port), page) == "let in"
            assert await call(evolve(running, port=port), evolve(page, credential=None)) == "4401"
            # What visitors write into the header themselves makes them nobody else.
            wrong = [
                await answered(port, "127.0.0.2", "authorization: Bearer x", f"x-forwarded-for: 8.8.8.{each}")
                for each in range(4)
            ]
            assert wrong == [401, 401, 401, 429]
            assert await answered(port, "127.0.0.3", "authorization: Bearer x") == 401


async def test_where_the_settings_say_that_others_reach_the_server_nobody_is_local() -> None:
    for chosen in (
        {"base_path": "/agent"},
        {"twilio_trust_proxy": True},
        {"twilio_public_url": "https://a.example"},
    ):
        async with a_server(keys=False, **chosen) as running:
            assert await call(running, Shown("a program here")) == "401"
            assert await call(running, Shown("its own key", running.server.phone.own_key)) == "let in"


async def test_the_operator_is_told_why_somebody_was_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_server(keys=False) as running:
        with forward(running.port) as port:
            await call(evolve(running, port=port), Shown("a program that lies"))
    assert "may pass on anybody's" in caplog.text
