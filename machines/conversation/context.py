"""What the conversation machine remembers beside its state, divided by what it is about.

Numbers name things instead of flags that mirror them: a running generation is `generation_open == 3`, so that
a fact about generation 2 is recognised as late whatever happened in between.
"""

from __future__ import annotations

import enum
from typing import Any

from attrs import Factory, define, frozen

from machines.effects import Effect, TurnLatency
from machines.facts import EndReason, Request, Role, SayRequested, SegmentReady, TurnMode
from machines.history import Message
from machines.language.scripts import joined
from machines.phrases import SHORTEST_ECHO, without_echo, words_of
from machines.playback_ledger import PlaybackLedger
from machines.policy import ConversationPolicy
from machines.tools import CallRecord, OnInterruption, ToolPolicy


@define
class LinkMemory:
    """Which providers can be used."""

    up: frozenset[Role] = frozenset()
    fallbacks_ready: frozenset[Role] = frozenset()
    """Roles for which another provider stands ready."""
    ends_turns: bool = False
    """The speech-to-text provider decides about ends of turns."""
    recovered: frozenset[tuple[Role, int]] = frozenset()
    """Preferred providers that work again, and that the call has not gone back to yet."""


@define
class RecordingMemory:
    """What the caller's side asked for: who ends turns, and which of its requests wait for an answer."""

    mode: TurnMode = TurnMode.MANUAL
    on: bool = False
    """The caller began a recording by hand and has not ended it."""
    stop_pending: bool = False
    """The caller ended the recording before the links were up."""
    unanswered: tuple[Request, ...] = ()
    """Requests that are acknowledged later."""
    early_stops: tuple[Request, ...] = ()
    """Requests that ended a recording before the links were up."""


class Continuation(enum.Enum):
    """How the caller went on after the turn was declared over, while its final transcript is awaited."""

    NONE = "none"
    SPEAKING = "speaking"
    PAUSED = "paused"
    RECORDING = "recording"


@define
class TurnTimes:
    """When the stages of the current exchange were reached, in the conversation's ms."""

    voice_ended: float | None = None
    turn_over: float | None = None
    words_known: float | None = None
    first_segment: float | None = None

    def latency(self, first_audio: float | None) -> TurnLatency:
        """The differences, where both ends are known."""

        def between(start: float | None, end: float | None) -> float | None:
            return None if start is None or end is None else end - start

        start = self.turn_over if self.voice_ended is None else self.voice_ended
        return TurnLatency(
            endpoint_ms=between(self.voice_ended, self.turn_over),
            transcript_ms=between(self.turn_over, self.words_known),
            first_segment_ms=between(self.words_known, self.first_segment),
            first_audio_ms=between(self.first_segment, first_audio),
            total_ms=between(start, first_audio),
        )


@define
class TurnMemory:
    """The caller's turns and words."""

    current: int = 0
    """The turn that the caller's audio belongs to now."""
    awaited: int | None = None
    """The turn whose final transcript is awaited."""
    waits: int = 0
    """Deadlines that passed while it was awaited."""
    queued: tuple[int, ...] = ()
    """Turns that ended while another was answered, and whose words are not known yet."""
    queue: tuple[str, ...] = ()
    """The words of such turns, waiting to be answered."""
    interim: str = ""
    """The interim transcript of the turn in question."""
    caller_words: str = ""
    """Words that were understood and are not answered yet: joined with those that follow."""
    echoing: int | None = None
    """A turn whose voice began while we spoke, or just afterwards: it may hold our own echo."""
    digits: str = ""
    """The keys of the telephone that were pressed one after the other."""
    completeness: float | None = None
    """How probable it is that the caller has finished, by a model that listened to the turn."""
    continuation: Continuation = Continuation.NONE
    greeted: bool = False
    """The greeting was said, or the caller has taken a turn: it is too late for one."""
    nudges: int = 0
    """How often a quiet caller was spoken to since the last words."""
    times: TurnTimes = Factory(TurnTimes)
    """Of the exchange that is beginning."""

    def join(self, text: str) -> str:
        """The unanswered words, those of turns that wait, and `text` after them."""
        return joined(self.caller_words, *self.queue, text)


@define
class SpeculationMemory:
    """The answer that is prepared before the turn is surely over."""

    words: str = ""
    """What the model was asked to answer."""
    segments: tuple[SegmentReady, ...] = ()
    """What it has answered; all of it, once `AnswerMemory.generation_open` is None."""
    count: int = 0
    """How often the model was asked in advance in this turn."""


