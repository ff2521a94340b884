"""Recordings that the client starts and stops, and what its requests are answered."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import client_requests
from machines.conversation.context import Context, Continuation
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import TurnMode


class Recording(Chart[Context]):
    """Guards and actions on recording."""

    # --- guards ------------------------------------------------------------------------------------------

    def stop_pending(self) -> bool:
        """The caller ended the recording before the links were up."""
        return self.context.recording.stop_pending

    def by_hand(self, fact: facts.RecordingStarted) -> bool:
        """The caller will end the turn by stopping the recording."""
        return fact.turn_mode is TurnMode.MANUAL

    def by_button(self, fact: facts.RecordingStarted) -> bool:
        """The caller pressed a button.

        A client's first recording does not count, since it starts by itself, nor does a start that is
        repeated while it is recorded.
        """
        return self.by_hand(fact) and self.context.recording.begun_before and not self._on_by_hand()

    def recording_on(self) -> bool:
        """The caller has begun another recording since the turn ended."""
        return self.context.turns.continuation is Continuation.RECORDING

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def note_recording(self, fact: facts.RecordingStarted) -> None:
        """Begin a recording. `acknowledge` acknowledges the request later."""
        self._begin_recording(fact)
        if fact.turn_mode is TurnMode.MANUAL:
            # In manual mode the caller's voice decides nothing.
            self.context.turns.continuation = Continuation.NONE
        self.context.recording.stop_pending = False
        self._await_answer(fact.request)

    @causes()
    def note_recording_meanwhile(self, fact: facts.RecordingStarted) -> None:
        """Begin a recording during an answer that it does not interrupt."""
        self._begin_recording(fact)

    @causes()
    def note_recording_again(self, fact: facts.RecordingStarted) -> None:
        """Begin a recording while the words of the last one are awaited. Both will be joined."""
        self._begin_recording(fact)
        self.note_recording_on()

    @causes()
    def note_recording_on(self) -> None:
        """Remember that the caller records again: the words so far are not all."""
        self.context.turns.continuation = Continuation.RECORDING

    @causes()
    def note_early_stop(self, fact: facts.RecordingStopped) -> None:
        """Keep a request to stop that came before the links were up."""
        self.context.recording.stop_pending = True
        self.context.recording.on = False
        if fact.request is not None:
            self.context.recording.early_stops += (fact.request,)

    @causes()
    def await_early_words(self) -> None:
        """Let requests from before the links were up wait for the words, like later ones."""
        client_requests.await_early_words(self.context)

    @causes()
    def await_words(self, fact: facts.RecordingStopped) -> None:
        """Acknowledge the stop when the final transcript is known."""
        self.context.recording.on = False
        self._await_answer(fact.request)
        if self.context.turns.continuation is Continuation.RECORDING:
            # The caller recorded and stopped again in `finalizing`: await these words like those of a pause.
            self.context.turns.continuation = Continuation.PAUSED

    @causes(do.Acknowledge)
    def acknowledge_start(self, fact: facts.RecordingStarted) -> None:
        """Answer the request at once."""
        client_requests.acknowledge(self.context, fact.request)

    @causes(do.Acknowledge)
    def acknowledge_stop(self, fact: facts.RecordingStopped) -> None:
        """Answer the request at once: no words are waited for."""
        self.context.recording.on = False
        client_requests.acknowledge(self.context, fact.request)

    @causes(do.Acknowledge)
    def acknowledge(self) -> None:
        """Acknowledge every request that waits."""
        client_requests.acknowledge(self.context, *self.context.recording.unanswered)
        self.context.recording.unanswered = ()

    @causes(do.Refuse)
    def refuse_start(self, fact: facts.RecordingStarted) -> None:
        """Refuse the request: the call ends."""
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse_stop(self, fact: facts.RecordingStopped) -> None:
        """Refuse the request: the call ends."""
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse(self, fact: facts.TranscriptionFailed) -> None:
        """Refuse every request that waits. A request is never both acknowledged and refused."""
        client_requests.refuse_all(self.context, fact.failure.message, do.ClientError.TRANSCRIPTION_FAILED)

    def _begin_recording(self, fact: facts.RecordingStarted) -> None:
        recording = self.context.recording
        if not (self.by_hand(fact) and self._on_by_hand()):
            recording.first_recording = self.by_hand(fact) and not recording.begun_before
        recording.mode, recording.on = fact.turn_mode, True
        recording.begun_before = True

    def _on_by_hand(self) -> bool:
        """A recording that was begun by hand goes on."""
        return self.context.recording.on and self.context.recording.mode is TurnMode.MANUAL

    def _await_answer(self, request: facts.Request | None) -> None:
        if request is not None:
            self.context.recording.unanswered += (request,)

    def _refuse_now(self, request: facts.Request | None) -> None:
        """Refuse a request because the conversation is being closed."""
        if request is not None:
            self.context.ask(do.Refuse(request, "the conversation is ending"))
