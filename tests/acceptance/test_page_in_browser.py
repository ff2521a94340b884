"""A call through the page, in headless Chromium with a microphone that plays a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.acceptance.conftest import RunningServer
from tests.conftest import BROWSERS

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]

WAIT_MS = 30_000
SCREENSHOTS = os.environ.get("VANTUM_SCREENSHOTS")
"""A folder for a screenshot of each state, to be looked at."""

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def opened(server: RunningServer, microphone: Path, **context: Any) -> Iterator[Page]:
    """The page in a browser whose microphone plays a WAV file once. Fails on any error of the page's own."""
    executable = next(path for name in BROWSERS if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"],
        )
        page = browser.new_context(permissions=["microphone"], **context).new_page()
        page.set_default_timeout(WAIT_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(server.page)
        yield page
        browser.close()
    assert errors == []


def wait_for(page: Page, state: str, substate: str | None = None) -> None:
    """Until the conversation is in a state; takes a screenshot of it if a folder for them is given."""
    selector = f"body[data-state={state}]" + (f"[data-substate={substate}]" if substate else "")
    page.wait_for_selector(selector, state="attached")
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{state}-{substate or 'any'}.png", full_page=True)


def turns(page: Page) -> list[dict[str, Any]]:
    """What the page shows of each turn."""
    found: list[dict[str, Any]] = page.evaluate("window.vantum.turns")
    return found


def test_a_visitor_talks_is_answered_interrupts_and_goes_on(
    server: RunningServer, wav: Callable[..., Path]
) -> None:
    microphone = wav(
        "microphone",
        *(1.0, "What is the capital of France?", 8.0),
        *(
            "Please tell me a very long story about a penguin.",
            3.0,
            "Stop, thank you. How are you today?",
            30.0,
        ),
    )
    with opened(server, microphone) as page:
        page.click("#start")
        wait_for(page, "LISTENING", "hearing")
        wait_for(page, "LISTENING", "pausing")
        wait_for(page, "THINKING", "generating")
        wait_for(page, "RESPONDING", "speaking")
        page.wait_for_function("window.vantum.playback.playing")
        assert page.evaluate(
            "document.querySelector('#state-RESPONDING, #rooms [data-room=RESPONDING]') !== null"
        )
        page.wait_for_function("window.vantum.turns.some(turn => turn.interrupted)")
        wait_for(page, "LISTENING")
        page.wait_for_function("window.vantum.turns.length >= 3 && window.vantum.turns[2].answer")
        wait_for(page, "RESPONDING", "speaking")
        page.click("#end")
        wait_for(page, "ENDING")
        first, second, third = turns(page)[:3]

    assert "capital" in first["said"].lower() and "france" in first["said"].lower()
    assert first["answer"] and not first["interrupted"]
    assert first["latency"]["totalMs"] > 0
    assert "penguin" in second["said"].lower()
    assert second["interrupted"] and second["unheard"]
    assert "how are you" in third["said"].lower()


def test_a_turn_by_hand_with_the_keyboard_at_phone_width(
    server: RunningServer, wav: Callable[..., Path]
) -> None:
    microphone = wav("microphone", 0.5, "What do you like to eat?", 60.0)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    with opened(server, microphone, **phone) as page:
        page.check("#mode-manual", force=True)
        page.focus("#start")
        page.keyboard.press("Enter")
        wait_for(page, "LISTENING")
        page.keyboard.press("Space")
        wait_for(page, "LISTENING", "hearing")
        page.wait_for_function("window.vantum.turns.some(turn => turn.said.includes('eat'))")
        page.keyboard.press("Space")
        wait_for(page, "RESPONDING", "speaking")
        page.keyboard.press("Escape")
        wait_for(page, "LISTENING", "quiet")
        assert turns(page)[0]["interrupted"]
        width = page.evaluate("document.documentElement.scrollWidth")

    assert width == 360
