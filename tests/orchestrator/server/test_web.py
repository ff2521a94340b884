"""The pages and reports that are read by HTTP: their headers, their caches, and who may show them."""

from __future__ import annotations

import re

import pytest

from orchestrator.settings.settings import Settings, SettingsError
from tests.orchestrator.real_servers import exchange, get, serving

JAVASCRIPT = ("text/javascript", "application/javascript")


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


async def test_another_method_is_405() -> None:
    async with serving() as running:
        assert (await get(running, "/health", "POST")).status_code == 405
