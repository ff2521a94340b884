"""The telephone call: from dialling, or from an incoming call, to its one outcome.

It is coupled to the conversation by facts only. When the media stream opens, a conversation begins
(`BeginConversation`). When the conversation ends, the call is hung up, or transferred to a person
(`TransferCall`). When the carrier ends the call, or somebody wants it ended, the conversation is ended first
(`EndConversation`). The facts and effects are declared here, beside the chart, since no conversation machine
uses them.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from attrs import Factory, define, field, frozen
from statemachine import State

from machines.declarations import Ignored, causes, ignored, stay
from machines.driver import Chart
from machines.effects import Effect
from machines.facts import Fact

# --- policy -----------------------------------------------------------------------------------------------


@frozen
class CallPolicy:
    """How long each part of a call may last, except the conversation. Times in ms."""

    placing_timeout_ms: float = 15_000
    """How long the carrier may take to accept the order to dial. Its adapter gives up sooner."""
    ringing_timeout_ms: float = 75_000
    """How long it may ring. The carrier gives up sooner by itself and reports it."""
    stream_timeout_ms: float = 15_000
    """How long the media stream may take to open after the call was answered."""
    verdict_timeout_ms: float = 35_000
    """How long the carrier may take to tell whether a person answered, if the call has a text for machines.
    Twilio takes up to 5 s, or, while a machine talks, 30 s."""
    screening_timeout_ms: float = 25_000
    """How long a person is waited for after a machine that did not beep was told the text for machines; 0:
    the call ends then. Call screening shows a person what is said, and lets them take the call."""
    pressing_timeout_ms: float = 15_000
    """How long the carrier may take to press keys and to open another media stream, besides the time of the
    keys. Its adapter gives up sooner."""
    key_ms: float = 500
    """How long the carrier takes for one key or pause."""
    goodbye_timeout_ms: float = 30_000
    """How long a conversation may take to end after it was told to: it finishes what it is saying."""
    transfer_timeout_ms: float = 15_000
    """How long the carrier may take to connect the caller elsewhere. Its adapter gives up sooner."""
    hang_up_timeout_ms: float = 10_000
    """How long the carrier may take to report the end after it was told to hang up."""


class CallOutcome(enum.Enum):
    """How a call ended. The value is what logs and clients see."""

    COMPLETED = "completed"
    """There was a conversation, and it ended."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    """The call could not be placed, or its conversation broke."""
    CANCELLED = "cancelled"
    """Whoever placed the call hung up before there was a conversation."""
    MACHINE_ANSWERED = "machine_answered"
    HANDED_OVER = "handed_over"
    """There was a conversation, and then the carrier connected the caller to somebody else."""


# --- facts ------------------------------------------------------------------------------------------------


@frozen
class DialWanted(Fact):
    """The server is asked to call somebody."""


@frozen
class CallOffered(Fact):
    """Somebody calls the server."""


@frozen
class CallPlaced(Fact):
    """The carrier has accepted the order to dial, and has given the call an id."""


@frozen
class PlacingFailed(Fact):
    """The carrier has refused the order to dial, or could not be asked."""

    message: str


@frozen
class CallRinging(Fact):
    """The other side's telephone rings."""


@frozen
class CallAnswered(Fact):
    """Somebody, or an answering machine, has picked up."""


@frozen
class MachineAnswered(Fact):
    """The carrier reports that an answering machine picked up."""

    records: bool = False
    """It has said its greeting, and records what is said now."""
    beeped: bool = False
    """It has beeped before that. One that has not may screen the call for a person."""


@frozen
class HumanAnswered(Fact):
    """The carrier reports that no answering machine picked up, as far as it can tell."""


@frozen
class StreamOpened(Fact):
    """The call's media stream is open: a conversation can begin."""


@frozen
class WordsHeard(Fact):
    """The other side has said words, after something of ours was heard."""

    answered: bool = False
    """They were answered, and the answer was heard to its end."""


