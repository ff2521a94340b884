"""The doors, as a browser meets them: a page of another site, and our page with and without its token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from orchestrator.access.claims import key_id_in
from orchestrator.access.signing_key import SigningKey
from tests.doors import table
from tests.doors.forwarders import nginx, of_our_page
from tests.orchestrator.access.shown import SIGNING
from tests.page.browser import ELSEWHERE, WAIT_MS, opened
from tests.page.servers import Served, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "the key of these tests"

TRY_EVERYTHING = """
async (server) => {
  const seen = { read: {}, events: [] };
  for (const asked of ["GET health", "GET calls", "POST calls", "POST v1/client-tokens"]) {
    const [method, path] = asked.split(" ");
    const body = method === "POST" ? "{}" : undefined;
    try {
      seen.read[asked] = await (await fetch(`http://${server}/${path}`, { method, body })).text();
    } catch {
      seen.read[asked] = "not to be had";
    }
  }
  const socket = new WebSocket(`ws://${server}/ws`, ["vantum.v2"]);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => seen.events.push(new TextDecoder().decode(data));
  seen.code = await new Promise((resolve) => { socket.onclose = ({ code }) => resolve(code); });
  return seen;
}
"""


class _Page(BaseHTTPRequestHandler):
    """Answers everything with one page."""

    document = "<title>Another site</title>"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.document.encode())

    def log_message(self, *more: object) -> None:
        """Nothing."""


@contextmanager
def serving(site: ThreadingHTTPServer, document: str = _Page.document) -> Iterator[int]:
    """Serve a page that is not ours as long as the block runs; gives its port."""
    site.RequestHandlerClass = type("_Document", (_Page,), {"document": document})
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield site.server_address[1]
    finally:
        site.shutdown()
        thread.join()


@pytest.fixture
def another_site() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as site, serving(site) as port:
        yield port


def token_of(server: Served, **order: object) -> str:
    """A client token, as somebody with the key gets it."""
    request = Request(
        f"http://127.0.0.1:{server.port}/v1/client-tokens",
        json.dumps(order).encode(),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    with urlopen(request) as answer:
        return str(json.load(answer)["token"])


@pytest.fixture
def with_keys(tmp_path: Path) -> Iterator[Served]:
    with served(api_token=KEY, data_dir=tmp_path) as server:
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ELSEWHERE])
def test_a_page_of_another_site_can_do_nothing(host: str, another_site: int) -> None:
    # The browser complains of everything that is kept from the page.
    with served() as server, opened(f"http://{host}:{another_site}/", expected="") as page:
        seen = page.evaluate(TRY_EVERYTHING, f"localhost:{server.port}")
    assert set(seen["read"].values()) == {"not to be had"}
    assert seen["code"] == 4403
    [told] = seen["events"]
    assert "connection.error.auth_failed" in told


def test_a_page_by_dns_rebinding_can_do_nothing() -> None:
    """Its name leads to our server, so that it and the server have one origin."""
    with served() as server, opened(f"http://{ELSEWHERE}:{server.port}/", expected="") as page:
        seen = page.evaluate(TRY_EVERYTHING, f"{ELSEWHERE}:{server.port}")
    assert seen["code"] == 4403
    assert "may not use this server" in seen["read"]["POST v1/client-tokens"]
    assert "may not use this server" in seen["read"]["POST calls"]
    assert "error" in json.loads(seen["read"]["GET calls"])


def test_without_a_token_the_page_says_that_one_is_needed(with_keys: Served) -> None:
    with opened(with_keys.page) as page:
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("a key or token is needed", timeout=WAIT_MS)
        page.wait_for_selector("body[data-call=idle][data-connection=error]")


def test_with_a_token_behind_its_address_the_page_makes_calls(with_keys: Served) -> None:
    token = token_of(with_keys, uses=2)
    with opened(f"{with_keys.page}#token={token}") as page:
        page.click("#start")
        page.wait_for_selector("body[data-state=LISTENING]")
        assert token not in page.url
        page.reload()
        page.click("#start")
        page.wait_for_selector("body[data-state=LISTENING]")
        page.reload()
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("a key or token is needed", timeout=WAIT_MS)


OPEN_SOCKET = """
(credential) => new Promise((resolve) => {
  const offered = credential === null ? [] : [`vantum.token.${credential}`];
  const socket = new WebSocket(`ws://${location.host}/ws`, ["vantum.v2", ...offered]);
  const seen = { protocol: null, event: null, code: null };
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    seen.event ??= new TextDecoder().decode(data).match(/[a-z]+\\.(error|lifecycle)\\.[a-z_]+/)[0];
    seen.protocol = socket.protocol;
    if (seen.event === "connection.lifecycle.ack") { (window.open_ ??= []).push(socket); resolve(seen); }
  };
  socket.onclose = ({ code }) => { seen.code = code; resolve(seen); };
})
"""
TOLD = {"let in": "connection.lifecycle.ack"}


def test_every_credential_is_answered_in_a_browser_as_the_table_says(tmp_path: Path) -> None:
    """Those of the table that settings alone make valid or not: the book of keys is not a browser's."""
    shown = [each for each in table.with_keys() if _is_for_browsers(each.credential)]
    assert len(shown) >= 9
    expected, found = {}, {}
    settings: dict[str, Any] = {"api_token": KEY, "client_token_key": SIGNING, "data_dir": tmp_path}
    with served(**settings) as server, opened(server.page, expected="") as page:
        for each in shown:
            for _ in range(each.before):
                page.evaluate(OPEN_SOCKET, each.credential)
            answer = each.expected[1]
            code = None if answer == "let in" else int(answer)
            event = TOLD.get(answer, "connection.error.auth_failed")
            expected[each.what] = {"protocol": "vantum.v2", "event": event, "code": code}
            found[each.what] = page.evaluate(OPEN_SOCKET, each.credential)
    assert found == expected


