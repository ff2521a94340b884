"""Proxies of the environment: not for this machine, and not fatal if they cannot be used."""

from __future__ import annotations

from functools import partial

import httpx2
import pytest
import trio

from adapters.http_clients import http_client

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def answer_once(nursery: trio.Nursery, text: bytes) -> int:
    """A server that gives one answer to whatever it is asked; returns its port."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve() -> None:
        async with listener:
            stream = await listener.accept()
        async with stream:
            await stream.receive_some()
            length = str(len(text)).encode()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " + length + b"\r\n\r\n" + text
            )

    nursery.start_soon(serve)
    return int(listener.socket.getsockname()[1])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "nonsense://x"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_this_machine_is_never_asked_of_a_proxy(
    name: str, proxy: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    async with trio.open_nursery() as nursery, http_client() as http:
        port = await answer_once(nursery, b"here")
        assert (await http.get(f"http://{host}:{port}/")).text == "here"


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "socks5h://user:hunter2@127.0.0.1:1", "SOCKS4://x"]
)
async def test_a_socks_proxy_fails_requests_with_a_sentence_that_names_it(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with http_client() as http:
        with pytest.raises(httpx2.ProxyError) as caught:
            await http.get("http://vendor.example/")
    assert str(caught.value) == (
        "ALL_PROXY is a SOCKS proxy, which cannot be used: unset it, or set it to an HTTP proxy"
    )


async def test_beside_a_socks_proxy_an_http_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with trio.open_nursery() as nursery:
        port = await answer_once(nursery, b"by the proxy")
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{port}")
        async with http_client() as http:
            assert (await http.get("http://vendor.example/")).text == "by the proxy"


async def test_beside_a_socks_proxy_its_exceptions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "other.example, .vendor.invalid")
    async with http_client() as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get("http://api.vendor.invalid/")


async def test_a_proxy_is_used_for_everybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with trio.open_nursery() as nursery:
        port = await answer_once(nursery, b"by the proxy")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        async with http_client() as http:
            assert (await http.get("http://vendor.example/")).text == "by the proxy"


async def test_no_cookie_is_kept() -> None:
    """A server that sets new ones each time would have requests grow until it refuses them all."""
    heads: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            heads.append(bytes(await stream.receive_some()))
            cookie = b"set-cookie: a%d=b\r\n" % len(heads)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + cookie + b"\r\n")

    async with trio.open_nursery() as nursery, http_client() as http:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        for _ in range(2):
            await http.get(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/")
        nursery.cancel_scope.cancel()
    assert b"cookie" not in heads[1].lower()