@frozen
class KeysWanted(Fact):
    """The agent wants keys pressed. Nothing is being said."""

    keys: str
    """As the carrier takes them: `w` is a pause."""


@frozen
class KeysFailed(Fact):
    """The carrier has not pressed the keys, or could not be asked."""

    stream_open: bool
    """The media stream is as it was."""


@frozen
class ConversationEnded(Fact):
    """The conversation is over, all its audio was played, and its media stream is closed."""

    broken: bool = False
    """The conversation ended by a fault of ours, or could not begin because the server is full."""
    handed_over: bool = False
    """A person is to take over. The media stream is still open: the carrier closes it when it connects the
    caller elsewhere."""


@frozen
class TransferWanted(Fact):
    """Whoever runs the server wants the caller connected to `to`, after the conversation has said `text`."""

    to: str
    text: str


@frozen
class CallTransferred(Fact):
    """The carrier connects the caller elsewhere."""


@frozen
class TransferFailed(Fact):
    """The carrier has not connected the caller elsewhere, or could not be asked."""

    message: str


@frozen
class HangUpWanted(Fact):
    """Whoever placed the call, or the server that is stopping, wants it ended."""


@frozen
class CarrierEnded(Fact):
    """The carrier reports that the call is over."""

    outcome: CallOutcome


@frozen
class CallAbandoned(Fact):
    """The server stops, and will hear nothing more of the call."""


@frozen
class CallDeadlinePassed(Fact):
    """The deadline that the call armed under this number has passed."""

    number: int


# --- effects ----------------------------------------------------------------------------------------------


@frozen
class PlaceCall(Effect):
    """Order the carrier to dial."""


@frozen
class BeginConversation(Effect):
    """Begin a conversation over the open media stream."""


@frozen
class LeaveMessage(Effect):
    """Say `text` to the answering machine, instead of all else. Begin a conversation for that if there is
    none yet."""

    text: str
    listen: bool = False
    """Then go on as a conversation; else it ends."""


@frozen
class PressKeys(Effect):
    """Have the carrier press `keys` and then open another media stream. It closes the present one."""

    keys: str


@frozen
class EndConversation(Effect):
    """End the conversation, once it has said what it is saying."""


@frozen
class CutConversation(Effect):
    """End the conversation at once: nobody hears it, or has to."""


@frozen
class SayLastWords(Effect):
    """Have the conversation say `text` and then end as handed over."""

    text: str


@frozen
class TransferCall(Effect):
    """Have the carrier connect the caller to `to`."""

    to: str


@frozen
class HangUpCall(Effect):
    """Have the carrier end the call."""


@frozen
class RecordOutcome(Effect):
    """Keep how the call ended. This effect is asked for exactly once."""

    outcome: CallOutcome
    reason: str


@frozen
class ArmCallDeadline(Effect):
    """Report `CallDeadlinePassed(number)` in `delay_ms`. The deadline armed before is forgotten."""

    number: int
    delay_ms: float


@frozen
class DisarmCallDeadline(Effect):
    """Forget the armed deadline."""


# --- the machine ------------------------------------------------------------------------------------------


@define
class CallContext:
    """The call's memory."""

    policy: CallPolicy = field(factory=CallPolicy)
    state: Any = None
    effects: list[Effect] = Factory(list)
    outcome: CallOutcome | None = None
    """The call's outcome, as soon as it is known. The first one that is noted counts."""
    reason: str = ""
    """More about the outcome, for people."""
    transfer_to: str = ""
    """The telephone number that takes over after the conversation; empty: none does."""
    voicemail_text: str = ""
    """What is said to an answering machine once it records; empty: it is hung up on."""
    answered_by: Fact | None = None
    """Who answered, as soon as the carrier has told."""
    message_left: bool = False
    """`voicemail_text` was said."""
    in_dialogue: bool = False
    """The other side has said words, and has heard the answer to its end."""
    keys: str = ""
    """The keys that are being pressed."""
    ended_by_carrier: bool = False
    """The carrier has ended the call. The conversation may not have ended yet."""
    deadline_number: int = 0
    deadline_armed: int | None = None


