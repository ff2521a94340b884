"""Fixtures for tests of adapters: HTTP, the embedded models, and the vendors' adapters on simulators."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest
import samplerate  # type: ignore[import-not-found]
from hibari import Hibari  # type: ignore[import-untyped]

from adapters.embedded.hibari import HibariTextToSpeech
from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY, Status, installed
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.embedded.silero import SileroVoiceActivity
from adapters.interfaces import LISTENING_RATE, Samples
from adapters.openai.chat import http_client
from tests.adapters.simulated_vendors import (
    cartesia,
    emitted,
    flux,
    listeners,
    nova,
    old_cartesia,
    switchboard,
    vendors,
)

__all__ = ["cartesia", "emitted", "flux", "listeners", "nova", "old_cartesia", "switchboard", "vendors"]

Speech = Callable[[str], Samples]


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client() as client:
        yield client


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The directory that `vantum models fetch` fills. Without it, tests are skipped, except on CI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    directory = Path(os.environ.get("LOCAL_MODELS_DIR") or cache / "vantum" / "models")
    absent = [file.path for file, status in installed(directory) if status is not Status.PRESENT]
    if absent:
        reason = f"no embedded models ({', '.join(absent)}): run `vantum models fetch`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return directory


@pytest.fixture(scope="session")
def silero(models_dir: Path) -> SileroVoiceActivity:
    return SileroVoiceActivity(models_dir / "silero_vad.onnx")


@pytest.fixture(scope="session")
def moonshine(models_dir: Path) -> MoonshineSpeechToText:
    return MoonshineSpeechToText(models_dir / SPEECH_TO_TEXT_DIRECTORY)


@pytest.fixture(scope="session")
def hibari() -> HibariTextToSpeech:
    return HibariTextToSpeech(seed=1)


@pytest.fixture(scope="session")
def speech() -> Speech:
    """Returns a text as speech: samples at `LISTENING_RATE`."""
    voice = Hibari()

    @functools.cache
    def say(text: str) -> Samples:
        slower = samplerate.resample(voice(text, seed=1), LISTENING_RATE / voice.sample_rate, "sinc_fastest")
        samples: Samples = (np.clip(slower, -1, 1) * 32767).astype(np.int16)
        return samples

    return say
