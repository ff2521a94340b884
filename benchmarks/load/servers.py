"""The servers that are measured: how each is started, and how it is told where the vendors are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import evolve, frozen

from benchmarks.load.environments import ROOT, environment, load_path

ENDPOINT_MS = 200
"""Silence after which a turn is over, the same for all servers."""


@frozen
class Server:
    """A server that can be measured."""

    name: str
    command: Callable[[int], list[str]]
    """For vendors on this port of loopback."""
    environment: Callable[[int], Mapping[str, str]]
    """Likewise."""
    ready: str
    """A regular expression for the line that says it is ready; its group is the port."""
    paths: Mapping[str, str]
    """The path of its WebSocket, by line."""
    about: str = ""
    directory: Path = ROOT
    """Where it runs, and of Vantum the checkout that is measured."""


def _vantum_environment(vendors: int, directory: Path = ROOT) -> dict[str, str]:
    place = f"127.0.0.1:{vendors}"
    return {
        "STT_PROVIDERS": "deepgram",
        "LLM_PROVIDERS": "openai",
        "TTS_PROVIDERS": "cartesia",
        "DEEPGRAM_API_KEY": "simulated",
        "LLM_API_KEY": "simulated",
        "LLM_MODEL": "gpt-simulated",
        "CARTESIA_API_KEY": "simulated",
        "DEEPGRAM_BASE_URL": f"ws://{place}",
        "LLM_BASE_URL": f"http://{place}/v1",
        "CARTESIA_BASE_URL": f"http://{place}",
        "TWILIO_OPEN_STREAMS": "true",
        "GREETING": "",
        "VAD_SILENCE_THRESHOLD_MS": str(ENDPOINT_MS),
        "LOG_LEVEL": "warning",
        # The peers keep nothing of calls either.
        "KEEP_CALLS": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH", "")))),
    }


VANTUM = Server(
    "Vantum, tuned",
    lambda vendors: [sys.executable, "-m", "orchestrator.cli", "serve", "--port", "0"],
    _vantum_environment,
    r"Vantum is ready: http://[^/]*:(\d+)/",
    {"telephone": "/twilio/media", "browser": "/ws"},
    f"default settings but an endpoint delay of {ENDPOINT_MS} ms, no greeting and no journals",
)


def vantum_of(directory: Path) -> Server:
    """Vantum as it is in another checkout, to measure two side by side."""
    return evolve(
        VANTUM,
        name=f"Vantum of {directory.name}",
        environment=lambda vendors: _vantum_environment(vendors, directory),
        directory=directory,
    )


VANTUM_DEFAULT = evolve(
    VANTUM,
    name="Vantum, default",
    environment=lambda vendors: {**_vantum_environment(vendors), "VAD_SILENCE_THRESHOLD_MS": ""},
    about="default settings, but no greeting",
)

PIPECAT_PACKAGES = ("pipecat-ai[deepgram,openai,cartesia,silero,websocket]==1.14.0", "uvicorn", "uvloop")
LIVEKIT_PACKAGES = (
    "livekit-agents==1.8.9",
    *(f"livekit-plugins-{each}==1.8.9" for each in ("deepgram", "openai", "cartesia", "silero")),
    "websockets==17.4",
    "uvloop",
)


def _peer(name: str, title: str, packages: tuple[str, ...], kind: str, about: str) -> Server:
    """A server of `benchmarks/load/peers/`, in an environment of its own, made when it is first used."""
    program = ROOT / "benchmarks" / "load" / "peers" / f"{name}_server.py"

    def command(vendors: int) -> list[str]:
        return [str(environment(name, packages) / "python"), str(program), str(vendors), kind]

    return Server(
        f"{title}, {kind}",
        command,
        lambda vendors: {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
        rf"{name} at (\d+)",
        {"telephone": "/media"},
        about,
    )


PIPECAT = tuple(
    _peer("pipecat", "Pipecat 1.14.0", PIPECAT_PACKAGES, kind, about)
    for kind, about in (
        ("tuned", "Silero at 8 kHz, turns end by time (0.2 s), uvloop, one process"),
        ("default", "its own turn model (Smart Turn) and defaults, uvloop, one process"),
    )
)
LIVEKIT = tuple(
    _peer("livekit", "LiveKit Agents 1.8.9", LIVEKIT_PACKAGES, kind, about)
    for kind, about in (
        (
            "tuned",
            "Silero at 8 kHz, endpoint delay 0.2 s, 0.2 s of voice interrupt, uvloop, one process, no room",
        ),
        ("default", "its defaults, uvloop, one process, no room"),
    )
)
PARROT = Server(
    "Parrot",
    lambda vendors: [sys.executable, "-m", "benchmarks.load.parrot", str(vendors)],
    lambda vendors: {"PYTHONPATH": load_path()},
    r"parrot at (\d+)",
    {"telephone": "/media"},
    "no voice agent: it answers with ready speech, and shows what callers and vendors themselves can bear",
)
SERVERS = {
    "vantum": VANTUM,
    "vantum-default": VANTUM_DEFAULT,
    "pipecat": PIPECAT[0],
    "pipecat-default": PIPECAT[1],
    "livekit": LIVEKIT[0],
    "livekit-default": LIVEKIT[1],
    "parrot": PARROT,
}
"""By the name that the command line has for them."""
