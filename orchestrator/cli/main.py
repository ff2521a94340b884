"""The command line: `vantum`, with the commands of every group. Nothing that takes time is imported here."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

import click

from orchestrator.cli.commands import (
    access,
    benchmarks,
    installation,
    journals,
    machines,
    serving,
    talking,
    tokens,
)

READER_IS_GONE = 141
"""The exit status of a shell's command that SIGPIPE ended: whoever read its output has stopped reading."""


class Commands(click.Group):
    """The commands. One whose output nobody reads any more (`vantum doctor | head -1`) ends silently."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        try:
            return super().main(*args, **kwargs)
        except SystemExit as end:
            # click ends so when it could not print; it knows nothing of exception groups.
            if end.code != 1 or not _reader_is_gone():
                raise
        except BaseExceptionGroup as group:
            if group.subgroup(BrokenPipeError) is None or not _reader_is_gone():
                raise
        # Python flushes it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(READER_IS_GONE)


def _reader_is_gone() -> bool:
    """Whether the output is a pipe that nobody reads."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):
        return False
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vantum", message="%(package)s %(version)s")
def main() -> None:
    """Vantum: a voice-agent server whose conversation is a formal state machine."""


for _command in (
    serving.serve,
    serving.simulators,
    talking.talk,
    talking.call,
    tokens.token,
    machines.diagrams,
    machines.check,
    machines.simulate,
    benchmarks.bench,
    journals.replay,
    journals.export_test,
    journals.index,
    installation.doctor,
    installation.models,
    access.keys,
    access.db,
):
    main.add_command(_command)
