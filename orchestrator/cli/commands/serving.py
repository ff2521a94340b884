"""`vantum serve` and `vantum simulators`: what runs until it is stopped."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.commands.usage import BadSetting, listening_failed, read_settings

if TYPE_CHECKING:
    from orchestrator.settings.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on; overrides HOST.")
@click.option("--port", type=int, help="TCP port; overrides PORT. 0 lets the system choose one.")
@click.option(
    "--simulated",
    is_flag=True,
    help="With simulated Deepgram, OpenAI, Cartesia and Twilio: no keys, no network.",
)
def serve(host: str | None, port: int | None, simulated: bool) -> None:
    """Serve the page, the WebSocket, /health and /ready on one port, until Ctrl-C or SIGTERM."""
    settings = read_settings(host=host, port=port, **(_simulated_choices() if simulated else {}))

    import trio

    from adapters.embedded.models import ModelsError
    from adapters.tasks import first_error
    from adapters.vendor_errors import UnknownSdkError
    from orchestrator.journal.format import JournalError
    from orchestrator.logs import configure_logs
    from orchestrator.settings.settings import SettingsError

    configure_logs(settings)
    complaint = bad_setting = ""
    try:
        trio.run(_serve_until_stopped, settings, simulated)
    except* KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    except* (ModelsError, UnknownSdkError) as group:
        complaint = str(first_error(group))
    except* (JournalError, SettingsError) as group:
        bad_setting = str(first_error(group))
    except* OSError as group:
        complaint = listening_failed(settings.host, settings.port, first_error(group), or_setting=True)
    if bad_setting:
        raise BadSetting(bad_setting)
    if complaint:
        raise click.ClickException(complaint)


def _simulated_choices() -> dict[str, str]:
    from orchestrator.cli.simulators import CHOICES
    from orchestrator.settings.types import CARTESIA, DEEPGRAM, OPENAI

    return {
        **CHOICES,
        "twilio_open_streams": "true",
        "stt_providers": DEEPGRAM,
        "llm_providers": OPENAI,
        "tts_providers": CARTESIA,
    }


async def _serve_until_stopped(settings: Settings, simulated: bool) -> None:
    from orchestrator.server.server import serve

    async with AsyncExitStack() as stack:
        if simulated:
            from orchestrator.cli.simulators import simulated_vendors

            settings = await stack.enter_async_context(simulated_vendors(settings))
        host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else settings.host
        told = " (Deepgram, OpenAI, Cartesia and Twilio are simulated)" if simulated else ""

        def announce(port: int) -> None:
            click.echo(f"Vantum is ready: http://{host}:{port}/{told}")

        await serve(settings, announce)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9100,
    show_default=True,
    help="TCP port for all vendors. 0 lets the system choose one.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides all delays and random faults.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML or JSON file that says what goes wrong.",
)
@click.option(
    "--stt-dialect", default="plain", show_default=True, help="How Deepgram deviates from its documents."
)
@click.option(
    "--tts-dialect", default="plain", show_default=True, help="How Cartesia deviates from its documents."
)
def simulators(
    host: str, port: int, seed: int, faults: Path | None, stt_dialect: str, tts_dialect: str
) -> None:
    """Simulate Deepgram, OpenAI, Cartesia and Twilio for any client, until Ctrl-C."""
    import trio

    from adapters.simulators import ScenarioError
    from adapters.tasks import first_error
    from orchestrator.cli.simulators import dialects, serve_simulators

    try:
        spoken = dialects(stt_dialect, tts_dialect)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    complaint = ""
    try:
        trio.run(serve_simulators, host, port, seed, faults, click.echo, *spoken)
        click.echo("Stopped.", err=True)
    except* ScenarioError as group:
        complaint = f"{first_error(group)}."
    except* OSError as group:
        complaint = listening_failed(host, port, first_error(group))
    if complaint:
        raise click.ClickException(complaint)