@define
class AnswerMemory:
    """The answer that is being generated or spoken. It shares one number with its generation."""

    generation: int = 0
    """The number of the newest answer."""
    generation_open: int | None = None
    """The answer that the model is generating."""
    generation_began: float = 0.0
    """When the model was asked for it."""
    alive_at: float | None = None
    """When the model last gave a sign of life."""
    thinking_began: float = 0.0
    """When the model was first asked for the current answer."""
    requests: int = 0
    """Requests made for the current answer."""
    retry_after_ms: float = 0.0
    """How long the model's server asked to be left alone."""
    failures: int = 0
    """Answers in a row that failed."""
    speech_open: int | None = None
    """The answer that is being spoken: the number of the generation that it began with."""
    speech_attempt: int = 1
    """How often the voice was asked to say it, the first time included."""
    replying: bool = False
    """It answers the caller's words, and becomes history with them."""
    protected: bool = False
    """The caller's voice may not cut it off."""
    in_history: bool = False
    """It has its message in the history already, since calls of tools followed it."""
    said_at: float | None = None
    """When the last answer was over, in the conversation's ms."""
    false_alarms: int = 0
    """How often in a row an answer was paused for nothing."""
    end_after: EndReason | None = None
    """The conversation ends after this answer."""
    ledger: PlaybackLedger = Factory(PlaybackLedger)
    times: TurnTimes = Factory(TurnTimes)
    """Of the exchange that is being answered."""


@frozen
class RunningCall:
    """A call of a tool that was begun, and whose result is not known."""

    number: int
    name: str
    """Of the tool."""
    due_at: float
    """When it must be over, in the conversation's ms."""
    cancelled: bool = False
    """It was asked to stop; nobody waits for it."""


@define
class ToolMemory:
    """Calls of tools."""

    steps: int = 0
    """How often the model has asked for calls since the caller's last words."""
    calls_made: int = 0
    """The number of the newest call."""
    running: tuple[RunningCall, ...] = ()
    results_owed: bool = False
    """The model is to go on when the results of its calls are known."""
    asked_at: float = 0.0
    """When the caller's last words began to be answered, in the conversation's ms."""
    fillers: int = 0
    """How many fillers the caller has heard since then."""


@define
class Context:
    """The conversation machine's memory. `state` belongs to the engine, `effects` to the current step."""

    policy: ConversationPolicy
    state: Any = None
    effects: list[Effect] = Factory(list)

    links: LinkMemory = Factory(LinkMemory)
    recording: RecordingMemory = Factory(RecordingMemory)
    turns: TurnMemory = Factory(TurnMemory)
    speculation: SpeculationMemory = Factory(SpeculationMemory)
    answer: AnswerMemory = Factory(AnswerMemory)
    tools: ToolMemory = Factory(ToolMemory)
    host_utterances: tuple[SayRequested, ...] = ()
    """What the host wants said and has not been yet."""
    history: tuple[Message, ...] = ()

    deadline_number: int = 0
    deadline_armed: int | None = None
    end_reason: EndReason | None = None

    def ask(self, *effects: Effect) -> None:
        """Add to the effects of the current step."""
        self.effects.extend(effects)

    def model_due_at(self) -> float:
        """When the model must have given its next sign of life, in the conversation's ms."""
        if self.answer.alive_at is None:
            return self.answer.generation_began + self.policy.first_token_timeout_ms
        return self.answer.alive_at + self.policy.token_gap_timeout_ms

    def own_words(self, turn: int, text: str) -> str:
        """What the caller said; empty if it is nothing but an echo of the last answer."""
        long_enough = len(words_of(text)) >= SHORTEST_ECHO or self.answer.false_alarms > 0
        may_echo = turn == self.turns.echoing and long_enough
        return "" if may_echo and not without_echo(text, self.answer.ledger.text()) else text

    # --- calls of tools -----------------------------------------------------------------------------------

    def tool(self, record: CallRecord) -> ToolPolicy:
        """What is known of the tool that a call is for."""
        return self.tool_named(record.call.name)

    def tool_named(self, name: str) -> ToolPolicy:
        """The same by name; an unknown tool is like any other: its call fails by itself."""
        return next((tool for tool in self.policy.tools if tool.name == name), ToolPolicy(name))

    def newest_calls(self) -> tuple[CallRecord, ...]:
        """The calls that the history ends with: the model has not spoken about them."""
        return self.history[-1].calls if self.history else ()

    def calls_waiting(self) -> tuple[CallRecord, ...]:
        """The newest calls that were not begun."""
        begun = {call.number for call in self.tools.running}
        return tuple(each for each in self.newest_calls() if each.result is None and each.number not in begun)

    def calls_awaited(self) -> tuple[CallRecord, ...]:
        """The newest calls whose result will come."""
        cancelled = {call.number for call in self.tools.running if call.cancelled}
        return tuple(
            each for each in self.newest_calls() if each.result is None and each.number not in cancelled
        )

    def running_calls(self, policy: OnInterruption) -> frozenset[int]:
        """The numbers of the calls that an interruption does this to; cancelled ones do not count."""
        return frozenset(
            call.number
            for call in self.tools.running
            if not call.cancelled and self.tool_named(call.name).on_interruption is policy
        )

    def filler(self) -> str:
        """What is said next to a caller who waits for a result; empty: nothing any more."""
        if self.policy.tool_filler_after_ms <= 0:
            return ""
        own = next((text for each in self.calls_awaited() if (text := self.tool(each).filler)), "")
        if own and self.tools.fillers == 0:
            return own
        fillers = self.policy.tool_fillers
        return fillers[self.tools.fillers] if self.tools.fillers < len(fillers) else ""
