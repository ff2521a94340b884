"""The page in a browser, with a server whose providers are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from attrs import define, field
from playwright.sync_api import Page, expect

from orchestrator.audio.pcm import write_wav
from tests.page import npm
from tests.page.browser import ELSEWHERE, WAIT_MS, opened
from tests.page.devices import AUDIO_CONTEXTS, STREAMS
from tests.page.servers import Served, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = (
    "axe-core@4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)


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


def test_a_proxy_that_drops_the_upgrade_is_named(server: Served) -> None:
    with opened(server.page_without_sockets, expected="WebSocket connection") as page:
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("Upgrade header", timeout=WAIT_MS)
        expect(page.locator("#end")).to_have_text("Cancel")
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")


# --- the browser takes the sound away ---------------------------------------------------------------------


@define
class Sent:
    """The blocks of sound that the page has sent."""

    chunks: int = 0
    starts: list[bytes] = field(factory=list)
    """The messages that begin recordings."""

    def prepare(self, page: Page) -> None:
        """Watch the page's socket, and put its devices into the test's hands."""
        page.add_init_script(AUDIO_CONTEXTS)
        page.add_init_script(STREAMS)
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: self._note(frame)))

    def _note(self, frame: str | bytes) -> None:
        sent = frame.encode() if isinstance(frame, str) else frame
        self.chunks += b"audio.input.chunk" in sent
        if b"audio.input.start" in sent:
            self.starts.append(sent)

    def flow(self, page: Page) -> None:
        """Sound comes, from now on."""
        seen = self.chunks
        until(page, lambda: self.chunks > seen + 3)


@pytest.mark.parametrize("sign", ["a click", "the page is seen again", "the context says so", "time goes by"])
def test_a_suspended_microphone_is_told_and_heard_again(server: Served, sign: str) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        [begun] = sent.starts
        assert b"language" not in begun, "the language is the server's"
        page.evaluate("suspendAll()")
        expect(page.locator("#phrase")).to_have_text("The browser has paused the sound")
        page.evaluate("gc()")  # what nobody holds goes now
        page.evaluate("gc()")
        page.evaluate("window.interrupted = false")
        if sign == "a click":
            page.click("h1")
        elif sign == "the page is seen again":
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        elif sign == "the context says so":
            page.evaluate("contexts.forEach((context) => context.dispatchEvent(new Event('statechange')))")
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)
        sent.flow(page)


def test_a_track_that_ended_is_asked_for_again_and_the_call_goes_on(server: Served) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        session = page.get_attribute("body", "data-session")
        page.evaluate("endTrack()")
        until(page, lambda: page.evaluate("streams.length") == 2)
        sent.flow(page)
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)
        assert page.get_attribute("body", "data-session") == session
        assert page.evaluate("streams[0].getTracks()[0].readyState") == "ended"


def test_the_browsers_own_device_is_opened_again_and_heard(server: Served, tmp_path: Path) -> None:
    """With Chromium's device, which plays a file, and not one that the test makes."""
    noise = (np.random.default_rng(1).normal(0, 40, 48_000)).astype(np.int16)
    write_wav(tmp_path / "noise.wav", noise, 48_000)
    sent = Sent()
    with opened(server.page, tmp_path / "noise.wav", prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        assert page.evaluate("streams.length") == 1
        page.evaluate("endTrack()")
        until(page, lambda: page.evaluate("streams.length") == 2)
        sent.flow(page)
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)


def test_a_muted_track_is_told_and_asked_for_again_when_it_is_given_back(server: Served) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        page.evaluate("mute(true)")
        expect(page.locator("#phrase")).to_have_text("The sound is interrupted", timeout=WAIT_MS)
        page.evaluate("mute(false)")
        until(page, lambda: page.evaluate("streams.length") == 2)
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)
        sent.flow(page)


def test_a_microphone_that_is_gone_for_good_ends_the_call_with_a_sentence(server: Served) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        page.evaluate("window.refused = 'NotFoundError'; endTrack()")
        expect(page.locator("#phrase")).to_have_text("The sound is interrupted", timeout=WAIT_MS)
        page.wait_for_selector("body[data-call=idle]")
        expect(page.locator("#error")).to_have_text(
            "The microphone is gone. No microphone was found. Connect one, then press Start again."
        )


def test_a_context_that_is_closed_or_broken_is_made_anew(server: Served) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        sent.flow(page)
        # The loudspeaker's context is the first: it is made at the click.
        page.evaluate("contexts[0].dispatchEvent(new Event('error'))")
        until(page, lambda: page.evaluate("contexts.length") == 3)
        assert page.evaluate("[contexts[0].state, contexts[2].sampleRate]") == ["closed", 24_000]
        page.evaluate("contexts[1].close().then(() => contexts[1].dispatchEvent(new Event('statechange')))")
        until(page, lambda: page.evaluate("contexts.length") == 4)
        sent.flow(page)
        assert page.evaluate("streams.length") == 1
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)


def test_an_answer_goes_on_when_the_loudspeaker_is_replaced_in_the_middle_of_it() -> None:
    sent = Sent()
    with (
        served(greeting="This is a long story. " * 60) as server,
        opened(server.page, prepare=sent.prepare) as page,
    ):
        page.click("#start")
        until(page, lambda: page.evaluate("vantum.playback.playing && vantum.playback.playedMs > 300"))
        before = page.evaluate("contexts[0].dispatchEvent(new Event('error')), vantum.playback")
        goes_on = f"vantum.playback.playing && vantum.playback.playedMs > {before['playedMs'] + 200}"
        until(page, lambda: page.evaluate(goes_on))
        assert page.evaluate("vantum.playback.utterance") == before["utterance"]
        expect(page.locator("#error")).to_have_text("")
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")


