"""One telephone call: runs its machine, carries out the machine's effects, and reports its state."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import trio
from attrs import define, evolve, field

from adapters.interfaces import ProviderError
from adapters.logs import library_logger
from machines.driver import Driver
from machines.effects import Effect
from machines.facts import EndReason, Fact, SayMode, SayRequested
from machines.telephone_call import effects as do
from machines.telephone_call import facts as call_facts
from machines.telephone_call.context import CallContext
from machines.telephone_call.facts import CallOutcome
from machines.telephone_call.machine import TelephoneCall
from machines.telephone_call.policy import CallPolicy
from orchestrator.access.limits import CallShare
from orchestrator.clock import epoch_ms, now_ms
from orchestrator.phone.call_options import CallOptions
from orchestrator.phone.media_stream import MediaStream
from orchestrator.sessions.call_socket import MessageSocket
from protocol.twilio import Media, Started

log = library_logger(__name__)

CARRIER_STATUSES: dict[str, Fact] = {
    "ringing": call_facts.CallRinging(),
    "in-progress": call_facts.CallAnswered(),
    "answered": call_facts.CallAnswered(),
    "completed": call_facts.CarrierEnded(CallOutcome.COMPLETED),
    "busy": call_facts.CarrierEnded(CallOutcome.BUSY),
    "no-answer": call_facts.CarrierEnded(CallOutcome.NO_ANSWER),
    "failed": call_facts.CarrierEnded(CallOutcome.FAILED),
    "canceled": call_facts.CarrierEnded(CallOutcome.CANCELLED),
}
"""The facts of Twilio's `CallStatus`. `queued` and `initiated` tell nothing new."""


class Direction(enum.Enum):
    """Who dialled."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Carrier(Protocol):
    """Makes, transfers and ends calls in the telephone network. All methods raise `ProviderError`."""

    async def place(self, call: PhoneCall) -> str:
        """Dial. Returns the carrier's id of the call."""
        ...

    async def transfer(self, call: PhoneCall, to: str) -> bool:
        """Connect the caller with `to` instead of us. False if the call was over already."""
        ...

    async def press(self, call: PhoneCall, keys: str) -> bool:
        """Press keys, and open another media stream after that. False if the call was over already."""
        ...

    async def hang_up(self, call_sid: str) -> str | None:
        """End the call. Returns its status then; None if it was over already."""
        ...


