"""The enabled facts: what can happen in a configuration, as far as any guard or action tells it apart.

Each fact is enabled about what is current, about what is over, and about what never existed. Texts are words
or empty. Playback is at the beginning, in the middle or at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from machines import facts
from machines.check.invariants import HOSTS_TEXT
from machines.check.observer import ObservedState
from machines.conversation.context import Context
from machines.evidence import VoiceHeard
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Request, Role, SayMode, TurnMode
from machines.failover_and_retries import LinkContext
from machines.system import ConversationSystem
from machines.tools import ToolCall

EnabledFacts = Callable[[ConversationSystem, ObservedState], Iterator[Fact]]

UNKNOWN = 10**6
"""A number that nothing has."""
PASSING = ProviderFailure(ErrorClass.CONNECTION, "connection lost")
IDLE = ProviderFailure(ErrorClass.CONNECTION, "closed with 1000", idle=True)
FATAL = ProviderFailure(ErrorClass.FATAL, "no such model")
WORDS = "well"
"""The caller's words that are not a backchannel."""
UNNOTICED, CLEAR = VoiceHeard(0, 0, 900), VoiceHeard(900, 0.9, 900)
"""Speech that voice activity detection does not notice, and speech that is clear."""
OTHER_LANGUAGE = "en-GB"
"""Another one with the same words, so that configurations with the same key still behave alike."""
MURMUR = "mhm"
"""The caller's backchannel."""
DOUBTFUL = 0.1
"""A confidence that is too low for words to count."""
SEGMENT_MS = 1000.0
"""The length of each segment's audio."""
MOST_SEGMENTS = 2
MOST_WAITING = 1
"""How many requests may wait for an answer."""
MOST_CALLS = 2
"""How many tool calls may be running."""
MOST_QUEUED = 1
"""How many turns may wait for their words while another one is answered."""


WITHOUT_PROVIDERS = (
    facts.TranscriptInterim,
    facts.EagerEndOfTurn,
    facts.TurnResumed,
    facts.TurnScored,
    facts.DigitPressed,
    facts.SayRequested,
)
"""Facts whose transitions do not depend on whether there is another provider."""


def answer_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """All facts about answers, to a caller who ends turns by hand.

    The model may ask for one tool call at first. All facts are enabled while its result is awaited. Once the
    caller goes on, and in the answer after the call, few are: other walks cover the rest. Where roles have
    another provider, what has nothing to do with providers is left out.
    """
    state, context = system.conversation.state, system.conversation.context
    if (
        state == "generating"
        and context.answer.requests == 1
        and not (context.answer.failures or context.tools.calls_made)
    ):
        yield from _calls(context, ("look",))
    if context.tools.calls_made and state not in ("running_tools", "closing", "ended"):
        yield facts.HungUp(EndReason.CALLER_HUNG_UP)
        yield facts.DigitPressed("5")
        if context.tools.running:
            yield facts.DeadlinePassed(context.deadline_armed or UNKNOWN)
            yield facts.TranscriptFinal(context.turns.awaited or UNKNOWN, WORDS)
        if context.tools.running and context.answer.generation_open is not None:
            yield facts.GenerationFailed(context.answer.generation_open, PASSING)
    else:
        fallbacks = (False, True) if not context.links.up else None
        manual = (TurnMode.MANUAL,)
        for fact in _conversation(system, observed, manual, fallbacks, MOST_SEGMENTS, unsayable=False):
            if not (context.links.fallbacks_ready and isinstance(fact, WITHOUT_PROVIDERS)):
                yield fact
    for call in context.tools.running:
        yield facts.ToolFinished(call.number, "fine")


def turn_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """All facts about turns. Every answer is one segment, and no role has another provider.

    The model gives an answer at the second request at the latest: its failures have nothing to do with turns.
    """
    # The model goes on generating a paused answer.
    segments = MOST_SEGMENTS if observed.paused else 1
    enabled = _conversation(system, observed, tuple(TurnMode), (False,), segments, strings=False)
    yield from _with_few_failures(system, enabled)
    turn = system.conversation.context.turns.current
    if system.conversation.state == "quiet":
        yield facts.TranscriptInterim(turn, f"{WORDS} {WORDS}", 0.9, voice=UNNOTICED)
    if system.conversation.state in ("hearing", "endpointing"):
        yield facts.EndOfTurn(turn, WORDS, 0.1, voice=CLEAR)


