"""Endpointing: how much silence ends a turn."""

from __future__ import annotations

from machines.conversation.context import Context
from machines.phrases import sounds_unfinished

SURELY = 0.5
"""From this probability on a turn counts as complete. It is the threshold of the model's authors."""
WITHOUT_VOICE_MS = 700
"""Added to the endpoint delay if no voice was noticed: interim words come about once a second."""


def pause_over_at(context: Context, at_ms: float) -> float:
    """When the pause that goes on at `at_ms` will have ended the turn, in the conversation's ms."""
    voice_ended = context.turns.times.voice_ended
    return (at_ms if voice_ended is None else voice_ended) + endpoint_delay_ms(context)


def sounds_complete(context: Context) -> bool:
    """Neither the words so far nor the sound of the voice say that the caller will go on."""
    turns = context.turns
    incomplete = turns.completeness is not None and turns.completeness < SURELY
    return not (incomplete or sounds_unfinished(turns.interim, context.policy.language))


def endpoint_delay_ms(context: Context) -> float:
    """How much silence ends the turn, given its words so far and the turn model's score."""
    policy, completeness = context.policy, context.turns.completeness
    unfinished = sounds_unfinished(context.turns.interim, policy.language)
    if context.links.ends_turns:
        usual = policy.provider_endpoint_delay_ms
    elif completeness is not None and completeness >= SURELY and not unfinished:
        usual = min(policy.complete_delay_ms, policy.endpoint_delay_ms)
    else:
        unnoticed = context.turns.times.voice_ended is None
        usual = policy.endpoint_delay_ms + (WITHOUT_VOICE_MS if unnoticed else 0.0)
    going_on = unfinished or (completeness is not None and completeness < SURELY)
    return usual + (policy.unfinished_delay_ms if going_on else 0.0)
