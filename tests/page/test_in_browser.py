"""The page in a browser, with a server whose providers are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.page import npm
from tests.page.browser import WAIT_MS, opened
from tests.page.servers import Served, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = (
    "axe-core@4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)

AUDIO_CONTEXTS = """
window.contexts = [];
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    window.contexts.push(this);
  }
  async resume() {
    if (window.interrupted) throw new DOMException('A telephone call has the sound', 'InvalidStateError');
    return super.resume();
  }
};
window.suspendAll = async () => {
  window.interrupted = true;
  await Promise.all(window.contexts.map((context) => context.suspend()));
};
"""
"""`suspendAll()` does what iOS does for a call: nothing resumes the sound until `interrupted` is false."""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, which checks a page's accessibility."""
    return npm.package(*AXE, tmp_path_factory.mktemp("axe"))["axe.min.js"].decode()


def start(page: Page) -> None:
    page.click("#start")
    page.wait_for_selector("body[data-state=LISTENING]")


def test_a_call_works_behind_a_proxy_that_serves_the_page_under_a_prefix(server: Served) -> None:
    with opened(server.proxied_page) as page:
        page.wait_for_selector("#diagram svg")
        start(page)
        page.wait_for_selector("#diagram #state-LISTENING.active", state="attached")


# --- the browser takes the sound away ---------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["a click", "the page is seen again", "the context says so"])
def test_a_suspended_microphone_is_told_and_heard_again(server: Served, sign: str) -> None:
    chunks: list[int] = []

    def prepare(page: Page) -> None:
        page.add_init_script(AUDIO_CONTEXTS)
        page.on("websocket", lambda socket: socket.on("framesent", note))

    def note(frame: str | bytes) -> None:
        if b"audio.input.chunk" in (frame.encode() if isinstance(frame, str) else frame):
            chunks.append(len(frame))

    with opened(server.page, prepare=prepare) as page:
        start(page)
        until(page, lambda: len(chunks) > 3)
        page.evaluate("suspendAll()")
        expect(page.locator("#phrase")).to_have_text("The browser has paused the sound")
        page.evaluate("gc()")  # what nobody holds goes now
        page.evaluate("gc()")
        chunks.clear()
        page.evaluate("window.interrupted = false")
        if sign == "a click":
            page.click("h1")
        elif sign == "the page is seen again":
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        else:
            page.evaluate("contexts.forEach((context) => context.dispatchEvent(new Event('statechange')))")
        expect(page.locator("#phrase")).to_have_text("Listening")
        until(page, lambda: len(chunks) > 3)


# --- what is shown is true --------------------------------------------------------------------------------


def test_a_call_before_the_server_is_ready_works_and_its_error_goes() -> None:
    with (
        served(at_once=False) as server,
        opened(server.page, expected="status of 503") as page,
    ):
        expect(page.locator("#connection")).to_have_text("Not ready yet")
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("not ready")
        expect(page.locator("#phrase")).to_have_text("Calling")
        server.begin()
        page.wait_for_selector("body[data-state=LISTENING]")
        expect(page.locator("#error")).to_have_text("")
        expect(page.locator("#connection")).to_have_text("Connected")


def test_the_lamp_follows_a_server_that_becomes_ready() -> None:
    with (
        served(at_once=False) as server,
        opened(server.page, expected="status of 503") as page,
    ):
        expect(page.locator("#connection")).to_have_text("Not ready yet")
        server.begin()
        expect(page.locator("#connection")).to_have_text("Ready")


def test_after_a_call_no_room_is_lit(server: Served) -> None:
    with opened(server.page) as page:
        start(page)
        expect(page.locator(".rooms [aria-current=step]")).to_have_text("Listening")
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        expect(page.locator(".rooms .active, .rooms [aria-current=step], #diagram .active")).to_have_count(0)
        expect(page.locator("#connection")).to_have_text("Ready")


# --- whoever does not see the page as it is drawn ---------------------------------------------------------


def test_a_screen_reader_is_told_where_the_call_is(server: Served) -> None:
    with opened(server.page) as page:
        page.evaluate("""
            window.told = [];
            new MutationObserver(() => window.told.push(document.querySelector('#announcement').textContent))
              .observe(document.querySelector('#announcement'), { childList: true });
        """)
        start(page)
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        told = page.evaluate("window.told")
        assert page.get_attribute("#announcement", "role") == "status"
    assert "Listening" in told and told[-1] == ""


def test_the_current_state_is_seen_in_forced_colours(server: Served) -> None:
    with opened(server.page, forced_colors="active") as page:
        start(page)
        colours = page.eval_on_selector_all(
            ".rooms li", "all => all.map((one) => getComputedStyle(one).backgroundColor)"
        )
    assert len(set(colours)) == 2
    assert colours.count(colours[1]) == 1, "only Listening is lit"


@pytest.mark.node
def test_axe_finds_nothing(server: Served, axe: str) -> None:
    # Colours that are still changing have no contrast to be measured.
    with opened(server.page, bypass_csp=True, reduced_motion="reduce") as page:
        page.wait_for_selector("#diagram svg")
        page.add_script_tag(content=axe)
        assert violations(page) == []
        start(page)
        assert violations(page) == []


def violations(page: Page) -> list[str]:
    """What axe-core objects to, one line for each rule, with the elements."""
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{each['id']} ({each['impact']}): {[node['html'][:80] for node in each['nodes']]}" for each in found
    ]


def until(page: Page, happened: Callable[[], bool]) -> None:
    """Let the browser go on until something has happened that announces itself by no element."""
    for _ in range(WAIT_MS // 20):
        if happened():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not happen")
