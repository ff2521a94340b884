"""The servers that are measured: how each is started, and how it is told where the vendors are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
ENDPOINT_MS = 200
"""Silence after which a turn is over, the same for all servers."""


@frozen
class Server:
    """A server that can be measured."""

    name: str
    command: Callable[[], list[str]]
    environment: Callable[[int], Mapping[str, str]]
    """The environment, for vendors on this port of loopback."""
    ready: str
    """A regular expression for the line that says it is ready; its group is the port."""
    paths: Mapping[str, str]
    """The path of its WebSocket, by line."""
    about: str = ""


def _vantum_environment(vendors: int) -> dict[str, str]:
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
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", "")))),
    }


VANTUM = Server(
    "Vantum",
    lambda: [sys.executable, "-m", "orchestrator.cli", "serve", "--port", "0"],
    _vantum_environment,
    r"Vantum is ready: http://[^/]*:(\d+)/",
    {"telephone": "/twilio/media", "browser": "/ws"},
    f"default settings but an endpoint delay of {ENDPOINT_MS} ms and no greeting",
)
SERVERS = {"vantum": VANTUM}
"""By the name that the command line has for them."""
