"""Requests of the client: what they wait for, and how they are answered."""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context
from machines.facts import Request


def await_early_words(context: Context) -> None:
    """Let requests from before the links were up wait for the words, like later ones."""
    recording = context.recording
    recording.unanswered += recording.early_stops
    recording.early_stops = ()


def acknowledge(context: Context, *requests: Request | None) -> None:
    """Acknowledge requests, or hold them until the links of the caller's language are up."""
    known = tuple(request for request in requests if request is not None)
    if context.links.renewing:
        context.recording.held += known
    else:
        context.ask(*(do.Acknowledge(request) for request in known))


def refuse_all(context: Context, message: str, error: do.ClientError | None = None) -> None:
    """Refuse every request that waits, whatever it waits for."""
    await_early_words(context)
    recording = context.recording
    unanswered = recording.unanswered + recording.held
    recording.unanswered = recording.held = ()
    context.ask(*(do.Refuse(request, message, error) for request in unanswered))
