"""Keys of the telephone that the caller presses."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.turns import Turns
from machines.declarations import causes
from machines.facts import Fact


class Keypad(Turns):
    """Guards and actions on keys."""

    # --- guards ------------------------------------------------------------------------------------------

    def ends_digits(self, fact: facts.DigitPressed) -> bool:
        """This key ends the string of keys: it is the terminator, or the string is long enough."""
        policy, digits = self.context.policy, self.context.turns.digits
        return fact.digit == policy.digits_terminator or len(digits) + 1 >= policy.most_digits

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def note_digit(self, fact: facts.DigitPressed) -> None:
        self.context.turns.greeted = True
        self.context.turns.digits += fact.digit

    @causes(do.NotifyTranscript, do.BeginTurn)
    def end_digits(self, fact: Fact) -> None:
        """End the turn with the string of keys as the caller's words, instead of anything that was heard."""
        policy, digits = self.context.policy, self.context.turns.digits
        if isinstance(fact, facts.DigitPressed) and fact.digit != policy.digits_terminator:
            digits += fact.digit
        self.context.turns.digits = ""
        self.context.turns.times.turn_over = fact.at_ms
        self._keep(
            self.context.turns.current, policy.digits_words.format(" ".join(digits)), 1.0, 0.0, fact.at_ms
        )
        self._begin_next_turn()
