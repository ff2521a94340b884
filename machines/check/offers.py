"""The offers: which facts can happen at a moment, as far as any guard or action tells them apart.

Each event is offered about what is current, about what is not, and about what never was; texts are words or
nothing; playback stands at nothing, in the middle, or at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from machines import facts
from machines.check.books import Books
from machines.context import Context
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Request, Role, TurnMode
from machines.link import LinkContext
from machines.system import ConversationSystem

Offers = Callable[[ConversationSystem, Books], Iterator[Fact]]

UNKNOWN = 10**6
"""A number that nothing bears."""
PASSING = ProviderFailure(ErrorClass.CONNECTION, "connection lost")
FATAL = ProviderFailure(ErrorClass.FATAL, "no such model")
SEGMENT_MS = 1000.0
"""How long a segment's audio is."""
MOST_SEGMENTS = 2
MOST_WAITING = 1
"""How many requests may wait for an answer."""


def conversation_offers(system: ConversationSystem, books: Books) -> Iterator[Fact]:
    """Everything that the conversation machine can be told, its links' news included."""
    context = system.conversation.context
    yield from _links(tuple(Role) if system.conversation.state == "connecting" else (Role.STT,))
    yield from _hands(books)
    yield from _voice()
    yield from _words(context)
    yield from _model(context)
    yield from _playback(context)
    yield from _time(context)


def _links(roles: tuple[Role, ...]) -> Iterator[Fact]:
    """Once all links were up, only the role that has turns is told apart."""
    for role in roles:
        yield facts.LinkUp(role)
        yield facts.LinkDown(role, PASSING)


def _hands(books: Books) -> Iterator[Fact]:
    request = Request("request", f"after {len(books.asked)} answers, {len(books.waiting)} waiting")
    # When the call is over nobody reads requests any more.
    asking = len(books.waiting) < MOST_WAITING and not books.over
    requests = (None, request) if asking else (None,)
    for each in requests:
        for mode in TurnMode:
            yield facts.RecordingStarted(mode, each)
        yield facts.RecordingStopped(each)
    yield facts.InterruptRequested()
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)


def _voice() -> Iterator[Fact]:
    yield facts.SpeechStarted()
    yield facts.SpeechStopped(speech_ms=300)


def _words(context: Context) -> Iterator[Fact]:
    for turn in _numbers(context.turn, context.turn_awaited):
        for text in ("well", ""):
            yield facts.TranscriptInterim(turn, text)
            yield facts.TranscriptFinal(turn, text)
        yield facts.TranscriptionFailed(turn, PASSING)


def _model(context: Context) -> Iterator[Fact]:
    for generation in _numbers(context.generation_open):
        segment = len(context.ledger.segments) if context.speech_open is not None else 0
        if segment < MOST_SEGMENTS:
            yield facts.SegmentReady(generation, segment, "yes indeed.")
        yield facts.GenerationFinished(generation)
        yield facts.GenerationFailed(generation, PASSING)
        yield facts.GenerationFailed(generation, FATAL)


def _playback(context: Context) -> Iterator[Fact]:
    for utterance in _numbers(context.speech_open):
        silent = [n for n, segment in enumerate(context.ledger.segments) if segment.duration_ms is None]
        if silent or utterance == UNKNOWN:
            yield facts.SegmentVoiced(utterance, next(iter(silent), 0), SEGMENT_MS)
        yield facts.PlaybackAt(utterance, 0, playing=True)
        yield facts.PlaybackAt(utterance, 0.6 * SEGMENT_MS, playing=True)
        yield facts.PlaybackAt(utterance, MOST_SEGMENTS * SEGMENT_MS, playing=False)
        yield facts.PlaybackFinished(utterance)
        yield facts.SynthesisFailed(utterance, PASSING)


def _time(context: Context) -> Iterator[Fact]:
    for number in _numbers(context.deadline_armed):
        yield facts.DeadlinePassed(number)
    yield facts.EverythingClosed()


def _numbers(*current: int | None) -> tuple[int, ...]:
    return (*dict.fromkeys(number for number in current if number is not None), UNKNOWN)


def link_offers(system: ConversationSystem, books: Books) -> Iterator[Fact]:
    """Everything that the links can be told, and what of the conversation bears on them."""
    for role, driver in system.links.items():
        yield from _link(role, driver.context)
    conversation = system.conversation
    if conversation.state == "connecting":
        request = Request("request", str(len(books.waiting)))
        if not books.waiting:
            yield facts.RecordingStarted(TurnMode.MANUAL, request)
        yield facts.RecordingStopped()
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield from _time(conversation.context)


def one_link_offers(system: ConversationSystem, _: Books) -> Iterator[Fact]:
    """Everything that the speech-to-text link can be told, and the end."""
    yield from _link(Role.STT, system.links[Role.STT].context)
    yield facts.LinkReleased(Role.STT)
    yield facts.HungUp(EndReason.CALLER_HUNG_UP)
    yield from _time(system.conversation.context)


def _link(role: Role, context: LinkContext) -> Iterator[Fact]:
    for attempt in _numbers(context.attempt):
        yield facts.LinkOpened(role, attempt)
        yield facts.LinkFailed(role, attempt, PASSING)
        yield facts.LinkFailed(role, attempt, FATAL)
    for number in _numbers(context.deadline_armed):
        yield facts.LinkDeadlinePassed(role, number)
    yield facts.LinkWanted(role)
