"""The caller's words: how they are told to the client, kept to be answered, and queued."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Context


def notify_words(
    context: Context, turn: int, text: str, confidence: float, *, is_final: bool, speech_ms: float = 0.0
) -> None:
    """Tell the client words of the caller."""
    context.ask(do.NotifyTranscript(turn, text, confidence, is_final, speech_ms))


def notify_doubt(context: Context, fact: facts.TranscriptFinal | facts.EndOfTurn) -> None:
    """Tell the client if the transcript does not count as words."""
    if fact.text and not context.said(fact):
        context.ask(do.NotifyLowConfidence(fact.turn, fact.confidence))


def notify_transcript(context: Context, fact: facts.TranscriptFinal) -> None:
    """Tell the client the final words, or that the transcript does not count as words."""
    notify_doubt(context, fact)
    text = context.said(fact)
    notify_words(context, fact.turn, text, fact.confidence, is_final=True, speech_ms=fact.speech_ms)


def keep_transcript(context: Context, fact: facts.TranscriptFinal | facts.EndOfTurn) -> None:
    """Take the final words to be answered, and tell the client if they are doubtful."""
    notify_doubt(context, fact)
    keep(context, fact.turn, context.said(fact), fact.confidence, fact.speech_ms, fact.at_ms)


def keep(context: Context, turn: int, text: str, confidence: float, speech_ms: float, at_ms: float) -> None:
    """Take words to be answered, with all that wait, and tell the client."""
    notify_words(context, turn, text, confidence, is_final=True, speech_ms=speech_ms)
    turns = context.turns
    text = context.own_words(turn, text)
    if text:
        turns.nudges = 0
    turns.caller_words = turns.join(text)
    turns.queue = ()
    turns.awaited = None
    turns.interim = ""
    turns.times.words_known = at_ms


def queue_words(context: Context, words: str) -> None:
    """Let words wait to be answered. If there are too many, join the oldest two."""
    queue = (*context.turns.queue, words)
    if len(queue) > context.policy.max_queue:
        queue = (f"{queue[0]} {queue[1]}", *queue[2:])
    context.turns.queue = queue
