"""Recordings that the caller's side starts and stops, and the answers to its requests."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Context, Continuation
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import TurnMode


class Recording(Chart[Context]):
    """Guards and actions on recording."""

    # --- guards ------------------------------------------------------------------------------------------

    def stop_pending(self) -> bool:
        """The caller ended the recording before anybody listened."""
        return self.context.recording.stop_pending

    def by_hand(self, fact: facts.RecordingStarted) -> bool:
        """From now on the caller ends the turn."""
        return fact.turn_mode is TurnMode.MANUAL

    def recording_on(self) -> bool:
        """The caller began another recording meanwhile."""
        return self.context.turns.continuation is Continuation.RECORDING

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def note_recording(self, fact: facts.RecordingStarted) -> None:
        """A recording begins; its acknowledgement waits until somebody listens."""
        self.context.recording.mode = fact.turn_mode
        self.context.recording.on = True
        if fact.turn_mode is TurnMode.MANUAL:
            # From now on the caller's voice decides nothing.
            self.context.turns.continuation = Continuation.NONE
        self.context.recording.stop_pending = False
        self._await_answer(fact.request)

    @causes()
    def note_recording_meanwhile(self, fact: facts.RecordingStarted) -> None:
        """A recording begins while an answer is given that cannot be interrupted."""
        self.context.recording.mode = fact.turn_mode
        self.context.recording.on = True

    @causes()
    def note_recording_again(self, fact: facts.RecordingStarted) -> None:
        """A recording begins before the words of the last one are known: they will be joined."""
        self.context.recording.mode = fact.turn_mode
        self.context.recording.on = True
        self.note_recording_on()

    @causes()
    def note_recording_on(self) -> None:
        """The recording goes on: what was said so far is not all."""
        self.context.turns.continuation = Continuation.RECORDING

    @causes()
    def note_early_stop(self, fact: facts.RecordingStopped) -> None:
        self.context.recording.stop_pending = True
        self.context.recording.on = False
        if fact.request is not None:
            self.context.recording.early_stops += (fact.request,)

    @causes()
    def await_early_words(self) -> None:
        """Stops that came before the links were up wait for the words, like any other."""
        self.context.recording.unanswered += self.context.recording.early_stops
        self.context.recording.early_stops = ()

    @causes()
    def await_words(self, fact: facts.RecordingStopped) -> None:
        """The acknowledgement waits for the final transcript."""
        self.context.recording.on = False
        self._await_answer(fact.request)
        if self.context.turns.continuation is Continuation.RECORDING:
            # Recorded and stopped again while finalizing: those words are decoded like any pause's.
            self.context.turns.continuation = Continuation.PAUSED

    @causes(do.Acknowledge)
    def acknowledge_start(self, fact: facts.RecordingStarted) -> None:
        self._acknowledge_now(fact.request)

    @causes(do.Acknowledge)
    def acknowledge_stop(self, fact: facts.RecordingStopped) -> None:
        self.context.recording.on = False
        self._acknowledge_now(fact.request)

    @causes(do.Acknowledge)
    def acknowledge(self) -> None:
        """Answer every request that waited."""
        self.context.ask(*(do.Acknowledge(request) for request in self.context.recording.unanswered))
        self.context.recording.unanswered = ()

    @causes(do.Refuse)
    def refuse_start(self, fact: facts.RecordingStarted) -> None:
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse_stop(self, fact: facts.RecordingStopped) -> None:
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse(self, fact: facts.TranscriptionFailed) -> None:
        """Answer every request that waited with the error: never an acknowledgement and an error both."""
        self._refuse_all(fact.failure.message)

    def _await_answer(self, request: facts.Request | None) -> None:
        if request is not None:
            self.context.recording.unanswered += (request,)

    def _acknowledge_now(self, request: facts.Request | None) -> None:
        if request is not None:
            self.context.ask(do.Acknowledge(request))

    def _refuse_now(self, request: facts.Request | None) -> None:
        """The conversation is being closed: nothing will be recorded."""
        if request is not None:
            self.context.ask(do.Refuse(request, "the conversation is ending"))

    def _refuse_all(self, message: str) -> None:
        self.await_early_words()
        self.context.ask(*(do.Refuse(request, message) for request in self.context.recording.unanswered))
        self.context.recording.unanswered = ()
