"""Printing a line on a rich console as it stands."""

from __future__ import annotations

from rich.console import Console


def print_plain(console: Console, text: str) -> None:
    """Print the text as it stands: no line broken, nothing coloured."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