def _with_few_failures(system: ConversationSystem, enabled: Iterator[Fact]) -> Iterator[Fact]:
    """The facts without those by which an answer fails. The first request may fail, and a paused answer.

    The first request fails only while nothing waits, since whatever waits does not depend on requests.
    """
    state, context = system.conversation.state, system.conversation.context
    waiting = context.host_utterances or context.turns.queue or context.turns.queued
    first_request = None
    if context.answer.requests == 1 and not waiting:
        first_request = facts.GenerationFailed(context.answer.generation, PASSING)
    left_out: tuple[type[Fact], ...] = ()
    if state == "generating":
        left_out = (facts.GenerationFinished, facts.GenerationFailed, facts.DeadlinePassed)
    elif state == "speaking":
        left_out = (facts.SynthesisFailed, facts.DeadlinePassed)
    for fact in enabled:
        if not isinstance(fact, left_out) or fact == first_request:
            yield fact


def _conversation(
    system: ConversationSystem,
    observed: ObservedState,
    modes: tuple[TurnMode, ...],
    fallbacks: tuple[bool, ...] | None,
    most_segments: int,
    *,
    strings: bool = True,
    unsayable: bool = True,
) -> Iterator[Fact]:
    """All facts that the conversation machine can get, those about its links included."""
    context = system.conversation.context
    yield from _links(context, fallbacks, connecting=system.conversation.state == "connecting")
    yield from _hands(context, observed, modes, asking=True)
    yield from _voice(context, observed)
    yield from _keys(context, strings=strings)
    yield from _words(context)
    yield from _model(context, most_segments)
    yield from _playback(context, unsayable=unsayable)
    yield from _time(context)
    yield facts.SayRequested(HOSTS_TEXT)


def all_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """All facts of the other walks of the conversation together. Links of every role come and go."""
    context = system.conversation.context
    fallbacks = (False, True) if not context.links.up else None
    everything = _conversation(system, observed, tuple(TurnMode), fallbacks, MOST_SEGMENTS)
    yield from dict.fromkeys((*everything, *queue_enabled_facts(system, observed)))
    for role in (Role.STT, Role.TTS):
        yield facts.LinkUp(role, bool(context.links.fallbacks_ready))
        yield facts.LinkLost(role, PASSING)
    yield facts.LinkDown(Role.LLM, PASSING)
    yield facts.LanguageChanged(OTHER_LANGUAGE)
    yield facts.EagerEndOfTurn(context.turns.current, f"{WORDS} {WORDS} {WORDS}")
    for mode in SayMode:
        for interruptible in (True, False):
            yield facts.SayRequested(HOSTS_TEXT, mode, interruptible)
            yield facts.SayRequested(HOSTS_TEXT, mode, interruptible, EndReason.HANDED_OVER)
    if len(observed.calls) + len(context.calls_waiting()) < MOST_CALLS:
        yield from _calls(context, *((tool.name,) for tool in context.policy.tools))
    if not observed.calls and not context.calls_waiting():
        yield from _calls(context, ("look", "note"), ("search", "book"))
    for number in _numbers(*(call.number for call in context.tools.running)):
        yield facts.ToolFinished(number, "fine")
        yield facts.ToolFinished(number, "no way", failed=True)


def host_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """The facts that matter for host utterances, where only some answers can be interrupted."""
    yield from _with_few_failures(system, queue_enabled_facts(system, observed))
    context = system.conversation.context
    if system.conversation.state == "speculating":
        yield facts.EagerEndOfTurn(context.turns.current, f"{WORDS} {WORDS} {WORDS}")
    if system.conversation.state == "quiet" and context.turns.current == 1:
        yield facts.DigitPressed("5")
    if (context.turns.queue or context.turns.queued) and system.conversation.state != "quiet":
        # Whether a host utterance or a turn came first makes no difference later.
        return
    if system.conversation.state == "quiet":
        yield facts.SayRequested(HOSTS_TEXT, SayMode.WHEN_IDLE)
    yield facts.SayRequested(HOSTS_TEXT, SayMode.QUEUE)
    handed_over = EndReason.HANDED_OVER
    yield facts.SayRequested(HOSTS_TEXT, SayMode.INTERRUPT, interruptible=False, then=handed_over)


