"""The session of a WebSocket client: its messages become facts and audio, effects become messages to it.

The server creates a session for each connection; it ends with the connection. Messages are read strictly in
order: the machine has handled a request before the next message is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Set

import trio
from attrs import Factory, define, field

from adapters.interfaces import Samples
from adapters.logs import library_logger
from machines import effects as do
from machines import facts
from machines.admission import Extra
from machines.effects import Effect, StopCause
from machines.facts import EndReason, Request, Role, TurnMode
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.audio.utterance import Pacing
from orchestrator.clock import epoch_ms
from orchestrator.conversation.inbox import Inbox
from orchestrator.ids import new_id
from orchestrator.providers.provider_chain import Providers
from orchestrator.sessions.call_socket import CallSocket, CloseCode, MessageSocket, close_code
from orchestrator.sessions.client_audio import ClientAudio
from orchestrator.sessions.client_messages import (
    MessageContext,
    detail_of,
    error_of,
    extra_of,
    payloads_of,
)
from orchestrator.sessions.served_session import SessionState, SharedResources, run_conversation
from orchestrator.sessions.session_settings import SessionSettings
from protocol import (
    HIERARCHICAL,
    INTERRUPTED,
    LEGACY,
    AudioInputChunk,
    AudioInputStart,
    AudioInputStop,
    AudioOutputCancel,
    AudioOutputChunk,
    AudioOutputComplete,
    AudioOutputStart,
    BufferOverflow,
    ConnectionAck,
    Dialect,
    Disconnect,
    Heartbeat,
    InternalFailure,
    InvalidPayload,
    MissingEventId,
    NothingBegun,
    Payload,
    ProtocolError,
    Received,
    UnintelligibleAudio,
    UserEndCall,
    UserInterrupt,
    UserMute,
    UserUnmute,
    dialect_of,
    receive,
)

log = library_logger(__name__)

MOST_UNUSABLE = 200
"""A client that sends so many messages in a row that cannot be read is disconnected."""

FREE_UNUSABLE = 10
"""After so many of them it is read slowly."""
UNUSABLE_PAUSE_S = 0.02

LEGACY_PACING = Pacing(rate=48_000, chunk_ms=320, lead_ms=320, settle_ms=50)
"""The shipped client leaves a gap after each chunk that it plays, so it gets few and large ones. It also
needs a moment after its playback was stopped (reference sheet, 1.6: 50 ms was enough)."""
DEFAULT_OUTPUT_RATE = 24_000
"""Hz, for clients of the hierarchical dialect that ask for no other rate; text to speech's own rate."""


def hierarchical_pacing(rate: int) -> Pacing:
    """Small chunks, sent little ahead: at most 200 ms are left to play after an interruption."""
    return Pacing(rate=rate, chunk_ms=60, lead_ms=140)


