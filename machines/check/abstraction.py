"""The abstraction: configurations with the same key behave alike, as far as guards and invariants can see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from machines.check.enabled_facts import WORDS
from machines.check.observer import ObservedState
from machines.conversation.context import Context, Continuation
from machines.facts import Role, SayMode, TurnMode
from machines.playback_ledger import PlaybackLedger
from machines.system import ConversationSystem

Key = Callable[[ConversationSystem, ObservedState], Hashable]

MOST_FAILURES = 3
"""More failed answers in a row than this make no difference."""


def conversation_key(system: ConversationSystem, observed: ObservedState) -> Hashable:
    """The key of the conversation machine without its links, which can go up and down at any time.

    The history is left out: no guard reads it.
    """
    context = system.conversation.context
    if system.conversation.state in ("closing", "ended"):
        return system.conversation.state, context.end_reason, _observed(observed)
    if system.conversation.state == "saying_goodbye":
        return (
            "saying_goodbye",
            context.end_reason,
            context.answer.speech_attempt,
            _playback(context.answer.ledger),
            _observed(observed),
        )
    return (
        system.conversation.state,
        context.links.up if system.conversation.state == "connecting" else None,
        bool(context.links.fallbacks_ready),
        system.conversation.state == "connecting" and context.recording.stop_pending,
        context.recording.begun_before,
        context.recording.on and context.recording.first_recording,
        _turn(context),
        system.conversation.state == "endpointing" and _pause(context),
        _answer(context),
        context.deadline_armed is None,
        context.end_reason,
        _observed(observed),
    )


def _turn(context: Context) -> Hashable:
    awaited = context.turns.awaited is not None
    return (
        context.recording.mode,
        context.recording.on and context.recording.mode is TurnMode.MANUAL,
        len(context.recording.unanswered),
        awaited,
        bool(context.turns.interim),
        bool(context.turns.caller_words),
        _continuation(context),
        context.turns.waits if awaited else None,
        _speculation(context),
        len(context.turns.digits),
        len(context.turns.queue),
        len(context.turns.queued),
    )


def _pause(context: Context) -> Hashable:
    """Whether the model may be asked in this pause depends on it."""
    return context.turns.interim_sure, context.turns.times.voice_ended is None


def _continuation(context: Context) -> Hashable:
    """While no words are awaited, all that matters is whether the caller speaks."""
    if context.turns.awaited is not None:
        return context.turns.continuation
    return context.turns.continuation is Continuation.SPEAKING


def _speculation(context: Context) -> Hashable:
    """The speculative answer. The enabled facts have only one wording for a whole turn, `WORDS`."""
    speculation = context.speculation
    same = context.turns.join(WORDS) == speculation.words
    return (
        speculation.count,
        same,
        bool(speculation.words),
        bool(speculation.segments),
        bool(speculation.failed),
        speculation.prepared is not None,
    )


def _answer(context: Context) -> Hashable:
    spoken = context.answer.speech_open is not None
    return (
        context.answer.generation_open is None,
        # The number of requests matters as long as another one may be made.
        None if spoken and context.answer.generation_open is None else context.answer.requests,
        min(context.answer.failures, MOST_FAILURES),
        context.turns.nudges,
        context.turns.greeted,
        context.answer.end_after,
        context.answer.speech_attempt if spoken else None,
        spoken and context.answer.protected,
        spoken and context.answer.replying,
        context.answer.false_alarms < context.policy.barge_in_false_alarms,
        tuple(
            (each.mode is SayMode.WHEN_IDLE, each.interruptible, each.then)
            for each in context.host_utterances
        ),
        spoken and context.answer.speech_open == context.answer.generation_open,
        None if context.answer.speech_open is None else _playback(context.answer.ledger),
        spoken and _nearly_said(context),
        _calls(context),
        _filler(context),
    )


def _filler(context: Context) -> Hashable:
    """Whether a filler may be said while the model thinks: only once, and only if it gives signs of life."""
    if not context.policy.thinking_filler:
        return None
    alive = context.answer.generation_open is not None and context.answer.alive_at is not None
    return context.tools.fillers, alive


def _calls(context: Context) -> Hashable:
    """Tool calls. Numbers and results are left out: no guard reads them."""
    if not context.policy.tools:
        return None
    awaited = {each.number for each in context.newest_calls()}
    running = Counter((call.name, call.cancelled, call.number in awaited) for call in context.tools.running)
    return (
        frozenset(running.items()),
        tuple(each.call.name for each in context.calls_waiting()),
        bool(context.newest_calls()),
        context.tools.results_owed,
        context.tools.steps,
        context.tools.fillers,
        context.answer.in_history,
        context.tools.calls_made > 0,
    )


def _nearly_said(context: Context) -> bool:
    """Whether a backchannel would count as a reply now."""
    known = context.answer.generation_open is None and context.answer.ledger.every_segment_voiced()
    return known and context.answer.ledger.remaining_ms(at_ms=0) <= context.policy.backchannel_end_ms


def _playback(ledger: PlaybackLedger) -> Hashable:
    heard, unheard = ledger.split(at_ms=0)
    voiced = ledger.every_segment_voiced()
    fillers = sum(segment.filler for segment in ledger.segments)
    return voiced, tuple(each.unsayable for each in ledger.segments), fillers, bool(heard), bool(unheard)


def _observed(observed: ObservedState) -> Hashable:
    lengths = tuple(map(len, (observed.generating, observed.speaking, observed.waiting, observed.calls)))
    return lengths, observed.paused, observed.over


def link_key(system: ConversationSystem, observed: ObservedState) -> Hashable:
    """The key of a call with all its links, while it connects or ends. LLM and TTS are interchangeable."""
    context = system.conversation.context
    stt, llm, tts = (_link(system, role) for role in (Role.STT, Role.LLM, Role.TTS))
    return (
        system.conversation.state,
        context.recording.stop_pending,
        context.end_reason,
        stt,
        frozenset(Counter((llm, tts)).items()),
        _observed(observed),
    )


def _link(system: ConversationSystem, role: Role) -> Hashable:
    link = system.links[role]
    was_up = role in system.conversation.context.links.up
    context = link.context
    return (
        link.state,
        context.rounds,
        context.provider,
        context.tried,
        context.refused,
        context.unable,
        context.silent,
        context.known_down,
        context.deadline_armed is None,
        was_up,
    )
