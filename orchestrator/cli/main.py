"""The command line: `vantum`. Each command imports what it needs only when it runs."""

from __future__ import annotations

import errno
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from orchestrator.settings.settings import Settings


class BadSetting(click.ClickException):
    """The configuration cannot be used."""

    exit_code = 2
    """The same as click's own for a wrong command line."""


class UnreadableFile(click.ClickException):
    """A file that was named cannot be used."""

    exit_code = 2
    """Unlike that of a journal that differs."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vantum", message="%(package)s %(version)s")
def main() -> None:
    """Vantum: a voice-agent server whose conversation is a formal state machine."""


# --- serve ------------------------------------------------------------------------------------------------


@main.command()
@click.option("--host", help="Address to listen on; overrides HOST.")
@click.option("--port", type=int, help="TCP port; overrides PORT. 0 lets the system choose one.")
@click.option(
    "--simulated",
    is_flag=True,
    help="With simulated Deepgram, OpenAI, Cartesia and Twilio: no keys, no network.",
)
def serve(host: str | None, port: int | None, simulated: bool) -> None:
    """Serve the page, the WebSocket, /health and /ready on one port, until Ctrl-C or SIGTERM."""
    settings = _settings(host=host, port=port, **(_simulated_choices() if simulated else {}))

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
        complaint = _listening_failed(settings.host, settings.port, first_error(group), or_setting=True)
    if bad_setting:
        raise BadSetting(bad_setting)
    if complaint:
        raise click.ClickException(complaint)


def _simulated_choices() -> dict[str, str]:
    from orchestrator.cli.simulators import CHOICES

    return {
        **CHOICES,
        "twilio_open_streams": "true",
        "stt_providers": "deepgram",
        "llm_providers": "openai",
        "tts_providers": "cartesia",
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


def _listening_failed(host: str, port: int, error: OSError, *, or_setting: bool = False) -> str:
    """The sentence for an address that cannot be listened on; `or_setting`: settings choose it, too."""
    other_port = "--port or PORT" if or_setting else "--port"
    other_host = "--host or HOST" if or_setting else "--host"
    reasons = {
        errno.EADDRINUSE: f"another program listens there; choose another port with {other_port}",
        errno.EACCES: f"that needs more rights; choose a port above 1023 with {other_port}",
        errno.EADDRNOTAVAIL: f"this machine has no such address; choose another with {other_host}",
    }
    if error.errno not in reasons and not isinstance(error, _no_such_host()):
        raise error
    reason = reasons.get(error.errno or 0, f"there is no such host; choose another with {other_host}")
    return f"Cannot listen on {host}, port {port}: {reason}."


def _no_such_host() -> type[OSError]:
    import socket

    return socket.gaierror


# --- simulators -------------------------------------------------------------------------------------------


@main.command()
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
def simulators(host: str, port: int, seed: int, faults: Path | None) -> None:
    """Simulate Deepgram, OpenAI, Cartesia and Twilio for any client, until Ctrl-C."""
    import trio

    from adapters.simulators import ScenarioError
    from adapters.tasks import first_error
    from orchestrator.cli.simulators import serve_simulators

    complaint = ""
    try:
        trio.run(serve_simulators, host, port, seed, faults, click.echo)
        click.echo("Stopped.", err=True)
    except* ScenarioError as group:
        complaint = f"{first_error(group)}."
    except* OSError as group:
        complaint = _listening_failed(host, port, first_error(group))
    if complaint:
        raise click.ClickException(complaint)


# --- talk -------------------------------------------------------------------------------------------------


@main.command()
@click.argument("url", default="ws://localhost:3001/ws")
@click.option(
    "--wav",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A 16-bit WAV file to say; one turn each. May be given several times.",
)
@click.option("--mode", type=click.Choice(["manual", "automatic"]), default="automatic", show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the answers' audio to this WAV file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per turn.")
@click.option(
    "--interrupt-after",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Talk over each answer but the last, this long after its first audio; a single file is said twice.",
)
@click.option("--microphone", is_flag=True, help="Talk with the microphone and loudspeaker, until Ctrl-C.")
def talk(
    url: str,
    files: tuple[Path, ...],
    mode: str,
    out: Path | None,
    as_json: bool,
    interrupt_after: float | None,
    microphone: bool,
) -> None:
    """Talk to a server from the terminal.

    URL is the server's WebSocket, ws://localhost:3001/ws if not given.
    """
    if bool(files) == microphone:
        raise click.UsageError("Say what to send: --wav FILE, or --microphone.")

    import trio

    from machines.facts import TurnMode
    from orchestrator.cli.talk import Call, TalkError, hold

    try:
        if microphone:
            from orchestrator.cli.microphone import converse

            trio.run(converse, url)
        else:
            call = Call(url, files, TurnMode(mode), out, as_json, interrupt_after)
            if not trio.run(hold, call):
                raise SystemExit(1)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    except TalkError as error:
        raise click.ClickException(str(error)) from None


# --- call -------------------------------------------------------------------------------------------------


@main.command()
@click.argument("number")
@click.option("--url", help="The server that makes the call.  [default: this machine, at PORT]")
@click.option("--language", help="The language of the call, for example en-US.")
@click.option("--voice", help="The voice, in the text-to-speech provider's terms.")
@click.option("--greeting", help="Said when somebody answers.")
@click.option("--system-prompt", help="What the language model is told about the call.")
@click.option(
    "--machine-detection/--no-machine-detection",
    default=None,
    help="Hang up on an answering machine; overrides TWILIO_MACHINE_DETECTION.",
)
def call(number: str, url: str | None, **options: Any) -> None:
    """Have a running server call NUMBER (such as +15005550006), and tell how it goes; Ctrl-C hangs up.

    Fails if there was no conversation.
    """
    settings = _settings()

    import trio

    from adapters.tasks import first_error
    from orchestrator.cli import call as dialling

    token = settings.api_token.get_secret_value() if settings.api_token is not None else None
    order = {"to": number, **{name: value for name, value in options.items() if value is not None}}

    async def dial() -> bool:
        async with dialling.client(url or f"http://localhost:{settings.port}", token) as http:
            return await dialling.hold(http, order, click.echo)

    complaint, talked = "", False
    try:
        talked = trio.run(dial)
    except* dialling.CallError as group:
        complaint = str(first_error(group))
    if complaint:
        raise click.ClickException(complaint)
    raise SystemExit(0 if talked else 1)


# --- diagrams ---------------------------------------------------------------------------------------------


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is missing or out of date.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("diagrams"),
    show_default=True,
    help="Where the files are.",
)
def diagrams(check: bool, output: Path) -> None:
    """Draw the state machines and write their transition tables."""
    from orchestrator.cli import diagrams as drawing

    if not check:
        for path in drawing.write(output):
            click.echo(path)
    elif stale := drawing.stale(output):
        names = ", ".join(str(path) for path in stale)
        raise click.ClickException(
            f"Out of date: {names}. `vantum diagrams` (or `make diagrams`) draws them."
        )


# --- check ------------------------------------------------------------------------------------------------


@main.command()
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the report to this Markdown file, too.",
)
@click.option(
    "--thorough",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="FACTS",
    help="Then try so many facts in each of three walks at random, which offer at once what others divide.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides how those go.")
def check(report: Path | None, thorough: int, seed: int) -> None:
    """Visit every configuration of several bounded models of a call, and hold the invariants in each.

    The report says what each model leaves out.
    """
    from orchestrator.cli import check as checking

    try:
        all_is_well = checking.check(report, more_facts=thorough, seed=seed)
    except OSError as error:
        raise click.ClickException(f"Cannot write the report to {report}: {error.strerror}.") from None
    raise SystemExit(0 if all_is_well else 1)


# --- simulate ---------------------------------------------------------------------------------------------


@main.command()
@click.option("--calls", type=click.IntRange(min=1), default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides all that happens in them.")
@click.option(
    "--faults",
    # The names of `orchestrator.simulation.faults.PROFILES`, which a test compares.
    type=click.Choice(["none", "light", "hostile", "stt", "llm", "tts", "tool"]),
    default="light",
    show_default=True,
    help="What goes wrong with the providers: a profile, or all of it in one role or in tools.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the same for the same seed.")
@click.option(
    "--journals",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("simulate-failures"),
    show_default=True,
    help="Where the journals of failing calls are written.",
)
@click.option(
    "--first",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="Number of the first call; with --calls 1, only that one is held.",
)
def simulate(calls: int, seed: int, faults: str, as_json: bool, journals: Path, first: int) -> None:
    """Hold whole calls in virtual time, with simulated callers and providers, and check each of them."""
    from orchestrator.cli import simulate as simulating
    from orchestrator.simulation.campaign import Campaign

    campaign = Campaign(seed, faults)
    try:
        all_is_well = simulating.simulate(campaign, calls, first=first, as_json=as_json, journals=journals)
    except OSError as error:
        raise click.ClickException(f"Cannot write a journal into {journals}: {error.strerror}.") from None
    raise SystemExit(0 if all_is_well else 1)


# --- journals ---------------------------------------------------------------------------------------------

JOURNAL_FILE = click.argument("journal", metavar="FILE", type=click.Path(path_type=Path))


@main.command()
@JOURNAL_FILE
@click.option("--step", is_flag=True, help="Walk through it: Enter for the next fact, a number, or q.")
@click.option(
    "--diagram",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="SVG",
    help="Draw the way that was taken, with counts and times, into this file.",
)
def replay(journal: Path, step: bool, diagram: Path | None) -> None:
    """Run the journal of a call through the machines again; fail at the first difference."""
    recorded = _journal(journal)

    from orchestrator.journal import replay_report

    if diagram is not None:
        from orchestrator.journal.replay_diagram import draw

        _write_text(diagram, draw(recorded))
    if step:
        same = replay_report.walk(recorded, sys.stdin.readline, click.echo)
    else:
        same = replay_report.tell_replay(recorded, click.echo)
    raise SystemExit(0 if same else 1)


@main.command(name="export-test")
@JOURNAL_FILE
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The test file to write; without, it is printed.",
)
def export_test(journal: Path, out: Path | None) -> None:
    """Write a test that repeats the call of a journal in virtual time."""
    recorded = _journal(journal)

    from orchestrator.journal.exported_test import source_of_test

    source = source_of_test(recorded)
    if out is None:
        click.echo(source, nl=False)
    else:
        _write_text(out, source)


def _journal(path: Path) -> Any:
    from orchestrator.journal.format import JournalError, read_journal

    try:
        return read_journal(path)
    except JournalError as error:
        raise UnreadableFile(str(error)) from None


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be written: {error.strerror}.") from None


# --- doctor -----------------------------------------------------------------------------------------------


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(as_json: bool) -> None:
    """Say what is configured, what is missing and what will be used; fail if no call could be made."""
    settings = _settings()

    from orchestrator.cli import doctor as examination

    findings = examination.examine(settings)
    if as_json:
        click.echo(examination.as_json(findings), nl=False)
    else:
        examination.show(findings)
    raise SystemExit(0 if findings.ready else 1)


# --- models -----------------------------------------------------------------------------------------------


@main.group()
def models() -> None:
    """The files of the embedded speech models."""


@models.command()
def fetch() -> None:
    """Download what is missing, check it, and put it into LOCAL_MODELS_DIR."""
    directory = _settings().local_models_dir

    from adapters.embedded.models import ModelsError
    from orchestrator.cli.models import fetch_with_progress

    try:
        fetch_with_progress(directory)
    except ModelsError as error:
        raise click.ClickException(str(error)) from None


@models.command(name="list")
def list_models() -> None:
    """Say which files are needed and which are there, judged by size."""
    from adapters.embedded.models import installed

    _show_models(installed)


@models.command()
def verify() -> None:
    """Check the files against their hashes; fail if one is missing or damaged."""
    from adapters.embedded.models import Status, verify

    if any(status is not Status.PRESENT for status in _show_models(verify)):
        raise SystemExit(1)


def _show_models(examine: Any) -> list[Any]:
    directory = _settings().local_models_dir
    click.echo(f"{directory}:")
    found = examine(directory)
    for file, status in found:
        click.echo(
            f"  {status.value:8} {file.size / 1e6:6.1f} MB  {file.path}  {file.purpose}, {file.licence}"
        )
    return [status for _, status in found]


# --- settings ---------------------------------------------------------------------------------------------


def _settings(**chosen: object) -> Settings:
    from orchestrator.settings.settings import SettingsError
    from orchestrator.settings.sources import load_settings

    try:
        return load_settings(**chosen)
    except SettingsError as error:
        raise BadSetting(str(error)) from None
