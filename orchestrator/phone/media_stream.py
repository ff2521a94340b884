"""A telephone call over Twilio's Media Streams as one conversation: µ-law in and out, marks as the truth.

The audio of both sides is 8 kHz throughout. What the caller has heard of an answer is told by Twilio's marks
(`playback_marks.py`), and the answer is over when its last one came back.
"""

from __future__ import annotations

from collections import Counter
from math import inf

import structlog
import trio
from attrs import Factory, define, evolve, field
from trio_websocket import WebSocketConnection

from adapters.interfaces import Samples
from adapters.mulaw import from_mulaw, to_mulaw
from adapters.tasks import Signal
from machines import effects as do
from machines import facts
from machines.effects import Effect, StopCause
from machines.facts import EndReason, TurnMode
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.playback_clock import UNPLAYED
from orchestrator.audio.utterance import Pacing
from orchestrator.clock import now_ms
from orchestrator.conversation.inbox import Inbox
from orchestrator.phone.call_options import CallOptions
from orchestrator.phone.playback_marks import PlaybackMarks
from orchestrator.sessions.call_socket import CallSocket
from orchestrator.sessions.held_session import Means, SessionState, hold, new_id
from orchestrator.sessions.session_settings import SessionSettings
from protocol import ProtocolError
from protocol.twilio import (
    PHONE_RATE,
    Clear,
    Digit,
    Mark,
    Media,
    Started,
    Stopped,
    StreamMessage,
    read_stream_message,
    write_stream_message,
)

log = structlog.get_logger(__name__)

PHONE_PACING = Pacing(rate=PHONE_RATE, chunk_ms=100, lead_ms=100, acknowledged=True)
"""At most 200 ms are ahead of what the caller hears, so that an interruption leaves little behind."""
FRAME_SAMPLES = PHONE_RATE // 50
"""20 ms, as the telephone network has it."""
MARK_GRACE_S = 2.0
"""A mark that is later than this after its audio does not come any more. Who has sent none back for so long
sends none at all, and is taken to play what comes in real time."""