def tool_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """The facts that matter for tool calls that the caller's voice or hand, or a host, can interrupt.

    The caller's turns begin by voice and end when they have lasted too long. Every answer is one segment. The
    model asks for one call or for two; after one that was given up, only for another of the same tool. Hosts
    interrupt calls of one tool only, while nothing else was said. Links stay up or are lost for good.
    """
    state, context = system.conversation.state, system.conversation.context
    yield from _around_calls(system)
    running = {name for _, name in observed.calls}
    if state == "hearing" and running == {"look"} and len(observed.calls) < MOST_CALLS:
        yield facts.EagerEndOfTurn(context.turns.current, WORDS)
    if not observed.calls:
        yield from _calls(context, ("look",), ("search",), ("note",), ("look", "note"))
    elif running == {"look"} and len(observed.calls) < MOST_CALLS:
        yield from _calls(context, ("look",))
    if (
        state == "running_tools"
        and not context.tools.fillers
        and not context.host_utterances
        and running <= {"note"}
    ):
        yield facts.SayRequested(HOSTS_TEXT, SayMode.INTERRUPT)


def blocking_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """The facts that matter for tool calls that voice does not interrupt, and for turns that wait meanwhile.

    All else is as in `tool_enabled_facts`, with one call at a time.
    """
    context = system.conversation.context
    yield from _around_calls(system)
    if _room_for_a_turn(context):
        yield facts.SpeechStopped(speech_ms=300)
    if not observed.calls:
        yield from _calls(context, ("book",))
    if system.conversation.state == "running_tools":
        yield from _keys(context, strings=False)
        yield facts.RecordingStarted(TurnMode.AUTOMATIC)
        for turn in context.turns.queued:
            yield facts.TranscriptionFailed(turn, PASSING)
        if context.answer.said_at is None and not context.turns.queued:
            yield facts.RecordingStopped()
            yield facts.SayRequested(HOSTS_TEXT)


def _calls(context: Context, *asked: tuple[str, ...]) -> Iterator[Fact]:
    if context.answer.generation_open is not None:
        for names in asked:
            calls = tuple(ToolCall(name, name, "{}") for name in names)
            yield facts.GenerationFinished(context.answer.generation_open, calls)


def _around_calls(system: ConversationSystem) -> Iterator[Fact]:
    context = system.conversation.context
    if system.conversation.state == "connecting":
        yield facts.RecordingStarted(TurnMode.AUTOMATIC)
        for role in Role:
            yield facts.LinkUp(role)
    yield facts.LinkDown(Role.STT, PASSING)
    yield facts.InterruptRequested()
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield facts.SpeechStarted()
    for turn in _numbers(context.turns.awaited, *context.turns.queued):
        for text in (WORDS, ""):
            yield facts.TranscriptFinal(turn, text)
    generation, utterance = context.answer.generation_open, context.answer.speech_open
    if generation is not None:
        if utterance is None:
            yield facts.SegmentReady(generation, 0, "yes indeed.")
        if not context.answer.failures:
            yield facts.GenerationFailed(generation, FATAL)
        yield facts.GenerationFinished(generation)
    for number in _numbers(*(call.number for call in context.tools.running)):
        yield facts.ToolFinished(number, "fine")
    for call in context.tools.running:
        if call.name == "note":
            yield facts.ToolFinished(call.number, "no pencil", failed=True)
    if utterance is not None:
        yield facts.PlaybackAt(utterance, SEGMENT_MS, playing=False)
        yield facts.PlaybackFinished(utterance)
    if context.deadline_armed is not None:
        yield facts.DeadlinePassed(context.deadline_armed)
    yield facts.EverythingClosed()


