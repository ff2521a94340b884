"""What the policy says in place of an answer: greeting, reprompt, nudges, fillers, fallbacks, goodbyes."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.answers import Answers
from machines.conversation.heard_history import withhold
from machines.declarations import causes
from machines.driver import SLACK_MS
from machines.facts import EndReason, Fact


def _refuses_text(fact: Fact) -> bool:
    return (
        isinstance(fact, facts.GenerationFailed) and fact.failure.error_class is facts.ErrorClass.REFUSED_TEXT
    )


class GreetingAndFallbacks(Answers):
    """Guards and actions on fallback texts."""

    # --- guards ------------------------------------------------------------------------------------------

    def greeting_due(self) -> bool:
        """There is a greeting, it was not said yet, and the caller does not have the word."""
        return (
            bool(self.context.policy.greeting)
            and not self.context.turns.greeted
            and not self.caller_has_word()
        )

    def idle_limit_set(self) -> bool:
        """The policy limits how long a caller may be quiet."""
        return self.context.policy.idle_after_ms > 0

    def nudges_left(self) -> bool:
        """There is another nudge to say to a quiet caller."""
        return self.context.turns.nudges < len(self.context.policy.nudges)

    def time_for_filler(self, fact: Fact) -> bool:
        """There is a filler to say, the caller does not have the word, and the tool calls are not overdue."""
        has_text = bool(self.context.filler()) and not self.caller_has_word()
        return has_text and fact.at_ms + SLACK_MS < self.calls_overdue_at()

    def calls_wait_ms(self, at_ms: float) -> float:
        """How long to wait before a filler is said, or before the tool calls are given up."""
        if not self.calls_awaited():
            return 0.0
        due_at = self.calls_overdue_at()
        if self.context.filler():
            silent_since = max(self.context.tools.asked_at, self.context.answer.said_at or 0.0)
            due_at = min(due_at, silent_since + self.context.policy.tool_filler_after_ms)
        return max(0.0, due_at - at_ms)

    def is_unsayable_reply(self) -> bool:
        """The voice could say nothing of the model's answer, and may be able to say so."""
        answer, text = self.context.answer, self.context.policy.fallback.unsayable
        return bool(text) and answer.replying and answer.ledger.unsayable() and answer.ledger.text() != text

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def greet(self, fact: Fact) -> None:
        """Say the greeting. It is not entered into the history, which begins with the caller."""
        self.context.turns.greeted = True
        self._say_instead(
            self.context.policy.greeting, fact.at_ms, protected=not self.context.policy.barge_in_greeting
        )

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def reprompt(self, fact: Fact) -> None:
        """Ask the caller to say it again: there was voice without words."""
        self._say_instead(self.context.policy.reprompt, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def nudge(self, fact: Fact) -> None:
        """Say the next nudge to the quiet caller."""
        text = self.context.policy.nudges[self.context.turns.nudges]
        self.context.turns.nudges += 1
        self._say_instead(text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_filler(self, fact: Fact) -> None:
        """Tell the caller, while tool calls take long, that the call goes on."""
        text = self.context.filler()
        self.context.tools.fillers += 1
        self._say_instead(text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_unsayable(self, fact: Fact) -> None:
        """The answer is in a language that the voice does not speak: that is all the caller can be told."""
        self._say_instead(self.context.policy.fallback.unsayable, fact.at_ms, replying=True)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def apologise(self, fact: Fact) -> None:
        """Tell the caller that they could not be heard, for technical reasons."""
        self._say_instead(self.context.policy.fallback.unheard, fact.at_ms)

    @causes(do.CancelGeneration, do.NotifyAnswerEnded, do.Speak, do.NotifySegment, do.FinishSpeech)
    def fall_back(self, fact: Fact) -> None:
        """Say a fallback text instead of the model's answer. The third failure in a row ends the call.

        If the words were refused by a content filter, nobody has failed: the caller is told, and the words
        are withheld from later requests.
        """
        self._void_generation()
        if _refuses_text(fact):
            withhold(self.context)
            self._say_instead(self.context.policy.fallback.refused, fact.at_ms)
            return
        self.context.answer.failures += 1
        texts = self.context.policy.fallback
        text = {1: texts.first, 2: texts.second}.get(self.context.answer.failures, texts.third)
        if self.context.answer.failures >= 3:
            self.context.answer.end_after = (
                EndReason.HANDED_OVER if self.context.policy.hand_over else EndReason.MODEL_KEPT_FAILING
            )
        self._say_instead(text, fact.at_ms, replying=True)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_idle_goodbye(self, fact: Fact) -> None:
        """Say goodbye to a caller who was quiet for too long. The call ends unless the caller interrupts."""
        self.context.answer.end_after = EndReason.IDLE
        self._say_instead(self.context.policy.idle_goodbye, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech, do.CancelTool)
    def say_goodbye(self, fact: Fact) -> None:
        """Say the last words of a call that has lost a provider for good."""
        self._overtake_calls()
        self._say_instead(self.context.policy.fallback.third, fact.at_ms)
