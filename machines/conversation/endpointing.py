"""Endpointing: how much silence ends a turn."""

from __future__ import annotations

from machines import facts
from machines.conversation.context import Context
from machines.declarations import causes
from machines.driver import Chart
from machines.phrases import sounds_unfinished

SURELY = 0.5
"""From this probability on a turn counts as complete. It is the threshold of the model's authors."""
WITHOUT_VOICE_MS = 700
"""Added to the endpoint delay if no voice was noticed: interim words come about once a second."""


class Endpointing(Chart[Context]):
    """Guards and actions on endpointing."""

    @causes()
    def note_score(self, fact: facts.TurnScored) -> None:
        """Keep how complete the turn model takes the turn to be."""
        self.context.turns.completeness = fact.completeness

    def pause_over_at(self, at_ms: float) -> float:
        """When the pause that goes on at `at_ms` will have ended the turn, in the conversation's ms."""
        voice_ended = self.context.turns.times.voice_ended
        return (at_ms if voice_ended is None else voice_ended) + self.endpoint_delay_ms()

    def sounds_complete(self) -> bool:
        """Neither the words so far nor the sound of the voice say that the caller will go on."""
        turns = self.context.turns
        incomplete = turns.completeness is not None and turns.completeness < SURELY
        return not (incomplete or sounds_unfinished(turns.interim, self.context.policy.language))

    def endpoint_delay_ms(self) -> float:
        """How much silence ends the turn, given its words so far and the turn model's score."""
        policy, completeness = self.context.policy, self.context.turns.completeness
        unfinished = sounds_unfinished(self.context.turns.interim, self.context.policy.language)
        if self.context.links.ends_turns:
            usual = policy.provider_endpoint_delay_ms
        elif completeness is not None and completeness >= SURELY and not unfinished:
            usual = min(policy.complete_delay_ms, policy.endpoint_delay_ms)
        else:
            unnoticed = self.context.turns.times.voice_ended is None
            usual = policy.endpoint_delay_ms + (WITHOUT_VOICE_MS if unnoticed else 0.0)
        going_on = unfinished or (completeness is not None and completeness < SURELY)
        return usual + (policy.unfinished_delay_ms if going_on else 0.0)
