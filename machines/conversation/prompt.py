"""The prompt: what the language model is asked to answer."""

from __future__ import annotations

from machines.conversation.context import Context
from machines.history import Message, Speaker, newest_exchange, within_budget


def prompt(context: Context, said: str = "", words: str | None = None) -> tuple[Message, ...]:
    """System message, greeting, history as far as the token budget allows, and the caller's unanswered words.

    The greeting is what was heard of it, so that the model does not greet once more. What a content filter
    has refused is left out.

    Args:
        context: the conversation's memory.
        said: the beginning of an answer that the model is to continue; empty: it begins a new one.
        words: what the caller will probably have said; None: the words that are unanswered.
    """
    policy = context.policy
    system = (Message(Speaker.SYSTEM, policy.system_prompt),) if policy.system_prompt else ()
    asked = context.turns.caller_words if words is None else words
    known = tuple(message for message in context.history if not message.withheld)
    earlier: tuple[Message, ...] = known
    now: tuple[Message, ...] = (Message(Speaker.USER, asked),)
    if not asked:
        # The model goes on after tool calls: the caller's words are in the history already.
        first = newest_exchange(known)
        earlier, now = known[:first], known[first:]
    begun = (Message(Speaker.ASSISTANT, said),) if said else ()
    greeting = () if context.heard_greeting is None else (context.heard_greeting,)
    history = within_budget(earlier, (*greeting, *now, *begun), policy.max_history_tokens)
    return (*system, *greeting, *history, *now, *begun)
