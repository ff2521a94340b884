"""Keys of the telephone that the caller presses."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import callers_words, new_turn
from machines.conversation.context import Context
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact


class Keypad(Chart[Context]):
    """Guards and actions on keys."""

    # --- guards ------------------------------------------------------------------------------------------

    def ends_digits(self, fact: facts.DigitPressed) -> bool:
        """This key ends the string of keys: it is the terminator, or the string is long enough."""
        policy, digits = self.context.policy, self.context.turns.digits
        terminates = bool(digits) and fact.digit == policy.digits_terminator
        return terminates or len(digits) + 1 >= policy.most_digits

    def digits_begun(self) -> bool:
        """The caller has begun a string of keys before we listened to them."""
        return bool(self.context.turns.digits)

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def keep_digit(self, fact: facts.DigitPressed) -> None:
        """Add the key to the string of keys, before we listen."""
        self.context.turns.digits += fact.digit

    @causes(do.NotifyTranscript)
    def queue_early_digits(self, fact: facts.DigitPressed) -> None:
        """Let the words of the string of keys wait until we listen. No turn has begun."""
        words = self._words_of_digits(fact)
        callers_words.notify_words(self.context, self.context.turns.current, words, 1.0, is_final=True)
        callers_words.queue_words(self.context, words)

    @causes()
    def skip_greeting(self) -> None:
        """A caller who presses keys before the greeting needs none, unless it must be heard."""
        if self.context.policy.barge_in and self.context.policy.barge_in_greeting:
            self.context.turns.greeted = True

    @causes()
    def note_digit(self, fact: facts.DigitPressed) -> None:
        """Add the key to the string of keys."""
        self.context.turns.greeted = True
        self.context.turns.digits += fact.digit

    @causes(do.NotifyTranscript, do.BeginTurn)
    def end_digits(self, fact: Fact) -> None:
        """End the turn with the string of keys as the caller's words, instead of any transcript."""
        self.context.turns.times.turn_over = fact.at_ms
        words = self._words_of_digits(fact)
        callers_words.keep(self.context, self.context.turns.current, words, 1.0, 0.0, fact.at_ms)
        new_turn.begin_next_turn(self.context)

    @causes(do.NotifyTranscript, do.BeginTurn)
    def queue_digits(self, fact: facts.DigitPressed) -> None:
        """Let the words of the string of keys wait: the answer may not be interrupted. Voice goes on."""
        words, continuation = self._words_of_digits(fact), self.context.turns.continuation
        callers_words.notify_words(self.context, self.context.turns.current, words, 1.0, is_final=True)
        callers_words.queue_words(self.context, words)
        new_turn.begin_next_turn(self.context)
        self.context.turns.continuation = continuation

    def _words_of_digits(self, fact: Fact) -> str:
        """The string of keys that ends with this fact, in words. The next string begins empty."""
        policy, digits = self.context.policy, self.context.turns.digits
        if isinstance(fact, facts.DigitPressed) and fact.digit != policy.digits_terminator:
            digits += fact.digit
        self.context.turns.digits = ""
        return policy.digits_words.format(" ".join(digits))
