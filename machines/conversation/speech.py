"""Speech: an answer is opened, texts are said in it, and it is stopped, finished and ended."""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context
from machines.conversation.generation import cancel_generation
from machines.conversation.heard_history import commit
from machines.language.scripts import gap
from machines.playback_ledger import PlaybackLedger


def open_speech(context: Context, at_ms: float, *, replying: bool) -> None:
    """Open an answer in which texts are said. It has the number of the newest generation."""
    answer, turns = context.answer, context.turns
    answer.ledger = PlaybackLedger()
    answer.speech_attempt = 1
    answer.speech_attempt_began = at_ms
    answer.replying = replying
    answer.greeting = False
    answer.in_history = False
    if replying:
        context.tools.results_owed = False
    answer.protected = False
    answer.speech_open = answer.generation
    turns.times.first_segment = at_ms
    answer.times = turns.times


def begin_reply(context: Context, at_ms: float) -> None:
    """Open the answer that the model gives to the caller."""
    open_speech(context, at_ms, replying=True)
    context.answer.failures = 0


def say(context: Context, text: str, markup: str = "", *, tones: bool = False, filler: bool = False) -> None:
    """Have text to speech say a text of the open answer, and tell the client."""
    answer = context.answer
    number = answer.speech_open
    if number is not None:
        before = gap(answer.ledger.last_text(), text)
        segment = answer.ledger.add(text, filler=filler)
        speak = do.Speak(number, segment, markup or text, tones)
        context.ask(do.NotifySegment(number, segment, text, before), speak)


def say_instead(
    context: Context,
    text: str,
    at_ms: float,
    *,
    replying: bool = False,
    protected: bool = False,
    tones: bool = False,
) -> None:
    """Say `text` as a whole answer, instead of one by the model."""
    context.answer.generation += 1
    open_speech(context, at_ms, replying=replying)
    context.answer.protected = protected
    say(context, text, tones=tones)
    finish_speech(context)


def finish_speech(context: Context) -> None:
    """Tell text to speech that it gets no more of the open answer, if one is open."""
    if context.answer.speech_open is not None:
        context.ask(do.FinishSpeech(context.answer.speech_open))


def stop_speech(context: Context, cause: do.StopCause) -> int:
    """Stop what is being said. Returns the number of the answer."""
    number = context.answer.speech_open
    assert number is not None, "only an answer that is being spoken is stopped"
    context.ask(do.StopSpeech(number, cause))
    return number


def end_speech(context: Context, at_ms: float) -> None:
    """Enter what was heard into the history, and tell the client that the answer is over."""
    cancel_generation(context)
    answer = context.answer
    ledger, number = answer.ledger, answer.speech_open
    assert number is not None, "only an answer that is being spoken can end"
    commit(context, at_ms)
    latency = answer.times.latency(ledger.started_at)
    context.ask(
        do.NotifyAnswerEnded(number, ledger.text(), len(ledger.segments), ledger.heard_ms(at_ms), latency)
    )
    answer.speech_open = None
    answer.said_at = at_ms
    answer.requests = 0
