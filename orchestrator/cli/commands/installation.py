"""`vantum doctor` and `vantum models`: whether everything is there that calls need, and fetching it."""

from __future__ import annotations

import click

from orchestrator.cli.commands.usage import Complaint, read_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(as_json: bool) -> None:
    """Say what is configured, what is missing and what will be used; fail if no call could be made."""
    settings = read_settings()

    from orchestrator.cli import doctor as examination

    findings = examination.examine(settings, ask=True)
    if as_json:
        click.echo(examination.as_json(findings), nl=False)
    else:
        examination.show(findings)
    raise SystemExit(0 if findings.ready else 1)


@click.group()
def models() -> None:
    """The files of the embedded speech models."""


@models.command()
def fetch() -> None:
    """Download what is missing, check it, and put it into LOCAL_MODELS_DIR."""
    directory = read_settings().local_models_dir

    from adapters.embedded.models import ModelsError
    from orchestrator.cli.models import fetch_with_progress

    try:
        fetch_with_progress(directory)
    except ModelsError as error:
        raise Complaint(str(error)) from None


@models.command(name="list")
def list_models() -> None:
    """List which files are needed and which are there, by size only."""
    directory = read_settings().local_models_dir

    from adapters.embedded.models import installed
    from orchestrator.cli.models import list_files

    list_files(directory, installed)


@models.command()
def verify() -> None:
    """Check the files against their hashes; fail if one is missing or damaged."""
    directory = read_settings().local_models_dir

    from adapters.embedded.models import Status, verify
    from orchestrator.cli.models import list_files

    if any(status is not Status.PRESENT for status in list_files(directory, verify)):
        raise SystemExit(1)
