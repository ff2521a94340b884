"""Errors out of a nursery that is nobody's business: alone, an error comes out as it went in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sole_error() -> Iterator[None]:
    """Around a nursery or task group: of a group of one error, that error is raised; several stay a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        error = group.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            # What was being handled when it was first raised, not the group around it.
            error.__context__ = context