@define(eq=False)
class Session:
    """The session of one client, and the `Caller` of its conversation; `run` it."""

    connection: MessageSocket
    settings: SessionSettings
    dialect: Dialect
    dialect_by_subprotocol: bool
    """The client chose its dialect by subprotocol. Otherwise its messages may choose it."""
    session_id: str = Factory(new_id)
    started_at: float = Factory(trio.current_time)
    state: SessionState = SessionState.IDLE
    language: str = "en-US"
    voice_id: str | None = Factory(lambda self: self.settings.voice, takes_self=True)
    counts: Counter[str] = Factory(Counter)
    """As `ServedSession.counts`."""
    on_begun: Callable[[], object] = lambda: None
    """Called when the client begins to do something."""

    _inbox: Inbox = Factory(Inbox)
    _audio: CallerAudio = Factory(CallerAudio)
    _output_rate: int = DEFAULT_OUTPUT_RATE
    _begun: trio.Event = Factory(trio.Event)
    """The client has started a recording or sent audio."""
    _unusable_now: int = 0
    """Messages that could not be read since the last one that could."""
    _closes_with: tuple[CloseCode, str] | None = None
    """The code and reason of the close, if they are not those of the conversation's end."""
    _utterance_ids: dict[int, str] = Factory(dict)
    _turn: int = 0
    _generation: int = 0
    _conversation_state: str = "INITIALIZING"
    _substate: str = "connecting"
    _providers: Providers | None = None
    _provider_names: dict[Role, list[str]] = Factory(dict)
    """By role, in order of preference."""
    _left_out: Set[Extra] = frozenset()
    """As `SharedResources.left_out`."""
    _socket: CallSocket = field(init=False)
    _client_audio: ClientAudio = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._socket = CallSocket(
            self.connection, self.hang_up, settings.idle_timeout_s, settings.max_duration_s, self.started_at
        )
        self._client_audio = ClientAudio(
            self._audio, self.counts, self._tell_unintelligible, self._tell_dropped
        )

    # --- life ---------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """The name of the dialect."""
        return self.dialect.name

    async def run(self, resources: SharedResources) -> None:
        """Run the conversation until it ends. Leaves only the closed socket behind."""
        self._providers = resources.providers
        self._provider_names = resources.names()
        self._left_out = resources.left_out
        self._send(ConnectionAck(self.session_id))
        policy, tools = self.settings.policy, self.settings.tools_on(telephone=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._await_beginning)
            await run_conversation(
                self,
                self,
                self._socket,
                self._take,
                self._audio,
                self._inbox,
                policy,
                tools,
                resources,
                self.settings.metadata,
            )
            nursery.cancel_scope.cancel()

    @property
    def begun(self) -> bool:
        """As `ServedSession.begun`."""
        return self._begun.is_set()

    def _begin(self) -> None:
        self._begun.set()
        self.on_begun()

    def give_up(self, why: str) -> None:
        """End a session in which nothing has begun. The client may connect again when it has a caller."""
        self._closes_with = (CloseCode.TRY_AGAIN_LATER, "nothing was begun")
        if self.dialect is HIERARCHICAL:
            self._refuse(NothingBegun(why))
        self.hang_up(EndReason.IDLE)

    async def _await_beginning(self) -> None:
        with trio.move_on_after(self.settings.begin_timeout_s):
            await self._begun.wait()
        if not self.begun:
            log.info("nothing has begun")
            self.give_up(f"no recording was started within {self.settings.begin_timeout_s:g} s")

    def say_goodbye(self, goodbye: facts.SayRequested, why: Payload) -> None:
        """End the conversation with last words, once what is being said and answered is over."""
        self._send(why)
        self._inbox.put(goodbye)

    def hang_up(self, reason: EndReason) -> None:
        """End the conversation from outside."""
        self._inbox.put(facts.HungUp(reason))

    # --- messages in --------------------------------------------------------------------------------------

    async def _take(self, frame: bytes | str) -> None:
        """Carry out one message, or answer it with an error."""
        try:
            received = receive(frame)
        except ProtocolError as error:
            self._adopt_dialect(dialect_of(error.wire_type))
            self._report_error(error)
            await self._note_unusable()
        else:
            self._unusable_now = 0
            self._adopt_dialect(received.dialect)
            await self._take_received(received)

    async def _take_received(self, received: Received) -> None:
        try:
            if received.session_id not in (None, self.session_id):
                # The socket's session counts: the shipped client keeps its old id after a reconnection.
                self.counts["wrong session ids"] += 1
            await self._act(received)
        except ProtocolError as error:
            self._report_error(error)
        except Exception as bug:
            log.exception("message not handled", event_type=received.wire_type, exc_info=bug)
            self._report_error(
                InternalFailure(
                    f"{received.wire_type} could not be handled",
                    wire_type=received.wire_type,
                    event_id=received.event_id,
                    session_id=received.session_id,
                )
            )

    async def _note_unusable(self) -> None:
        """Count a message that cannot be read. A client that sends nothing else is read slowly, and then
        disconnected."""
        self._unusable_now += 1
        if self._unusable_now > FREE_UNUSABLE:
            await trio.sleep(UNUSABLE_PAUSE_S)
        if self._unusable_now == MOST_UNUSABLE:
            log.warning("client sends nothing that can be read", messages=MOST_UNUSABLE)
            self._closes_with = (CloseCode.POLICY_VIOLATION, f"{MOST_UNUSABLE} unreadable messages in a row")
            self.hang_up(EndReason.CALLER_DISCONNECTED)

    def _report_error(self, error: ProtocolError) -> None:
        self.counts[f"{type(error).__name__} errors"] += 1
        log.info("bad message", error=error.message, code=error.code.value)
        self._refuse(error)

    def _adopt_dialect(self, dialect: Dialect | None) -> None:
        """Answer a client in the hierarchical dialect if it uses it, though not chosen by subprotocol."""
        if not self.dialect_by_subprotocol and dialect is HIERARCHICAL:
            self.dialect = HIERARCHICAL

    async def _act(self, received: Received) -> None:
        match received.payload:
            case AudioInputChunk() as chunk:
                self._begin()
                await self._client_audio.take(chunk)
            case AudioInputStart() as start:
                self._begin()
                await self._start_recording(received, start)
            case AudioInputStop():
                await self._stop_recording(received)
            case UserInterrupt():
                await self._inbox.deliver(facts.InterruptRequested())
            case UserEndCall() | Disconnect():
                await self._inbox.deliver(facts.HungUp(EndReason.CALLER_HUNG_UP))
            case UserMute():
                self._client_audio.muted = True
            case UserUnmute():
                self._client_audio.muted = False
            case Heartbeat() as heartbeat:
                self._send(heartbeat, event_id=received.event_id)
            case other:
                log.info("feedback", event_type=received.wire_type)
                log.debug("feedback", payload=other)

    def _choose_voice(self, received: Received, wanted: str | None) -> None:
        """Take the client's voice, or the one that its token has fixed."""
        fixed = self.settings.voice
        if fixed is not None and wanted not in (None, fixed):
            raise InvalidPayload(
                "the voice is fixed by the token of this call: leave voiceId out",
                wire_type=received.wire_type,
                event_id=received.event_id,
            )
        self.voice_id = fixed or wanted

    async def _start_recording(self, received: Received, start: AudioInputStart) -> None:
        self._choose_voice(received, start.voice_id)
        if start.language and start.language != self.language:
            await self._change_language(received, start.language)
        if start.output_sampling_rate is not None:
            self._output_rate = start.output_sampling_rate
        self._client_audio.begin(start.sampling_rate)
        self.state = SessionState.ACTIVE
        mode = TurnMode(start.turn_mode) if start.turn_mode else self._default_mode()
        await self._inbox.deliver(facts.RecordingStarted(mode, _request(received)))
        self._client_audio.hear_early()
        _require_event_id(received)

    async def _change_language(self, received: Received, language: str) -> None:
        """Listen and speak in `language` from now on. Raises `ProtocolError` if no provider can."""
        assert self._providers is not None, "messages are read while the conversation runs"
        unable = {role: self._providers.unable(role, language) for role in (Role.STT, Role.TTS)}
        for role, doing in ((Role.STT, "understood"), (Role.TTS, "spoken")):
            if len(unable[role]) == len(self._providers.of(role)):
                raise InvalidPayload(
                    f"language {language!r} cannot be {doing} here; the call goes on in {self.language!r}",
                    wire_type=received.wire_type,
                    event_id=received.event_id,
                )
        self.language = language
        changed = facts.LanguageChanged(language, unable[Role.STT], unable[Role.TTS])
        await self._inbox.deliver(changed)

    async def _stop_recording(self, received: Received) -> None:
        self._client_audio.end()
        self.state = SessionState.ENDED
        await self._inbox.deliver(facts.RecordingStopped(_request(received)))
        _require_event_id(received)

    def _default_mode(self) -> TurnMode:
        return self.settings.default_turn_mode if self.dialect is HIERARCHICAL else TurnMode.MANUAL

    # --- the caller's side, for the performer -------------------------------------------------------------

    @property
    def pacing(self) -> Pacing:
        """By the client's dialect: see `LEGACY_PACING` and `hierarchical_pacing`."""
        return LEGACY_PACING if self.dialect is LEGACY else hierarchical_pacing(self._output_rate)

    def notify(self, effect: Effect) -> None:
        """Send the client the messages for this effect."""
        match effect:
            case do.Acknowledge(request=request):
                frame = self.dialect.acknowledge(request.event_type, request.event_id, self.session_id)
                self._socket.send(frame)
                return
            case do.NotifyAnswerStarted(generation=generation):
                self._generation = generation
            case do.NotifyState(target=state, substate=substate):
                self._conversation_state, self._substate = state, substate
            case do.NotifyTranscript(turn=turn, text=text, is_final=is_final):
                self._turn = turn
                if is_final or self.settings.log_interim_transcripts:
                    log.debug("understood", turn=turn, transcript=text, final=is_final)
        if self._left_out and extra_of(effect) in self._left_out:
            self.counts["messages left out"] += 1
            return
        error = error_of(effect)
        if error is not None:
            reference = self._refuse(error)
            log.info("client told of an error", reference=reference, it=error.message, why=detail_of(effect))
        utterance_id = self._utterance_ids.get(self._generation)
        context = MessageContext(
            epoch_ms(),
            utterance_id,
            self._turn,
            self._generation,
            self._conversation_state,
            self._substate,
            self._provider_names[effect.role][effect.provider] if isinstance(effect, do.NotifyLink) else "",
        )
        for payload in payloads_of(effect, context):
            self._send(payload)

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Announce an answer's audio. All its messages share one utterance id."""
        self._utterance_ids = {utterance: new_id()}
        self._generation = utterance
        self._send(AudioOutputStart(self._utterance_ids[utterance], rate, epoch_ms()))

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Send a chunk, as Int16 little-endian."""
        utterance_id = self._utterance_ids[utterance]
        chunk = AudioOutputChunk(pcm_to_bytes(samples), utterance_id, rate, epoch_ms())
        self._send(chunk, utterance)
        # A conversation in which only the server speaks is not idle.
        self._socket.note_activity()

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """Announce that the last chunk was sent, whether it was played or not."""
        self._send(AudioOutputComplete(self._utterance_ids[utterance], duration_ms, epoch_ms()), utterance)

    def pause_audio(self, utterance: int) -> float:
        """Tell nothing: clients have no message for it and play the little that they have."""
        del utterance
        return 0.0

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Drop the answer's audio and tell the client to stop playing."""
        self._socket.drop_audio(utterance)
        utterance_id = self._utterance_ids.get(utterance)
        if utterance_id is not None:
            reason = INTERRUPTED if cause is StopCause.INTERRUPTED else cause.value
            self._send(AudioOutputCancel(utterance_id, reason, epoch_ms()))

    async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
        """Send the queued messages, then close with the code for `reason`."""
        code, why = self._closes_with or (close_code(reason, after_goodbye=after_goodbye), reason.value)
        if self.dialect is HIERARCHICAL and not self._socket.gone:
            self._send(Disconnect(reason.value, code))
        await self._socket.close(code, why)

    def _tell_unintelligible(self, why: str) -> None:
        """Tell whoever runs the client why the audio is not understood."""
        if self.dialect is HIERARCHICAL:
            self._refuse(UnintelligibleAudio(why))

    def _tell_dropped(self, dropped_ms: float) -> None:
        message = f"{dropped_ms:.0f} ms of audio came faster than they could be understood and were dropped"
        self._refuse(BufferOverflow(message))

    # --- messages out -------------------------------------------------------------------------------------

    def _send(self, payload: Payload, utterance: int | None = None, event_id: str | None = None) -> None:
        event_id = event_id or new_id()
        frame = self.dialect.encode(payload, session_id=self.session_id, event_id=event_id)
        if frame is not None:
            self._socket.send(frame, utterance)

    def _refuse(self, error: ProtocolError) -> str:
        """Send the client an error. Returns the event id of its message, by which the log can be searched."""
        reference = error.event_id or new_id()
        frame = self.dialect.refuse(
            error, event_id=reference, session_id=self.session_id, timestamp=epoch_ms()
        )
        if frame is not None:
            self._socket.send(frame)
        return reference


def _request(received: Received) -> Request | None:
    return Request(received.wire_type, received.event_id) if received.event_id is not None else None


def _require_event_id(received: Received) -> None:
    """Report that a request without an event id was carried out but cannot be acknowledged."""
    if received.event_id is None:
        raise MissingEventId(received.wire_type, received.session_id)
