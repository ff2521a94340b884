"""What a call came to, from its caller's point of view: heard, when, how long it was silent, and why."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from attrs import frozen

from machines import effects as do
from machines.declarations import Outcome, Step
from machines.effects import StopCause
from machines.facts import DeadlinePassed, EndReason, LinkDeadlinePassed, ProviderFailure
from machines.policy import ConversationPolicy
from orchestrator.simulation.caller import Playback
from tests.faults.calls import SCRIPT, Held, Turn

MARKER = " ||BREAK||"


class Came(enum.Enum):
    """How a turn of the caller's came out."""

    ANSWER = "answer"
    ANSWER_AFTER_RETRY = "answer after retry"
    """From the same provider, by another connection or request."""
    ANSWER_AFTER_FAILOVER = "answer by the second provider"
    PART = "part of the answer"
    """The rest is lost; the client was told so."""
    GARBLED = "garbled answer"
    """In full, but not what the model said; nobody could know."""
    FALLBACK = "fallback"
    """A text of our own in the place of the model's."""
    APOLOGY = "apology"
    """The caller is told not to have been heard."""
    INTERRUPTED = "interrupted by the caller"
    TOLD = "no answer, client told"
    """No sound, but the client was told what went wrong, and the caller may speak on."""
    SILENCE = "silence"
    """Nobody was told anything."""
    ENDED = "call ended, reason told"
    HUNG_UP = "caller hung up"


@frozen
class TurnOutcome:
    """What one turn of the caller's came to. Times in seconds."""

    came: Came
    understood: str
    """What the model was told that the caller said; empty if it was not asked."""
    heard: tuple[str, ...]
    """Each answer: its text, and if it was not heard in full, how much was."""
    first_sound: float | None
    """From the caller's last word; None if nothing was heard."""
    silence: float
    """The longest, from the caller's last word until the caller is waited for again, or the call is over."""
    gap: float
    """The longest within an answer."""


@frozen
class CallOutcome:
    """What a whole call came to."""

    turns: tuple[TurnOutcome, ...]
    paths: tuple[str, ...]
    """What the machines went through that they do not in a call without faults."""
    client_errors: tuple[str, ...]
    ended_because: str
    closing: float
    """Seconds from the caller's hanging up to the end of everything."""


def outcome_of(held: Held) -> CallOutcome:
    """Of a call that is over."""
    caller = held.call.caller
    return CallOutcome(
        tuple(_turn_outcome(held, turn) for turn in held.turns),
        tuple(_paths(held)),
        tuple(error.value for error in caller.client_errors()),
        ", ".join(reason.value for reason in caller.closed_for),
        held.ended_at - held.hung_up_at,
    )


# --- sound ------------------------------------------------------------------------------------------------


def _turn_outcome(held: Held, turn: Turn) -> TurnOutcome:
    playbacks = [
        playback
        for playback in held.call.caller.playbacks
        if turn.began_at <= playback.begun_at_ms / 1000 <= turn.settled_at and playback.chunks
    ]
    sounds = [sound for playback in playbacks for sound in _sounds(playback)]
    silences = list(_silences(turn.spoken_until, turn.settled_at, sounds))
    first = max(0.0, sounds[0][0] - turn.spoken_until) if sounds else None
    return TurnOutcome(
        _came(held, turn, playbacks),
        turn.asked,
        tuple(_heard(held, playback) for playback in playbacks),
        first,
        max(silences, default=0.0),
        max(silences[1:] if sounds else (), default=0.0),
    )


def _sounds(playback: Playback) -> Iterator[tuple[float, float]]:
    """When it sounded, from and to, in seconds."""
    free_at = 0.0
    until = float("inf") if playback.stopped_at_ms is None else playback.stopped_at_ms
    for chunk in playback.chunks:
        start = max(chunk.at_ms, free_at)
        free_at = start + chunk.duration_ms
        if start < until:
            yield start / 1000, min(free_at, until) / 1000


def _silences(start: float, end: float, sounds: Iterable[tuple[float, float]]) -> Iterator[float]:
    """The first is the one before the first sound."""
    at = start
    for begins, ends in sounds:
        yield max(0.0, begins - at)
        at = max(at, ends)
    yield max(0.0, end - at)


def _heard(held: Held, playback: Playback) -> str:
    text = _text_of(held, playback.utterance)
    heard_ms = sum(end - start for start, end in _sounds(playback)) * 1000
    if playback.ended_with_ms is not None and playback.cause is None:
        return f"“{text}”"
    return f"{heard_ms / 1000:.2f} s of “{text}”"


def _text_of(held: Held, utterance: int) -> str:
    told = held.call.caller.notified_of(do.NotifySegment)
    return " ".join(segment.text for segment in told if segment.generation == utterance)


