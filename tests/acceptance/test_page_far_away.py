"""A call as the world has it: under a proxy's path, 60 ms away, and with a telephone call in between."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.acceptance.brain import scripted_brain
from tests.acceptance.conftest import Say, serving
from tests.acceptance.test_page_in_browser import ANSWERS, speak, turns, wait_for
from tests.page.browser import WAIT_MS, opened
from tests.page.devices import AUDIO_CONTEXTS
from tests.page.proxies import PREFIX, Proxy, running

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]

GREETING = "Hello, this is Vantum. What can I do for you?"
DELAY_S = 0.06


def test_a_caller_far_away_is_greeted_interrupted_by_a_telephone_call_heard_again_and_said_goodbye_to(
    say: Say,
) -> None:
    with (
        scripted_brain(ANSWERS) as brain,
        serving(
            LLM_BASE_URL=brain, LLM_MODEL="scripted", GREETING=GREETING, ALLOW_ANYBODY="true"
        ) as server,  # through a proxy nobody is on this machine
        running(Proxy(server.port, prefix=PREFIX, delay_s=DELAY_S)) as port,
        opened(
            f"http://localhost:{port}{PREFIX}", prepare=lambda page: page.add_init_script(AUDIO_CONTEXTS)
        ) as page,
    ):
        expect(page.locator("#connection")).to_have_text("Ready", timeout=WAIT_MS)
        page.click("#start")
        wait_for(page, "RESPONDING", "speaking")
        wait_for(page, "LISTENING", "quiet")
        session = page.get_attribute("body", "data-session")

        page.evaluate("suspendAll()")  # a telephone call takes the sound
        expect(page.locator("#phrase")).to_have_text("The browser has paused the sound", timeout=WAIT_MS)
        page.evaluate("gc()")  # nodes that nobody holds would be gone now
        page.evaluate("gc()")
        page.evaluate("window.interrupted = false")  # it is over, and nothing is clicked
        expect(page.locator("#phrase")).to_have_text("Listening", timeout=WAIT_MS)

        speak(page, say("What is the capital of France?"))
        page.wait_for_selector("#transcript .said:text('Paris')")
        wait_for(page, "LISTENING", "quiet")
        assert page.get_attribute("body", "data-session") == session, "it is the same call"
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        expect(page.locator("#connection")).to_have_text("Ready", timeout=WAIT_MS)
        shown = turns(page)
        errors = page.evaluate("window.vantum.errors")

    assert shown[0]["answer"] == GREETING and not shown[0]["interrupted"]
    assert "capital" in shown[-1]["said"].lower()
    assert shown[-1]["answer"] == ANSWERS["capital"] and not shown[-1]["interrupted"]
    assert errors == []
