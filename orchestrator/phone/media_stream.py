"""The session of a telephone call over Twilio Media Streams: µ-law in and out, playback known by marks.

The audio of both sides is 8 kHz throughout. Twilio's marks (`playback_marks.py`) tell what the caller has
heard of an answer; the answer is over when its last mark comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf

import numpy as np
import trio
from attrs import Factory, define, evolve, field
from trio_websocket import ConnectionClosed

from adapters.interfaces import Samples
from adapters.logs import library_logger
from adapters.mulaw import SILENCE, from_mulaw, to_mulaw
from adapters.tasks import Signal
from machines import effects as do
from machines import facts
from machines.effects import Effect, StopCause
from machines.facts import EndReason, TurnMode
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.playback_clock import UNPLAYED
from orchestrator.audio.real_time_share import RealTimeShare
from orchestrator.audio.utterance import Pacing
from orchestrator.clock import now_ms
from orchestrator.conversation.inbox import Inbox
from orchestrator.ids import new_id
from orchestrator.phone.call_options import CallOptions
from orchestrator.phone.dialogue import Dialogue
from orchestrator.phone.playback_marks import PlaybackMarks
from orchestrator.phone.stream_line import StreamLine, close_quietly
from orchestrator.sessions.call_socket import (
    CLOSE_HANDSHAKE_S,
    CallSocket,
    CloseCode,
    MessageSocket,
    close_code,
)
from orchestrator.sessions.served_session import SessionState, SharedResources, run_conversation
from orchestrator.sessions.session_settings import SessionSettings
from orchestrator.tools.builtin_tools import NO_TONES, pressing_keys, without_keys
from protocol import Payload, ProtocolError
from protocol.errors import UnknownEvent
from protocol.twilio import (
    INBOUND,
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

log = library_logger(__name__)

PHONE_PACING = Pacing(rate=PHONE_RATE, chunk_ms=100, lead_ms=100, acknowledged=True)
"""At most 200 ms are sent ahead of playback, so that little is left to play after an interruption."""
MOST_UNUSABLE = 250
"""So many messages in a row that cannot be used end the call: 5 s of audio."""
MOST_EARLY_KEYS = 64
"""So many keys are kept that are pressed before it is known who answered."""
MOST_TOLD = 10
"""So many kinds of unknown messages are told of."""
FRAME_SAMPLES = PHONE_RATE // 50
"""20 ms, as in the telephone network."""
BLOCK_SAMPLES = PHONE_RATE // 2
"""More of the caller's audio than this in one message is taken piece by piece."""
GAP_MS = 400
"""Silence in place of what was not heard while keys were pressed."""
MARK_GRACE_S = 2.0
"""A mark that is later than this after its audio counts as missing. A peer that has sent back no mark for
this long sends none at all: it is assumed to play in real time what it gets."""


