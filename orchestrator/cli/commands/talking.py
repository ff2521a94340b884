"""`vantum talk` and `vantum call`: calls from the terminal, over WebSocket or telephone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.commands.tokens import key_option
from orchestrator.cli.commands.usage import Complaint, read_settings


@click.command()
@click.argument("url", default="ws://localhost:3001/ws")
@click.option(
    "--wav",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A 16-bit WAV file to speak; one turn each. May be given several times.",
)
@click.option(
    "--say",
    "sentences",
    metavar="TEXT",
    multiple=True,
    help="A text to say, with the embedded voice; one turn each. May be given several times.",
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
    help="Talk over each answer but the last, this long after its first audio; one file is spoken twice.",
)
@click.option("--microphone", is_flag=True, help="Talk with the microphone and loudspeaker, until Ctrl-C.")
@key_option
def talk(
    url: str,
    files: tuple[Path, ...],
    sentences: tuple[str, ...],
    mode: str,
    out: Path | None,
    as_json: bool,
    interrupt_after: float | None,
    microphone: bool,
    key: str | None,
) -> None:
    """Talk to a server from the terminal.

    URL is the server's WebSocket, ws://localhost:3001/ws if not given.
    """
    if [bool(files), bool(sentences), microphone].count(True) != 1:
        raise click.UsageError("Say what to send: --say TEXT, --wav FILE, or --microphone.")

    import trio

    from machines.facts import TurnMode
    from orchestrator.cli.call import own_key
    from orchestrator.cli.talk import Talk, TalkError, run_talk

    key = key or own_key(url)

    try:
        if microphone:
            from orchestrator.cli.microphone import converse

            trio.run(converse, url, key)
        else:
            talk = Talk(url, files, TurnMode(mode), out, as_json, interrupt_after, sentences, key)
            if not trio.run(run_talk, talk):
                raise SystemExit(1)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    except TalkError as error:
        raise Complaint(str(error)) from None


@click.command()
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
@key_option
def call(number: str, url: str | None, key: str | None, **options: Any) -> None:
    """Have a running server call NUMBER (such as +15005550006), and print how it goes; Ctrl-C hangs up.

    Fails if there was no conversation.
    """
    settings = read_settings()

    import trio

    from adapters.tasks import first_error
    from orchestrator.cli.call import CallError, client, own_key, place_call
    from orchestrator.cli.printing import say

    url = url or f"http://localhost:{settings.port}"
    api_token = None if settings.api_token is None else settings.api_token.get_secret_value()
    token = key or api_token or own_key(url)
    order = {"to": number, **{name: value for name, value in options.items() if value is not None}}

    async def dial() -> bool:
        async with client(url, token) as http:
            return await place_call(http, order, say)

    complaint, talked = "", False
    try:
        talked = trio.run(dial)
    except* CallError as group:
        complaint = str(first_error(group))
    if complaint:
        raise Complaint(complaint)
    raise SystemExit(0 if talked else 1)