def _is_for_browsers(credential: str | None) -> bool:
    return credential in (None, "vsk_nobody") or SigningKey(SIGNING.encode()).key_id == key_id_in(
        credential or ""
    )


def test_a_browser_is_told_what_is_too_much(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"api_token": KEY, "data_dir": tmp_path, "max_calls_per_key": 1}
    with served(**settings) as server, opened(server.page, expected="") as page:
        token = token_of(server, uses=3)
        assert page.evaluate(OPEN_SOCKET, token)["event"] == "connection.lifecycle.ack"
        told = page.evaluate(OPEN_SOCKET, token)
    assert told == {"protocol": "vantum.v2", "event": "connection.error.auth_failed", "code": 4429}


@pytest.mark.nginx
def test_behind_nginx_as_our_page_configures_it_the_page_makes_calls_with_a_token_only(
    tmp_path: Path,
) -> None:
    with (
        served(api_token=KEY, data_dir=tmp_path, twilio_trust_proxy=True) as server,
        nginx(server.port, tmp_path, of_our_page()) as port,
        opened(f"http://localhost:{port}/#token={token_of(server)}") as page,
    ):
        page.click("#start")
        page.wait_for_selector("body[data-state=LISTENING]")
        page.reload()
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("a key or token is needed", timeout=WAIT_MS)


AROUND = """<!doctype html><title>Around</title>
<iframe allow="microphone" src="http://localhost:PORT/#token=ask"></iframe>
<script>
  const tokens = TOKENS;
  addEventListener('message', ({ source, data, origin }) => {
    if (data.type !== 'vantum.token.wanted') return;
    source.postMessage({ type: 'vantum.token', token: tokens.shift() }, origin);
  });
</script>"""


def test_in_a_frame_the_page_asks_the_one_around_it_before_each_call(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as site:
        around = f"http://localhost:{site.server_address[1]}"
        with served(api_token=KEY, data_dir=tmp_path, page_embedded_by=around) as server:
            tokens = json.dumps([token_of(server), token_of(server)])
            document = AROUND.replace("PORT", str(server.port)).replace("TOKENS", tokens)
            with serving(site, document), opened(around) as page:
                ours = page.frame_locator("iframe")
                for _ in range(2):
                    ours.locator("#start").click()
                    expect(ours.locator("body")).to_have_attribute("data-state", "LISTENING", timeout=WAIT_MS)
                    ours.locator("#end").click()
                    expect(ours.locator("body")).to_have_attribute("data-call", "idle", timeout=WAIT_MS)
