"""Answers: asking the model, speaking what it says, and what was heard of it."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.heard_history import commit
from machines.conversation.prompt import prompt
from machines.conversation.tool_calls import ToolCalls
from machines.declarations import causes
from machines.facts import Fact
from machines.language.scripts import gap
from machines.playback_ledger import PlaybackLedger


class Answers(ToolCalls):
    """Guards and actions on answers."""

    # --- guards ------------------------------------------------------------------------------------------

    def still_generating(self) -> bool:
        """The model has not finished this answer."""
        return self.context.answer.generation_open is not None

    def already_said(self, fact: facts.SegmentReady) -> bool:
        """The model was asked to continue an answer, and repeats a segment of it."""
        continued = fact.generation != self.context.answer.speech_open
        return continued and any(fact.text == segment.text for segment in self.context.answer.ledger.segments)

    def is_goodbye(self) -> bool:
        """The call ends after the answer that is being spoken."""
        return self.context.answer.end_after is not None

    def only_filler_said(self) -> bool:
        """Nothing of the answer was said yet but a filler."""
        return self.context.answer.speech_open is not None and self.context.answer.ledger.only_filler()

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.StartGeneration, do.NotifyAnswerStarted, do.CancelTool)
    def generate(self, fact: Fact) -> None:
        """Ask the model. Each request is a generation of its own."""
        self._go_on_from_calls(fact.at_ms)
        if self.context.answer.requests == 0:
            self.context.answer.thinking_began = fact.at_ms
            # What the caller says from now on is not an echo of the last answer.
            self.context.answer.ledger = PlaybackLedger()
        self._request(fact.at_ms, said="")
        self.context.ask(do.NotifyAnswerStarted(self.context.answer.generation))

    def _request(self, at_ms: float, said: str, words: str | None = None) -> None:
        self.context.answer.generation_began = at_ms
        self.context.answer.alive_at = None
        self.context.answer.generation += 1
        self.context.answer.generation_open = self.context.answer.generation
        self.context.answer.requests += 1
        messages, tools = prompt(self.context, said, words), self.tools_offered()
        self.context.ask(do.StartGeneration(self.context.answer.generation, messages, tools))

    def _go_on_from_calls(self, at_ms: float) -> None:
        """Give up earlier tool calls if the caller has said something new since."""
        if self.context.turns.caller_words:
            self.context.tools.asked_at = at_ms
            self.context.tools.steps = self.context.tools.fillers = 0
            self.context.tools.results_owed = False
            self._overtake_calls()

    @causes()
    def note_alive(self, fact: facts.GenerationAlive) -> None:
        """Keep when the model last gave a sign of life."""
        self.context.answer.alive_at = fact.at_ms

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def void_answer(self) -> None:
        """Give up an answer of which nothing was said. The caller's next words are joined to the earlier."""
        self._void_generation()
        self.context.answer.requests = 0

    @causes()
    def begin_answer(self, fact: facts.SegmentReady) -> None:
        """Begin to speak an answer of the model."""
        self._begin_reply(fact.at_ms)

    def _begin_reply(self, at_ms: float) -> None:
        """Open the answer that the model gives to the caller."""
        self._open_speech(at_ms, replying=True)
        self.context.answer.failures = 0

    @causes(do.Speak, do.NotifySegment)
    def speak(self, fact: facts.SegmentReady) -> None:
        """Have text to speech say the segment, and tell the client."""
        self.context.answer.alive_at = fact.at_ms
        self.context.answer.failures = 0
        self._say(fact.text, fact.markup)

    @causes(do.FinishSpeech)
    def finish_answer(self) -> None:
        """The model has given the whole answer: text to speech gets no more of it."""
        self.context.answer.generation_open = None
        self._finish_speech()

    def _finish_speech(self) -> None:
        if self.context.answer.speech_open is not None:
            self.context.ask(do.FinishSpeech(self.context.answer.speech_open))

    @causes(do.CancelGeneration, do.FinishSpeech)
    def finish_early(self) -> None:
        """End an answer that the model broke off: what it gave before is all there is."""
        self._cancel_generation()
        self.context.answer.failures += 1
        self._finish_speech()

    def _cancel_generation(self) -> None:
        if self.context.answer.generation_open is not None:
            self.context.ask(do.CancelGeneration(self.context.answer.generation_open))
            self.context.answer.generation_open = None

    def _void_generation(self) -> None:
        """Stop the generation of an answer of which nothing was said, and tell the client that it is over."""
        if self.context.answer.generation_open is not None:
            self._cancel_generation()
            self._notify_never_spoken()

    def _open_speech(self, at_ms: float, *, replying: bool) -> None:
        self.context.answer.ledger = PlaybackLedger()
        self.context.answer.speech_attempt = 1
        self.context.answer.speech_attempt_began = at_ms
        self.context.answer.replying = replying
        self.context.answer.greeting = False
        self.context.answer.in_history = False
        if replying:
            self.context.tools.results_owed = False
        self.context.answer.protected = False
        self.context.answer.speech_open = self.context.answer.generation
        self.context.turns.times.first_segment = at_ms
        self.context.answer.times = self.context.turns.times

    def _say(self, text: str, markup: str = "", *, tones: bool = False, filler: bool = False) -> None:
        number = self.context.answer.speech_open
        if number is not None:
            before = gap(self.context.answer.ledger.last_text(), text)
            segment = self.context.answer.ledger.add(text, filler=filler)
            speak = do.Speak(number, segment, markup or text, tones)
            self.context.ask(do.NotifySegment(number, segment, text, before), speak)

    def _say_instead(
        self,
        text: str,
        at_ms: float,
        *,
        replying: bool = False,
        protected: bool = False,
        tones: bool = False,
    ) -> None:
        """Say `text` as a whole answer, instead of one by the model."""
        self.context.answer.generation += 1
        self._open_speech(at_ms, replying=replying)
        self.context.answer.protected = protected
        self._say(text, tones=tones)
        self._finish_speech()

    @causes(do.NotifyClientError)
    def note_voiced(self, fact: facts.SegmentVoiced) -> None:
        """Tell the client, once in an answer, of a text that the voice cannot say. This is not a failure."""
        told = any(segment.unsayable for segment in self.context.answer.ledger.segments)
        self.context.answer.ledger.voiced(fact)
        if fact.unsayable and not told:
            message = "the voice cannot say this answer: it is in a language or script that it does not speak"
            self.context.ask(do.NotifyClientError(do.ClientError.UNSAYABLE, message, retryable=False))

    @causes()
    def note_position(self, fact: facts.PlaybackAt) -> None:
        """Keep how much of the answer was heard."""
        self.context.answer.ledger.moved(fact)

    @causes()
    def note_all_heard(self) -> None:
        """Keep that all of the answer was heard."""
        self.context.answer.ledger.all_heard = True

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def complete_answer(self, fact: Fact) -> None:
        """Enter the answer into the history: all of it was heard."""
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyAnswerEnded)
    def end_answer(self, fact: Fact) -> None:
        """Stop the answer because the conversation ends, and enter what was heard into the history."""
        if self.context.answer.speech_open is None:
            self._void_generation()
        else:
            self._stop_speech(do.StopCause.ENDED)
            self._end_speech(fact.at_ms)

    def _stop_speech(self, cause: do.StopCause) -> int:
        number = self.context.answer.speech_open
        assert number is not None, "only an answer that is being spoken is stopped"
        self.context.ask(do.StopSpeech(number, cause))
        return number

    def _end_speech(self, at_ms: float) -> None:
        """Enter what was heard into the history, and tell the client that the answer is over."""
        self._cancel_generation()
        ledger, number = self.context.answer.ledger, self.context.answer.speech_open
        assert number is not None, "only an answer that is being spoken can end"
        commit(self.context, at_ms)
        latency = self.context.answer.times.latency(ledger.started_at)
        self.context.ask(
            do.NotifyAnswerEnded(number, ledger.text(), len(ledger.segments), ledger.heard_ms(at_ms), latency)
        )
        self.context.answer.speech_open = None
        self.context.answer.said_at = at_ms
        self.context.answer.requests = 0
