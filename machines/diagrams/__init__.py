"""The pictures and tables of the machines, drawn from the live classes into `diagrams/`."""

from __future__ import annotations

from pathlib import Path

from machines.diagrams import markdown, mermaid, svg
from machines.diagrams.layout import (
    BREAKER_LAYOUT,
    CALL_LAYOUT,
    CONVERSATION_LAYOUT,
    LINK_LAYOUT,
    LayoutError,
)
from machines.diagrams.style import stylesheet
from machines.tables import BREAKER, CALL, CONVERSATION, LINK, MACHINES

__all__ = [
    "LayoutError",
    "stale",
    "stylesheet",
    "svg_of_breaker",
    "svg_of_call",
    "svg_of_conversation",
    "svg_of_link",
    "write",
]


def svg_of_conversation(highlight: str = "") -> str:
    """The conversation machine as an SVG document, with the substate `highlight` and its room lit.

    Raises:
        LayoutError: if the live machine has something that the hand-made layout has no place for.
    """
    return svg.draw(CONVERSATION, CONVERSATION_LAYOUT, highlight)


def svg_of_link(highlight: str = "") -> str:
    """The link machine as an SVG document, like `svg_of_conversation`."""
    return svg.draw(LINK, LINK_LAYOUT, highlight)


def svg_of_breaker(highlight: str = "") -> str:
    """The breaker machine as an SVG document, like `svg_of_conversation`."""
    return svg.draw(BREAKER, BREAKER_LAYOUT, highlight)


def svg_of_call(highlight: str = "") -> str:
    """The machine of a telephone call as an SVG document, like `svg_of_conversation`."""
    return svg.draw(CALL, CALL_LAYOUT, highlight)


def write(directory: Path) -> list[Path]:
    """Write all files into `directory`, which is made if need be; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in _contents().items():
        path = directory / name
        path.write_bytes(content.encode())
        paths.append(path)
    return paths


def stale(directory: Path) -> list[Path]:
    """The files in `directory` that are missing, or are not what `write` would write."""
    found = []
    for name, content in _contents().items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != content.encode():
            found.append(path)
    return found


def _contents() -> dict[str, str]:
    contents = {
        "conversation.svg": svg_of_conversation(),
        "link.svg": svg_of_link(),
        "breaker.svg": svg_of_breaker(),
        "call.svg": svg_of_call(),
    }
    for machine in MACHINES:
        contents[f"{machine.name}.md"] = markdown.write(machine)
        contents[f"{machine.name}.mmd"] = mermaid.draw(machine)
    return contents
