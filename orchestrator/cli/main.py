"""The command line: `vantum`, with the commands of every group. Nothing that takes time is imported here."""

from __future__ import annotations

import click

from orchestrator.cli.commands import installation, journals, machines, serving, talking


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vantum", message="%(package)s %(version)s")
def main() -> None:
    """Vantum: a voice-agent server whose conversation is a formal state machine."""


for _command in (
    serving.serve,
    serving.simulators,
    talking.talk,
    talking.call,
    machines.diagrams,
    machines.check,
    machines.simulate,
    journals.replay,
    journals.export_test,
    installation.doctor,
    installation.models,
):
    main.add_command(_command)
