"""Checks of a whole simulated call once it is over: audio, answers, history, tool calls, and its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from machines import effects as do
from machines import facts
from machines.conversation.deadlines import AFTER_AUDIO, longest_ms
from machines.declarations import Outcome
from machines.history import Message, Speaker
from machines.link import longest_ms as longest_of_link_ms
from orchestrator.simulation.call import SimulatedCall

SLACK_MS = 0.1
"""Tolerance for rounded times, and for the sample at which a paused answer is cut."""
HELD_BACK_MS = 8
"""The most audio that is lost in the resampler when text to speech breaks off."""


def failed_checks(call: SimulatedCall) -> list[str]:
    """What the call did wrong, in words. To be called when the call is over."""
    return [
        *call.caller.complaints,
        *_audio(call),
        *_answers(call),
        *_history(call),
        *_calls(call),
        *_deadlines(call),
        *_end(call),
    ]


def _audio(call: SimulatedCall) -> Iterator[str]:
    pacing = call.caller.pacing
    for playback in call.caller.playbacks:
        name = f"utterance {playback.utterance}"
        if not playback.over:
            yield f"{name} was neither ended nor stopped"
        if playback.ahead_ms() > pacing.lead_ms + pacing.chunk_ms + SLACK_MS:
            yield f"{name} was {playback.ahead_ms()} ms ahead"
        if playback.ended_with_ms is not None and abs(playback.ended_with_ms - playback.sent_ms()) > 1:
            yield f"{name} ended with {playback.ended_with_ms} ms, but {playback.sent_ms()} ms were sent"


def _answers(call: SimulatedCall) -> Iterator[str]:
    """Every request is acknowledged or refused exactly once."""
    asked = [
        step.fact.request
        for step in call.steps
        if isinstance(step.fact, facts.RecordingStarted | facts.RecordingStopped)
        and step.outcome is Outcome.TAKEN
        and step.fact.request
    ]
    answered = [effect.request for effect in call.caller.notified_of(do.Acknowledge)]
    answered += [effect.request for effect in call.caller.notified_of(do.Refuse)]
    for request in asked:
        if answered.count(request) != 1:
            yield f"{request.event_type} was answered {answered.count(request)} times"
    for step in call.steps:
        if step.outcome is Outcome.UNDECLARED:
            yield f"{step.reason}"


def _history(call: SimulatedCall) -> Iterator[str]:
    """The model is told what was said, speakers taking turns, and of its own answers what was heard."""
    for messages in (request for model in call.providers.models() for request in model.requests):
        told = [message for message in messages if message.speaker is not Speaker.SYSTEM]
        if not all(_follows(before, after) for before, after in pairwise((None, *told))):
            yield f"speakers do not take turns: {[message.speaker for message in told]}"
    for model in call.providers.models():
        if model.requests:
            yield from _heard(call, model.requests[-1])


def _follows(before: Message | None, after: Message | None) -> bool:
    """Whether `after` may follow `before` in a request. None as `before` stands for the beginning: the caller
    speaks first, or a greeting stands before their words."""
    if before is None or after is None:
        return after is not None and not after.calls
    if after.speaker is before.speaker is Speaker.USER:
        return False
    # After the results of its tool calls the model speaks again, in another message.
    return after.speaker is Speaker.USER or before.speaker is Speaker.USER or bool(before.calls)


def _heard(call: SimulatedCall, messages: tuple[Message, ...]) -> Iterator[str]:
    # The last message is left out: if it is the beginning of an answer, the rest of it is asked for.
    told = [message for message in messages[:-1] if message.speaker is Speaker.ASSISTANT and message.text]
    heard_ms = [
        heard
        for playback in call.caller.playbacks
        if (heard := playback.heard_ms(playback.stopped_at_ms or float("inf"))) > 0
    ]
    breaks = sum(isinstance(step.fact, facts.SynthesisFailed) for step in call.steps)
    for message in told:
        if not any(abs((message.heard_ms or 0) - heard) < 1 + HELD_BACK_MS * breaks for heard in heard_ms):
            yield f"history says {message.heard_ms} ms were heard, the caller heard {heard_ms}"


def _calls(call: SimulatedCall) -> Iterator[str]:
    """Every call of a tool has exactly one result."""
    effects = [effect for step in call.steps for effect in step.effects]
    finished = Counter(step.fact.call for step in call.steps if isinstance(step.fact, facts.ToolFinished))
    # A conversation that had to be abandoned may have left calls without a result.
    least = 0 if any(isinstance(effect, do.AbandonConversation) for effect in effects) else 1
    for effect in effects:
        if isinstance(effect, do.RunTool) and not least <= finished[effect.call] <= 1:
            yield f"call {effect.call} of a tool had {finished[effect.call]} results"


def _deadlines(call: SimulatedCall) -> Iterator[str]:
    """No deadline was longer than the diagrams say. How much audio was left is not known here."""
    for step in call.steps:
        for effect in step.effects:
            match effect:
                case do.ArmDeadline(delay_ms=delay_ms) if step.target not in AFTER_AUDIO:
                    longest = longest_ms(step.target, call.policy)
                case do.ArmLinkDeadline(delay_ms=delay_ms):
                    longest = longest_of_link_ms(step.target, call.policy.link)
                case _:
                    continue
            if longest is not None and delay_ms > longest + SLACK_MS:
                yield f"{step.target} of the {step.machine} may last {delay_ms} ms, but {longest} are drawn"


def _end(call: SimulatedCall) -> Iterator[str]:
    if call.state != "ended":
        yield f"the call is over in {call.state}"
    if len(call.caller.closed_for) != 1:
        yield f"closed {len(call.caller.closed_for)} times"
    if call.providers.in_use():
        yield f"{call.providers.in_use()} links or streams are still open"