@define(eq=False)
class MediaStream:
    """The session of one telephone call, and the `Caller` of its conversation; `run` it."""

    connection: MessageSocket
    settings: SessionSettings
    started: Started
    options: CallOptions
    default_language: str = "en-US"
    has_call: bool = True
    """It belongs to a call, which can be transferred. False for a program that acts as Twilio."""
    carries_tones: bool = True
    """The other end hears the tones of keys in our audio. It does not where the carrier removes them."""
    press: Callable[[str], Awaitable[str | None]] | None = None
    """Has the carrier press keys; returns why it has not. None: it cannot."""
    lead_ms: int = 0
    """Silence before the first words."""
    early: Sequence[Media] = ()
    """Audio that came before the start."""
    session_id: str = Factory(new_id)
    started_at: float = Factory(trio.current_time)
    state: SessionState = SessionState.ACTIVE
    counts: Counter[str] = Factory(Counter)
    dialogue: Dialogue = field(factory=Dialogue, init=False)
    ended_for: EndReason | None = None
    """Why the conversation ended; None as long as it goes on."""

    _inbox: Inbox = field(factory=Inbox, init=False)
    _audio: CallerAudio = field(factory=lambda: CallerAudio(telephone=True), init=False)
    _marks: PlaybackMarks = field(factory=PlaybackMarks, init=False)
    _line: StreamLine = field(init=False)
    _socket: CallSocket = field(init=False)
    _wishes: list[facts.SayRequested] = field(factory=list, init=False)
    """What was to be said while there was no stream."""
    _held: list[tuple[StreamMessage, int | None]] = field(factory=list, init=False)
    """What was to be sent then, all the same."""
    _held_until: float = field(default=-inf, init=False)
    """When the last of that was played."""
    _first_mark_at: float = field(default=inf, init=False)
    _sends_marks: bool = field(default=False, init=False)
    """A mark has come back."""
    _end_mark: str = field(default="", init=False)
    """The last mark at the end of an answer."""
    _end_mark_sent: Signal = field(factory=Signal, init=False)
    _unusable: Counter[str] = field(factory=Counter, init=False)
    """How many messages could not be used, by the kind of error."""
    _unknown: set[str] = field(factory=set, init=False)
    """What was told of unknown messages."""
    _tracks: Counter[str] = field(factory=Counter, init=False)
    """How many messages with audio came, by their track."""
    _share: RealTimeShare = field(factory=RealTimeShare, init=False)
    _unusable_now: int = field(default=0, init=False)
    """How many of them came since the last message that could be used."""

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._line = StreamLine(self.connection)
        self._socket = CallSocket(
            self._line, self.hang_up, settings.idle_timeout_s, settings.max_duration_s, self.started_at
        )

    # --- life ---------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Always: the carrier has named its call."""
        return True

    def give_up(self, why: str) -> None:
        """Never called: see `begun`."""
        raise AssertionError(why)

    @property
    def kind(self) -> str:
        """Twilio's protocol."""
        return "twilio"

    async def run(self, resources: SharedResources) -> None:
        """Run the conversation until it ends. Leaves only the closed socket behind."""
        policy = self.options.applied_to(self.settings.policy)
        resources = evolve(resources, providers=resources.providers.for_telephones())
        tools = self.settings.tools_on(telephone=self.has_call)
        if not self.carries_tones:
            tools = pressing_keys(tools, self.press) if self.press else without_keys(tools, NO_TONES)
        self._inbox.put(facts.RecordingStarted(TurnMode.AUTOMATIC))
        for media in self.early:
            self._audio.push(from_mulaw(media.audio), PHONE_RATE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._replace_missing_marks)
            await run_conversation(
                self, self, self._socket, self._take, self._audio, self._inbox, policy, tools, resources
            )
            nursery.cancel_scope.cancel()
        if self._unusable:
            log.info("messages that could not be used", counts=dict(self._unusable))

    def say_goodbye(self, goodbye: facts.SayRequested, why: Payload) -> None:
        """End the conversation with last words, once what is being said and answered is over."""
        del why
        self.say(goodbye)

    def hang_up(self, reason: EndReason) -> None:
        """End the conversation from outside."""
        self._inbox.put(facts.HungUp(reason))

    def say(self, request: facts.SayRequested) -> None:
        """Say something to the caller, as soon as there is a stream."""
        if self._line.awaits_another:
            self._wishes.append(request)
        else:
            self._inbox.put(request)

    def leave_message(self, text: str, *, listen: bool = False) -> None:
        """Say this to an answering machine, and then end, or `listen`. Before `run`: it is said first."""
        self.options = self.options.model_copy(update={"greeting": ""})
        then = None if listen else EndReason.AGENT_HUNG_UP
        self.say(facts.SayRequested(text, facts.SayMode.INTERRUPT, interruptible=False, then=then))

    async def listen_until(self, decided: trio.Event) -> None:
        """Before `run`: read and drop what comes until it is decided how to begin, or the stream is over.

        Keys are kept: whoever presses them is a person, and waits for the answer.
        """
        self.early = ()
        kept = 0

        async def read() -> None:
            nonlocal kept
            with suppress(ConnectionClosed):
                while not isinstance(message := _read(await self.connection.get_message()), Stopped):
                    if isinstance(message, Digit) and kept < MOST_EARLY_KEYS:
                        kept += 1
                        self._inbox.put(facts.DigitPressed(message.digit))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await decided.wait()
            nursery.cancel_scope.cancel()

    def release(self) -> None:
        """The call is over for this session: nobody needs to wait for it or its streams."""
        self.dialogue.end()
        self._line.release()

    # --- the stream, while keys are pressed ---------------------------------------------------------------

    def await_stream(self) -> None:
        """The carrier is about to end the stream and to open another one: that is not the end of the call."""
        self._line.await_another()
        self._marks.dropped(now_ms())
        self._audio.push(np.zeros(GAP_MS * PHONE_RATE // 1000, np.int16), PHONE_RATE)

    def keep_stream(self) -> bool:
        """No other stream comes, unless the present one has ended already. Returns whether it has not."""
        kept = self._line.keep()
        if kept:
            self._send_held()
        return kept

    async def resume(self, connection: MessageSocket, started: Started, early: Sequence[Media]) -> None:
        """Go on over another stream. Returns when that one is not needed any more."""
        ended = self._line.connection
        self.started = evolve(self.started, stream_sid=started.stream_sid)
        self._line.replace(connection)
        self._send_held()
        for media in early:
            await self._hear(media.audio)
        await close_quietly(ended, CLOSE_HANDSHAKE_S)
        await self._line.needs(connection)

    def _send_held(self) -> None:
        held, self._held = self._held, []
        samples = sum(len(message.audio) for message, _ in held if isinstance(message, Media))
        self._held_until = trio.current_time() + samples / PHONE_RATE
        for message, utterance in held:
            self._send(message, utterance)
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            self.say(wish)

    async def _replace_missing_marks(self) -> None:
        """If an answer's last mark does not come back, act as if it did: nothing must wait for it forever."""
        end_mark = ""
        while True:
            while self._end_mark == end_mark:
                await self._end_mark_sent.wait()
            end_mark = self._end_mark
            await self._line.is_there()
            ahead_s = (PHONE_PACING.lead_ms + PHONE_PACING.chunk_ms) / 1000
            played_at = max(trio.current_time(), self._held_until) + ahead_s
            await trio.sleep_until(max(played_at, self._first_mark_at + MARK_GRACE_S))
            if self._sends_marks:
                await trio.sleep_until(played_at + MARK_GRACE_S)
            if self._marks.is_out(end_mark):
                self.counts["missing marks"] += 1
                await self._take_mark(end_mark)

    # --- from Twilio --------------------------------------------------------------------------------------

    async def _take(self, frame: bytes | str) -> None:
        try:
            message = read_stream_message(frame)
        except UnknownEvent as error:
            self.counts["UnknownEvent errors"] += 1
            if error.message not in self._unknown and len(self._unknown) < MOST_TOLD:
                self._unknown.add(error.message)
                log.debug("unknown message; more of its kind are counted", error=error.message)
        except ProtocolError as error:
            self._note_unusable(type(error).__name__, error.message)
        else:
            self._unusable_now = 0
            await self._act(message)

    def _note_unusable(self, kind: str, why: str) -> None:
        """Count a message that cannot be used, and warn of the first of its kind. Many in a row end the call:
        nobody is heard."""
        self._unusable[f"{kind} errors"] += 1
        self.counts[f"{kind} errors"] += 1
        if self._unusable[f"{kind} errors"] == 1:
            log.warning("a message cannot be used; more of its kind are counted", error_kind=kind, error=why)
        self._unusable_now += 1
        if self._unusable_now == MOST_UNUSABLE:
            log.warning("nothing that the carrier sends can be used", error=why)
            self.hang_up(EndReason.INTERNAL_ERROR)

    async def _act(self, message: StreamMessage) -> None:
        match message:
            case Media(audio=audio, track=track):
                self._tracks[track] += 1
                if track == INBOUND:
                    await self._hear(audio)
                elif self._tracks == {track: MOST_UNUSABLE}:
                    log.warning("the carrier sends nothing that the caller says", tracks=dict(self._tracks))
            case Mark(name=name):
                self._sends_marks = True
                await self._take_mark(name)
            case Digit(digit=digit):
                await self._inbox.deliver(facts.DigitPressed(digit))
            case Stopped() if self._line.awaits_another:
                self._line.ended = True
            case Stopped():
                await self._inbox.deliver(facts.HungUp(EndReason.CALLER_HUNG_UP))
            case _:
                self.counts["unexpected messages"] += 1

    async def _hear(self, audio: bytes) -> None:
        """Take the caller's audio, however much of it is in one message: no sooner than there is room."""
        for start in range(0, len(audio), BLOCK_SAMPLES):
            if start:
                # However much audio comes at once, others run meanwhile.
                await trio.lowlevel.checkpoint()
            block = audio[start : start + BLOCK_SAMPLES]
            duration_ms = len(block) * 1000 / PHONE_RATE
            if await self._share.admits(duration_ms):
                if not self._audio.has_room:
                    await self._audio.room()
                self._audio.push(from_mulaw(block), PHONE_RATE)
            else:
                self._note_dropped(duration_ms)

    def _note_dropped(self, duration_ms: float) -> None:
        if not self._audio.counts.dropped_ms:
            log.warning("the carrier sends audio far ahead of time: it is dropped")
        self._audio.drop(duration_ms)

    async def _take_mark(self, name: str) -> None:
        if not self._marks.is_out(name):
            self.counts["marks of dropped audio"] += 1
        elif (fact := self._marks.news(name, now_ms())) is not None:
            await self._inbox.deliver(fact)

    # --- the caller's side, for the performer -------------------------------------------------------------

    @property
    def language(self) -> str:
        """The call's own language, or the server's."""
        return self.options.language or self.default_language

    @property
    def voice_id(self) -> str | None:
        """The call's own voice, if it has one."""
        return self.options.voice

    @property
    def pacing(self) -> Pacing:
        """Always `PHONE_PACING`."""
        return PHONE_PACING

    def notify(self, effect: Effect) -> None:
        """Send nothing, since a telephone shows nothing. Transcripts are logged."""
        match effect:
            case do.NotifyTranscript(turn=turn, text=text, is_final=is_final):
                if is_final or self.settings.log_interim_transcripts:
                    log.debug("understood", turn=turn, transcript=text, final=is_final)
                if is_final and text.strip():
                    self.dialogue.heard()
            case do.NotifySegment(generation=number):
                self.dialogue.says(number)
            case do.NotifyAnswerEnded(generation=number):
                self.dialogue.said(number)

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Begin an answer: its positions count from here."""
        del rate  # always that of `PHONE_PACING`
        self._marks.begin(utterance)

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Send a chunk in frames of 20 ms, with marks around it."""
        self._lead_in(utterance)
        first = self._marks.before_audio()
        if first is not None:
            self._mark(first, utterance)
        audio = to_mulaw(samples)
        for start in range(0, len(audio), FRAME_SAMPLES):
            self._send(Media(audio[start : start + FRAME_SAMPLES]), utterance)
        self._mark(self._marks.after_audio(len(samples) * 1000 / rate), utterance)
        # A conversation in which only the server speaks is not idle.
        self._socket.note_activity()

    def _lead_in(self, utterance: int) -> None:
        """Before anything else, send silence: the first syllable would be lost in its place."""
        frames, self.lead_ms = self.lead_ms * PHONE_RATE // 1000 // FRAME_SAMPLES, 0
        for _ in range(frames):
            self._send(Media(SILENCE * FRAME_SAMPLES), utterance)

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """Send one more mark: when it comes back, the caller has heard everything."""
        del duration_ms
        self._end_mark = self._marks.at_end()
        self._mark(self._end_mark, utterance)
        self._end_mark_sent.wake_all()

    def pause_audio(self, utterance: int) -> float:
        """Make Twilio drop what it has not played, unless the whole answer was sent already."""
        if self._marks.ending:
            return 0.0
        dropped_ms = self._drop(utterance)
        markless = not self._sends_marks and trio.current_time() >= self._first_mark_at + MARK_GRACE_S
        return UNPLAYED if markless else dropped_ms

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Make Twilio drop the rest of the answer."""
        del cause
        self.dialogue.cut()
        self._drop(utterance)

    async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
        """Send the queued messages, then close. Twilio continues in its TwiML, where nothing follows.

        If the caller is handed over, the stream stays open until `close_after_transfer`.
        """
        self.ended_for = reason
        self.dialogue.end()
        if reason is EndReason.HANDED_OVER:
            await self._socket.flush()
        else:
            await self._socket.close(close_code(reason, after_goodbye=after_goodbye), reason.value)

    async def close_after_transfer(self, transferred: trio.Event) -> None:
        """Close the stream of a caller who is handed over, once Twilio has been told whom to connect."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._socket.discard)
            await transferred.wait()
            nursery.cancel_scope.cancel()
        await self._socket.close(CloseCode.NORMAL, EndReason.HANDED_OVER.value)

    def _drop(self, utterance: int) -> float:
        """Drop what was not played. Returns how many ms of what was sent that is."""
        self._socket.drop_audio(utterance)
        self._held = [held for held in self._held if held[1] != utterance]
        self._send(Clear())
        return self._marks.dropped(now_ms())

    def _mark(self, name: str, utterance: int) -> None:
        self._first_mark_at = min(self._first_mark_at, trio.current_time())
        self._send(Mark(name), utterance)

    def _send(self, message: StreamMessage, utterance: int | None = None) -> None:
        if self._line.awaits_another:
            self._held.append((message, utterance))
        else:
            started = self.started
            frame = write_stream_message(message, started.stream_sid, manner=started.manner)
            self._socket.send(frame, utterance)


def _read(frame: str | bytes) -> StreamMessage | None:
    """A message; None if it cannot be read."""
    try:
        return read_stream_message(frame)
    except ProtocolError:
        return None
