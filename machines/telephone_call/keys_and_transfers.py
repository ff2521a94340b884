"""What the carrier does with a call on our order: it presses keys, or connects the caller elsewhere."""

from __future__ import annotations

from machines.declarations import causes
from machines.driver import Chart
from machines.telephone_call.context import CallContext
from machines.telephone_call.effects import PressKeys, SayLastWords, TransferCall
from machines.telephone_call.facts import ConversationEnded, KeysFailed, KeysWanted, TransferWanted


class KeysAndTransfers(Chart[CallContext]):
    """Guards and actions on keys to press, and on whom the caller is connected to."""

    # --- guards ------------------------------------------------------------------------------------------

    def stream_open(self, fact: KeysFailed) -> bool:
        """The call has its media stream still."""
        return fact.stream_open

    def somebody_takes_over(self, fact: ConversationEnded) -> bool:
        """The conversation ended as handed over, and there is a number to transfer the caller to."""
        return fact.handed_over and bool(self.context.transfer_to)

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def note_keys(self, fact: KeysWanted) -> None:
        """Keep the keys to press."""
        self.context.keys = fact.keys

    @causes(PressKeys)
    def press_keys(self) -> None:
        """Have the carrier press the keys."""
        self.context.effects.append(PressKeys(self.context.keys))

    @causes()
    def note_transfer(self, fact: TransferWanted) -> None:
        """Keep where the caller is to be connected."""
        self.context.transfer_to = fact.to

    @causes(SayLastWords)
    def say_last_words(self, fact: TransferWanted) -> None:
        """Say what the caller is told before the transfer."""
        self.context.effects.append(SayLastWords(fact.text))

    @causes(TransferCall)
    def transfer(self) -> None:
        """Have the carrier connect the caller elsewhere."""
        self.context.effects.append(TransferCall(self.context.transfer_to))
