"""The real server process on Deepgram, OpenAI and Cartesia, all simulated: a whole turn in each mode."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import trio

from adapters.interfaces import Samples
from adapters.simulators import Script, Simulators, simulators
from machines.facts import TurnMode
from orchestrator.cli.call import own_key
from orchestrator.cli.talk_client import Turn, talk_client
from orchestrator.settings.settings import Settings
from tests.acceptance.conftest import SPEECH_RATE, STOP_SECONDS, VANTUM, RunningServer, Say
from tests.orchestrator.journal.journals import replays
from tests.orchestrator.real_servers import eventually

pytestmark = [pytest.mark.models, pytest.mark.slow]

TURN_SECONDS = 300
SCRIPT = Script()
KEYS = {
    "DEEPGRAM_API_KEY": "d0e1a2d3b4e5e6f7",
    "LLM_API_KEY": "0p1e2n3a4i5k6e7y8",
    "CARTESIA_API_KEY": "c0a1r2t3e4s5i6a7",
}


def environment(settings: dict[str, str]) -> dict[str, str]:
    """These settings and no others but where the models are; everything is logged."""
    others = {
        name: value
        for name, value in os.environ.items()
        if name == "LOCAL_MODELS_DIR" or name.lower() not in Settings.model_fields
    }
    return {**others, "LOG_FORMAT": "json", "LOG_LEVEL": "debug", **settings}


@contextmanager
def started(log: Path, *options: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """`vantum serve`, logging to a file."""
    command = [str(VANTUM), "serve", "--port", "0", *options]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(settings)
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def serving(log: Path, *options: str, **settings: str) -> AsyncIterator[RunningServer]:
    """The same when it is ready, for which it may need vendors of this process; it must stop cleanly.

    Then every call's journal is replayed.
    """
    with TemporaryDirectory() as journals:
        async with ready(log, *options, JOURNAL_DIR=journals, **settings) as running:
            yield running
        replays(Path(journals))


@asynccontextmanager
async def ready(log: Path, *options: str, **settings: str) -> AsyncIterator[RunningServer]:
    """The same without journals."""
    with started(log, *options, **settings) as process:
        assert process.stdout is not None
        announced = re.search(r":(\d+)/", await trio.to_thread.run_sync(process.stdout.readline))
        assert announced, f"the server did not start: {process.wait(STOP_SECONDS)}, see {log}"
        running = RunningServer(process, int(announced[1]))
        try:
            yield running
        finally:
            exit_code = await trio.to_thread.run_sync(running.stop)
        assert exit_code == 0


@pytest.fixture(scope="module")
def speech(say: Say) -> Samples:
    """Something to say; what is understood is the script's."""
    silence = np.zeros(SPEECH_RATE // 3, np.int16)
    return np.concatenate([silence, say("Hello, is anybody there?"), silence])


def addresses_of(vendors: Simulators) -> dict[str, str]:
    """The settings that point a server at simulators of this process."""
    return {
        "DEEPGRAM_BASE_URL": vendors.deepgram_url,
        "LLM_BASE_URL": vendors.openai_url,
        "LLM_MODEL": "gpt-4.1",
        "CARTESIA_BASE_URL": vendors.cartesia_url,
    }


async def one_turn(server: RunningServer, mode: TurnMode, speech: Samples) -> Turn:
    """Say it, and hear the answer out."""
    with trio.fail_after(TURN_SECONDS):
        async with talk_client(server.websocket, mode, key=own_key(server.websocket)) as client:
            return await client.say(speech, SPEECH_RATE)


def health(page: str) -> dict[str, Any]:
    """The body of `/health`."""
    with urllib.request.urlopen(f"{page}health") as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def check_first_turn(turn: Turn) -> None:
    """The script's first utterance was understood, and its answer could be heard."""
    assert turn.complaints == []
    assert turn.understood == SCRIPT.utterance(0)
    assert turn.answer == " ".join(SCRIPT.answer(turn.understood).say.replace("||BREAK||", "").split())
    heard = np.concatenate(turn.audio)
    assert len(heard) > turn.audio_rate, "the answer takes longer than a second to say"
    assert np.abs(heard).max() > 3000


@pytest.mark.parametrize(
    ("mode", "model", "name"),
    [(TurnMode.AUTOMATIC, "nova-2", "deepgram"), (TurnMode.MANUAL, "flux", "deepgram-flux")],
)
async def test_one_command_serves_calls_with_simulated_vendors(
    tmp_path: Path, speech: Samples, mode: TurnMode, model: str, name: str
) -> None:
    log = tmp_path / "log"
    async with serving(log, "--simulated", STT_MODEL=model) as server:
        told = await trio.to_thread.run_sync(health, server.page)
        turn = await one_turn(server, mode, speech)

    assert told["providers"] == {
        "stt": name,
        "llm": "gpt-simulated",
        "tts": "cartesia",
        "vad": "silero-v6",
    }
    check_first_turn(turn)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (left,) = [line for line in lines if line["event"] == "simulated vendors stop"]
    assert left["connections"] >= 3
    assert (left["open_connections"], left["open_contexts"]) == (0, 0)


async def test_keys_reach_their_vendors_and_appear_nowhere_else(tmp_path: Path, speech: Samples) -> None:
    log = tmp_path / "log"
    async with simulators(keys=tuple(KEYS.values())) as vendors:
        settings = {**KEYS, **addresses_of(vendors)}
        async with serving(log, **settings) as server:
            told = await trio.to_thread.run_sync(health, server.page)
            turn = await one_turn(server, TurnMode.AUTOMATIC, speech)
            doctor = await trio.run_process(
                [str(VANTUM), "doctor"],
                env=environment({**settings, "PORT": "0"}),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        with trio.fail_after(60):
            await vendors.all_closed()

    check_first_turn(turn)
    assert doctor.returncode == 0
    assert {one.route for one in vendors.requests} == {
        "deepgram.v1",
        "openai.models",
        "openai.chat",
        "cartesia.websocket",
    }
    assert vendors.records.open_contexts == []
    written = log.read_text() + json.dumps(told) + (doctor.stdout + doctor.stderr).decode()
    assert [key for key in KEYS.values() if key in written] == []


async def test_a_refused_key_keeps_the_server_from_being_ready_and_appears_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with simulators(keys=(KEYS["LLM_API_KEY"],)) as vendors:
        settings = {**KEYS, **addresses_of(vendors)}
        with started(log, **settings) as process:
            await eventually(lambda: addresses(log))
            [page] = addresses(log)
            await eventually(lambda: "stt, tts" in readiness(page))
            waiting = await trio.to_thread.run_sync(readiness, page)
            told = await trio.to_thread.run_sync(health, page)
            process.terminate()
            assert await trio.to_thread.run_sync(process.wait) == 0
        with trio.fail_after(60):
            await vendors.all_closed()

    assert "no provider is known to work for stt, tts" in waiting
    for role in ("stt", "tts"):
        [state] = told["providerStates"][role]
        assert (state["state"], state["lastError"]["class"]) == ("open", "auth")
        assert "HTTP 401" in state["lastError"]["message"]
    written = log.read_text() + json.dumps(told) + waiting
    assert [key for key in KEYS.values() if key in written] == []


def addresses(log: Path) -> list[str]:
    """The address of the page, out of the log, once it is there."""
    lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [f"http://localhost:{line['port']}/" for line in lines if line["event"] == "listening"]


def readiness(page: str) -> str:
    """The body of `/ready`."""
    try:
        with urllib.request.urlopen(f"{page}ready") as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode()
