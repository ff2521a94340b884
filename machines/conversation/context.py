"""What the conversation machine remembers beside its state, in parts by subject.

Things have numbers instead of flags: the generation that runs is `generation_open == 3`, so a fact about
generation 2 is recognised as late, whatever happened in between.
"""

from __future__ import annotations

import enum
from typing import Any

from attrs import Factory, define, frozen

from machines.effects import Effect, TurnLatency
from machines.evidence import Evidence, judge
from machines.facts import (
    EndReason,
    Request,
    Role,
    SayRequested,
    SegmentReady,
    Transcribed,
    TurnMode,
)
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
    """Roles that have another provider ready."""
    ends_turns: bool = False
    """The speech-to-text provider decides about ends of turns."""
    recovered: frozenset[tuple[Role, int]] = frozenset()
    """Preferred providers that work again, and that the call has not returned to yet."""
    renewing: frozenset[Role] = frozenset()
    """Roles whose link is being opened again, in the caller's language."""
    tts_renewal: tuple[int, ...] | None = None
    """Providers that do not know the new language of the call: the link of text to speech is renewed without
    them as soon as nothing is being said. None: it need not be renewed."""


@define
class RecordingMemory:
    """What the caller's side asked for: who ends turns, and which requests are still to be answered."""

    mode: TurnMode = TurnMode.MANUAL
    on: bool = False
    """The caller began a recording by hand and has not ended it."""
    begun_before: bool = False
    """A recording was begun in this conversation."""
    first_recording: bool = False
    """This recording is the first by hand: clients start it when they connect, whatever their user does."""
    stop_pending: bool = False
    """The caller ended the recording before the links were up."""
    unanswered: tuple[Request, ...] = ()
    """Requests that will be acknowledged when the words they wait for are known."""
    held: tuple[Request, ...] = ()
    """Requests that will be acknowledged when the links of the caller's language are up."""
    early_stops: tuple[Request, ...] = ()
    """Requests that ended a recording before the links were up."""

    def automatic(self) -> bool:
        """Voice activity or the speech-to-text provider decides when a turn is over, not the caller."""
        return self.mode is TurnMode.AUTOMATIC

    def by_button(self) -> bool:
        """The caller has pressed a button to record, and has not ended the recording."""
        return self.mode is TurnMode.MANUAL and self.on and not self.first_recording

    def in_first(self) -> bool:
        """A client's first recording goes on. It interrupts nothing, and what is said in it counts."""
        return self.on and self.first_recording


class Continuation(enum.Enum):
    """What the caller has done since the turn ended, while its final transcript is awaited."""

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
        """How long each stage took, where both of its ends are known."""

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
    stt_failed_at: float = 0.0
    """When speech to text last failed a turn whose words are awaited, in the conversation's ms."""
    waits: int = 0
    """Deadlines that passed while the final transcript was awaited."""
    queued: tuple[int, ...] = ()
    """Turns that ended while another was answered, and whose words are not known yet."""
    queue: tuple[str, ...] = ()
    """The words of turns that ended while another was answered, waiting to be answered."""
    interim: str = ""
    """The interim transcript of the awaited turn; of the current one, if none is awaited."""
    interim_sure: bool = False
    """Speech to text is so sure of the interim words that they would be answered."""
    interim_at: float = 0.0
    """When the interim words last changed, in the conversation's ms."""
    words_late_ms: float = 0.0
    """How long after the end of the voice the words still changed, in the last pause in which they did."""
    caller_words: str = ""
    """Words that were understood and are not answered yet. The words that follow are joined to them."""
    echoing: int | None = None
    """A turn whose voice began during an answer or just after it: it may hold the answer's echo."""
    digits: str = ""
    """The keys of the telephone that were pressed so far, as one string."""
    completeness: float | None = None
    """The probability, by the turn model, that the caller has finished the turn."""
    continuation: Continuation = Continuation.NONE
    greeted: bool = False
    """The greeting was said, or the caller has spoken first: the greeting is not due any more."""
    nudges: int = 0
    """How many nudges were said since the caller's last words."""
    times: TurnTimes = Factory(TurnTimes)
    """The times of the exchange that is beginning."""

    def speaking_on(self) -> bool:
        """The caller has spoken on after the turn ended, or over an answer."""
        return self.continuation is Continuation.SPEAKING

    def join(self, text: str) -> str:
        """All words to answer: the unanswered ones, those of queued turns, and `text`."""
        return joined(self.caller_words, *self.queue, text)