class TelephoneCall(Chart[CallContext]):
    """DIALLING until somebody picks up, ANSWERED until the audio flows, then TALKING, ENDING and ENDED.

    A call with a text for answering machines is DETECTING before it is TALKING: nothing is said until the
    carrier has told who answered. While keys are pressed, the call has no media stream: the carrier closes it
    and opens another one.
    """

    idle = State(initial=True)

    class DIALLING(State.Compound):
        placing = State(initial=True)
        placed = State()
        ringing = State()

    ANSWERED = State()
    DETECTING = State()

    class TALKING(State.Compound):
        conversing = State(initial=True)
        pressing = State()
        screened = State()

    class ENDING(State.Compound):
        saying_goodbye = State(initial=True)
        handover = State()
        revoking = State()
        clearing = State()

    ENDED = State(final=True)

    placing, placed, ringing = DIALLING.placing, DIALLING.placed, DIALLING.ringing
    conversing, pressing, screened = TALKING.conversing, TALKING.pressing, TALKING.screened
    saying_goodbye, handover = ENDING.saying_goodbye, ENDING.handover
    revoking, clearing = ENDING.revoking, ENDING.clearing

    dialling = (placing, placed, ringing)
    before_stream = (*dialling, ANSWERED)
    before_conversation = (*before_stream, DETECTING)
    """The states in which there has been no conversation yet."""
    talking = (conversing, pressing, screened)
    ending = (saying_goodbye, handover, revoking, clearing)

    # --- the beginning ------------------------------------------------------------------------------------
    dial_wanted = idle.to(placing, on=["place"])
    call_offered = idle.to(ANSWERED)
    # The carrier's reports may come before its answer to the order.
    call_placed = placing.to(placed) | revoking.to(clearing, on=["hang_up"])
    placing_failed = ENDED.from_(placing, on=["note_failed_to_place", "record"]) | revoking.to(
        ENDED, on=["record"]
    )
    call_ringing = ringing.from_(placing, placed)
    call_answered = ANSWERED.from_(*dialling)
    machine_answered = (
        stay(conversing, cond="in_dialogue or message_left")
        | screened.from_(DETECTING, conversing, cond="may_be_screened", on=["introduce"])
        | stay(*before_stream, cond="leaves_message", on=["note_who"])
        | conversing.from_(DETECTING, cond="leaves_message", on=["note_machine", "leave_message"])
        | stay(conversing, cond="leaves_message", on=["note_machine", "leave_message"])
        | clearing.from_(*before_conversation, unless="leaves_message", on=["note_machine", "hang_up"])
        | conversing.to(saying_goodbye, unless="leaves_message", on=["note_machine", "cut_conversation"])
    )
    human_answered = stay(*before_stream, on=["note_who"]) | DETECTING.to(
        conversing, on=["begin_conversation"]
    )
    stream_opened = (
        screened.from_(*before_stream, cond="introduction_due", on=["introduce"])
        | conversing.from_(*before_stream, cond="message_due", on=["note_machine", "leave_message"])
        | DETECTING.from_(*before_stream, cond="verdict_open")
        | conversing.from_(*before_stream, on=["begin_conversation"])
        | pressing.to(conversing)
    )

    # --- the conversation ---------------------------------------------------------------------------------
    words_heard = stay(conversing, on=["note_words"]) | screened.to(conversing, on=["note_words"])
    keys_wanted = conversing.to(pressing, on=["note_keys", "press_keys"])
    keys_failed = pressing.to(conversing, cond="stream_open") | stay(pressing, unless="stream_open")

    # --- the end ------------------------------------------------------------------------------------------
    transfer_wanted = stay(*talking, on=["note_transfer", "say_last_words"])
    conversation_ended = (
        handover.from_(*talking, cond="somebody_takes_over", on=["transfer"])
        | DETECTING.to(clearing, on=["note_end", "hang_up"])
        | screened.to(clearing, unless="somebody_takes_over", on=["note_machine", "hang_up"])
        | clearing.from_(conversing, pressing, unless="somebody_takes_over", on=["note_end", "hang_up"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_end", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_end", "hang_up"])
    )
    call_transferred = handover.to(ENDED, on=["note_handed_over", "record"])
    transfer_failed = handover.to(clearing, on=["note_failed_to_transfer", "hang_up"])
    hang_up_wanted = (
        placing.to(revoking, on=["note_cancelled"])
        | clearing.from_(placed, ringing, ANSWERED, DETECTING, on=["note_cancelled", "hang_up"])
        | saying_goodbye.from_(*talking, on=["end_conversation"])
        | stay(saying_goodbye, on=["cut_conversation"])
    )
    carrier_ended = (
        ENDED.from_(*before_conversation, revoking, clearing, on=["note_carrier_outcome", "record"])
        | screened.to(saying_goodbye, on=["note_machine", "note_carrier_ended", "cut_conversation"])
        | saying_goodbye.from_(conversing, pressing, on=["note_carrier_ended", "cut_conversation"])
        | stay(saying_goodbye, on=["note_carrier_ended", "cut_conversation"])
        | handover.to(ENDED, on=["note_completed", "record"])
    )
    call_abandoned = ENDED.from_(*before_conversation, on=["note_cancelled", "record"]) | ENDED.from_(
        *talking, *ending, on=["note_completed", "record"]
    )
    call_deadline_passed = (
        placing.to(revoking, on=["note_placing_late"])
        | clearing.from_(placed, ringing, on=["note_no_answer", "hang_up"])
        | ANSWERED.to(clearing, on=["note_no_stream", "hang_up"])
        | DETECTING.to(conversing, on=["begin_conversation"])
        | pressing.to(saying_goodbye, on=["note_stream_lost", "cut_conversation"])
        | screened.to(saying_goodbye, on=["note_machine", "end_conversation"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_completed", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_completed", "hang_up"])
        | handover.to(clearing, on=["note_transfer_late", "hang_up"])
        | ENDED.from_(revoking, clearing, on=["record"])
    )

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored(
            "call_placed placing_failed call_ringing call_answered machine_answered human_answered"
            " stream_opened words_heard keys_wanted keys_failed conversation_ended transfer_wanted"
            " call_transferred transfer_failed hang_up_wanted carrier_ended call_abandoned"
            " call_deadline_passed",
            (idle,),
            because="there is no call yet",
        ),
        *ignored(
            "dial_wanted call_offered",
            (*before_conversation, *talking, *ending, ENDED),
            because="there is a call already",
        ),
        *ignored(
            "call_placed placing_failed",
            (placed, ringing, ANSWERED, DETECTING, *talking, saying_goodbye, handover, clearing),
            because="the carrier has accepted the order already",
        ),
        *ignored(
            "call_ringing",
            (ringing, ANSWERED, DETECTING, *talking, *ending),
            because="the call is further than that",
        ),
        *ignored(
            "call_answered", (ANSWERED, DETECTING, *talking, *ending), because="the call is further than that"
        ),
        *ignored(
            "machine_answered human_answered stream_opened words_heard keys_wanted keys_failed",
            ending,
            because="the call is being ended",
        ),
        *ignored("hang_up_wanted", (handover, revoking, clearing), because="the call is being ended"),
        *ignored("human_answered", talking, because="whoever answered is talked to already"),
        *ignored("machine_answered", (pressing, screened), because="it is known what answered"),
        *ignored(
            "stream_opened", (DETECTING, conversing, screened), because="the call has its stream already"
        ),
        *ignored("words_heard", before_conversation, because="no conversation is under way"),
        *ignored("words_heard", (pressing,), because="keys are pressed because of them"),
        *ignored("keys_wanted", before_conversation, because="no conversation is under way"),
        *ignored("keys_wanted", (pressing,), because="other keys are being pressed"),
        *ignored("keys_wanted", (screened,), because="somebody, or nobody, is about to answer"),
        *ignored(
            "keys_failed", (*before_conversation, conversing, screened), because="no keys are being pressed"
        ),
        *ignored(
            "conversation_ended",
            (*before_stream, handover, revoking, clearing),
            because="no conversation is under way",
        ),
        *ignored("transfer_wanted", (*before_conversation, *ending), because="no conversation is under way"),
        *ignored(
            "call_transferred transfer_failed",
            (*before_conversation, *talking, saying_goodbye, revoking, clearing),
            because="no transfer is under way",
        ),
        *ignored("call_deadline_passed", (conversing,), because="no deadline is armed"),
        *ignored(
            "call_placed placing_failed call_ringing call_answered machine_answered human_answered"
            " stream_opened words_heard keys_wanted keys_failed conversation_ended transfer_wanted"
            " call_transferred transfer_failed hang_up_wanted carrier_ended call_abandoned"
            " call_deadline_passed",
            (ENDED,),
            because="the call is over, and its outcome is recorded",
        ),
    )

    # --- guards -------------------------------------------------------------------------------------------

    def ended_by_carrier(self) -> bool:
        """The carrier has ended the call already."""
        return self.context.ended_by_carrier

    def somebody_takes_over(self, fact: ConversationEnded) -> bool:
        """The conversation ended as handed over, and there is a number to transfer the caller to."""
        return fact.handed_over and bool(self.context.transfer_to)

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

    def in_dialogue(self) -> bool:
        """Somebody talks with us, whatever the carrier takes them for."""
        return self.context.in_dialogue

    def message_left(self) -> bool:
        """An answering machine has got its text already."""
        return self.context.message_left

    def stream_open(self, fact: KeysFailed) -> bool:
        """The call has its media stream still."""
        return fact.stream_open

    def verdict_open(self) -> bool:
        """There is a text for answering machines, and the carrier has not told who answered."""
        return bool(self.context.voicemail_text) and self.context.answered_by is None

    # --- actions ------------------------------------------------------------------------------------------

    @causes(PlaceCall)
    def place(self) -> None:
        """Have the carrier place the call."""
        self.context.effects.append(PlaceCall())

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

    @causes(PressKeys)
    def press_keys(self) -> None:
        """Have the carrier press the keys."""
        self.context.effects.append(PressKeys(self.context.keys))

    @causes(EndConversation)
    def end_conversation(self) -> None:
        """Have the conversation end."""
        self.context.effects.append(EndConversation())

    @causes(CutConversation)
    def cut_conversation(self) -> None:
        """Have the conversation end now, whatever is being said."""
        self.context.effects.append(CutConversation())

    @causes(SayLastWords)
    def say_last_words(self, fact: TransferWanted) -> None:
        """Say what the caller is told before the transfer."""
        self.context.effects.append(SayLastWords(fact.text))

    @causes(TransferCall)
    def transfer(self) -> None:
        """Have the carrier connect the caller elsewhere."""
        self.context.effects.append(TransferCall(self.context.transfer_to))

    @causes(HangUpCall)
    def hang_up(self) -> None:
        """Have the carrier hang up."""
        self.context.effects.append(HangUpCall())

    @causes(RecordOutcome)
    def record(self) -> None:
        """Have the outcome recorded."""
        assert self.context.outcome is not None, "every path to the end notes the outcome"
        self.context.effects.append(RecordOutcome(self.context.outcome, self.context.reason))

    @causes()
    def note_failed_to_place(self, fact: PlacingFailed) -> None:
        """Outcome: the carrier did not place the call."""
        self._note(CallOutcome.FAILED, fact.message)

    @causes()
    def note_placing_late(self) -> None:
        """Outcome: the carrier did not take the call in time."""
        self._note(CallOutcome.FAILED, "the carrier did not take the call in time")

    @causes()
    def note_no_answer(self) -> None:
        """Outcome: nobody answered, and the carrier did not say so."""
        self._note(CallOutcome.NO_ANSWER, "nobody answered, and the carrier did not say so")

    @causes()
    def note_no_stream(self) -> None:
        """Outcome: the media stream was not opened in time."""
        self._note(CallOutcome.FAILED, "the media stream was not opened in time")

    @causes()
    def note_machine(self) -> None:
        """Outcome: a machine answered."""
        self._note(CallOutcome.MACHINE_ANSWERED)

    @causes()
    def note_who(self, fact: Fact) -> None:
        """Keep who or what answered."""
        self.context.answered_by = fact

    @causes()
    def note_words(self, fact: WordsHeard) -> None:
        """Keep whether the other side has heard an answer of ours to its end."""
        self.context.in_dialogue = self.context.in_dialogue or fact.answered

    @causes()
    def note_keys(self, fact: KeysWanted) -> None:
        """Keep the keys to press."""
        self.context.keys = fact.keys

    @causes()
    def note_stream_lost(self) -> None:
        """Outcome: the media stream did not come back after keys were pressed."""
        self._note(CallOutcome.FAILED, "the media stream did not come back after keys were pressed")

    @causes()
    def note_cancelled(self) -> None:
        """Outcome: cancelled before the conversation began."""
        self._note(CallOutcome.CANCELLED)

    @causes()
    def note_end(self, fact: ConversationEnded) -> None:
        """Outcome: completed, or failed if the conversation broke."""
        if fact.broken:
            self._note(CallOutcome.FAILED, "the conversation broke")
        self.note_completed()

    @causes()
    def note_completed(self) -> None:
        """Outcome: completed."""
        self._note(CallOutcome.COMPLETED)

    @causes()
    def note_transfer(self, fact: TransferWanted) -> None:
        """Keep where the caller is to be connected."""
        self.context.transfer_to = fact.to

    @causes()
    def note_handed_over(self) -> None:
        """Outcome: the caller was connected elsewhere."""
        self._note(CallOutcome.HANDED_OVER)

    @causes()
    def note_failed_to_transfer(self, fact: TransferFailed) -> None:
        """Outcome: the caller could not be connected elsewhere."""
        self._note(CallOutcome.FAILED, f"the caller could not be handed over: {fact.message}")

    @causes()
    def note_transfer_late(self) -> None:
        """Outcome: the carrier did not connect the caller elsewhere in time."""
        self._note(CallOutcome.FAILED, "the carrier did not connect the caller elsewhere in time")

    @causes()
    def note_carrier_outcome(self, fact: CarrierEnded) -> None:
        """Note the carrier's outcome, unless another one was noted before.

        The carrier says `completed` of every call that was answered. Without a conversation such a call
        failed.
        """
        put_through = fact.outcome is CallOutcome.COMPLETED
        if put_through and self.context.outcome is None:
            self._note(CallOutcome.FAILED, "the call ended before there was a conversation")
        self._note(fact.outcome)

    @causes()
    def note_carrier_ended(self) -> None:
        """Keep that the carrier has ended the call."""
        self.context.ended_by_carrier = True

    def _note(self, outcome: CallOutcome, reason: str = "") -> None:
        if self.context.outcome is None:
            self.context.outcome, self.context.reason = outcome, reason

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` is about something that is no longer current; None if it is current."""
        if isinstance(fact, CallDeadlinePassed) and fact.number != self.context.deadline_armed:
            return f"deadline {fact.number} is not armed"
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None for the conversation, which has limits of its own."""
        del at_ms
        policy = self.context.policy
        return {
            "placing": policy.placing_timeout_ms,
            "placed": policy.ringing_timeout_ms,
            "ringing": policy.ringing_timeout_ms,
            "ANSWERED": policy.stream_timeout_ms,
            "DETECTING": policy.verdict_timeout_ms,
            "pressing": policy.pressing_timeout_ms + policy.key_ms * len(self.context.keys),
            "screened": policy.screening_timeout_ms,
            "saying_goodbye": policy.goodbye_timeout_ms,
            "handover": policy.transfer_timeout_ms,
            "revoking": policy.placing_timeout_ms,
            "clearing": policy.hang_up_timeout_ms,
        }.get(state)