@define(eq=False)
class MediaStream:
    """One telephone call. `run` it; it is the conversation's `Caller`."""

    socket: WebSocketConnection
    settings: SessionSettings
    started: Started
    options: CallOptions
    default_language: str = "en-US"
    of_a_call: bool = True
    """There is a call behind it, which can be transferred; not where a program plays Twilio."""
    session_id: str = Factory(new_id)
    started_at: float = Factory(trio.current_time)
    state: SessionState = SessionState.ACTIVE
    counts: Counter[str] = Factory(Counter)
    ended_for: EndReason | None = None
    """Why the conversation ended, once it says goodbye."""

    _inbox: Inbox = field(factory=Inbox, init=False)
    _audio: CallerAudio = field(factory=lambda: CallerAudio(telephone=True), init=False)
    _marks: PlaybackMarks = field(factory=PlaybackMarks, init=False)
    _line: CallSocket = field(init=False)
    _first_mark_at: float = field(default=inf, init=False)
    _sends_marks: bool = field(default=False, init=False)
    """A mark has come back."""
    _end_mark: str = field(default="", init=False)
    """The last that will say of an answer that it was heard."""
    _ending: Signal = field(factory=Signal, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._line = CallSocket(
            self.socket, self.hang_up, settings.idle_timeout_s, settings.max_duration_s, self.started_at
        )

    # --- life ----------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """What is spoken over the socket."""
        return "twilio"

    async def run(self, means: Means) -> None:
        """Hold the conversation until it ends; leaves nothing behind but the closed socket's stream."""
        policy = self.options.applied_to(self.settings.policy)
        means = evolve(means, providers=means.providers.for_telephones())
        tools = self.settings.tools_on(telephone=self.of_a_call)
        self._inbox.put(facts.RecordingStarted(TurnMode.AUTOMATIC))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._miss_marks)
            await hold(self, self, self._line, self._take, self._audio, self._inbox, policy, tools, means)
            nursery.cancel_scope.cancel()

    def hang_up(self, reason: EndReason) -> None:
        """End the conversation from outside."""
        self._inbox.put(facts.HungUp(reason))

    def say(self, wanted: facts.SayRequested) -> None:
        """Have something said to the caller."""
        self._inbox.put(wanted)

    async def _miss_marks(self) -> None:
        """A mark that does not come back must not keep the caller waiting."""
        ending = ""
        while True:
            while self._end_mark == ending:
                await self._ending.wait()
            ending = self._end_mark
            played_at = trio.current_time() + (PHONE_PACING.lead_ms + PHONE_PACING.chunk_ms) / 1000
            await trio.sleep_until(max(played_at, self._first_mark_at + MARK_GRACE_S))
            if self._sends_marks:
                await trio.sleep_until(played_at + MARK_GRACE_S)
            if self._marks.is_out(ending):
                self.counts["missing marks"] += 1
                await self._take_mark(ending)

    # --- from Twilio ---------------------------------------------------------------------------------------

    async def _take(self, frame: bytes | str) -> None:
        try:
            message = read_stream_message(frame)
        except ProtocolError as error:
            self.counts[f"{type(error).__name__} errors"] += 1
            log.info("bad message", error=error.message, code=error.code.value)
            return
        await self._act(message)

    async def _act(self, message: StreamMessage) -> None:
        match message:
            case Media(audio=audio, track="inbound"):
                self._audio.push(from_mulaw(audio), PHONE_RATE)
                # Reading goes on at the pace of everything else, however fast audio comes.
                await trio.lowlevel.checkpoint()
            case Mark(name=name):
                self._sends_marks = True
                await self._take_mark(name)
            case Digit(digit=digit):
                await self._inbox.deliver(facts.DigitPressed(digit))
            case Stopped():
                await self._inbox.deliver(facts.HungUp(EndReason.CALLER_HUNG_UP))
            case _:
                self.counts["unexpected messages"] += 1

    async def _take_mark(self, name: str) -> None:
        fact = self._marks.returned(name, now_ms())
        if fact is None:
            self.counts["marks of dropped audio"] += 1
        else:
            await self._inbox.deliver(fact)

    # --- the caller's side, for the performer --------------------------------------------------------------

    @property
    def language(self) -> str:
        """The call's own, or the server's."""
        return self.options.language or self.default_language

    @property
    def voice_id(self) -> str | None:
        """The call's own, if it has one."""
        return self.options.voice

    @property
    def pacing(self) -> Pacing:
        """See `PHONE_PACING`."""
        return PHONE_PACING

    def notify(self, effect: Effect) -> None:
        """A telephone shows nothing; what was understood goes to the log."""
        match effect:
            case do.NotifyTranscript(turn=turn, text=text, is_final=is_final):
                if is_final or self.settings.log_interim_transcripts:
                    log.debug("understood", turn=turn, transcript=text, final=is_final)

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Its positions count from here."""
        del rate  # it is the pacing's
        self._marks.begin(utterance)

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """A chunk in frames of 20 ms, between marks."""
        first = self._marks.before_audio()
        if first is not None:
            self._mark(first, utterance)
        audio = to_mulaw(samples)
        for start in range(0, len(audio), FRAME_SAMPLES):
            self._say(Media(audio[start : start + FRAME_SAMPLES]), utterance)
        self._mark(self._marks.after_audio(len(samples) * 1000 / rate), utterance)
        # A call in which only the server speaks is not idle.
        self._line.note_activity()

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """One mark more: when it comes back, everything was heard."""
        del duration_ms
        self._end_mark = self._marks.at_end()
        self._mark(self._end_mark, utterance)
        self._ending.wake_all()

    def pause_audio(self, utterance: int) -> float:
        """Twilio drops what it has not played, as its marks have it, unless that is the end of the answer."""
        if self._marks.ending:
            return 0.0
        dropped_ms = self._drop(utterance)
        markless = not self._sends_marks and trio.current_time() >= self._first_mark_at + MARK_GRACE_S
        return UNPLAYED if markless else dropped_ms

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Nothing of this answer is played after this."""
        del cause
        self._drop(utterance)

    async def close(self, reason: EndReason) -> None:
        """Say what waits to be said, then close: Twilio goes on in its TwiML, where nothing follows.

        The stream of a caller who is handed over stays open, for `let_go` to close.
        """
        self.ended_for = reason
        if reason is EndReason.HANDED_OVER:
            await self._line.flush()
        else:
            await self._line.close(reason)

    async def let_go(self, connected: trio.Event) -> None:
        """Close the stream of a caller who is handed over, once Twilio has been told where to."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._line.discard)
            await connected.wait()
            nursery.cancel_scope.cancel()
        await self._line.close(EndReason.HANDED_OVER)

    def _drop(self, utterance: int) -> float:
        """Returns how many ms of what was sent are not played."""
        self._line.drop_audio(utterance)
        self._say(Clear())
        return self._marks.dropped(now_ms())

    def _mark(self, name: str, utterance: int) -> None:
        self._first_mark_at = min(self._first_mark_at, trio.current_time())
        self._say(Mark(name), utterance)

    def _say(self, message: StreamMessage, utterance: int | None = None) -> None:
        self._line.send(write_stream_message(message, self.started.stream_sid), utterance)
