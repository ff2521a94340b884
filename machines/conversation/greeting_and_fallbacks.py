"""What the policy says in place of an answer: greeting, reprompt, nudges, fillers, fallbacks, goodbyes."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import waiting
from machines.conversation.context import Context
from machines.conversation.due_times import calls_overdue_at, thinking_filler_due_at
from machines.conversation.generation import cancel_generation, void_generation
from machines.conversation.heard_history import withhold
from machines.conversation.running_calls import overtake_calls
from machines.conversation.speech import finish_speech, open_speech, say, say_instead
from machines.declarations import causes
from machines.driver import SLACK_MS, Chart
from machines.facts import EndReason, Fact
from machines.history import Speaker


def _refuses_text(fact: Fact) -> bool:
    return (
        isinstance(fact, facts.GenerationFailed) and fact.failure.error_class is facts.ErrorClass.REFUSED_TEXT
    )


def _spent_limit(fact: Fact) -> bool:
    return (
        isinstance(fact, facts.GenerationFailed) and fact.failure.error_class is facts.ErrorClass.LIMIT_SPENT
    )


class GreetingAndFallbacks(Chart[Context]):
    """Guards and actions on fallback texts."""

    # --- guards ------------------------------------------------------------------------------------------

    def greeting_due(self) -> bool:
        """There is a greeting, it was not said yet, and the caller does not have the word."""
        return waiting.greeting_due(self.context)

    def idle_limit_set(self) -> bool:
        """The policy limits how long a caller may be quiet."""
        return self.context.policy.idle_after_ms > 0

    def nudges_left(self) -> bool:
        """There is another nudge to say to a quiet caller."""
        return self.context.turns.nudges < len(self.context.policy.nudges)

    def time_for_filler(self, fact: Fact) -> bool:
        """There is a filler to say, the caller does not have the word, and the tool calls are not overdue."""
        has_text = bool(self.context.filler()) and not self.context.caller_has_word()
        return has_text and fact.at_ms + SLACK_MS < calls_overdue_at(self.context)

    def time_for_thinking_filler(self, fact: Fact) -> bool:
        """The model thinks, and the caller, who does not have the word, has waited long enough in silence."""
        return fact.at_ms + SLACK_MS >= thinking_filler_due_at(self.context)

    def is_unsayable_reply(self) -> bool:
        """The voice could say nothing of the model's answer. It may be able to say the apology for that."""
        answer, text = self.context.answer, self.context.policy.fallback.unsayable
        return bool(text) and answer.replying and answer.ledger.unsayable() and answer.ledger.text() != text

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def greet(self, fact: Fact) -> None:
        """Say the greeting. It is kept beside the history, which begins with the caller."""
        self.context.turns.greeted = True
        say_instead(
            self.context,
            self.context.policy.greeting,
            fact.at_ms,
            protected=not self.context.policy.barge_in_greeting,
        )
        self.context.answer.greeting = True

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def reprompt(self, fact: Fact) -> None:
        """Ask the caller to say it again: there was voice without words, or with unsure ones."""
        policy = self.context.policy
        say_instead(self.context, policy.reprompt or policy.fallback.unheard, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def nudge(self, fact: Fact) -> None:
        """Say the next nudge to the quiet caller."""
        text = self.context.policy.nudges[self.context.turns.nudges]
        self.context.turns.nudges += 1
        say_instead(self.context, text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_filler(self, fact: Fact) -> None:
        """Tell the caller, while tool calls take long, that the call goes on."""
        text = self.context.filler()
        self.context.tools.fillers += 1
        say_instead(self.context, text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment)
    def say_thinking_filler(self, fact: Fact) -> None:
        """Begin the answer with a filler: the model's words follow it."""
        self.context.tools.fillers += 1
        open_speech(self.context, fact.at_ms, replying=True)
        say(self.context, self.context.policy.thinking_filler, filler=True)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_unsayable(self, fact: Fact) -> None:
        """Apologize for an answer in a language that the voice does not speak."""
        say_instead(self.context, self.context.policy.fallback.unsayable, fact.at_ms, replying=True)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def apologise(self, fact: Fact) -> None:
        """Apologize because speech to text gave no words."""
        say_instead(self.context, self.context.policy.fallback.unheard, fact.at_ms)

    @causes(do.CancelGeneration, do.NotifyAnswerEnded, do.Speak, do.NotifySegment, do.FinishSpeech)
    def fall_back(self, fact: Fact) -> None:
        """Say a fallback text instead of the model's answer. The third failure in a row ends the call.

        If a content filter refused the words, no provider has failed: the caller is told, and the words
        are withheld from later requests. A model that spent its tokens on thinking has failed only if it
        never answers in this call.
        """
        void_generation(self.context)
        replying = not _refuses_text(fact)
        say_instead(self.context, self._fallback_text(fact), fact.at_ms, replying=replying)

    @causes(do.CancelGeneration, do.Speak, do.NotifySegment, do.FinishSpeech)
    def fall_back_after_filler(self, fact: Fact) -> None:
        """Go on from a filler with a fallback text: the model's words will not come."""
        cancel_generation(self.context)
        text = self._fallback_text(fact)
        self.context.answer.replying = not _refuses_text(fact)
        say(self.context, text)
        finish_speech(self.context)

    def _fallback_text(self, fact: Fact) -> str:
        if _refuses_text(fact):
            withhold(self.context)
            return self.context.policy.fallback.refused
        texts = self.context.policy.fallback
        if _spent_limit(fact) and self._model_has_answered():
            return texts.unanswered
        self.context.answer.failures += 1
        if _spent_limit(fact) and self.context.answer.failures < 3:
            return texts.unanswered
        text = {1: texts.first, 2: texts.second}.get(self.context.answer.failures, texts.third)
        if self.context.answer.failures >= 3:
            self.context.answer.end_after = (
                EndReason.HANDED_OVER if self.context.policy.hand_over else EndReason.MODEL_KEPT_FAILING
            )
        return text

    def _model_has_answered(self) -> bool:
        """Whether the history holds an answer, or a beginning of one, that is not a fallback text."""
        texts = self.context.policy.fallback
        ours = (texts.first, texts.second, texts.third, texts.unheard, texts.unanswered, texts.unsayable)
        return any(
            message.speaker is Speaker.ASSISTANT
            and (bool(message.calls) or not any(text.startswith(message.text) for text in ours))
            for message in self.context.history
        )

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_idle_goodbye(self, fact: Fact) -> None:
        """Say goodbye to a caller who was quiet for too long. The call ends unless the caller interrupts."""
        self.context.answer.end_after = EndReason.IDLE
        say_instead(self.context, self.context.policy.idle_goodbye, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech, do.CancelTool)
    def say_goodbye(self, fact: Fact) -> None:
        """Say the last words of a call that has lost a provider for good."""
        overtake_calls(self.context)
        say_instead(self.context, self.context.policy.fallback.third, fact.at_ms)
