"""The bodies of `vantum simulators` and `vantum serve --simulated`: Deepgram, OpenAI, Cartesia and Twilio on
loopback, without keys."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from adapters.logs import library_logger
from adapters.simulators import Latencies, Scenario, SttDialect, TtsDialect, best_voice, simulators
from adapters.simulators.phone_dialects import phone_dialect_named
from orchestrator.settings.settings import Settings

log = library_logger(__name__)

CHOICES = {
    "deepgram_api_key": "simulated",
    "llm_api_key": "simulated",
    "llm_model": "gpt-simulated",
    "cartesia_api_key": "simulated",
    "twilio_account_sid": f"AC{'0' * 32}",
    "twilio_auth_token": "simulated",
    "twilio_from_number": "+15005550006",
}
"""Settings for the use of simulators, besides their addresses. Any key that is not empty is accepted."""
_LOOPBACK = "127.0.0.1"
_HANG_UP_SECONDS = 1.0
"""How long the simulators wait to see connections closed that the server has closed."""


def addresses(host: str, port: int) -> dict[str, str]:
    """Address settings for simulators on this host and port; 0.0.0.0 and :: are reached on loopback."""
    reached = {"0.0.0.0": _LOOPBACK, "::": "::1"}.get(host, host)
    place = f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}"
    return {
        "deepgram_base_url": f"ws://{place}",
        "llm_base_url": f"http://{place}/v1",
        "cartesia_base_url": f"http://{place}",
        "twilio_base_url": f"http://{place}",
    }


@asynccontextmanager
async def simulated_vendors(
    settings: Settings, llm_dialect: str | None = None, phone_dialect: str | None = None
) -> AsyncIterator[Settings]:
    """Start simulators in this process, on a free port of loopback; yields the settings with their addresses.

    The simulators take as long as the vendors do. Raises `ScenarioError` for an unknown dialect.
    """
    voice = await trio.to_thread.run_sync(best_voice)
    async with simulators(
        latencies=Latencies(),
        voice=voice,
        llm_dialect=llm_dialect,
        phone_dialect=phone_dialect_named(phone_dialect),
    ) as running:
        where = addresses(_LOOPBACK, running.port)
        log.info("vendors are simulated", **where)
        # At debug level the simulators' sockets would log every message of every call.
        logging.getLogger("websockets.server").setLevel(logging.WARNING)
        yield settings.model_copy(update={**where, "twilio_public_url": None})
        with trio.move_on_after(_HANG_UP_SECONDS):
            await running.all_closed()
        log.info(
            "simulated vendors stop",
            connections=running.records.accepted_sockets,
            open_connections=running.records.open_sockets,
            open_contexts=len(running.records.open_contexts),
        )


def dialects(stt: str, tts: str) -> tuple[SttDialect, TtsDialect]:
    """The dialects of these names. Raises `ValueError`, with the names that there are."""
    known = {each.value for each in SttDialect}, {each.value for each in TtsDialect}
    for option, name, names in zip(("--stt-dialect", "--tts-dialect"), (stt, tts), known, strict=True):
        if name not in names:
            raise ValueError(f"{option} must be one of {', '.join(sorted(names))}, not {name!r}")
    return SttDialect(stt), TtsDialect(tts)


async def serve_simulators(
    host: str,
    port: int,
    seed: int,
    faults: Path | None,
    announce: Callable[[str], None],
    llm_dialect: str | None = None,
    stt_dialect: SttDialect = SttDialect.PLAIN,
    tts_dialect: TtsDialect = TtsDialect.PLAIN,
    phone_dialect: str | None = None,
) -> None:
    """Serve simulators to any client until SIGTERM, SIGINT or cancellation.

    Announces, line by line, the settings that make Vantum use them. Raises `ScenarioError` for a file of
    faults or a dialect that cannot be used, and `OSError` for an address that cannot be listened on.
    """
    scenario = Scenario.read(faults) if faults else Scenario()
    voice = await trio.to_thread.run_sync(best_voice)
    async with simulators(
        seed=seed,
        faults=scenario,
        latencies=Latencies(),
        voice=voice,
        llm_dialect=llm_dialect,
        host=host,
        port=port,
        stt_dialect=stt_dialect,
        tts_dialect=tts_dialect,
        phone_dialect=phone_dialect_named(phone_dialect),
    ) as running:
        # A shell starts background jobs with SIGINT ignored, so it is asked for.
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            announce(
                "Deepgram, OpenAI, Cartesia and Twilio are simulated. In .env or the environment of `serve`:"
            )
            for name, value in (addresses(host, running.port) | CHOICES).items():
                announce(f"{name.upper()}={value}")
            async for _ in signals:
                return
