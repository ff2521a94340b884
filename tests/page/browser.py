"""The page in headless Chromium, with a microphone that a test talks into."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import BROWSERS

WAIT_MS = 120_000
"""How long the browser may take, on a machine that does much else, for what is expected of the page."""
expect.set_options(timeout=WAIT_MS)

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
    "--js-flags=--expose-gc",
    "--host-resolver-rules=MAP voice.example 127.0.0.1",
]

ELSEWHERE = "voice.example"
"""A host name that leads here as well, and of which the browser does not know that."""

MICROPHONE = """
const DeviceContext = AudioContext;
if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = async () => {
  const context = new DeviceContext({ sampleRate: 24_000 });
  const microphone = context.createMediaStreamDestination();
  // No real one is silent to the last bit: one that is for ten seconds is said to be dead.
  const hiss = context.createBuffer(1, context.sampleRate, context.sampleRate);
  hiss.getChannelData(0).forEach((_, at, all) => { all[at] = ((at * 7919) % 13 - 6) / 32768; });
  const noise = new AudioBufferSourceNode(context, { buffer: hiss, loop: true });
  noise.connect(microphone);
  noise.start();
  window.sayIntoMicrophone = (pcm) => {
    const samples = new Int16Array(Uint8Array.from(atob(pcm), (letter) => letter.charCodeAt(0)).buffer);
    const sound = context.createBuffer(1, samples.length, context.sampleRate);
    sound.getChannelData(0).set(Float32Array.from(samples, (sample) => sample / 32768));
    const source = new AudioBufferSourceNode(context, { buffer: sound });
    source.connect(microphone);
    source.start();
  };
  return microphone.stream;
};
"""
"""A microphone that is silent until the test says something into it, so that no test depends on timing."""


VISITED = """
window.visited = [];
document.addEventListener('DOMContentLoaded', () => {
  const note = () => window.visited.push(`${document.body.dataset.state} ${document.body.dataset.substate}`);
  new MutationObserver(note).observe(document.body, { attributeFilter: ['data-state', 'data-substate'] });
});
"""
"""Writes down each state of the conversation. On a busy machine, looking now and then misses short ones."""


@contextmanager
def passing(page: Page, *states: str) -> Iterator[None]:
    """What is done in the block takes the conversation through these states in this order, among others."""
    before = page.evaluate("window.visited.length")
    yield
    page.wait_for_function(
        """([states, before]) => {
          let at = 0;
          for (const each of window.visited.slice(before)) if (each === states[at]) at += 1;
          return at === states.length;
        }""",
        arg=[list(states), before],
    )


@contextmanager
def opened(
    address: str,
    microphone: Path | None = None,
    prepare: Callable[[Page], object] = lambda page: None,
    expected: str | None = None,
    **context: Any,
) -> Iterator[Page]:
    """The page at an address in a browser. Fails on errors of the page's own that do not hold `expected`.

    The microphone is Chromium's, playing a WAV file over and over, or one that a test talks into. `prepare`
    is given the tab before it goes to the address.
    """
    executable = next(path for name in BROWSERS if (path := shutil.which(name)))
    device = [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *device])
        page = browser.new_context(permissions=["microphone"], **context).new_page()
        if microphone is None:
            page.add_init_script(MICROPHONE)
        page.add_init_script(VISITED)
        page.set_default_timeout(WAIT_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        prepare(page)
        page.goto(address)
        yield page
        browser.close()
    unexpected = [error for error in errors if expected is None or expected not in error]
    assert unexpected == [], unexpected
