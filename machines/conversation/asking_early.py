"""Asking early: when the model may be asked before it is sure that the turn is over, and with which words."""

from __future__ import annotations

import math

from machines.conversation.context import Context
from machines.conversation.endpointing import sounds_complete
from machines.facts import Role
from machines.phrases import words_of


def words_stable_at(context: Context) -> float:
    """When the words of this pause count as stable, in the conversation's ms; infinite: not in it.

    Words that come in the pause itself are the last ones. If none come, they are waited for as long as
    they took in the last pause in which some came.
    """
    turns = context.turns
    voice_ended = turns.times.voice_ended
    if voice_ended is None or not _may_ask_in_pause(context):
        return math.inf
    came_in_pause = turns.interim_at > voice_ended
    return turns.interim_at if came_in_pause else voice_ended + turns.words_late_ms


def _may_ask_in_pause(context: Context) -> bool:
    """Not if the caller will probably go on: such a request would seldom be of use."""
    turns = context.turns
    if context.links.ends_turns or not turns.interim_sure or not sounds_complete(context):
        return False
    words = words_with(context, turns.current, turns.interim)
    return may_ask(context, words) and words_of(words) != words_of(context.speculation.failed)


def may_ask(context: Context, words: str) -> bool:
    """The model may be asked now to answer `words`.

    It is not asked while its tool calls are open: what becomes of them depends on how the turn goes on.
    """
    left = context.speculation.count < context.policy.speculations
    up = Role.LLM in context.links.up
    return left and bool(words) and up and not context.calls_awaited()


def words_with(context: Context, turn: int, text: str) -> str:
    """All words to answer if `text` are the words of `turn`."""
    return context.turns.join(context.own_words(turn, text))
