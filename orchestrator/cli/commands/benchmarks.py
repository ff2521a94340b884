"""`vantum bench`: the load benchmark of a checkout, and what it proposes for this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from orchestrator.cli.commands.usage import Complaint

CHECKOUT = Path(__file__).parents[3]
"""Where the benchmark is beside this package in a checkout. It is no part of the package."""
LOAD, CALIBRATION = Path("benchmarks/telephone_load.py"), Path("benchmarks/calibrate.py")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--calibrate",
    is_flag=True,
    help="Hold more and more calls until figures break, and propose MAX_SESSIONS for this machine.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(calibrate: bool, options: tuple[str, ...]) -> None:
    """Measure how many telephone calls one core of this machine holds, with simulated callers and vendors.

    It takes 5 minutes to calibrate, 15 minutes otherwise. OPTIONS are those of the benchmark, which
    `vantum bench -- --help` lists. It needs a checkout, and Linux with two idle cores.
    """
    program = CALIBRATION if calibrate else LOAD
    raise SystemExit(run_program(CHECKOUT, program, options))


def run_program(checkout: Path, program: Path, options: tuple[str, ...]) -> int:
    """Run a program of the checkout by this Python. Returns its exit code; raises `Complaint`."""
    if not (checkout / program).is_file():
        raise Complaint(f"The benchmark is not here: {program} is part of a checkout, not of the package.")
    path = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, str(checkout / program), *options]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode
