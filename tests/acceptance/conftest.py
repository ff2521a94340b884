"""A real server process, and speech to talk to it with."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from attrs import frozen

from adapters.interfaces import Samples
from orchestrator.audio.pcm import write_wav
from tests.orchestrator.journal.journals import replays

VANTUM = Path(sys.executable).with_name("vantum")
START_SECONDS = 600
STOP_SECONDS = 120
SPEECH_RATE = 24_000


@frozen
class RunningServer:
    """A server process that takes calls."""

    process: subprocess.Popen[str]
    port: int

    @property
    def page(self) -> str:
        """The address of the page."""
        return f"http://localhost:{self.port}/"

    @property
    def websocket(self) -> str:
        """The address of the WebSocket."""
        return f"ws://localhost:{self.port}/ws"

    def stop(self) -> int:
        """SIGTERM, as an operator does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def serving(**settings: str) -> Iterator[RunningServer]:
    """`vantum serve` on a port of the system's choice, with no keys; it must stop cleanly when told.

    Then every call's journal is replayed.
    """
    with TemporaryDirectory() as journals:
        with started(JOURNAL_DIR=journals, **settings) as running:
            yield running
        replays(Path(journals))


@contextmanager
def started(**settings: str) -> Iterator[RunningServer]:
    """The same without journals."""
    keyless = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    process = subprocess.Popen(
        [str(VANTUM), "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**keyless, "LOG_LEVEL": "warning", **settings},
    )
    assert process.stdout is not None
    with process, process.stdout as output:
        ready = re.search(r":(\d+)/", output.readline())
        assert ready, f"the server did not start: exit code {process.wait(START_SECONDS)}"
        running = RunningServer(process, int(ready[1]))
        try:
            yield running
        finally:
            exit_code = running.stop()
        assert exit_code == 0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with the embedded models alone."""
    with serving() as running:
        yield running


Say = Callable[[str], Samples]


@pytest.fixture(scope="session")
def say() -> Say:
    """Speech at `SPEECH_RATE` for any text, by the embedded voice, the same at every run."""
    from hibari import Hibari  # type: ignore[import-untyped]

    voice = Hibari()

    def synthesize(text: str) -> Samples:
        sound = voice(text, seed=1)
        samples: Samples = (np.clip(sound, -1, 1) * 30_000).astype(np.int16)
        return samples

    return synthesize


@pytest.fixture
def wav(tmp_path: Path, say: Say) -> Callable[..., Path]:
    """A WAV file of texts with pauses: `wav("name", 1.0, "Hello.", 2.0)` is silence, speech, silence."""

    def write(name: str, *parts: str | float) -> Path:
        pieces = [
            say(part) if isinstance(part, str) else np.zeros(int(part * SPEECH_RATE), np.int16)
            for part in parts
        ]
        path = tmp_path / f"{name}.wav"
        write_wav(path, np.concatenate(pieces), SPEECH_RATE)
        return path

    return write