def queue_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """The facts that matter for turns that wait for the end of an answer. Other facts only while none waits.

    Links stay up or are lost for good. The caller keeps to one turn mode, the automatic one if there is a
    host. Every answer is one segment, heard or not. Text to speech fails only for good.
    """
    context = system.conversation.context
    connecting = system.conversation.state == "connecting"
    if connecting:
        for role in Role:
            yield facts.LinkUp(role)
    yield facts.LinkDown(Role.STT, PASSING)
    # With a host there are no keys and no requests, to keep the walk short.
    hosted = context.policy.max_host_utterances > 0
    if not hosted:
        yield from _keys(context, strings=False)
    modes = (TurnMode.AUTOMATIC,) if hosted else tuple(TurnMode)
    yield from _hands(
        context, observed, modes if connecting else (context.recording.mode,), asking=not hosted
    )
    yield from _voice(context, observed)
    for turn in _numbers(context.turns.current, context.turns.awaited, *context.turns.queued):
        for text in _texts(context, turn):
            yield facts.TranscriptFinal(turn, text)
            yield facts.TranscriptFinal(turn, text, speech_ms=800)
            yield facts.EndOfTurn(turn, text)
            if context.answer.speech_open is not None:
                yield facts.TranscriptInterim(turn, text)
                yield facts.EagerEndOfTurn(turn, text)
        yield facts.TranscriptInterim(turn, WORDS)
        yield facts.TranscriptionFailed(turn, PASSING)
    if not (context.turns.queue or context.host_utterances or context.recording.unanswered):
        yield facts.EagerEndOfTurn(context.turns.current, WORDS)
    generation, utterance = context.answer.generation_open, context.answer.speech_open
    if generation is not None:
        if utterance is None and not context.speculation.segments:
            yield facts.SegmentReady(generation, 0, "yes indeed.")
        yield facts.GenerationFinished(generation)
        if not context.answer.failures:
            yield facts.GenerationFailed(generation, PASSING)
    if utterance is not None:
        yield facts.PlaybackAt(utterance, SEGMENT_MS, playing=False)
        yield facts.PlaybackFinished(utterance)
        yield facts.SynthesisFailed(utterance, FATAL, attempt=context.answer.speech_attempt)
    if context.deadline_armed is not None:
        yield facts.DeadlinePassed(context.deadline_armed)
    yield facts.EverythingClosed()


def language_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """A change of the caller's language in every state, doubtful words, early keys, and what it takes to get
    there."""
    del observed  # what was seen outside makes no difference here
    state, context = system.conversation.state, system.conversation.context
    turns, answer = context.turns, context.answer
    yield facts.LanguageChanged(OTHER_LANGUAGE)
    if state == "connecting":
        for role in Role:
            yield facts.LinkUp(role)
        if not context.recording.begun_before:
            yield facts.RecordingStarted(TurnMode.AUTOMATIC)
        if not turns.queue:
            yield facts.DigitPressed("#" if turns.digits else "5")
    if state == "quiet" and turns.current == 1:
        yield facts.SpeechStarted()
        yield facts.DigitPressed("5")
        yield facts.LinkDown(Role.STT, PASSING)
    if state in ("hearing", "paused"):
        yield facts.SpeechStopped(speech_ms=300)
    if state == "endpointing" and turns.current == 1:
        yield facts.EagerEndOfTurn(turns.current, WORDS)
    if state == "finalizing" and turns.awaited is not None:
        yield facts.TranscriptFinal(turns.awaited, WORDS)
        yield facts.TranscriptFinal(turns.awaited, WORDS, DOUBTFUL)
    if state == "generating" and answer.generation_open is not None and answer.requests <= 1:
        yield facts.SegmentReady(answer.generation_open, 0, "yes indeed.")
        yield facts.GenerationFailed(answer.generation_open, PASSING)
        if not context.tools.calls_made:
            yield from _calls(context, ("look",))
    if state == "speaking" and turns.current <= 2:
        yield facts.SpeechStarted()
    if state in ("endpointing", "keypad") and context.deadline_armed is not None:
        yield facts.DeadlinePassed(context.deadline_armed)
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield facts.EverythingClosed()


def filler_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """One turn by voice, and all facts about an answer that begins with a filler, or does not."""
    del observed  # what was seen outside makes no difference here
    state, context = system.conversation.state, system.conversation.context
    turns, answer = context.turns, context.answer
    if state == "connecting":
        for role in Role:
            yield facts.LinkUp(role)
        if not context.recording.begun_before:
            yield facts.RecordingStarted(TurnMode.AUTOMATIC)
    if answer.generation_open is not None or answer.speech_open is not None:
        yield facts.SpeechStarted()
        yield facts.InterruptRequested()
        yield from _model(context, MOST_SEGMENTS)
        yield from _playback(context)
        yield from _time(context)
    elif not answer.generation:
        yield facts.SpeechStarted()
        yield facts.DeadlinePassed(context.deadline_armed or UNKNOWN)
    elif state in ("retrying", "closing"):
        yield facts.DeadlinePassed(context.deadline_armed or UNKNOWN)
    if state in ("hearing", "paused"):
        yield facts.SpeechStopped(speech_ms=300)
    if state in ("finalizing", "confirming") and turns.awaited is not None:
        for text in (WORDS, ""):
            yield facts.TranscriptFinal(turns.awaited, text)
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield facts.EverythingClosed()