@define
class SpeculationMemory:
    """The speculative answer: asked for before it is sure that the turn is over."""

    words: str = ""
    """The words that the model was asked to answer."""
    segments: tuple[SegmentReady, ...] = ()
    """What the model has answered so far. It is complete once `AnswerMemory.generation_open` is None."""
    count: int = 0
    """How many speculative answers were asked for in this turn."""
    failed: str = ""
    """Words of this turn that the model gave no usable answer to: it is not asked again before the end."""
    prepared: int | None = None
    """The answer whose first segment text to speech was given in advance."""


@define
class AnswerMemory:
    """The answer that is being generated or spoken. Its text and its audio have the same number."""

    generation: int = 0
    """The number of the newest answer."""
    generation_open: int | None = None
    """The answer that the model is generating."""
    generation_began: float = 0.0
    """When the model was last asked."""
    alive_at: float | None = None
    """When the model last gave a sign of life."""
    thinking_began: float = 0.0
    """When the model was first asked for the current answer."""
    requests: int = 0
    """Requests made for the current answer."""
    retry_after_ms: float = 0.0
    """How long the model's server asked us to wait before the next request."""
    failures: int = 0
    """How many answers in a row have failed."""
    speech_open: int | None = None
    """The number of the answer that is being spoken: that of the generation it began with."""
    speech_attempt_began: float = 0.0
    """When the voice was last asked to say this answer, in the conversation's ms."""
    speech_attempt: int = 1
    """How often text to speech was asked to say this answer, the first time included."""
    replying: bool = False
    """The answer replies to the caller's words and becomes history with them."""
    greeting: bool = False
    """What is said is the greeting."""
    protected: bool = False
    """The caller's voice may not cut the answer off."""
    in_history: bool = False
    """The answer has its message in the history already, because tool calls followed it."""
    said_at: float | None = None
    """When the last answer was over, in the conversation's ms."""
    false_alarms: int = 0
    """How many false alarms there were in a row: an answer was paused and not interrupted."""
    end_after: EndReason | None = None
    """Why the conversation ends after this answer; None: it goes on."""
    ledger: PlaybackLedger = Factory(PlaybackLedger)
    times: TurnTimes = Factory(TurnTimes)
    """The times of the exchange that is being answered."""

    def still_generating(self) -> bool:
        """The model has not finished this answer."""
        return self.generation_open is not None

    def only_filler_said(self) -> bool:
        """Nothing of the answer was said yet but a filler."""
        return self.speech_open is not None and self.ledger.only_filler()


@frozen
class RunningCall:
    """A tool call that was begun and whose result is not known yet."""

    number: int
    name: str
    """The name of the tool."""
    due_at: float
    """When the call must be over, in the conversation's ms."""
    cancelled: bool = False
    """The call was told to stop, and its result is not waited for."""


@define
class ToolMemory:
    """Tool calls."""

    steps: int = 0
    """How often the model has asked for tool calls since the caller's last words."""
    calls_made: int = 0
    """The number of the newest call."""
    running: tuple[RunningCall, ...] = ()
    results_owed: bool = False
    """The model is to be asked again when the results of its tool calls are known."""
    asked_at: float = 0.0
    """When the caller's last words began to be answered, in the conversation's ms."""
    fillers: int = 0
    """How many fillers the caller has heard since then."""


