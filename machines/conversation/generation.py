"""Generations: the model is asked, and its answer is given up."""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context, TurnTimes
from machines.conversation.prompt import prompt


def request_answer(context: Context, at_ms: float, said: str, words: str | None = None) -> None:
    """Ask the model. Each request is a generation of its own.

    Args:
        context: the conversation's memory.
        at_ms: now, in the conversation's ms.
        said: the beginning of an answer that the model is to continue; empty: it begins a new one.
        words: what the caller will probably have said; None: the words that are unanswered.
    """
    answer = context.answer
    answer.generation_began = at_ms
    answer.alive_at = None
    answer.generation += 1
    answer.generation_open = answer.generation
    answer.requests += 1
    messages = prompt(context, said, words)
    context.ask(do.StartGeneration(answer.generation, messages, context.tools_offered()))


def cancel_generation(context: Context) -> None:
    """Stop the generation, if one runs."""
    if context.answer.generation_open is not None:
        context.ask(do.CancelGeneration(context.answer.generation_open))
        context.answer.generation_open = None


def void_generation(context: Context) -> None:
    """Stop the generation of an answer of which nothing was said, and tell the client that it is over."""
    if context.answer.generation_open is not None:
        cancel_generation(context)
        notify_never_spoken(context)


def notify_never_spoken(context: Context) -> None:
    """Tell the client that an answer of which nothing was spoken is over."""
    context.ask(do.NotifyAnswerEnded(context.answer.generation, "", 0, 0.0, TurnTimes().latency(None)))
