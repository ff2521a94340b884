"""The observed state: what an observer of facts and effects knows about a call.

The observer does not look into the machines. The invariants are stated over the observed state, so that a
machine cannot hide an error in its own memory.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from machines import effects as do
from machines import facts
from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import Fact, Request, Role

NO_LINKS: frozenset[tuple[Role, int]] = frozenset()


@frozen(slots=False)
class ObservedState:
    """What is open at one moment. Numbers are those of facts and effects."""

    generating: frozenset[int] = frozenset()
    """Generations that were started and have not ended."""
    voided: frozenset[int] = frozenset()
    """Generations of which nothing may be said any more: cancelled, stopped, or heard to the end."""
    asked: frozenset[int] = frozenset()
    """All generations that were ever started."""
    speaking: frozenset[int] = frozenset()
    """Utterances that were begun, and neither stopped nor heard to their end."""
    said: tuple[str, ...] = ()
    """The segments of the newest utterance."""
    position_ms: float = 0.0
    """How far the newest utterance was heard at `position_at_ms`."""
    position_at_ms: float = 0.0
    playing: bool = False
    """Whether the newest utterance has gone on playing since."""
    heard_all: bool = False
    """The newest utterance was heard to its end."""
    paused: bool = False
    """The newest utterance is paused."""
    started: frozenset[int] = frozenset()
    """Answers whose beginning the client knows of, by `NotifyAnswerStarted` or `Speak`, and whose end it does
    not."""
    speculations: int = 0
    """How many speculative answers were asked for in this turn."""
    prepared: frozenset[int] = frozenset()
    """Answers whose first segment is synthesized in advance: neither said nor dropped yet."""
    restarted: bool = False
    """The newest utterance was restarted, and the next segment may begin in the middle of an earlier one."""
    attempt: int = 1
    """The number of attempts at saying the newest utterance."""
    voiced: frozenset[int] = frozenset()
    """Segments of the newest utterance whose audio is complete."""
    unsayable: frozenset[int] = frozenset()
    """Those of them that the voice could not say."""
    transcribed_turn: int = 0
    """The newest turn of which the client got interim words."""
    stt_replaced: bool = False
    """The speech-to-text link was replaced since the last turn was finalized."""
    links: frozenset[tuple[Role, int]] = NO_LINKS
    """Attempts to open a link that were neither closed nor failed, and the links that they opened."""
    providers: frozenset[tuple[Role, int]] = NO_LINKS
    """The provider that each role tried last."""
    failed: frozenset[tuple[Role, int]] = NO_LINKS
    """Providers that failed in the current round of their role."""
    refused: frozenset[tuple[Role, int]] = NO_LINKS
    """Providers whose failure will not pass, and that did not recover since."""
    waiting: frozenset[Request] = frozenset()
    """Requests that came in and were not answered yet."""
    calls: frozenset[tuple[int, str]] = frozenset()
    """Tool calls that were begun and are not over, by number and tool."""
    calls_made: frozenset[int] = frozenset()
    """The numbers of all tool calls that were ever begun."""
    calls_cancelled: frozenset[int] = frozenset()
    """The numbers of those among `calls` that were cancelled."""
    deadlines: frozenset[tuple[str, int]] = frozenset()
    """Armed deadlines, by machine and number."""
    over: bool = False
    """Whether the conversation was told to close."""

    def heard_ms(self, at_ms: float) -> float:
        """How much of the newest utterance can have been heard by `at_ms`."""
        return self.position_ms + (max(0.0, at_ms - self.position_at_ms) if self.playing else 0.0)

    def after_fact(self, step: Step) -> ObservedState:
        """The observed state after the fact of a step, before its effects."""
        fact = step.fact
        if isinstance(fact, facts.RecordingStarted | facts.RecordingStopped) and fact.request is not None:
            return self._with(waiting=self.waiting | {fact.request})
        if step.outcome is not Outcome.TAKEN:
            return self
        if isinstance(
            fact,
            facts.LinkFailed | facts.LinkDeadlinePassed | facts.LinkOpened | facts.LinkRenewalWanted,
        ):
            return self._after_link(step.machine, fact)
        match fact:
            case facts.EagerEndOfTurn():
                return self._with(speculations=self.speculations + _asks_early(step))
            case facts.GenerationFinished(generation=number) | facts.GenerationFailed(generation=number):
                return self._with(generating=self.generating - {number})
            case facts.ToolFinished(call=number):
                return self._with(
                    calls=frozenset(each for each in self.calls if each[0] != number),
                    calls_cancelled=self.calls_cancelled - {number},
                )
            case facts.PlaybackAt(position_ms=position_ms, playing=playing, at_ms=at_ms):
                return self._with(position_ms=position_ms, position_at_ms=at_ms, playing=playing)
            case facts.PlaybackFinished(utterance=number):
                return self._with(
                    speaking=self.speaking - {number},
                    voided=self.voided | {number},
                    heard_all=True,
                    paused=False,
                )
            case facts.SegmentVoiced(segment=segment, unsayable=unsayable):
                silent = self.unsayable | {segment} if unsayable else self.unsayable
                return self._with(voiced=self.voiced | {segment}, unsayable=silent)
            case facts.ProviderRecovered(role=role, provider=provider):
                well = {(role, provider)}
                return self._with(failed=self.failed - well, refused=self.refused - well)
            case facts.DeadlinePassed(number=number):
                return self._with(
                    deadlines=self.deadlines - {(step.machine, number)},
                    speculations=self.speculations + _asks_early(step),
                )
        return self

    def _after_link(
        self,
        machine: str,
        fact: facts.LinkFailed | facts.LinkDeadlinePassed | facts.LinkOpened | facts.LinkRenewalWanted,
    ) -> ObservedState:
        """The observed state after news of a link.

        A link that opened begins a new round when it is lost, and so does one that is opened anew. A provider
        that closes a link because nobody spoke has not failed.
        """
        others = frozenset(each for each in self.failed if each[0] is not fact.role)
        tried = frozenset(each for each in self.providers if each[0] is fact.role)
        match fact:
            case facts.LinkOpened() | facts.LinkRenewalWanted():
                return self._with(failed=others)
            case facts.LinkFailed(role=role, attempt=attempt, failure=failure) if failure.idle:
                return self._with(links=self.links - {(role, attempt)})
            case facts.LinkFailed(role=role, attempt=attempt, failure=failure):
                refused = frozenset() if failure.error_class.retryable else tried
                return self._with(
                    links=self.links - {(role, attempt)},
                    failed=self.failed | tried,
                    refused=self.refused | refused,
                )
        trying = any(role is fact.role for role, _ in self.links)
        return self._with(
            deadlines=self.deadlines - {(machine, fact.number)},
            failed=self.failed | tried if trying else self.failed,
        )

    def after_effect(self, machine: str, effect: Effect) -> ObservedState:
        """The observed state after an effect."""
        match effect:
            case do.StartGeneration(generation=number):
                return self._with(generating=self.generating | {number}, asked=self.asked | {number})
            case do.NotifyAnswerStarted(generation=number):
                return self._with(started=self.started | {number})
            case do.NotifyAnswerEnded(generation=number):
                return self._with(started=self.started - {number})
            case do.RunTool(call=number, asked=asked):
                return self._with(
                    calls=self.calls | {(number, asked.name)}, calls_made=self.calls_made | {number}
                )
            case do.CancelTool(call=number):
                return self._with(calls_cancelled=self.calls_cancelled | {number})
            case do.BeginTurn():
                return self._with(speculations=0)
            case do.PauseSpeech():
                return self._with(paused=True)
            case do.ResumeSpeech():
                return self._with(paused=False)
            case do.CancelGeneration(generation=number):
                # Another generation may continue an answer whose beginning is being spoken.
                void = self.voided if number in self.speaking else self.voided | {number}
                return self._with(generating=self.generating - {number}, voided=void)
            case do.PrepareSpeech(generation=number):
                return self._with(prepared=self.prepared | {number})
            case do.DropSpeech(generation=number):
                return self._with(prepared=self.prepared - {number}, voided=self.voided | {number})
            case do.RestartSpeech(attempt=attempt):
                return self._with(restarted=True, attempt=attempt)
            case do.Speak(generation=number, segment=segment, text=text):
                if number in self.speaking:
                    said = self._said_before(segment, text) if self.restarted else self.said
                    return self._with(said=(*said, text), restarted=False)
                return self._with(
                    speaking=self.speaking | {number},
                    prepared=self.prepared - {number},
                    started=self.started | {number},
                    paused=False,
                    said=(text,),
                    position_ms=0.0,
                    playing=False,
                    heard_all=False,
                    restarted=False,
                    attempt=1,
                    voiced=frozenset(),
                    unsayable=frozenset(),
                )
            case do.StopSpeech(generation=number):
                return self._with(
                    speaking=self.speaking - {number}, voided=self.voided | {number}, paused=False
                )
            case do.FinalizeTurn():
                return self._with(stt_replaced=False)
            case do.ReplaceLink(role=Role.STT):
                return self._with(stt_replaced=True)
            case do.NotifyTranscript(turn=turn, text=text, is_final=False) if text:
                return self._with(transcribed_turn=turn)
            case do.OpenLink(role=role, attempt=attempt, provider=provider):
                others = frozenset(each for each in self.providers if each[0] is not role)
                return self._with(links=self.links | {(role, attempt)}, providers=others | {(role, provider)})
            case do.NotifyLink(role=role, news=do.LinkNews.WAITING):
                return self._with(failed=frozenset(each for each in self.failed if each[0] is not role))
            case do.CloseLink(role=role, attempt=attempt):
                return self._with(links=self.links - {(role, attempt)})
            case do.Acknowledge(request=request) | do.Refuse(request=request):
                return self._with(waiting=self.waiting - {request})
            case do.ArmDeadline(number=number) | do.ArmLinkDeadline(number=number):
                return self._with(deadlines=self._without_deadline(machine) | {(machine, number)})
            case do.DisarmDeadline() | do.DisarmLinkDeadline():
                return self._with(deadlines=self._without_deadline(machine))
            case do.CloseConversation():
                return self._with(over=True)
        return self

    def _with(self, **changes: Any) -> ObservedState:
        """A copy with some entries changed, like `attrs.evolve`, which takes ten times as long."""
        copy = object.__new__(ObservedState)
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(changes)
        return copy

    def _said_before(self, segment: int, text: str) -> tuple[str, ...]:
        """What was said before the segment with which text to speech continues the answer."""
        broken = () if segment - 1 in self.voiced else self.said[segment - 1 : segment]
        if broken and broken[0].endswith(text) and segment <= len(self.said):
            return (*self.said[: segment - 1], broken[0].removesuffix(text).strip())
        return self.said[:segment]

    def _without_deadline(self, machine: str) -> frozenset[tuple[str, int]]:
        return frozenset(entry for entry in self.deadlines if entry[0] != machine)


def _asks_early(step: Step) -> bool:
    """Whether the model is asked for a speculative answer."""
    asks = any(isinstance(effect, do.StartGeneration) for effect in step.effects)
    return asks and step.target == "speculating"


@frozen
class Entry:
    """One line of the record: a fact or an effect, with the observed state before it."""

    observed: ObservedState
    machine: str
    item: Fact | Effect


def entered(observed: ObservedState, steps: tuple[Step, ...]) -> tuple[tuple[Entry, ...], ObservedState]:
    """Let an observer see these steps. Returns the lines of the record, and the observed state afterwards."""
    lines: list[Entry] = []
    for step in steps:
        lines.append(Entry(observed, step.machine, step.fact))
        observed = observed.after_fact(step)
        for effect in step.effects:
            lines.append(Entry(observed, step.machine, effect))
            observed = observed.after_effect(step.machine, effect)
    return tuple(lines), observed
