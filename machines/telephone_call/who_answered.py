"""Who answered: a person, an answering machine that records, or one that screens the call for a person.

A call with a text for machines says it to a machine, and nothing else, until it is known who answered.
"""

from __future__ import annotations

from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact
from machines.telephone_call.context import CallContext
from machines.telephone_call.effects import BeginConversation, LeaveMessage
from machines.telephone_call.facts import MachineAnswered, WordsHeard


class WhoAnswered(Chart[CallContext]):
    """Guards and actions on whoever answered."""

    # --- guards ------------------------------------------------------------------------------------------

    def verdict_open(self) -> bool:
        """There is a text for answering machines, and the carrier has not told who answered."""
        return bool(self.context.voicemail_text) and self.context.answered_by is None

    def leaves_message(self, fact: MachineAnswered) -> bool:
        """The answering machine records now, and there is a text for it."""
        return fact.records and bool(self.context.voicemail_text)

    def may_be_screened(self, fact: MachineAnswered) -> bool:
        """As `leaves_message`, but a person may hear it: the machine has not beeped."""
        return self.leaves_message(fact) and not fact.beeped and self.context.policy.screening_timeout_ms > 0

    def message_due(self) -> bool:
        """An answering machine waits for its text."""
        return isinstance(self.context.answered_by, MachineAnswered)

    def introduction_due(self) -> bool:
        """Something that may screen the call for a person waits for the text."""
        who = self.context.answered_by
        return isinstance(who, MachineAnswered) and self.may_be_screened(who)

    def message_left(self) -> bool:
        """An answering machine has got its text already."""
        return self.context.message_left

    def in_dialogue(self) -> bool:
        """Somebody talks with us, whatever the carrier takes them for."""
        return self.context.in_dialogue

    # --- actions -----------------------------------------------------------------------------------------

    @causes()
    def note_who(self, fact: Fact) -> None:
        """Keep who or what answered."""
        self.context.answered_by = fact

    @causes(BeginConversation)
    def begin_conversation(self) -> None:
        """Begin the conversation with the person who answered."""
        self.context.effects.append(BeginConversation())

    @causes(LeaveMessage)
    def leave_message(self) -> None:
        """Say the message for the answering machine."""
        self.context.message_left = True
        self.context.effects.append(LeaveMessage(self.context.voicemail_text))

    @causes(LeaveMessage)
    def introduce(self) -> None:
        """Say the text to whatever answered, and listen: it may be a person's call screening."""
        self.context.message_left = True
        self.context.effects.append(LeaveMessage(self.context.voicemail_text, listen=True))

    @causes()
    def note_words(self, fact: WordsHeard) -> None:
        """Keep whether the other side has heard an answer of ours to its end."""
        self.context.in_dialogue = self.context.in_dialogue or fact.answered
