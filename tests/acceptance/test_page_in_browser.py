"""A call through the page, in headless Chromium with a fake microphone."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from adapters.interfaces import Samples
from orchestrator.audio.pcm import pcm_to_bytes
from tests.acceptance.brain import scripted_brain
from tests.acceptance.conftest import RunningServer, Say, serving
from tests.page.browser import opened, passing

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]

SCREENSHOTS = os.environ.get("VANTUM_SCREENSHOTS")
"""A folder for a screenshot of each state, to be looked at."""


def wait_for(page: Page, state: str, substate: str) -> None:
    """Until the conversation is in a state; takes a screenshot of it if a folder for them is given."""
    page.wait_for_selector(f"body[data-state={state}][data-substate={substate}]", state="attached")
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{state}-{substate}.png", full_page=True)


def turns(page: Page) -> list[dict[str, Any]]:
    """What the page shows of each turn."""
    found: list[dict[str, Any]] = page.evaluate("window.vantum.turns")
    return found


def speak(page: Page, speech: Samples) -> None:
    """Say something into the page's microphone."""
    page.evaluate("pcm => window.sayIntoMicrophone(pcm)", base64.b64encode(pcm_to_bytes(speech)).decode())


ANSWERS = {
    "capital": "The capital of France is Paris. It lies on the river Seine.",
    "story": "Once upon a time there was a penguin who lived at the very end of the world. "
    "Every morning it walked to the sea, and every evening it came back with a new question. "
    "The other penguins listened, and shook their heads, and went on eating fish.",
    "how are you": "I am very well, thank you for asking.",
}


def test_a_visitor_talks_is_answered_interrupts_and_goes_on(say: Say) -> None:
    with (
        scripted_brain(ANSWERS, thinking_s=0.5) as brain,
        serving(LLM_BASE_URL=brain, LLM_MODEL="scripted") as server,
        opened(server.page) as page,
    ):
        page.click("#start")
        wait_for(page, "LISTENING", "quiet")
        with passing(
            page,
            "LISTENING hearing",
            "LISTENING endpointing",
            "THINKING generating",
            "RESPONDING speaking",
        ):
            speak(page, say("What is the capital of France?"))
        page.wait_for_selector("#diagram #state-RESPONDING.active", state="attached")
        wait_for(page, "LISTENING", "quiet")
        page.wait_for_selector("#latency-turns .total")
        speak(page, say("Please tell me a very long story about a penguin."))
        wait_for(page, "RESPONDING", "speaking")
        page.wait_for_selector("#transcript .said:text('world')")
        speak(page, say("Thank you but how are you today?"))
        page.wait_for_selector("#transcript del.unheard")
        page.wait_for_selector("#transcript .said:text('very well')")
        wait_for(page, "LISTENING", "quiet")
        page.click("#end")
        page.wait_for_selector("body[data-call=idle]")
        first, second, *_, last = turns(page)

    assert "capital" in first["said"].lower() and "france" in first["said"].lower()
    assert first["answer"] == ANSWERS["capital"] and not first["interrupted"]
    assert first["latency"]["totalMs"] > 0
    assert first["measuredMs"] > 0
    assert "penguin" in second["said"].lower()
    assert second["interrupted"]
    assert f"{second['answer']} {second['unheard']}".strip() == ANSWERS["story"]
    assert "how are you" in last["said"].lower()
    assert last["answer"] == ANSWERS["how are you"]


def test_a_listener_who_says_okay_hears_the_story_to_its_end(say: Say) -> None:
    with (
        scripted_brain(ANSWERS) as brain,
        serving(LLM_BASE_URL=brain, LLM_MODEL="scripted") as server,
        opened(server.page) as page,
    ):
        page.click("#start")
        wait_for(page, "LISTENING", "quiet")
        speak(page, say("Please tell me a very long story about a penguin."))
        page.wait_for_selector("#transcript .said:text('world')")
        with passing(page, "RESPONDING paused", "RESPONDING speaking"):
            speak(page, say("Okay."))
        wait_for(page, "LISTENING", "quiet")
        shown = turns(page)

    assert [turn["answer"] for turn in shown if turn["answer"]] == [ANSWERS["story"]]
    assert not any(turn["interrupted"] for turn in shown)


def test_a_turn_by_hand_with_the_keyboard_at_phone_width(say: Say) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    with (
        scripted_brain({"eat": ANSWERS["story"]}) as brain,
        serving(LLM_BASE_URL=brain, LLM_MODEL="scripted") as server,
        opened(server.page, **phone) as page,
    ):
        page.check("#mode-manual", force=True)
        page.focus("#start")
        page.keyboard.press("Enter")
        wait_for(page, "LISTENING", "quiet")
        page.keyboard.press("Space")
        page.wait_for_selector("body[data-recording]")
        with passing(page, "LISTENING hearing"):
            speak(page, say("What do you like to eat?"))
        page.wait_for_selector("#transcript .caller .said:text('eat')")
        page.keyboard.press("Space")
        wait_for(page, "RESPONDING", "speaking")
        page.keyboard.press("Escape")
        page.wait_for_selector("#transcript del.unheard")
        wait_for(page, "LISTENING", "quiet")
        width = page.evaluate("document.documentElement.scrollWidth")

    assert width == 360


def test_the_microphone_that_the_browser_gives_is_heard(
    server: RunningServer, wav: Callable[..., Path]
) -> None:
    question = wav("question", 1.0, "What is the capital of France?", 4.0)
    with opened(server.page, question) as page:
        page.click("#start")
        page.wait_for_selector("#transcript .caller .said:text('capital')")
        wait_for(page, "RESPONDING", "speaking")
