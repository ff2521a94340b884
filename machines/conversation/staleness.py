"""Staleness: facts about something that is no longer current are refused before the chart sees them."""

from __future__ import annotations

from machines import facts
from machines.conversation.context import Context
from machines.facts import Fact


def stale(context: Context, fact: Fact) -> str | None:
    """Why `fact` is about something that is no longer current; None if it is current."""
    match fact:
        case facts.TranscriptFinal(turn=turn) if turn not in (context.turns.awaited, *context.turns.queued):
            return f"turn {turn} is not awaited"
        case (
            facts.TranscriptInterim(turn=turn)
            | facts.TranscriptionFailed(turn=turn)
            | facts.EagerEndOfTurn(turn=turn)
            | facts.TurnResumed(turn=turn)
            | facts.EndOfTurn(turn=turn)
            | facts.TurnScored(turn=turn)
        ) if turn not in (context.turns.current, context.turns.awaited, *context.turns.queued):
            return f"turn {turn} is over"
        case (
            facts.SegmentReady(generation=generation)
            | facts.GenerationAlive(generation=generation)
            | facts.GenerationFinished(generation=generation)
            | facts.GenerationFailed(generation=generation)
        ) if generation != context.answer.generation_open:
            return f"generation {generation} is not being generated"
        case (
            facts.SegmentVoiced(utterance=utterance)
            | facts.PlaybackAt(utterance=utterance)
            | facts.PlaybackFinished(utterance=utterance)
            | facts.SynthesisFailed(utterance=utterance)
        ) if utterance != context.answer.speech_open:
            return f"utterance {utterance} is not being spoken"
        case facts.ToolFinished(call=call) if all(call != each.number for each in context.tools.running):
            return f"call {call} is not running"
        case facts.SegmentVoiced(attempt=attempt) | facts.SynthesisFailed(attempt=attempt) if (
            attempt != context.answer.speech_attempt
        ):
            return f"attempt {attempt} of the answer is over"
        case facts.DeadlinePassed(number=number) if number != context.deadline_armed:
            return f"deadline {number} is not armed"
    return None
