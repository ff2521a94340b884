"""The outcome of a call for its caller: what was heard and when, how long the silences were, and why."""

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
from tests.faults.calls import SCRIPT, FinishedCall, Turn

MARKER = " ||BREAK||"


class TurnResult(enum.Enum):
    """The outcome of a turn of the caller."""

    ANSWER = "answer"
    ANSWER_AFTER_RETRY = "answer after retry"
    """By the same provider, over another connection or by another request."""
    ANSWER_AFTER_FAILOVER = "answer by the second provider"
    PART = "part of the answer"
    """The rest is lost, and the client was told."""
    GARBLED = "garbled answer"
    """A whole answer, but not what the model said. Nothing could detect that."""
    FALLBACK = "fallback"
    """A text of our own instead of the model's."""
    APOLOGY = "apology"
    """The caller is told that the turn was not understood."""
    INTERRUPTED = "interrupted by the caller"
    TOLD = "no answer, client told"
    """No sound, but the client was told of the error, and the caller may go on."""
    SILENCE = "silence"
    """No sound, and the client was not told."""
    ENDED = "call ended, reason told"
    HUNG_UP = "caller hung up"


@frozen
class TurnOutcome:
    """The outcome of one turn with its details. Times are seconds."""

    result: TurnResult
    understood: str
    """The caller's words in the request to the model; empty if there was none."""
    heard: tuple[str, ...]
    """The text of each answer, and how much was heard if it was not all."""
    first_sound: float | None
    """The time from the caller's last word; None if nothing was heard."""
    silence: float
    """The longest silence from the caller's last word until it is the caller's turn or the call is over."""
    gap: float
    """The longest silence within an answer."""


@frozen
class CallOutcome:
    """The outcome of a whole call."""

    turns: tuple[TurnOutcome, ...]
    paths: tuple[str, ...]
    """The ways of machines that differ from a call without faults."""
    client_errors: tuple[str, ...]
    ended_because: str
    closing: float
    """Seconds from when the caller hung up to the end of the call."""


def outcome_of(finished: FinishedCall) -> CallOutcome:
    """The outcome of a call that is over."""
    caller = finished.call.caller
    return CallOutcome(
        tuple(_turn_outcome(finished, turn) for turn in finished.turns),
        tuple(_paths(finished)),
        tuple(error.value for error in caller.client_errors()),
        ", ".join(reason.value for reason in caller.closed_for),
        finished.ended_at - finished.hung_up_at,
    )


# --- sound ------------------------------------------------------------------------------------------------


def _turn_outcome(finished: FinishedCall, turn: Turn) -> TurnOutcome:
    playbacks = [
        playback
        for playback in finished.call.caller.playbacks
        if turn.began_at <= playback.begun_at_ms / 1000 <= turn.settled_at and playback.chunks
    ]
    sounds = [sound for playback in playbacks for sound in _sounds(playback)]
    silences = list(_silences(turn.spoken_until, turn.settled_at, sounds))
    first = max(0.0, sounds[0][0] - turn.spoken_until) if sounds else None
    return TurnOutcome(
        _result(finished, turn, playbacks),
        turn.asked,
        tuple(_heard(finished, playback) for playback in playbacks),
        first,
        max(silences, default=0.0),
        max(silences[1:] if sounds else (), default=0.0),
    )


def _sounds(playback: Playback) -> Iterator[tuple[float, float]]:
    """When it sounded, as (from, to) in seconds."""
    free_at = 0.0
    until = float("inf") if playback.stopped_at_ms is None else playback.stopped_at_ms
    for chunk in playback.chunks:
        start = max(chunk.at_ms, free_at)
        free_at = start + chunk.duration_ms
        if start < until:
            yield start / 1000, min(free_at, until) / 1000


def _silences(start: float, end: float, sounds: Iterable[tuple[float, float]]) -> Iterator[float]:
    """The silences; the first is the one before the first sound."""
    at = start
    for begins, ends in sounds:
        yield max(0.0, begins - at)
        at = max(at, ends)
    yield max(0.0, end - at)


def _heard(finished: FinishedCall, playback: Playback) -> str:
    text = _text_of(finished, playback.utterance)
    heard_ms = sum(end - start for start, end in _sounds(playback)) * 1000
    if playback.ended_with_ms is not None and playback.cause is None:
        return f"“{text}”"
    return f"{heard_ms / 1000:.2f} s of “{text}”"


def _text_of(finished: FinishedCall, utterance: int) -> str:
    told = finished.call.caller.notified_of(do.NotifySegment)
    return " ".join(segment.text for segment in told if segment.generation == utterance)


# --- how it came out --------------------------------------------------------------------------------------


def _result(finished: FinishedCall, turn: Turn, playbacks: list[Playback]) -> TurnResult:
    if turn is finished.turns[-1] and finished.call.caller.closed_for != [EndReason.CALLER_HUNG_UP]:
        return TurnResult.ENDED
    if not playbacks:
        return TurnResult.TOLD if _was_told(turn) else TurnResult.SILENCE
    policy = ConversationPolicy()
    # A filler before it changes nothing about what the answer is.
    spoken = (_text_of(finished, playback.utterance) for playback in playbacks)
    texts = {text.removeprefix(policy.thinking_filler).lstrip() for text in spoken}
    fallbacks = policy.fallback
    if fallbacks.unheard in texts:
        return TurnResult.APOLOGY
    if texts & {fallbacks.first, fallbacks.second, fallbacks.third}:
        return TurnResult.FALLBACK
    if playbacks[-1].cause is StopCause.INTERRUPTED:
        return TurnResult.INTERRUPTED
    expected = SCRIPT.answer(turn.asked).say.replace(MARKER, "")
    if playbacks[-1].cause is not None or expected not in texts:
        return TurnResult.PART if _was_told(turn) else TurnResult.GARBLED
    began_at = 0.0 if turn is finished.turns[0] else turn.began_at
    steps = [step for step in finished.call.steps if began_at <= step.fact.at_ms / 1000 <= turn.settled_at]
    if any(provider > 0 for provider in _opened(steps)):
        return TurnResult.ANSWER_AFTER_FAILOVER
    retried = turn.requests > 1 or any(step.target in _AGAIN for step in steps if step.machine in _LINKS)
    return TurnResult.ANSWER_AFTER_RETRY if retried else TurnResult.ANSWER


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
"""The second and third are with Flux, which decides about turns."""
_EXPECTED_DEADLINES = ("waiting", "pausing", "endpointing", "retrying")
"""States whose deadline passes without any fault, or for another attempt."""


def _paths(finished: FinishedCall) -> Iterator[str]:
    for machine in _LINKS:
        moves = _moves(finished.call.steps, machine)
        if any(_cause(step) for step in moves):
            yield f"{machine}: {_drawn(moves)}"
    until = finished.turns[0].settled_at * 1000 if finished.turns else float("inf")
    moves = [step for step in _moves(finished.call.steps, "conversation") if step.fact.at_ms <= until]
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
    """The way from state to state, with failures and deadlines; repetitions are counted."""
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
    """The target, and the number of the provider if it is not the first."""
    others = [f" {provider + 1}" for provider in _opened([step]) if provider]
    return step.target + "".join(others)


def _cause(step: Step) -> str:
    failure = getattr(step.fact, "failure", None)
    if isinstance(failure, ProviderFailure):
        return failure.error_class.value
    late = isinstance(step.fact, DeadlinePassed | LinkDeadlinePassed)
    return "deadline" if late and step.source not in _EXPECTED_DEADLINES else ""
