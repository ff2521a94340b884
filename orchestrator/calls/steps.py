"""Records of a journal as plain data, taken apart only as far as rows need it.

Making objects of all facts and effects of a call would take ten times as long as making rows of those that
matter: every request to the model holds the whole history.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from machines import effects as do
from machines import facts
from machines.effects import Effect
from machines.facts import Fact
from orchestrator.journal.records import FACTS, Plain, effect_of, fact_of

CONVERSATION = "conversation"
"""The machine whose steps say what was said. The others are of links."""
_FACTS_THAT_MATTER = frozenset(
    kind.__name__
    for kind in (
        facts.GenerationFinished,
        facts.LinkOpened,
        facts.PlaybackAt,
        facts.PlaybackFinished,
        facts.SegmentReady,
        facts.SegmentVoiced,
        facts.SynthesisFailed,
        facts.ToolFinished,
    )
)
_EFFECTS_THAT_MATTER = frozenset(
    kind.__name__
    for kind in (
        do.CancelTool,
        do.CloseConversation,
        do.NotifyAnswerEnded,
        do.NotifyAnswerStarted,
        do.NotifyClientError,
        do.NotifyInterrupted,
        do.NotifySegment,
        do.NotifyTranscript,
        do.OpenLink,
        do.PrepareSpeech,
        do.RestartSpeech,
        do.RunTool,
        do.Speak,
        do.StopSpeech,
    )
)


@frozen
class PlainStep:
    """A step of a machine, with its fact and effects as plain data."""

    machine: str
    source: str
    target: str
    event: str
    """As the charts name it, for example `speech_started`."""
    outcome: str
    at_ms: float
    """In the conversation's time."""
    plain_fact: Plain
    plain_effects: Plain

    @property
    def fact(self) -> Fact | None:
        """What happened; None if no row depends on it. Raises `RecordError`."""
        return fact_of(self.plain_fact) if self.plain_fact[0] in _FACTS_THAT_MATTER else None

    @property
    def effects(self) -> Iterator[Effect]:
        """The effects on which rows depend, in order. Raises `RecordError`."""
        return (effect_of(each) for each in self.plain_effects if each[0] in _EFFECTS_THAT_MATTER)


def steps_of(plain_handled: Plain) -> Iterator[PlainStep]:
    """The steps of one fact. Raises whatever plain data that is none leads to."""
    for machine, fact, source, target, outcome, _, effects in plain_handled[0]:
        name, fields = fact
        yield PlainStep(machine, source, target, event_named(name), outcome, at_ms_in(fields), fact, effects)


def at_ms_in(fields: Plain) -> float:
    """The time of a fact, by its fields."""
    at_ms: float = fields.get("at_ms", 0.0)
    return at_ms


def event_named(fact: str) -> str:
    """The event of a fact, by the name of its class. Raises `KeyError` for one that this version has not."""
    return FACTS[fact].name
