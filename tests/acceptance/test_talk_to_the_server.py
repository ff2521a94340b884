"""Three spoken sentences to the real server process through `vantum talk`, and a look at what came back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.interfaces import LISTENING_RATE, Samples
from machines.facts import Fact, TranscriptFinal
from orchestrator.audio.pcm import read_wav
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.settings.settings import Settings
from tests.acceptance.conftest import VANTUM, RunningServer

pytestmark = [pytest.mark.models, pytest.mark.slow]

SENTENCES = {
    "capital": "What is the capital of France?",
    "eat": "What do you like to eat for breakfast?",
    "weather": "How is the weather in London today?",
}
TALK_SECONDS = 600
SEGMENT_WINDOW_S = 8


def talk(server: RunningServer, files: Sequence[Path], out: Path, *options: str) -> list[dict[str, Any]]:
    """What `vantum talk --json` says of each turn."""
    wavs = [word for file in files for word in ("--wav", str(file))]
    command = [str(VANTUM), "talk", server.websocket, *wavs, "--out", str(out), "--json", *options]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=TALK_SECONDS)
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


async def transcribe(samples: Samples, rate: int) -> str:
    """What the embedded speech to text hears in a recording, in pieces that it can take at once."""
    model = MoonshineSpeechToText(Settings().local_models_dir / SPEECH_TO_TEXT_DIRECTORY)
    resampler = StreamingResampler(rate, LISTENING_RATE)
    audio = np.concatenate([resampler.push(samples), resampler.flush()])
    heard: list[str] = []
    window = LISTENING_RATE * SEGMENT_WINDOW_S
    for number, start in enumerate(range(0, len(audio), window), start=1):
        final = trio.Event()

        def emit(fact: Fact, final: trio.Event = final) -> None:
            if isinstance(fact, TranscriptFinal):
                heard.append(fact.text)
                final.set()

        async with model.open(emit, "en-US") as transcriber:
            transcriber.begin_turn(number)
            piece = audio[start : start + window]
            for offset in range(0, len(piece), 512):
                await transcriber.send(piece[offset : offset + 512], 1.0)
            transcriber.finalize(number)
            await final.wait()
    return " ".join(heard)


def words(text: str) -> set[str]:
    """The words of a text that are long enough to be told apart by ear."""
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}


@pytest.mark.parametrize("mode", ["manual", "automatic"])
async def test_three_sentences_are_understood_and_answered_aloud(
    server: RunningServer, wav: Callable[..., Path], tmp_path: Path, mode: str
) -> None:
    files = [wav(name, 0.3, sentence, 0.3) for name, sentence in SENTENCES.items()]

    turns = await trio.to_thread.run_sync(talk, server, files, tmp_path / "out.wav", "--mode", mode)

    assert [bool(turn["answer"]) for turn in turns] == [True] * 3
    for turn, sentence in zip(turns, SENTENCES.values(), strict=True):
        assert len(words(turn["understood"]) & words(sentence)) >= len(words(sentence)) - 1, turn
        rooms = [visit["state"] for visit in turn["states"]]
        assert [room for room in ("THINKING", "RESPONDING", "LISTENING") if room in rooms] == [
            "THINKING",
            "RESPONDING",
            "LISTENING",
        ]
        assert turn["errors"] == []
        assert turn["firstAudioMs"] > 0
    samples, rate = read_wav(tmp_path / "out.wav")
    told = words(" ".join(turn["answer"] for turn in turns))
    heard = words(await transcribe(samples, rate))
    assert len(told & heard) >= len(told) / 2, (told, heard)


async def test_talking_over_an_answer_cuts_it_off_and_is_answered(
    server: RunningServer, wav: Callable[..., Path], tmp_path: Path
) -> None:
    files = [
        wav("story", 0.3, "Please tell me a very long story about the sea.", 0.3),
        wav("capital", 0.1, SENTENCES["capital"], 0.3),
    ]

    turns = await trio.to_thread.run_sync(
        talk, server, files, tmp_path / "out.wav", "--interrupt-after", "0.7"
    )

    story, capital = turns
    assert story["interrupted"]
    assert story["unheard"]
    assert story["answer"].startswith(story["heard"])
    assert story["heardMs"] == pytest.approx(story["audioMs"], abs=400)
    assert capital["answer"]
    assert "capital" in capital["understood"].lower()
