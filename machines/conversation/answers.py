"""Answers: asking the model, speaking what it says, and what was heard of it."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.conversation.generation import cancel_generation, request_answer, void_generation
from machines.conversation.running_calls import go_on_from_calls
from machines.conversation.speech import begin_reply, end_speech, finish_speech, say, stop_speech
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact
from machines.playback_ledger import PlaybackLedger


class Answers(Chart[Context]):
    """Guards and actions on answers."""

    # --- guards ------------------------------------------------------------------------------------------

    def already_said(self, fact: facts.SegmentReady) -> bool:
        """The model was asked to continue an answer, and repeats a segment of it."""
        continued = fact.generation != self.context.answer.speech_open
        return continued and any(fact.text == segment.text for segment in self.context.answer.ledger.segments)

    def is_goodbye(self) -> bool:
        """The call ends after the answer that is being spoken."""
        return self.context.answer.end_after is not None

    def only_filler_said(self) -> bool:
        """Nothing of the answer was said yet but a filler."""
        return self.context.answer.only_filler_said()

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.StartGeneration, do.NotifyAnswerStarted, do.CancelTool)
    def generate(self, fact: Fact) -> None:
        """Ask the model. Each request is a generation of its own."""
        go_on_from_calls(self.context, fact.at_ms)
        if self.context.answer.requests == 0:
            self.context.answer.thinking_began = fact.at_ms
            # What the caller says from now on is not an echo of the last answer.
            self.context.answer.ledger = PlaybackLedger()
        request_answer(self.context, fact.at_ms, said="")
        self.context.ask(do.NotifyAnswerStarted(self.context.answer.generation))

    @causes()
    def note_alive(self, fact: facts.GenerationAlive) -> None:
        """Keep when the model last gave a sign of life."""
        self.context.answer.alive_at = fact.at_ms

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def void_answer(self) -> None:
        """Give up an answer of which nothing was said. The caller's next words are joined to the earlier."""
        void_generation(self.context)
        self.context.answer.requests = 0

    @causes()
    def begin_answer(self, fact: facts.SegmentReady) -> None:
        """Begin to speak an answer of the model."""
        begin_reply(self.context, fact.at_ms)

    @causes(do.Speak, do.NotifySegment)
    def speak(self, fact: facts.SegmentReady) -> None:
        """Have text to speech say the segment, and tell the client."""
        self.context.answer.alive_at = fact.at_ms
        self.context.answer.failures = 0
        say(self.context, fact.text, fact.markup)

    @causes(do.FinishSpeech)
    def finish_answer(self) -> None:
        """The model has given the whole answer: text to speech gets no more of it."""
        self.context.answer.generation_open = None
        finish_speech(self.context)

    @causes(do.CancelGeneration, do.FinishSpeech)
    def finish_early(self) -> None:
        """End an answer that the model broke off: what it gave before is all there is."""
        cancel_generation(self.context)
        self.context.answer.failures += 1
        finish_speech(self.context)

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
        end_speech(self.context, fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyAnswerEnded)
    def end_answer(self, fact: Fact) -> None:
        """Stop the answer because the conversation ends, and enter what was heard into the history."""
        if self.context.answer.speech_open is None:
            void_generation(self.context)
        else:
            stop_speech(self.context, do.StopCause.ENDED)
            end_speech(self.context, fact.at_ms)
