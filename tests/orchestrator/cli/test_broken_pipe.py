"""A command whose output nobody reads any more ends without a traceback, with the status that shells know."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orchestrator.cli.main import READER_IS_GONE

RAISES_IN_A_GROUP = """
import click
from orchestrator.cli.main import main

@main.command()
def gone():
    try:
        while True:
            print("line", flush=True)
    except BrokenPipeError as error:
        raise ExceptionGroup("tasks", [error])

main(["gone"])
"""


def unread(*command: str) -> tuple[int, str]:
    """Exit status and error output of a Python command whose output is a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, *command], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=120
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["models", "verify"], ["doctor"]])
def test_a_command_whose_reader_is_gone_ends_in_silence(arguments: list[str]) -> None:
    assert unread("-m", "orchestrator.cli", *arguments) == (READER_IS_GONE, "")


@pytest.mark.slow
def test_so_does_one_that_runs_tasks() -> None:
    assert unread("-c", RAISES_IN_A_GROUP) == (READER_IS_GONE, "")


@pytest.mark.slow
def test_a_mistake_is_told_although_nobody_reads_the_output() -> None:
    status, told = unread("-m", "orchestrator.cli", "no-such-command")
    assert status == 2
    assert "No such command" in told
