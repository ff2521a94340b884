"""The conversation machine's guards: questions about its memory and the fact at hand. They change nothing."""

from __future__ import annotations

from machines import facts
from machines.conversation.context import Context, Continuation
from machines.driver import Chart
from machines.facts import Fact, Role, SayMode, TurnMode
from machines.phrases import (
    occurs_late,
    sounds_unfinished,
    without_backchannels,
    without_echo,
    words_of,
)
from machines.tools import OnInterruption

SLACK_MS = 1.0
"""Deadlines are armed in floating point and may pass this much early."""
LEAST_SPEECH_MS = 300
"""Less voice than this is a cough or a click (as for the embedded speech to text)."""
SURELY = 0.5
"""From this probability on a turn is taken for complete, as the model's authors do."""
CALL_GRACE_MS = 1_000
"""Calls end in time by themselves; one that cannot be stopped is given up so long afterwards."""
WORDS_AHEAD = 2
"""An echo may hold so many words more than are known to have been heard."""

Words = facts.TranscriptInterim | facts.TranscriptFinal | facts.EagerEndOfTurn | facts.EndOfTurn


class Guards(Chart[Context]):
    """What transitions depend on."""

    # --- links --------------------------------------------------------------------------------------------

    def last_link(self, fact: facts.LinkUp) -> bool:
        """Every other role can be used already."""
        return self.context.links_up | {fact.role} == frozenset(Role)

    def can_say_so(self, fact: facts.LinkDown) -> bool:
        """What is lost is not the voice, so that the caller can be told."""
        return fact.role is not Role.TTS and Role.TTS in self.context.links_up

    def about_voice(self, fact: facts.LinkDown) -> bool:
        """The voice is lost."""
        return fact.role is Role.TTS

    def greets(self) -> bool:
        """We speak first, and have not yet."""
        return bool(self.context.policy.greeting) and not self.context.greeted and not self.caller_has_word()

    def caller_has_word(self) -> bool:
        """The caller speaks, or has not ended a recording yet."""
        by_hand = self.context.turn_mode is TurnMode.MANUAL and self.context.recording
        return by_hand or self.speaking_on()

    # --- turns --------------------------------------------------------------------------------------------

    def stop_pending(self) -> bool:
        """The caller ended the recording before anybody listened."""
        return self.context.stop_pending

    def automatic(self) -> bool:
        """Voice activity, or the speech-to-text provider, decides about turns."""
        return self.context.turn_mode is TurnMode.AUTOMATIC

    def by_hand(self, fact: facts.RecordingStarted) -> bool:
        """From now on the caller ends the turn."""
        return fact.turn_mode is TurnMode.MANUAL

    def voidable(self) -> bool:
        """Who speaks while an answer is prepared takes up the word again."""
        policy = self.context.policy
        return policy.barge_in and policy.barge_in_thinking and not self.call_blocks()

    def speaking_on(self) -> bool:
        """The caller speaks again while something else is awaited."""
        return self.context.continuation is Continuation.SPEAKING

    def pausing_again(self) -> bool:
        """The caller spoke again meanwhile and paused."""
        return self.context.continuation is Continuation.PAUSED

    def recording_on(self) -> bool:
        """The caller began another recording meanwhile."""
        return self.context.continuation is Continuation.RECORDING

    def about_awaited_turn(self, fact: facts.TranscriptionFailed) -> bool:
        """It is the turn whose final transcript is awaited, not the one after it."""
        return fact.turn == self.context.turn_awaited

    def about_queued_turn(self, fact: facts.TranscriptFinal | facts.TranscriptionFailed) -> bool:
        """It is a turn that ended while another was being answered."""
        return fact.turn in self.context.turns_queued

    def turns_wait(self) -> bool:
        """Such a turn's words wait to be answered."""
        return bool(self.context.queue)

    def words_owed(self) -> bool:
        """Such a turn's words are not known yet."""
        return bool(self.context.turns_queued)

    def understood(self, fact: facts.TranscriptFinal | facts.EndOfTurn) -> bool:
        """There are words to answer: in this transcript, or unanswered ones from before."""
        return bool(self.context.join(self.context.own_words(fact.turn, fact.text)))

    def understood_so_far(self) -> bool:
        """The same, by the interim transcript."""
        context = self.context
        turn = context.turn_awaited or context.turn
        return bool(context.join(context.own_words(turn, context.interim)))

    def voice_without_words(self, fact: facts.TranscriptFinal) -> bool:
        """The caller spoke and was not understood, and is to be asked again."""
        echo = bool(fact.text)
        return fact.speech_ms >= LEAST_SPEECH_MS and bool(self.context.policy.reprompt) and not echo

    def idle(self) -> bool:
        """A quiet caller is not waited for for ever."""
        return self.context.policy.idle_after_ms > 0

    def nudges_left(self) -> bool:
        """There is something left to say to a quiet caller, before goodbye."""
        return self.context.nudges < len(self.context.policy.nudges)

    def first_wait(self) -> bool:
        """Half the time for the final transcript is left."""
        return self.context.waits == 0

    def ends_digits(self, fact: facts.DigitPressed) -> bool:
        """It ends the string of digits."""
        policy, digits = self.context.policy, self.context.digits
        return fact.digit == policy.digits_terminator or len(digits) + 1 >= policy.most_digits

    def stt_silent(self) -> bool:
        """Half the time is over without a single word: speech to text may be open and silent."""
        return self.context.waits == 0 and not self.context.interim

    def fallback_stt_ready(self) -> bool:
        """Another provider of speech to text stands ready, and there is time for it."""
        return self.context.waits == 0 and Role.STT in self.context.fallbacks_ready

    # --- the answer before the end of the turn -------------------------------------------------------------

    def can_speculate(self, fact: facts.EagerEndOfTurn) -> bool:
        """The model may be asked now, for the case that the turn ends with these words.

        Not while calls that it asked for are open: what becomes of them depends on how the turn goes on.
        """
        if self.calls_awaited():
            return False
        left = self.context.speculations < self.context.policy.speculations
        return left and bool(self.context.join(fact.text)) and Role.LLM in self.context.links_up

    def as_speculated(self, fact: facts.EagerEndOfTurn | facts.EndOfTurn) -> bool:
        """These are the words that the model was asked to answer."""
        return words_of(self.context.join(fact.text)) == words_of(self.context.speculated_words)

    def speculation_has_text(self) -> bool:
        """Something of the answer is there."""
        return bool(self.context.speculative_segments)

    # --- interruptions ------------------------------------------------------------------------------------

    def interruptible(self) -> bool:
        """Who speaks over what is being said interrupts it; if not, it is answered afterwards."""
        return self.context.policy.barge_in and not self.context.protected and not self.call_blocks()

    def barge_in_allowed(self) -> bool:
        """So it will be with an answer that begins now."""
        return self.context.policy.barge_in and not self.call_blocks()

    def pauses_on_voice(self) -> bool:
        """Voice holds the answer at once; if it was in vain too often, only words do."""
        return self.context.false_alarms < self.context.policy.barge_in_false_alarms

    def voice_interrupts(self) -> bool:
        """No words are needed."""
        return self.context.policy.barge_in_min_words == 0

    def brief(self, fact: facts.SpeechStopped) -> bool:
        """A cough or a click, too short to say anything."""
        return fact.speech_ms < self.context.policy.barge_in_min_ms

    def about_this_turn(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> bool:
        """It is no turn that waits to be answered afterwards."""
        return fact.turn in (self.context.turn, self.context.turn_awaited)

    def is_interruption(self, fact: Words) -> bool:
        """The caller says something of their own, not what was said to them, nor a mere "go on"."""
        policy, ends = self.context.policy, self.nearly_said(fact)
        heard, unheard = self.context.ledger.split(fact.at_ms)
        said = words_of(fact.text)
        # A reply may take up the last words ("Monday or Tuesday?"); an echo would have been met before them.
        if not (ends and self.context.false_alarms == 0 and occurs_late(said, self.context.ledger.text())):
            said = without_echo(fact.text, " ".join((heard, *unheard.split()[:WORDS_AHEAD])))
        if len(without_backchannels(said, policy.backchannels)) >= max(1, policy.barge_in_min_words):
            return True
        return bool(said) and ends

    def nearly_said(self, fact: Fact) -> bool:
        """So little is left of what is being said, if anything, that short words are a reply to it."""
        ledger = self.context.ledger
        over = self.context.speech_open is None
        rest_known = over or (self.context.generation_open is None and ledger.every_segment_voiced())
        return rest_known and ledger.remaining_ms(fact.at_ms) <= self.context.policy.backchannel_end_ms

    # --- what the host wants said -------------------------------------------------------------------------

    def urgent(self, fact: facts.SayRequested) -> bool:
        """It is said instead of an answer."""
        return fact.mode is SayMode.INTERRUPT and not self.goodbye()

    def can_say_now(self, fact: facts.SayRequested) -> bool:
        """The caller does not speak, and what has time waits for nothing else."""
        if self.caller_has_word() or self.greets() or self.context.host_utterances:
            return False
        return fact.mode is not SayMode.WHEN_IDLE or not (self.turns_wait() or self.words_owed())

    def host_utterance_due(self) -> bool:
        """The host wants something said next."""
        first = next(iter(self.context.host_utterances), None)
        return first is not None and first.mode is not SayMode.WHEN_IDLE and not self.caller_has_word()

    def idle_host_utterance_due(self) -> bool:
        """The host wants something said, and nothing else waits any more."""
        return bool(self.context.host_utterances) and not (self.words_owed() or self.caller_has_word())

    def room_for_host_utterance(self) -> bool:
        """Not too much waits already."""
        return len(self.context.host_utterances) < self.context.policy.max_host_utterances

    # --- calls of tools -----------------------------------------------------------------------------------

    def asks_for_calls(self, fact: facts.GenerationFinished) -> bool:
        """The model wants tools called, and may."""
        return bool(fact.calls) and self.tools_offered()

    def tools_offered(self) -> bool:
        """There are tools, and the model has not asked for calls too often instead of speaking."""
        policy = self.context.policy
        return bool(policy.tools) and self.context.tool_steps < policy.max_tool_steps

    def call_blocks(self) -> bool:
        """A call is running during which the caller's voice interrupts nothing."""
        return bool(self.context.running(OnInterruption.BLOCK))

    def last_result(self, fact: facts.ToolFinished) -> bool:
        """No other call is waited for."""
        return all(each.number == fact.call for each in self.context.calls_awaited())

    def results_owed(self) -> bool:
        """The model is to go on when the results of its calls are known."""
        return self.context.results_owed

    def reply_owed(self, fact: facts.ToolFinished) -> bool:
        """The same, with a call that should have been the answer, and failed: somebody must say so."""
        return self.context.results_owed or (fact.failed and self.still_awaited(fact))

    def still_awaited(self, fact: facts.ToolFinished) -> bool:
        """It is one of the calls that the newest message asks for, and the caller has not gone on."""
        return not self.context.caller_words and fact.call in {
            each.number for each in self.context.calls_awaited()
        }

    def calls_pending(self) -> bool:
        """There are such results, or calls that were not begun."""
        return self.context.results_owed or bool(self.context.calls_waiting())

    def calls_due(self) -> bool:
        """And now is the time for them."""
        return self.calls_pending() and not self.caller_has_word()

    def calls_awaited(self) -> bool:
        """They are not known yet."""
        return bool(self.context.calls_awaited())

    def time_for_filler(self, fact: Fact) -> bool:
        """The caller has waited in silence for some time, and there is time left."""
        has_text = bool(self.context.filler()) and not self.caller_has_word()
        return has_text and fact.at_ms + SLACK_MS < self.calls_overdue_at()

    def calls_overdue_at(self) -> float:
        """When calls that do not end when they must are not waited for any more, in the conversation's ms."""
        awaited = {each.number for each in self.context.calls_awaited()}
        due = [call.due_at for call in self.context.calls_running if call.number in awaited]
        return max(due, default=0.0) + CALL_GRACE_MS

    # --- answers ------------------------------------------------------------------------------------------

    def worth_retrying(self, fact: facts.GenerationFailed) -> bool:
        """Another request may succeed, and the budgets have room for one."""
        wait_ms = self.wait_for_model_ms(fact.failure.retry_after_ms or 0)
        return self._may_succeed(fact, Role.LLM) and self._time_for_request(fact, wait_ms)

    def worth_asking_again(self, fact: Fact) -> bool:
        """The same, of a model that did not answer in time."""
        return self._requests_left() and self._time_for_request(fact, self.wait_for_model_ms(0))

    def worth_continuing(self, fact: Fact) -> bool:
        """The model broke off; another request may bring the rest, and it need not wait for long."""
        may_succeed = self._requests_left() and (
            not isinstance(fact, facts.GenerationFailed) or self._may_succeed(fact, Role.LLM)
        )
        asked_to_wait = isinstance(fact, facts.GenerationFailed) and bool(fact.failure.retry_after_ms)
        at_once = Role.LLM in self.context.fallbacks_ready or not asked_to_wait
        return may_succeed and at_once and not self._over_budget(fact)

    def answer_too_long(self, fact: Fact) -> bool:
        """The model goes on and on."""
        return self.still_generating() and self._over_budget(fact)

    def model_stalled(self, fact: Fact) -> bool:
        """It is the model that is silent, in the middle of its answer."""
        return self.still_generating() and fact.at_ms + SLACK_MS >= self.context.model_due_at()

    def voice_worth_retrying(self, fact: Fact) -> bool:
        """The voice may do better at the next take; what seems fatal may be the connection's fault, once."""
        first, left = (
            self.context.speech_attempt == 1,
            self.context.speech_attempt <= self.context.policy.voice_retries,
        )
        hopeless = isinstance(fact, facts.SynthesisFailed) and not self._may_succeed(fact, Role.TTS)
        return left and (first or not hopeless)

    def said_already(self, fact: facts.SegmentReady) -> bool:
        """A model that was to go on with its answer says something of it again."""
        continued = fact.generation != self.context.speech_open
        return continued and any(fact.text == segment.text for segment in self.context.ledger.segments)

    def still_generating(self) -> bool:
        """The model has not ended this answer."""
        return self.context.generation_open is not None

    def goodbye(self) -> bool:
        """The answer being spoken is the last one."""
        return self.context.end_after_answer is not None

    # --- what several ask ---------------------------------------------------------------------------------

    def endpoint_delay_ms(self) -> float:
        """How much silence ends a turn, by what is known of its words and their sound."""
        policy, completeness = self.context.policy, self.context.completeness
        unfinished = sounds_unfinished(self.context.interim)
        if self.context.ends_turns:
            usual = policy.provider_endpoint_delay_ms
        elif completeness is not None and completeness >= SURELY and not unfinished:
            usual = min(policy.complete_delay_ms, policy.endpoint_delay_ms)
        else:
            usual = policy.endpoint_delay_ms
        going_on = unfinished or (completeness is not None and completeness < SURELY)
        return usual + (policy.unfinished_delay_ms if going_on else 0.0)

    def calls_wait_ms(self, at_ms: float) -> float:
        """Until something is to be said, or done without the calls' results."""
        if not self.calls_awaited():
            return 0.0
        due_at = self.calls_overdue_at()
        if self.context.filler():
            silent_since = max(self.context.asked_at, self.context.said_at or 0.0)
            due_at = min(due_at, silent_since + self.context.policy.tool_filler_after_ms)
        return max(0.0, due_at - at_ms)

    def wait_for_model_ms(self, asked_ms: float) -> float:
        """Until the next request: none where another provider takes it, else by schedule or as asked for."""
        schedule = self.context.policy.llm_retry_delays_ms
        if Role.LLM in self.context.fallbacks_ready or not schedule or not self._requests_left():
            return 0.0
        return max(schedule[self.context.attempts - 1], asked_ms)

    def _requests_left(self) -> bool:
        return self.context.attempts <= len(self.context.policy.llm_retry_delays_ms)

    def _may_succeed(self, fact: facts.GenerationFailed | facts.SynthesisFailed, role: Role) -> bool:
        """Not what will fail again, unless somebody else tries; and a request must be left."""
        left = role is not Role.LLM or self._requests_left()
        return left and (fact.failure.error_class.retryable or role in self.context.fallbacks_ready)

    def _time_for_request(self, fact: Fact, wait_ms: float) -> bool:
        over = self.context.thinking_began + self.context.policy.first_segment_timeout_ms
        return fact.at_ms + wait_ms + SLACK_MS < over

    def _over_budget(self, fact: Fact) -> bool:
        over = self.context.thinking_began + self.context.policy.answer_timeout_ms
        return fact.at_ms + SLACK_MS >= over