@define
class Context:
    """The conversation machine's memory. `state` belongs to the engine, `effects` to the current step."""

    policy: ConversationPolicy
    """Its language is the one that the caller stated last."""
    state: Any = None
    effects: list[Effect] = Factory(list)

    links: LinkMemory = Factory(LinkMemory)
    recording: RecordingMemory = Factory(RecordingMemory)
    turns: TurnMemory = Factory(TurnMemory)
    speculation: SpeculationMemory = Factory(SpeculationMemory)
    answer: AnswerMemory = Factory(AnswerMemory)
    tools: ToolMemory = Factory(ToolMemory)
    host_utterances: tuple[SayRequested, ...] = ()
    """Texts of the host that wait to be said."""
    history: tuple[Message, ...] = ()
    heard_greeting: Message | None = None
    """What was heard of the greeting, if anything was. The model is told it before the history."""

    deadline_number: int = 0
    deadline_armed: int | None = None
    end_reason: EndReason | None = None

    def ask(self, *effects: Effect) -> None:
        """Add to the effects of the current step."""
        self.effects.extend(effects)

    def caller_has_word(self) -> bool:
        """The caller speaks, or has pressed a button and not ended the recording."""
        return self.recording.by_button() or self.turns.speaking_on()

    def model_due_at(self) -> float:
        """When the model's next sign of life is due, in the conversation's ms."""
        if self.answer.alive_at is None:
            return self.answer.generation_began + self.policy.first_token_timeout_ms
        return self.answer.alive_at + self.policy.token_gap_timeout_ms

    def said(self, fact: Transcribed) -> str:
        """The words of a transcript, if it is sure that they were said; otherwise nothing."""
        return fact.text if self.evidence(fact) is Evidence.SURE else ""

    def evidence(self, fact: Transcribed) -> Evidence:
        """Whether the words were said. In manual turns they were: the caller says when they speak."""
        if self.recording.mode is TurnMode.MANUAL:
            return Evidence.SURE
        policy = self.policy
        return judge(
            fact.text,
            fact.confidence,
            fact.voice,
            least=policy.least_confidence,
            sure=policy.sure_confidence,
            clear=policy.clear_voice,
            language=policy.language,
        )

    def own_words(self, turn: int, text: str) -> str:
        """`text`, or nothing if all of it may be an echo of the last answer."""
        long_enough = len(words_of(text)) >= SHORTEST_ECHO or self.answer.false_alarms > 0
        may_echo = turn == self.turns.echoing and long_enough
        return "" if may_echo and not without_echo(text, self.answer.ledger.text()) else text

    # --- tool calls ---------------------------------------------------------------------------------------

    def tools_offered(self) -> bool:
        """There are tools, and the model may ask for another round of calls."""
        return bool(self.policy.tools) and self.tools.steps < self.policy.max_tool_steps

    def tool(self, record: CallRecord) -> ToolPolicy:
        """The policy of the tool that a call is for."""
        return self.tool_named(record.call.name)

    def tool_named(self, name: str) -> ToolPolicy:
        """The policy of the tool called `name`. An unknown tool gets the defaults: its call will fail."""
        return next((tool for tool in self.policy.tools if tool.name == name), ToolPolicy(name))

    def newest_calls(self) -> tuple[CallRecord, ...]:
        """The tool calls that the history ends with. The model has not spoken about them yet."""
        return self.history[-1].calls if self.history else ()

    def calls_waiting(self) -> tuple[CallRecord, ...]:
        """The newest tool calls that were not begun yet."""
        begun = {call.number for call in self.tools.running}
        return tuple(each for each in self.newest_calls() if each.result is None and each.number not in begun)

    def calls_awaited(self) -> tuple[CallRecord, ...]:
        """The newest tool calls whose result will still come."""
        cancelled = {call.number for call in self.tools.running if call.cancelled}
        return tuple(
            each for each in self.newest_calls() if each.result is None and each.number not in cancelled
        )

    def running_calls(self, policy: OnInterruption) -> frozenset[int]:
        """The numbers of the running tool calls with this `on_interruption`, without the cancelled ones."""
        return frozenset(
            call.number
            for call in self.tools.running
            if not call.cancelled and self.tool_named(call.name).on_interruption is policy
        )

    def filler(self) -> str:
        """The next filler for a caller who waits for a result; empty if there is none."""
        silent = any(self.tool(each).silent for each in self.calls_awaited())
        if self.policy.tool_filler_after_ms <= 0 or silent:
            return ""
        own = next((text for each in self.calls_awaited() if (text := self.tool(each).filler)), "")
        if own and self.tools.fillers == 0:
            return own
        fillers = self.policy.tool_fillers
        return fillers[self.tools.fillers] if self.tools.fillers < len(fillers) else ""
