"""What the conversation machine remembers beside its state.

Numbers name things instead of flags that mirror them: a running generation is `generation_open == 3`, so that
a fact about generation 2 is recognised as late whatever happened in between.
"""

from __future__ import annotations

import enum
from typing import Any

from attrs import Factory, define, evolve, frozen

from machines.effects import Effect, TurnLatency
from machines.facts import EndReason, Request, Role, SayRequested, SegmentReady, TurnMode
from machines.history import Message, Speaker, newest, newest_exchange, within_budget
from machines.phrases import SHORTEST_ECHO, without_echo, words_of
from machines.playback import PlaybackLedger
from machines.policy import ConversationPolicy
from machines.tools import CallRecord, OnInterruption, ToolPolicy


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
class Context:
    """The conversation machine's memory. `state` belongs to the engine, `effects` to the current step."""

    policy: ConversationPolicy
    state: Any = None
    effects: list[Effect] = Factory(list)

    links_up: frozenset[Role] = frozenset()
    fallbacks_ready: frozenset[Role] = frozenset()
    """Roles for which another provider stands ready."""
    ends_turns: bool = False
    """The speech-to-text provider decides about ends of turns."""
    recovered: frozenset[tuple[Role, int]] = frozenset()
    """Preferred providers that are well again, and that no moment was good for yet."""
    turn_mode: TurnMode = TurnMode.MANUAL
    recording: bool = False
    """The caller began a recording by hand and has not ended it."""
    stop_pending: bool = False
    """The caller ended the recording before the links were up."""
    unanswered: tuple[Request, ...] = ()
    """Requests whose acknowledgement waits for something."""
    early_stops: tuple[Request, ...] = ()
    """Those among them that ended a recording before the links were up."""

    turn: int = 0
    """The turn that the caller's audio belongs to now."""
    turn_awaited: int | None = None
    """The turn whose final transcript is awaited."""
    waits: int = 0
    """Deadlines that have passed while it was."""
    turns_queued: tuple[int, ...] = ()
    """Turns that ended while another was answered, and whose words are not known yet."""
    queue: tuple[str, ...] = ()
    """The words of such turns, waiting to be answered."""
    interim: str = ""
    """What the turn in question sounds like so far."""
    caller_words: str = ""
    """Words that were understood and not yet answered: joined with those that follow."""
    echoing_turn: int | None = None
    """A turn whose voice began while we spoke, or just afterwards: it may hold our own echo."""
    digits: str = ""
    """The keys of the telephone that were pressed one after the other."""
    completeness: float | None = None
    """How probable it is that the caller has finished, by a model that listened to the turn."""
    speculated_words: str = ""
    """What the model was asked to answer before the turn was over."""
    speculative_segments: tuple[SegmentReady, ...] = ()
    """What it has answered to that; all of it, once `generation_open` is None."""
    speculations: int = 0
    """How often it was asked so in this turn."""
    continuation: Continuation = Continuation.NONE
    times: TurnTimes = Factory(TurnTimes)
    """Of the exchange that is beginning."""
    answer_times: TurnTimes = Factory(TurnTimes)
    """Of the exchange that is being answered."""

    generation: int = 0
    """The number of the newest answer."""
    generation_open: int | None = None
    """The answer that the model is generating."""
    generation_began: float = 0.0
    """When the model was asked for it."""
    alive_at: float | None = None
    """When it last gave a sign of life."""
    thinking_began: float = 0.0
    """When the model was asked first for the current answer."""
    retry_after_ms: float = 0.0
    """How long it asked to be left alone for."""
    speech_open: int | None = None
    """The answer that is being spoken: the number of the generation that it began with."""
    speech_attempt: int = 1
    """How often the voice has taken it up."""
    replying: bool = False
    """It answers the caller's words, and becomes history with them."""
    protected: bool = False
    """The caller's voice may not cut it off."""
    said_at: float | None = None
    """When the last answer was over, in the conversation's ms."""
    false_alarms: int = 0
    """How often in a row an answer was held for nothing."""
    host_utterances: tuple[SayRequested, ...] = ()
    """What the host wants said and has not been yet."""
    attempts: int = 0
    """Requests made for the current answer."""
    tool_steps: int = 0
    """How often the model has asked for calls of tools since the caller's last words."""
    calls_made: int = 0
    """The number of the newest call."""
    calls_running: tuple[RunningCall, ...] = ()
    results_owed: bool = False
    """The model is to go on when the results of its calls are known."""
    answer_entered: bool = False
    """What is being said has its message in the history already, since it was followed by calls."""
    asked_at: float = 0.0
    """When the caller's last words began to be answered, in the conversation's ms."""
    fillers: int = 0
    """How many fillers the caller has heard since then."""
    ledger: PlaybackLedger = Factory(PlaybackLedger)
    failures: int = 0
    """Answers in a row that failed."""
    greeted: bool = False
    """The greeting was said, or the caller has taken a turn: it is too late for one."""
    nudges: int = 0
    """How often a quiet caller was spoken to since the last words."""
    end_after_answer: EndReason | None = None

    history: tuple[Message, ...] = ()

    deadline_number: int = 0
    deadline_armed: int | None = None
    end_reason: EndReason | None = None

    def ask(self, *effects: Effect) -> None:
        """Add to the effects of the current step."""
        self.effects.extend(effects)

    def messages(self, said: str = "", words: str | None = None) -> tuple[Message, ...]:
        """What the model is asked: system message, history, and the caller's unanswered words.

        With `said`, the beginning of an answer that was given already, the model is to go on from there; with
        `words`, these are what the caller will probably have said.
        """
        system = (Message(Speaker.SYSTEM, self.policy.system_prompt),) if self.policy.system_prompt else ()
        asked = self.caller_words if words is None else words
        earlier: tuple[Message, ...] = self.history
        now: tuple[Message, ...] = (Message(Speaker.USER, asked),)
        if not asked:
            # It is to go on after calls of tools: the caller's words are in the history already.
            first = newest_exchange(self.history)
            earlier, now = self.history[:first], self.history[first:]
        begun = (Message(Speaker.ASSISTANT, said),) if said else ()
        history = within_budget(earlier, (*now, *begun), self.policy.max_history_tokens)
        return (*system, *history, *now, *begun)

    def model_due_at(self) -> float:
        """When the model must have given its next sign of life, in the conversation's ms."""
        if self.alive_at is None:
            return self.generation_began + self.policy.first_token_timeout_ms
        return self.alive_at + self.policy.token_gap_timeout_ms

    def own_words(self, turn: int, text: str) -> str:
        """What the caller said, without what is nothing but an echo of the last answer."""
        long_enough = len(words_of(text)) >= SHORTEST_ECHO or self.false_alarms > 0
        may_echo = turn == self.echoing_turn and long_enough
        return "" if may_echo and not without_echo(text, self.ledger.text()) else text

    def join(self, text: str) -> str:
        """The unanswered words, those of turns that wait, and `text` after them."""
        return " ".join(words for words in (self.caller_words, *self.queue, text) if words)

    def commit(self, at_ms: float) -> tuple[str, str]:
        """Enter the exchange into the history as it was heard; returns the heard and the unheard words.

        When nothing was heard there was no exchange: the caller's words stay unanswered. Nor is there one
        when nothing was understood, and the caller was told so, or when something else was said to them.
        """
        heard, unheard = self.ledger.split(at_ms)
        if self.replying:
            heard_ms = round(self.ledger.heard_ms(at_ms), 3)
            answer = Message(Speaker.ASSISTANT, heard, bool(unheard), heard_ms, unheard)
            if self.answer_entered:
                answer = evolve(answer, calls=self.history[-1].calls)
                self.history = (*self.history[:-1], answer)
            elif heard and (self.caller_words or self.newest_calls()):
                self.enter(answer)
        self.answer_entered = False
        return heard, unheard

    def enter(self, answer: Message) -> None:
        """Enter an answer into the history, after the words that it answers if they are not there yet."""
        asked = (Message(Speaker.USER, self.caller_words),) if self.caller_words else ()
        self.caller_words = ""
        history = (*self.history, *asked, answer)
        kept = newest(history, self.policy.max_history)
        if not kept and (answer.calls or self.policy.max_history >= 2):
            # The newest exchange is kept however many calls it holds; one that is not over, in any case.
            kept = history[newest_exchange(history) :]
        self.history = kept

    # --- calls of tools -----------------------------------------------------------------------------------

    def tool(self, record: CallRecord) -> ToolPolicy:
        """What is known of the tool that a call is for."""
        return self.tool_named(record.call.name)

    def tool_named(self, name: str) -> ToolPolicy:
        """The same by name; a tool that nobody knows is like any other: its call fails by itself."""
        return next((tool for tool in self.policy.tools if tool.name == name), ToolPolicy(name))

    def newest_calls(self) -> tuple[CallRecord, ...]:
        """The calls that the history ends with: the model has not spoken about them."""
        return self.history[-1].calls if self.history else ()

    def calls_waiting(self) -> tuple[CallRecord, ...]:
        """Those of them that were not begun."""
        begun = {call.number for call in self.calls_running}
        return tuple(each for each in self.newest_calls() if each.result is None and each.number not in begun)

    def calls_awaited(self) -> tuple[CallRecord, ...]:
        """Those of them whose result will come."""
        cancelled = {call.number for call in self.calls_running if call.cancelled}
        return tuple(
            each for each in self.newest_calls() if each.result is None and each.number not in cancelled
        )

    def running(self, policy: OnInterruption) -> frozenset[int]:
        """The numbers of the calls that an interruption does this to; cancelled ones do not count."""
        return frozenset(
            call.number
            for call in self.calls_running
            if not call.cancelled and self.tool_named(call.name).on_interruption is policy
        )

    def filler(self) -> str:
        """What is said next to a caller who waits for a result; empty: nothing any more."""
        if self.policy.tool_filler_after_ms <= 0:
            return ""
        own = next((text for each in self.calls_awaited() if (text := self.tool(each).filler)), "")
        if own and self.fillers == 0:
            return own
        fillers = self.policy.tool_fillers
        return fillers[self.fillers] if self.fillers < len(fillers) else ""