def test_a_phone_is_told_that_a_call_goes_on_so_that_its_loudspeaker_is_used(server: Served) -> None:
    """With iOS's audio session; else the voice comes from where the ear would be, or not at all."""
    session = "Object.defineProperty(navigator, 'audioSession', { value: { type: 'auto' } });"
    with opened(server.page, prepare=lambda page: page.add_init_script(session)) as page:
        start(page)
        assert page.evaluate("navigator.audioSession.type") == "play-and-record"
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        assert page.evaluate("navigator.audioSession.type") == "auto"


def test_a_device_at_a_rate_that_the_server_does_not_know_is_heard(server: Served) -> None:
    """Firefox gives the device's own rate, and no other."""
    sent = Sent()

    def prepare(page: Page) -> None:
        sent.prepare(page)
        page.add_init_script("""
            const Anything = AudioContext;
            window.AudioContext = class extends Anything {
              constructor({ sampleRate, ...options }) {
                super({ sampleRate: 96_000, ...options });
              }
            };
        """)

    with opened(server.page, prepare=prepare) as page:
        start(page)
        sent.flow(page)
        assert page.evaluate("contexts.every(({ sampleRate }) => sampleRate === 96_000)")
        expect(page.locator("#error")).to_have_text("")


# --- the microphone cannot be had -------------------------------------------------------------------------


def test_a_question_that_nobody_answers_can_be_called_off_and_a_late_answer_opens_nothing(
    server: Served,
) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        page.evaluate("window.unanswered = true")
        page.click("#start")
        expect(page.locator("#start")).to_be_hidden()
        expect(page.locator("#end")).to_have_text("Cancel")
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        page.evaluate("answer()")
        until(page, lambda: page.evaluate("streams.length === 1 && track().readyState === 'ended'"))
        assert page.get_attribute("body", "data-call") == "idle"
        page.evaluate("window.unanswered = false")
        start(page)
        sent.flow(page)


def test_a_page_from_an_insecure_address_says_so_before_anything_else(server: Served) -> None:
    phone = {"width": 360, "height": 640}
    with opened(f"http://{ELSEWHERE}:{server.port}/", viewport=phone) as page:
        page.click("#start")
        expect(page.locator("#error")).to_be_in_viewport(ratio=0.9)
        expect(page.locator("#error")).to_contain_text(f"https://{ELSEWHERE}/")
        expect(page.locator("#error")).to_contain_text(f"http://localhost:{server.port}/")
        assert page.get_attribute("body", "data-call") == "idle"
        assert len(page.evaluate("vantum.errors")) == 1


def test_a_page_in_a_frame_without_a_microphone_says_who_must_allow_it() -> None:
    with served(page_embedded_by="self") as server, embedding(server, "ermission") as page:
        frame = page.frame_locator("iframe")
        frame.locator("#start").click()
        expect(frame.locator("#error")).to_contain_text("The page that embeds this one must allow")


def test_a_page_that_nobody_may_embed_is_not_shown_in_a_frame(server: Served) -> None:
    with embedding(server, "frame") as page:
        # The browser's own page for what it does not show.
        expect(page.frame_locator("iframe").locator("body.neterror")).to_be_attached()


@contextmanager
def embedding(server: Served, expected: str) -> Iterator[Page]:
    """A page of the same origin that shows ours in a frame without a microphone."""
    document = f"""<!doctype html><iframe src="{server.page}" allow="microphone 'none'"></iframe>"""
    address = server.page + "embedding"

    def prepare(page: Page) -> None:
        page.route(address, lambda route: route.fulfill(body=document, content_type="text/html"))

    with opened(address, prepare=prepare, expected=expected) as page:
        yield page


# --- the visitor goes and comes ---------------------------------------------------------------------------


def test_a_page_that_goes_away_hangs_up_and_one_that_comes_back_can_call_again(server: Served) -> None:
    sent = Sent()
    with opened(server.page, prepare=sent.prepare) as page:
        start(page)
        page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        page.wait_for_selector("body[data-call=idle]")
        assert page.evaluate("track().readyState") == "ended"
        page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(page.locator("#phrase")).to_have_text("Press Start and talk")
        expect(page.locator("#error")).to_have_text("")
        start(page)
        sent.flow(page)


# --- the server has no line ---


def test_a_caller_for_whom_there_is_no_line_is_told_and_called_again_until_there_is_one() -> None:
    with (
        served(max_sessions=1) as server,
        opened(server.page, expected="503") as first,
        first.context.new_page() as second,
    ):
        start(first)
        second.goto(server.page)
        second.click("#start")
        expect(second.locator("#phrase")).to_have_text("All lines are busy", timeout=WAIT_MS)
        expect(second.locator("#connection")).to_have_text("Reconnecting in 10 s")
        expect(second.locator("#error")).to_have_text("")
        expect(second.locator("#end")).to_have_text("Cancel")
        first.click("#end")
        first.wait_for_selector("body[data-call=idle]")
        second.click("#reconnect")
        second.wait_for_selector("body[data-state=LISTENING]")


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
