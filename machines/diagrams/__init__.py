"""Draws the diagrams and tables of the machines from the live classes. The files are in `diagrams/`."""

from __future__ import annotations

from machines.diagrams import markdown, mermaid, svg
from machines.diagrams.layout import (
    ADMISSION_LAYOUT,
    BREAKER_LAYOUT,
    CALL_LAYOUT,
    CONVERSATION_LAYOUT,
    LINK_LAYOUT,
    LayoutError,
)
from machines.diagrams.style import stylesheet
from machines.tables import ADMISSION, BREAKER, CALL, CONVERSATION, LINK, MACHINES

__all__ = [
    "LayoutError",
    "files",
    "stylesheet",
    "svg_of_admission",
    "svg_of_breaker",
    "svg_of_call",
    "svg_of_conversation",
    "svg_of_link",
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


def svg_of_admission(highlight: str = "") -> str:
    """The admission machine as an SVG document, like `svg_of_conversation`."""
    return svg.draw(ADMISSION, ADMISSION_LAYOUT, highlight)


def files() -> dict[str, str]:
    """The content of every file in `diagrams/`, by its name."""
    contents = {
        "conversation.svg": svg_of_conversation(),
        "link.svg": svg_of_link(),
        "breaker.svg": svg_of_breaker(),
        "call.svg": svg_of_call(),
        "admission.svg": svg_of_admission(),
    }
    for machine in MACHINES:
        contents[f"{machine.name}.md"] = markdown.write(machine)
        contents[f"{machine.name}.mmd"] = mermaid.draw(machine)
    return contents