# --- how it came out --------------------------------------------------------------------------------------


def _came(held: Held, turn: Turn, playbacks: list[Playback]) -> Came:
    if turn is held.turns[-1] and held.call.caller.closed_for != [EndReason.CALLER_HUNG_UP]:
        return Came.ENDED
    if not playbacks:
        return Came.TOLD if _was_told(turn) else Came.SILENCE
    texts = {_text_of(held, playback.utterance) for playback in playbacks}
    fallbacks = ConversationPolicy().fallback
    if fallbacks.unheard in texts:
        return Came.APOLOGY
    if texts & {fallbacks.first, fallbacks.second, fallbacks.third}:
        return Came.FALLBACK
    if playbacks[-1].cause is StopCause.INTERRUPTED:
        return Came.INTERRUPTED
    expected = SCRIPT.answer(turn.asked).say.replace(MARKER, "")
    if playbacks[-1].cause is not None or expected not in texts:
        return Came.PART if _was_told(turn) else Came.GARBLED
    began_at = 0.0 if turn is held.turns[0] else turn.began_at
    steps = [step for step in held.call.steps if began_at <= step.fact.at_ms / 1000 <= turn.settled_at]
    if any(provider > 0 for provider in _opened(steps)):
        return Came.ANSWER_AFTER_FAILOVER
    retried = turn.requests > 1 or any(step.target in _AGAIN for step in steps if step.machine in _LINKS)
    return Came.ANSWER_AFTER_RETRY if retried else Came.ANSWER


def _was_told(turn: Turn) -> bool:
    return any(isinstance(effect, do.NotifyClientError) for effect in turn.told)


def _opened(steps: Iterable[Step]) -> Iterator[int]:
    """The providers to which links were opened."""
    for step in steps:
        yield from (effect.provider for effect in step.effects if isinstance(effect, do.OpenLink))


# --- transitions ------------------------------------------------------------------------------------------

_LINKS = ("stt link", "llm link", "tts link")
_AGAIN = ("waiting", "pausing", "reopening")
_USUAL_TURNS = (
    ("hearing", "endpointing", "finalizing", "generating", "speaking", "quiet"),
    ("hearing", "generating", "speaking", "quiet"),
    ("hearing", "endpointing", "generating", "speaking", "quiet"),
)
"""The second and third where Flux decides."""
_EXPECTED_DEADLINES = ("waiting", "pausing", "endpointing", "retrying")
"""States that their deadline ends when all goes well, or when it is time for another attempt."""


def _paths(held: Held) -> Iterator[str]:
    for machine in _LINKS:
        moves = _moves(held.call.steps, machine)
        if any(_cause(step) for step in moves):
            yield f"{machine}: {_drawn(moves)}"
    until = held.turns[0].settled_at * 1000 if held.turns else float("inf")
    moves = [step for step in _moves(held.call.steps, "conversation") if step.fact.at_ms <= until]
    while moves and moves[0].target == "quiet":
        moves = moves[1:]
    if moves and tuple(step.target for step in moves) not in _USUAL_TURNS:
        yield f"conversation: {_drawn(moves)}"


def _moves(steps: Iterable[Step], machine: str) -> list[Step]:
    return [
        step for step in steps if step.machine == machine and step.outcome is Outcome.TAKEN and _is_move(step)
    ]


def _is_move(step: Step) -> bool:
    again = (do.OpenLink, do.StartGeneration, do.RestartSpeech)
    return step.source != step.target or any(isinstance(effect, again) for effect in step.effects)


def _drawn(moves: list[Step]) -> str:
    """From state to state, with the failures and deadlines that led there; rounds are counted."""
    parts = [f"→ {_target(step)}" + (f" ({_cause(step)})" if _cause(step) else "") for step in moves]
    drawn = [moves[0].source]
    at = 0
    while at < len(parts):
        round_, times = parts[at : at + 2], 1
        while len(round_) == 2 and parts[at + 2 * times : at + 2 * times + 2] == round_:
            times += 1
        drawn += [f"[{' '.join(round_)}] × {times}"] if times > 1 else parts[at : at + 1]
        at += 2 * times if times > 1 else 1
    return " ".join(drawn)


def _target(step: Step) -> str:
    """With what is done again, or by whom."""
    others = [f" {provider + 1}" for provider in _opened([step]) if provider]
    return step.target + "".join(others)


def _cause(step: Step) -> str:
    failure = getattr(step.fact, "failure", None)
    if isinstance(failure, ProviderFailure):
        return failure.error_class.value
    late = isinstance(step.fact, DeadlinePassed | LinkDeadlinePassed)
    return "deadline" if late and step.source not in _EXPECTED_DEADLINES else ""
