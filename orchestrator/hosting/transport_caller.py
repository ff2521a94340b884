"""The caller's side of a host's conversation: connects it with the host's transport.

Two tasks work beside the conversation, as with a socket: one turns what the transport receives, strictly in
order, into facts and audio, and one sends queued messages. Queued audio can be dropped, but not a message
that is being sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import trio
from attrs import Factory, define, frozen

from adapters.interfaces import Samples
from adapters.logs import library_logger
from adapters.tasks import sole_error
from machines import facts
from machines.effects import Effect, StopCause
from machines.facts import EndReason, TurnMode
from orchestrator.audio.audio_intake import AudioIntake
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.playback_clock import UNPLAYED
from orchestrator.audio.utterance import Pacing
from orchestrator.conversation.inbox import Inbox
from orchestrator.conversation.send_queue import FLUSH_TIMEOUT_S, SendQueue, Stalled
from orchestrator.hosting.transport import (
    AudioBegins,
    AudioEnds,
    AudioHeld,
    AudioIn,
    AudioOut,
    AudioStopped,
    HungUp,
    Incoming,
    Interrupted,
    KeyPressed,
    Outgoing,
    Transport,
    TransportClosed,
    TurnEnded,
    TurnStarted,
)

log = library_logger(__name__)


def _no_incoming(transport: object, received: object) -> str:
    """The sentence for what a transport may not receive: its author may not use a type checker."""
    told = "None" if received is None else f"an object of {type(received).__name__}"
    kinds = ", ".join(kind.__name__ for kind in get_args(Incoming))
    return (
        f"{type(transport).__name__}.receive() returned {told}, but must return one of {kinds}, "
        "or raise TransportClosed"
    )


@frozen
class Waiting:
    """A message queued for the transport."""

    message: Outgoing

    @property
    def size(self) -> int:
        """In bytes."""
        return self.message.samples.nbytes if isinstance(self.message, AudioOut) else 0

    @property
    def utterance(self) -> int | None:
        """The answer whose audio it is; dropped with the rest of it when the answer is stopped."""
        return self.message.answer if isinstance(self.message, AudioOut | AudioEnds) else None


@define(eq=False)
class TransportCaller:
    """The `Caller` of a conversation over a `Transport`. `run` it beside the conversation."""

    transport: Transport
    turn_mode: TurnMode
    language: str
    voice_id: str | None
    inbox: Inbox = Factory(Inbox)
    audio: CallerAudio = Factory(CallerAudio)
    last_activity: float = Factory(trio.current_time)
    """When something came from or was sent to the caller, in seconds of Trio's clock."""
    _queue: SendQueue[Waiting] = Factory(SendQueue)
    _gone: bool = False
    """The transport accepts nothing more."""
    _talking: trio.CancelScope = Factory(trio.CancelScope)
    _stopped: trio.Event = Factory(trio.Event)
    """Neither `receive` nor `send` of the transport is running, and none will be called."""

    async def run(self, tell_dropped: Callable[[float], None]) -> None:
        """Receive and send until the caller is gone or `close` is called. A transport's errors come out.

        `tell_dropped` is called with how many ms of the caller's audio were dropped.
        """
        try:
            with self._talking, sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, AudioIntake(self.audio, tell_dropped))
                    nursery.start_soon(self._write)
        finally:
            self._stopped.set()

    # --- from the transport -------------------------------------------------------------------------------

    async def _read(self, intake: AudioIntake) -> None:
        """Handle what the transport receives, until the caller is gone."""
        if self.turn_mode is TurnMode.AUTOMATIC:
            await self.inbox.deliver(facts.RecordingStarted(self.turn_mode))
        hung_up = False
        try:
            while not hung_up:
                incoming = await self.transport.receive()
                self.last_activity = trio.current_time()
                hung_up = isinstance(incoming, HungUp)
                await self._take(incoming, intake)
        except TransportClosed as closed:
            self._lose(EndReason.CALLER_DISCONNECTED, closed)

    async def _take(self, incoming: Incoming, intake: AudioIntake) -> None:
        match incoming:
            case AudioIn(samples=samples, rate=rate):
                await intake.push(samples, rate)
                # However fast audio comes, reading it must not keep other tasks from running.
                await trio.lowlevel.checkpoint()
            case TurnStarted():
                await self.inbox.deliver(facts.RecordingStarted(self.turn_mode))
            case TurnEnded():
                await self.inbox.deliver(facts.RecordingStopped())
            case Interrupted():
                await self.inbox.deliver(facts.InterruptRequested())
            case KeyPressed(key=key):
                await self.inbox.deliver(facts.DigitPressed(key))
            case HungUp(reason=reason):
                await self.inbox.deliver(facts.HungUp(reason))
            case _:
                raise TypeError(_no_incoming(self.transport, incoming))

    def _lose(self, reason: EndReason, why: Exception) -> None:
        self._gone = True
        log.info("transport lost", reason=reason.value, error=str(why))
        self.inbox.put(facts.HungUp(reason))

    # --- to the transport ---------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Send the queued messages one after the other."""
        try:
            await self._queue.send_each(lambda waiting: self.transport.send(waiting.message))
        except Stalled as stalled:
            self._lose(EndReason.CALLER_STOPPED_READING, stalled)
        except TransportClosed as closed:
            self._lose(EndReason.CALLER_DISCONNECTED, closed)

    def _put(self, message: Outgoing) -> None:
        if not self._gone:
            self._queue.put(Waiting(message))

    # --- the caller's side, for the performer -------------------------------------------------------------

    @property
    def pacing(self) -> Pacing:
        """The pacing of the transport."""
        return self.transport.pacing

    def notify(self, effect: Effect) -> None:
        """Send nothing: the host gets the conversation's events."""

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Announce an answer's audio."""
        self._put(AudioBegins(utterance, rate))

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Send a chunk of it."""
        self._put(AudioOut(utterance, samples, rate))
        # A conversation in which only we speak is not idle.
        self.last_activity = trio.current_time()

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """Announce that the last chunk was sent."""
        self._put(AudioEnds(utterance, duration_ms))

    def pause_audio(self, utterance: int) -> float:
        """Drop what was not played, both in the queue and on the caller's side."""
        self._queue.drop_audio(utterance)
        self._put(AudioHeld(utterance))
        return UNPLAYED

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Drop the rest of the answer, both in the queue and on the caller's side."""
        self._queue.drop_audio(utterance)
        self._put(AudioStopped(utterance, cause))

    async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
        """Send the queued messages, stop receiving, then close the transport."""
        if not self._gone:
            with trio.move_on_after(FLUSH_TIMEOUT_S):
                await self._queue.flushed()
        self._talking.cancel()
        await self._stopped.wait()
        try:
            await self.transport.close(reason)
        except TransportClosed as closed:
            log.info("transport closed before us", error=str(closed))
