"""How an exchange is entered into the history, cut to what was heard."""

from __future__ import annotations

from attrs import evolve

from machines.conversation.context import Context
from machines.history import Message, Speaker, newest, newest_exchange


def commit(context: Context, at_ms: float) -> None:
    """Enter the exchange that ends at `at_ms` into the history, with the words that were heard to their end.

    Nothing is entered if nothing of the answer was heard: the caller's words stay unanswered. Nothing is
    entered either if what was said was not a reply, for example a nudge; what was heard of the greeting is
    kept beside the history.
    """
    answer = context.answer
    heard, unheard = answer.ledger.split(at_ms, own=True)
    heard_ms = round(answer.ledger.heard_ms(at_ms), 3)
    message = Message(Speaker.ASSISTANT, heard, bool(unheard), heard_ms, unheard)
    if answer.greeting and heard:
        context.heard_greeting = message
    if answer.replying:
        if answer.in_history:
            message = evolve(message, calls=context.history[-1].calls)
            context.history = (*context.history[:-1], message)
        elif heard and (context.turns.caller_words or context.newest_calls()):
            enter(context, message)
    answer.in_history = False


def withhold(context: Context) -> None:
    """The newest exchange was refused by a filter: it stays in the history, and no model is sent it again."""
    turns = context.turns
    if turns.caller_words:
        context.history = (*context.history, Message(Speaker.USER, turns.caller_words, withheld=True))
        turns.caller_words = ""
    else:
        first = newest_exchange(context.history)
        refused = (evolve(message, withheld=True) for message in context.history[first:])
        context.history = (*context.history[:first], *refused)
    context.history = newest(context.history, context.policy.max_history) or context.history[-1:]
    context.tools.results_owed = False


def enter(context: Context, answer: Message) -> None:
    """Enter an answer into the history, after the caller's words unless they are there already."""
    turns, policy = context.turns, context.policy
    asked = (Message(Speaker.USER, turns.caller_words),) if turns.caller_words else ()
    turns.caller_words = ""
    history = (*context.history, *asked, answer)
    kept = newest(history, policy.max_history)
    if not kept and (answer.calls or policy.max_history >= 2):
        # Keep the newest exchange, however many tool calls it holds, and always one that is not over.
        kept = history[newest_exchange(history) :]
    context.history = kept
