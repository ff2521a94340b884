"""The exhaustive check: visits every configuration of bounded models of a call, and checks the invariants."""

from machines.check.walk import Report, Taken, Violation
from machines.check.walks import (
    walk_answers,
    walk_host,
    walk_known_down,
    walk_links,
    walk_one_link,
    walk_queue,
    walk_turns,
)

__all__ = [
    "Report",
    "Taken",
    "Violation",
    "walk_answers",
    "walk_host",
    "walk_known_down",
    "walk_links",
    "walk_one_link",
    "walk_queue",
    "walk_turns",
]
