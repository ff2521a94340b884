"""The exhaustive check: every reachable configuration of the machines, with the invariants held in each."""

from machines.check.walk import Report, Violation, walk_conversation, walk_links

__all__ = ["Report", "Violation", "walk_conversation", "walk_links"]
