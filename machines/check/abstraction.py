"""The abstraction: two configurations with the same key behave alike, as far as guards and invariants see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from machines.check.enabled_facts import WORDS
from machines.check.observer import ObservedState
from machines.conversation.context import Context, Continuation
from machines.facts import Role, SayMode, TurnMode
from machines.playback import PlaybackLedger
from machines.system import ConversationSystem

Key = Callable[[ConversationSystem, ObservedState], Hashable]

MOST_FAILURES = 3
"""Failed answers in a row, beyond which more make no difference."""


def conversation_key(system: ConversationSystem, observed: ObservedState) -> Hashable:
    """The conversation machine alone: its links can be up or down at any time. No guard reads the history."""
    context = system.conversation.context
    if system.conversation.state in ("closing", "ended"):
        return system.conversation.state, context.end_reason, _observed(observed)
    if system.conversation.state == "saying_goodbye":
        return (
            "saying_goodbye",
            context.end_reason,
            context.speech_attempt,
            _playback(context.ledger),
            _observed(observed),
        )
    return (
        system.conversation.state,
        context.links_up if system.conversation.state == "connecting" else None,
        bool(context.fallbacks_ready),
        system.conversation.state == "connecting" and context.stop_pending,
        _turn(context),
        _answer(context),
        context.deadline_armed is None,
        context.end_reason,
        _observed(observed),
    )


def _turn(context: Context) -> Hashable:
    awaited = context.turn_awaited is not None
    return (
        context.turn_mode,
        context.recording and context.turn_mode is TurnMode.MANUAL,
        len(context.unanswered),
        awaited,
        bool(context.interim),
        bool(context.caller_words),
        _continuation(context),
        context.waits if awaited else None,
        _speculation(context),
        len(context.digits),
        len(context.queue),
        len(context.turns_queued),
    )


def _continuation(context: Context) -> Hashable:
    """Without words being awaited, all that matters is whether the caller speaks."""
    if context.turn_awaited is not None:
        return context.continuation
    return context.continuation is Continuation.SPEAKING


def _speculation(context: Context) -> Hashable:
    """What was asked in advance; the offers have one wording for whole turns."""
    same = context.join(WORDS) == context.speculated_words
    return context.speculations, same, bool(context.speculative_segments)


def _answer(context: Context) -> Hashable:
    spoken = context.speech_open is not None
    return (
        context.generation_open is None,
        # How often the model was asked matters as long as it may be asked again.
        None if spoken and context.generation_open is None else context.attempts,
        min(context.failures, MOST_FAILURES),
        context.nudges,
        context.greeted,
        context.end_after_answer,
        context.speech_attempt if spoken else None,
        spoken and context.protected,
        spoken and context.replying,
        context.false_alarms < context.policy.barge_in_false_alarms,
        tuple(
            (each.mode is SayMode.WHEN_IDLE, each.interruptible, each.then)
            for each in context.host_utterances
        ),
        spoken and context.speech_open == context.generation_open,
        None if context.speech_open is None else _playback(context.ledger),
        spoken and _nearly_said(context),
        _calls(context),
    )


def _calls(context: Context) -> Hashable:
    """Of tools. How they are numbered, and what they gave, nobody asks."""
    if not context.policy.tools:
        return None
    awaited = {each.number for each in context.newest_calls()}
    running = Counter((call.name, call.cancelled, call.number in awaited) for call in context.calls_running)
    return (
        frozenset(running.items()),
        tuple(each.call.name for each in context.calls_waiting()),
        bool(context.newest_calls()),
        context.results_owed,
        context.tool_steps,
        context.fillers,
        context.answer_entered,
        context.calls_made > 0,
    )


def _nearly_said(context: Context) -> bool:
    """A mere "go on" that comes then is a reply."""
    known = context.generation_open is None and context.ledger.every_segment_voiced()
    return known and context.ledger.remaining_ms(at_ms=0) <= context.policy.backchannel_end_ms


def _playback(ledger: PlaybackLedger) -> Hashable:
    heard, unheard = ledger.split(at_ms=0)
    return len(ledger.segments), ledger.every_segment_voiced(), bool(heard), bool(unheard)


def _observed(observed: ObservedState) -> Hashable:
    lengths = tuple(map(len, (observed.generating, observed.speaking, observed.waiting, observed.calls)))
    return lengths, observed.held, observed.over


def link_key(system: ConversationSystem, observed: ObservedState) -> Hashable:
    """The conversation's coming up and going down, with all its links. Model and voice are alike."""
    context = system.conversation.context
    stt, llm, tts = (_link(system, role) for role in (Role.STT, Role.LLM, Role.TTS))
    return (
        system.conversation.state,
        context.stop_pending,
        context.end_reason,
        stt,
        frozenset(Counter((llm, tts)).items()),
        _observed(observed),
    )


def _link(system: ConversationSystem, role: Role) -> Hashable:
    link = system.links[role]
    was_up = role in system.conversation.context.links_up
    context = link.context
    return (
        link.state,
        context.rounds,
        context.provider,
        context.tried,
        context.refused,
        context.stt_silent,
        context.known_down,
        context.deadline_armed is None,
        was_up,
    )