def _links(context: Context, fallbacks: tuple[bool, ...] | None, *, connecting: bool) -> Iterator[Fact]:
    """Either all roles have another provider or none has. Without `fallbacks` this stays as it is."""
    fallbacks = fallbacks or (bool(context.links.fallbacks_ready),)
    # Whether the caller can be told of a loss depends on the role that is lost.
    for role in tuple(Role) if connecting else (Role.LLM,):
        for fallback_ready in fallbacks:
            yield facts.LinkUp(role, fallback_ready)
        yield facts.LinkLost(role, PASSING)
    for role in tuple(Role) if connecting else (Role.STT, Role.TTS):
        yield facts.LinkDown(role, PASSING)
    yield facts.PreferredProviderRecovered(Role.STT, 0)


def _hands(
    context: Context, observed: ObservedState, modes: tuple[TurnMode, ...], *, asking: bool
) -> Iterator[Fact]:
    request = Request("request", f"after {len(observed.asked)} answers, {len(observed.waiting)} waiting")
    # Nobody reads requests after the end of the call.
    asking = asking and len(observed.waiting) < MOST_WAITING and not observed.over
    requests = (None, request) if asking else (None,)
    for each in requests:
        for mode in modes:
            yield facts.RecordingStarted(mode, each)
        if _room_for_a_turn(context):
            yield facts.RecordingStopped(each)
    yield facts.InterruptRequested()
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)


def _room_for_a_turn(context: Context) -> bool:
    """Whether another turn may wait. None does behind a host utterance, which waits by itself."""
    waits = context.host_utterances and context.answer.speech_open is not None
    return len(context.turns.queued) < MOST_QUEUED and not waits


def _keys(context: Context, *, strings: bool = True) -> Iterator[Fact]:
    """The keys of the telephone. Without `strings` the caller presses one, then the last one.

    Keys before the first turn are in `language_enabled_facts`, to keep the other walks short.
    """
    if not context.turns.current:
        return
    if strings or not context.turns.digits:
        yield facts.DigitPressed("5")
    if context.turns.digits:
        yield facts.DigitPressed("#")


def _voice(context: Context, observed: ObservedState) -> Iterator[Fact]:
    yield facts.SpeechStarted()
    if _room_for_a_turn(context):
        yield facts.SpeechStopped(speech_ms=300)
    if observed.paused:
        yield facts.SpeechStopped(speech_ms=100)


def _words(context: Context) -> Iterator[Fact]:
    for turn in _numbers(context.turns.current, context.turns.awaited, *context.turns.queued):
        for text in _texts(context, turn):
            yield facts.TranscriptInterim(turn, text)
            yield facts.TranscriptFinal(turn, text)
            yield facts.TranscriptFinal(turn, text, speech_ms=800)
            yield facts.EndOfTurn(turn, text)
        yield facts.EagerEndOfTurn(turn, WORDS)
        yield facts.TurnResumed(turn)
        yield facts.TurnScored(turn, completeness=0.9)
        yield facts.TranscriptionFailed(turn, PASSING)


def _texts(context: Context, turn: int) -> tuple[str, ...]:
    """The texts of a turn. A backchannel is one of them where words can interrupt an answer."""
    if turn == UNKNOWN:
        return (WORDS,)
    words_can_interrupt = context.answer.speech_open is not None and context.policy.barge_in_min_words > 0
    return (WORDS, MURMUR, "") if words_can_interrupt else (WORDS, "")


def _model(context: Context, most_segments: int) -> Iterator[Fact]:
    for generation in _numbers(context.answer.generation_open):
        segment = len(context.speculation.segments)
        if context.answer.speech_open is not None:
            segment = len(context.answer.ledger.segments)
        if segment < most_segments:
            for text in dict.fromkeys(("yes indeed.", "no, never.")[: 1 + segment]):
                yield facts.SegmentReady(generation, segment, text)
        yield facts.GenerationAlive(generation)
        yield facts.GenerationFinished(generation)
        yield facts.GenerationFailed(generation, PASSING)
        yield facts.GenerationFailed(generation, FATAL)


