"""`vantum serve` and `vantum simulators`: what runs until it is stopped."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.commands.usage import BadSetting, Complaint, listening_failed, log_advice, read_settings

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from orchestrator.settings.settings import Settings

_llm_dialect = click.option(
    "--llm-dialect",
    metavar="NAME",
    help="How the simulated language model's server differs from OpenAI: azure, mistral, gemini, groq, "
    "ollama-thinking, openai-reasoning, litellm and others.",
)
_phone_dialect = click.option(
    "--phone-dialect",
    metavar="NAME",
    help="How the simulated carrier differs from Twilio: audio-first, snake-case, flat, bursts and others.",
)


@click.command()
@click.option("--host", help="Address to listen on; overrides HOST.")
@click.option("--port", type=int, help="TCP port; overrides PORT. 0 lets the system choose one.")
@click.option(
    "--simulated",
    is_flag=True,
    help="With simulated Deepgram, OpenAI, Cartesia and Twilio: no keys, no network.",
)
@_llm_dialect
@_phone_dialect
def serve(
    host: str | None, port: int | None, simulated: bool, llm_dialect: str | None, phone_dialect: str | None
) -> None:
    """Serve the page, the WebSocket, /health and /ready on one port, until Ctrl-C or SIGTERM."""
    if llm_dialect and not simulated:
        raise click.UsageError("--llm-dialect needs --simulated")
    if phone_dialect and not simulated:
        raise click.UsageError("--phone-dialect needs --simulated")
    settings = read_settings(host=host, port=port, **(_simulated_choices() if simulated else {}))
    with ExitStack() as closing:
        # What goes wrong most is looked at first: what is imported below takes seconds.
        sockets = [closing.enter_context(each) for each in _listening(settings)]
        _check_journals(settings)
        _run_server(settings, simulated, llm_dialect, phone_dialect, sockets)


def _run_server(
    settings: Settings,
    simulated: bool,
    llm_dialect: str | None,
    phone_dialect: str | None,
    sockets: Sequence[socket.socket],
) -> None:
    import trio

    from adapters.embedded.models import ModelsError
    from adapters.simulators.faults import ScenarioError
    from adapters.storage.errors import StorageError
    from adapters.tasks import first_error
    from adapters.vendor_errors import UnknownSdkError
    from orchestrator.access.pepper import PepperError
    from orchestrator.logs import configure_logs
    from orchestrator.settings.settings import SettingsError

    configure_logs(settings)
    if not simulated:
        log_advice(settings)
    complaint = bad_setting = ""
    try:
        trio.run(_serve_until_stopped, settings, simulated, llm_dialect, phone_dialect, sockets)
    except* KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    except* (ModelsError, UnknownSdkError, ScenarioError, StorageError, PepperError) as group:
        complaint = str(first_error(group))
    except* SettingsError as group:
        bad_setting = str(first_error(group))
    if bad_setting:
        raise BadSetting(bad_setting)
    if complaint:
        raise Complaint(complaint)


def _listening(settings: Settings) -> Sequence[socket.socket]:
    from orchestrator.server.listening import listen

    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        complaint = listening_failed(settings.host, settings.port, error, or_setting=True)
        raise Complaint(complaint) from None


def _check_journals(settings: Settings) -> None:
    from orchestrator.journal.directory import JournalError, check_directory

    if settings.asked_journals is not None:
        try:
            check_directory(settings.asked_journals)
        except JournalError as error:
            raise BadSetting(str(error)) from None


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


async def _serve_until_stopped(
    settings: Settings,
    simulated: bool,
    llm_dialect: str | None,
    phone_dialect: str | None,
    sockets: Sequence[socket.socket],
) -> None:
    from orchestrator.server.startup import serve

    async with AsyncExitStack() as stack:
        if simulated:
            from orchestrator.cli.simulators import simulated_vendors

            settings = await stack.enter_async_context(
                simulated_vendors(settings, llm_dialect, phone_dialect)
            )
        host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else settings.host
        told = " (Deepgram, OpenAI, Cartesia and Twilio are simulated)" if simulated else ""

        def announce(port: int) -> None:
            click.echo(f"Vantum is ready: http://{host}:{port}/{told}")
            if settings.api_token is not None or settings.jwt_jwks_url is not None:
                click.echo("It asks for a key or token: `vantum token --link` opens its page.")
            if settings.embedded:
                click.echo(f"It takes up to {settings.capacity} calls at once (LOCAL_MAX_CALLS).")

        await serve(settings, announce, sockets)


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
@_llm_dialect
@click.option(
    "--stt-dialect", default="plain", show_default=True, help="How Deepgram deviates from its documents."
)
@click.option(
    "--tts-dialect", default="plain", show_default=True, help="How Cartesia deviates from its documents."
)
@_phone_dialect
def simulators(
    host: str,
    port: int,
    seed: int,
    faults: Path | None,
    llm_dialect: str | None,
    stt_dialect: str,
    tts_dialect: str,
    phone_dialect: str | None,
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
        trio.run(serve_simulators, host, port, seed, faults, click.echo, llm_dialect, *spoken, phone_dialect)
        click.echo("Stopped.", err=True)
    except* ScenarioError as group:
        complaint = f"{first_error(group)}."
    except* OSError as group:
        complaint = listening_failed(host, port, first_error(group))
    if complaint:
        raise Complaint(complaint)