@define(eq=False)
class PhoneCall:
    """One telephone call. `take` handles its facts; the effects are carried out in `nursery`."""

    call_id: str
    direction: Direction
    to: str
    from_: str
    options: CallOptions
    machine_detection: bool
    carrier: Carrier
    nursery: trio.Nursery
    chart: TelephoneCall
    on_over: Callable[[PhoneCall], None]
    """Called once, when the outcome is recorded."""
    transfer_to: str = ""
    """The number to which the agent transfers the call; empty if there is none."""
    voicemail_text: str = ""
    """What is said to an answering machine once it records; empty: the call is ended."""
    screening_ms: float = 0.0
    """How long to listen after that, if it has not beeped: a person may be behind it."""
    share: CallShare | None = None
    """What it takes of its account, until it is over; None: of none."""

    media_url: str = ""
    """Where its media streams are opened."""
    call_sid: str | None = None
    outcome: CallOutcome | None = field(default=None, init=False)
    reason: str = field(default="", init=False)
    session_id: str | None = field(default=None, init=False)
    end_reason: EndReason | None = field(default=None, init=False)
    """Why the conversation ended."""
    began_at: float = field(factory=epoch_ms, init=False)
    ended_at: float | None = field(default=None, init=False)
    """`began_at` and `ended_at` are in ms since the Unix epoch."""
    over: trio.Event = field(factory=trio.Event, init=False)
    _transferred: trio.Event = field(factory=trio.Event, init=False)
    """Set when the carrier has answered the request to transfer the caller, or when none is needed."""
    _session: MediaStream | None = field(default=None, init=False)
    _beginning: Effect | None = field(default=None, init=False)
    """What the machine wants said over the stream: a conversation or a message."""
    _decided: trio.Event = field(factory=trio.Event, init=False)
    """Set when the call is no longer DETECTING."""
    _pressing: trio.Lock = field(factory=trio.Lock, init=False)
    _pressed: trio.Event = field(factory=trio.Event, init=False)
    """Set when the call is no longer pressing keys."""
    _not_pressed: str | None = field(default=None, init=False)
    """Why the last keys were not pressed."""
    _has_stream: bool = field(default=False, init=False)
    _deadline: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _driver: Driver[CallContext] = field(init=False)

    def __attrs_post_init__(self) -> None:
        policy = CallPolicy(screening_timeout_ms=self.screening_ms)
        context = CallContext(policy, transfer_to=self.transfer_to, voicemail_text=self.voicemail_text)
        self._driver = Driver("call", self.chart, context, do.ArmCallDeadline, do.DisarmCallDeadline)

    # --- facts and effects --------------------------------------------------------------------------------

    def take(self, fact: Fact) -> tuple[Effect, ...]:
        """Handle a fact. Returns the machine's effects, which are being carried out."""
        step = self._driver.handle(evolve(fact, at_ms=now_ms()))
        log.debug(
            "call",
            call=self.call_id,
            fact=fact.name,
            source=step.source,
            target=step.target,
            outcome=step.outcome.value,
        )
        for effect in step.effects:
            self._perform(effect)
        if step.source == "DETECTING" != step.target:
            self._decided.set()
        if step.source == "pressing" != step.target:
            if step.target != "conversing":
                self._not_pressed = self._not_pressed or "the call ends"
            self._pressed.set()
        return step.effects

    def carrier_says(self, status: str) -> None:
        """Handle a status that Twilio reports."""
        fact = CARRIER_STATUSES.get(status)
        if fact is not None:
            self.take(fact)

    async def converse(self, session: MediaStream, run: Callable[[], Awaitable[None]]) -> bool:
        """Run the conversation of this call by `run`. False if the call's machine wants none (any more)."""
        if self._has_stream:
            return False
        self._has_stream = True
        self.take(call_facts.StreamOpened())
        if self.state == "DETECTING":
            await session.listen_until(self._decided)
            if self.state == "DETECTING":  # the stream is over
                self.take(call_facts.ConversationEnded())
            if self._beginning is None:
                await session.close(EndReason.OPERATOR_HUNG_UP, after_goodbye=True)
                return True
        if self._beginning is None:
            return False
        if isinstance(self._beginning, do.LeaveMessage):
            session.leave_message(self._beginning.text, listen=self._beginning.listen)
        session.dialogue.on_words = lambda answered: self.take(call_facts.WordsHeard(answered))
        self._session, self.session_id = session, session.session_id
        try:
            await run()
        finally:
            self._session = None
            self.end_reason = session.ended_for
            broken = session.ended_for in (None, EndReason.INTERNAL_ERROR)
            handed_over = session.ended_for is EndReason.HANDED_OVER
            wanted = self.take(call_facts.ConversationEnded(broken, handed_over))
            if not any(isinstance(effect, do.TransferCall) for effect in wanted):
                self._transferred.set()
        if handed_over:
            # Closing the stream ends the call, unless the carrier already knows whom to connect.
            await session.close_after_transfer(self._transferred)
        session.release()
        return True

    async def resume(self, connection: MessageSocket, started: Started, early: Sequence[Media]) -> None:
        """Go on with the conversation over another stream, after keys were pressed; the call is `pressing`.

        Returns when the stream is not needed any more.
        """
        assert self._session is not None, "keys are pressed in a conversation"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._session.resume, connection, started, early)
            self.take(call_facts.StreamOpened())

    async def press(self, keys: str) -> str | None:
        """Have the carrier press keys once nothing is being said. Returns when the conversation has its next
        stream, or else why the keys were not pressed."""
        async with self._pressing:
            session = self._session
            if session is not None:
                await session.dialogue.fall_silent()
            if do.PressKeys(keys) not in self.take(call_facts.KeysWanted(keys)):
                return "the call ends"
            await self._pressed.wait()
            return self._not_pressed

    def say(self, request: SayRequested) -> bool:
        """Say something to the caller. False if there is no conversation now."""
        if self._session is None:
            return False
        self._session.say(request)
        return True

    def _perform(self, effect: Effect) -> None:
        match effect:
            case do.PlaceCall():
                self.nursery.start_soon(self._place)
            case do.LeaveMessage(text=text, listen=listen) if self._session is not None:
                self._session.leave_message(text, listen=listen)
            case do.BeginConversation() | do.LeaveMessage():
                self._beginning = effect
            case do.HangUpCall():
                self.nursery.start_soon(self._hang_up)
            case do.SayLastWords(text=text):
                then = EndReason.HANDED_OVER
                self.say(SayRequested(text, SayMode.INTERRUPT, interruptible=False, then=then))
            case do.TransferCall(to=to):
                self.nursery.start_soon(self._transfer, to)
            case do.PressKeys(keys=keys):
                self._pressed, self._not_pressed = trio.Event(), None
                self.nursery.start_soon(self._press, keys)
            case do.EndConversation():
                self.nursery.start_soon(self._end_conversation)
            case do.CutConversation():
                self._cut_conversation()
            case do.ArmCallDeadline(number=number, delay_ms=delay_ms):
                self._deadline.cancel()
                self._deadline = trio.CancelScope()
                self.nursery.start_soon(self._wait, self._deadline, number, delay_ms)
            case do.DisarmCallDeadline():
                self._deadline.cancel()
            case do.RecordOutcome(outcome=outcome, reason=reason):
                self._record(outcome, reason)

    async def _place(self) -> None:
        try:
            self.call_sid = await self.carrier.place(self)
        except ProviderError as error:
            log.warning("call not placed", call=self.call_id, error=error.failure.message)
            self.take(call_facts.PlacingFailed(error.failure.message))
        else:
            log.info("call placed", call=self.call_id, sid=self.call_sid)
            self.take(call_facts.CallPlaced())

    async def _transfer(self, to: str) -> None:
        try:
            connected = await self.carrier.transfer(self, to)
        except ProviderError as error:
            log.warning("call not transferred", call=self.call_id, error=error.failure.message)
            self.take(call_facts.TransferFailed(error.failure.message))
        else:
            log.info("call transferred", call=self.call_id, connected=connected)
            over = call_facts.CarrierEnded(CallOutcome.COMPLETED)
            self.take(call_facts.CallTransferred() if connected else over)
        finally:
            self._transferred.set()

    async def _press(self, keys: str) -> None:
        pressed = self._pressed
        if self._session is not None:
            self._session.await_stream()
        try:
            there = await self.carrier.press(self, keys)
        except ProviderError as error:
            log.warning("keys not pressed", call=self.call_id, error=error.failure.message)
            if pressed.is_set():
                return  # the next stream came before this answer
            self._not_pressed = error.failure.message
            self.take(call_facts.KeysFailed(self._session is not None and self._session.keep_stream()))
        else:
            log.info("keys pressed", call=self.call_id, there=there)
            if not there:
                self.take(call_facts.CarrierEnded(CallOutcome.COMPLETED))

    async def _hang_up(self) -> None:
        """Ask the carrier to end the call. Closing the stream is not enough: its TwiML may continue."""
        if self.call_sid is None:
            return
        try:
            status = await self.carrier.hang_up(self.call_sid)
        except ProviderError as error:
            log.warning("call not hung up", call=self.call_id, error=error.failure.message)
            return
        self.carrier_says("completed" if status is None else status)

    async def _end_conversation(self) -> None:
        if self._session is not None:
            await self._session.dialogue.fall_silent()
            self._cut_conversation()

    def _cut_conversation(self) -> None:
        if self._session is not None:
            gone = self._driver.context.ended_by_carrier
            self._session.hang_up(EndReason.CALLER_HUNG_UP if gone else EndReason.OPERATOR_HUNG_UP)

    async def _wait(self, scope: trio.CancelScope, number: int, delay_ms: float) -> None:
        with scope:
            await trio.sleep(delay_ms / 1000)
            self.take(call_facts.CallDeadlinePassed(number))

    def _record(self, outcome: CallOutcome, reason: str) -> None:
        self.outcome, self.reason, self.ended_at = outcome, reason, epoch_ms()
        seconds = round((self.ended_at - self.began_at) / 1000, 1)
        log.info("call over", call=self.call_id, outcome=outcome.value, reason=reason, seconds=seconds)
        self.over.set()
        if self.share is not None:
            self.share.release()
        self.on_over(self)

    # --- reports ------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The call machine's state."""
        return self._driver.state

    @property
    def is_talking(self) -> bool:
        """Whether there is a conversation that nobody has told to end."""
        return self.state in {each.id for each in TelephoneCall.talking}

    def report(self) -> dict[str, Any]:
        """The call as JSON, for the HTTP interface."""
        return {
            "id": self.call_id,
            "direction": self.direction.value,
            "to": self.to,
            "from": self.from_,
            "state": self.state,
            "outcome": self.outcome.value if self.outcome else None,
            "reason": self.reason,
            "callSid": self.call_sid,
            "sessionId": self.session_id,
            "endReason": self.end_reason.value if self.end_reason else None,
            "beganAt": _iso(self.began_at),
            "endedAt": _iso(self.ended_at) if self.ended_at is not None else None,
        }


def _iso(epoch_milliseconds: float) -> str:
    return datetime.fromtimestamp(epoch_milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
