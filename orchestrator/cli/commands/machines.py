"""`vantum diagrams`, `vantum check` and `vantum simulate`: drawing and testing the state machines."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.commands.usage import Complaint


@click.command()
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
    if not check:
        for path in write_diagrams(output):
            click.echo(path)
    elif stale := stale_diagrams(output):
        names = ", ".join(str(path) for path in stale)
        raise Complaint(f"Out of date: {names}. `vantum diagrams` (or `make diagrams`) draws them.")


def write_diagrams(directory: Path) -> list[Path]:
    """Write all diagrams and tables into `directory`, which is made if need be; returns their paths."""
    from machines import diagrams

    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in diagrams.files().items():
        path = directory / name
        path.write_bytes(content.encode())
        paths.append(path)
    return paths


def stale_diagrams(directory: Path) -> list[Path]:
    """The files in `directory` that are missing, or differ from what `write_diagrams` would write."""
    from machines import diagrams

    return [
        directory / name
        for name, content in diagrams.files().items()
        if not (directory / name).is_file() or (directory / name).read_bytes() != content.encode()
    ]


@click.command()
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
    help="Then try this many facts in each of three random walks, which combine what the others keep apart.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides how the random walks go.")
def check(report: Path | None, thorough: int, seed: int) -> None:
    """Visit every configuration of several bounded models of a call, and check the invariants in each.

    The report says what each model leaves out.
    """
    from orchestrator.cli import check as checking

    try:
        all_is_well = checking.check(report, more_facts=thorough, seed=seed)
    except OSError as error:
        raise Complaint(f"Cannot write the report to {report}: {error.strerror}.") from None
    raise SystemExit(0 if all_is_well else 1)


@click.command()
@click.option("--calls", type=click.IntRange(min=1), default=1000, show_default=True, help="How many calls.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Decides everything that happens in the calls."
)
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
    help="Number of the first call; with --calls 1, only that one is run.",
)
def simulate(calls: int, seed: int, faults: str, as_json: bool, journals: Path, first: int) -> None:
    """Run whole calls in virtual time, with simulated callers and providers, and check each of them."""
    from orchestrator.cli import simulate as simulating
    from orchestrator.simulation.campaign import Campaign

    campaign = Campaign(seed, faults)
    try:
        all_is_well = simulating.simulate(campaign, calls, first=first, as_json=as_json, journals=journals)
    except OSError as error:
        raise Complaint(f"Cannot write a journal into {journals}: {error.strerror}.") from None
    raise SystemExit(0 if all_is_well else 1)