def _playback(context: Context, *, unsayable: bool = True) -> Iterator[Fact]:
    for utterance in _numbers(context.answer.speech_open):
        silent = [
            n for n, segment in enumerate(context.answer.ledger.segments) if segment.duration_ms is None
        ]
        if silent or utterance == UNKNOWN:
            yield facts.SegmentVoiced(
                utterance, next(iter(silent), 0), SEGMENT_MS, attempt=context.answer.speech_attempt
            )
            yield facts.SegmentVoiced(utterance, next(iter(silent), 0), SEGMENT_MS, attempt=UNKNOWN)
            if unsayable:
                yield facts.SegmentVoiced(
                    utterance,
                    next(iter(silent), 0),
                    0.0,
                    attempt=context.answer.speech_attempt,
                    unsayable=True,
                )
        yield facts.PlaybackAt(utterance, 0, playing=True)
        if utterance == UNKNOWN:
            yield facts.PlaybackFinished(utterance)
            yield facts.SynthesisFailed(utterance, PASSING)
            continue
        yield facts.PlaybackAt(utterance, 0.6 * SEGMENT_MS, playing=True)
        yield facts.PlaybackAt(utterance, MOST_SEGMENTS * SEGMENT_MS, playing=False)
        yield facts.PlaybackFinished(utterance)
        for failure in (PASSING, FATAL):
            yield facts.SynthesisFailed(
                utterance, failure, 0.6 * SEGMENT_MS, attempt=context.answer.speech_attempt
            )


def _time(context: Context) -> Iterator[Fact]:
    for number in _numbers(context.deadline_armed):
        yield facts.DeadlinePassed(number)
    if context.deadline_armed is not None and context.answer.generation_open is not None:
        # The first is late enough for the model to have stalled, the second for the answer to be too long.
        yield facts.DeadlinePassed(context.deadline_armed, at_ms=context.model_due_at())
        over = context.answer.thinking_began + context.policy.answer_timeout_ms
        yield facts.DeadlinePassed(context.deadline_armed, at_ms=over)
    yield facts.EverythingClosed()


def _numbers(*current: int | None) -> tuple[int, ...]:
    return (*dict.fromkeys(number for number in current if number is not None), UNKNOWN)


def link_enabled_facts(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """All facts that the links can get, and those of the conversation that matter for links."""
    for role, driver in system.links.items():
        yield from _link(role, driver.context)
    conversation = system.conversation
    if conversation.state == "connecting":
        request = Request("request", str(len(observed.waiting)))
        if not observed.waiting:
            yield facts.RecordingStarted(TurnMode.MANUAL, request)
        yield facts.RecordingStopped()
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield from _time(conversation.context)


def one_link_enabled_facts(system: ConversationSystem, _: ObservedState) -> Iterator[Fact]:
    """All facts that the speech-to-text link can get, and the end of the call."""
    context = system.links[Role.STT].context
    yield from _link(Role.STT, context)
    for provider in range(context.providers):
        yield facts.ProviderDown(Role.STT, provider)
        yield facts.ProviderRecovered(Role.STT, provider)
        yield facts.LinkReturnWanted(Role.STT, provider)
        yield facts.LinkRenewalWanted(Role.STT, (provider,))
    yield facts.LinkRenewalWanted(Role.STT)
    for failure in (PASSING, FATAL):
        yield facts.LinkReplacementWanted(Role.STT, failure)
        yield facts.LinkReplacementWanted(Role.STT, failure, at_ms=context.policy.least_up_ms)
    yield facts.LinkReleased(Role.STT)
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield from _time(system.conversation.context)


def _link(role: Role, context: LinkContext) -> Iterator[Fact]:
    for attempt in _numbers(context.attempt):
        yield facts.LinkOpened(role, attempt)
        yield facts.LinkFailed(role, attempt, PASSING)
        yield facts.LinkFailed(role, attempt, IDLE)
        yield facts.LinkFailed(role, attempt, FATAL)
    if role is Role.LLM:
        yield facts.LinkReplacementWanted(role, PASSING)
    for number in _numbers(context.deadline_armed):
        yield facts.LinkDeadlinePassed(role, number)
    yield facts.LinkWanted(role)
    yield facts.LinkNeeded(role)
