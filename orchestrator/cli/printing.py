"""Printing a line: on a rich console as it stands, or one in which somebody outside may have written."""

from __future__ import annotations

import click
from rich.console import Console

from adapters.neutral import neutral


def print_plain(console: Console, text: str) -> None:
    """Print the text as it stands: no line broken, nothing coloured. Control characters are neutral."""
    console.print(neutral(text, lines=True), highlight=False, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line. What a caller, a model, a server or a file wrote in it is neutral."""
    click.echo(neutral(line))
