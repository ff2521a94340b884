"""A WebSocket client in the `vantum.v2` dialect that speaks recorded audio and records the answers.

    async with talk_client("ws://localhost:3001/ws", TurnMode.MANUAL) as client:
        turn = await client.say(samples, rate)
        print(turn.understood, turn.answer)

Audio is sent in real time on Trio's clock, as from a microphone; times are seconds on that clock. In
automatic mode silence is sent while `say` waits for the answer.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import numpy as np
import trio
import trio_websocket
from attrs import Factory, define, frozen
from uuid_utils import uuid7

import protocol
from adapters.interfaces import Samples
from adapters.tasks import Signal, sole
from machines.facts import TurnMode
from orchestrator.audio.pcm import pcm_from_bytes, pcm_to_bytes
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.late_pings import ignore_late_pings
from protocol import Payload, Received

CHUNK_MS = 20
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""A turn without an answer for so long after the end of speech counts as unanswered."""
_SILENCE_BELOW = 0.01
"""Share of full scale. Samples below it are silent, which tells where the speech in a recording ends."""


class TalkError(Exception):
    """The call cannot be made, or cannot go on. The text says why, in one sentence."""


@frozen
class StateVisit:
    """A state that the conversation entered."""

    at: float
    state: str
    substate: str | None
    cause: str | None


@frozen
class Complaint:
    """An error that the server reported."""

    event: str
    code: str
    message: str


@define
class Turn:
    """One turn of ours, and the server's answer to it."""

    name: str
    speech_ended_at: float = math.nan
    """When the last sound of the speech was sent."""
    finals: list[str] = Factory(list)
    states: list[StateVisit] = Factory(list)
    complaints: list[Complaint] = Factory(list)
    segments: list[str] = Factory(list)
    full_response: str | None = None
    first_audio_at: float | None = None
    audio: list[Samples] = Factory(list)
    audio_rate: int = protocol.HIGHEST_RATE
    latency: protocol.Latency | None = None
    interruption: protocol.ConversationStateInterrupted | None = None
    settled: bool = False
    """Whether the server has reacted to this turn and waits for the caller again."""

    @property
    def understood(self) -> str:
        """The words of the final transcripts."""
        return " ".join(text for text in self.finals if text)

    @property
    def answer(self) -> str:
        """All the text of the answer that was generated."""
        return "".join(self.segments) if self.full_response is None else self.full_response

    @property
    def first_audio_ms(self) -> float | None:
        """From the end of speech to the arrival of the answer's first audio."""
        return None if self.first_audio_at is None else self.ms(self.first_audio_at)

    def ms(self, at: float) -> float:
        """A time of this turn as ms after the end of its speech; negative if before it."""
        return (at - self.speech_ended_at) * 1000


@asynccontextmanager
async def talk_client(
    url: str,
    mode: TurnMode = TurnMode.AUTOMATIC,
    language: str | None = None,
    key: str | None = None,
) -> AsyncIterator[TalkClient]:
    """Connect a client; leaving the context ends the call. Without a `language`, the server's counts.

    `key` is a key or token of the server. Raises `TalkError`.
    """
    address = _Address.parse(url)
    stream = await address.connect()
    try:
        async with trio.open_nursery() as nursery:
            client = TalkClient(await _handshake(nursery, stream, address, key), mode, language)
            nursery.start_soon(client.receive)
            yield client
            with trio.move_on_after(1):
                await client.close()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = sole(group)
        if isinstance(error, trio_websocket.ConnectionRejected) and error.status_code in REFUSALS:
            words = (error.body or b"").decode("utf-8", "replace").strip()
            raise TalkError(f"{url} refuses a WebSocket ({error.status_code}): {words}") from error
        if isinstance(error, trio_websocket.HandshakeError):
            raise TalkError(f"{url} is not a WebSocket of a Vantum server.") from error
        raise error from None
    finally:
        await trio.aclose_forcefully(stream)


REFUSALS = (401, 403, 426, 429)
"""The HTTP statuses with which a server says why there is no WebSocket: who asks may not, or not as often, or
no upgrade has reached it."""


@frozen
class _Address:
    """A WebSocket address, parsed."""

    url: str
    secure: bool
    host: str
    port: int
    netloc: str
    resource: str

    @classmethod
    def parse(cls, url: str) -> _Address:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise TalkError(f"{url} is not an address: {error}.") from None
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise TalkError(f"{url} is not a WebSocket address; one looks like ws://localhost:3001/ws.")
        secure = parts.scheme == "wss"
        resource = (parts.path or "/ws") + (f"?{parts.query}" if parts.query else "")
        netloc = parts.netloc.rpartition("@")[2]
        return cls(url, secure, parts.hostname, port or (443 if secure else 80), netloc, resource)

    async def connect(self) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        """Open the TCP stream ourselves: the library's own stays open after a refused handshake."""
        try:
            with trio.fail_after(CONNECT_SECONDS):
                if not self.secure:
                    return await trio.open_tcp_stream(self.host, self.port)
                context = ssl.create_default_context()
                return await trio.open_ssl_over_tcp_stream(
                    self.host, self.port, https_compatible=True, ssl_context=context
                )
        except OSError as error:
            raise TalkError(
                f"Nothing answers at {self.host}, port {self.port} ({error}); `vantum serve` starts a server."
            ) from None
        except trio.TooSlowError:
            raise TalkError(f"{self.url} did not answer within {CONNECT_SECONDS:g} s.") from None


async def _handshake(
    nursery: trio.Nursery,
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
    address: _Address,
    key: str | None,
) -> trio_websocket.WebSocketConnection:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return ignore_late_pings(
                await trio_websocket.wrap_client_stream(
                    nursery,
                    stream,
                    address.netloc,
                    address.resource,
                    subprotocols=[protocol.HIERARCHICAL_SUBPROTOCOL],
                    extra_headers=[] if key is None else [(b"authorization", f"Bearer {key}".encode())],
                    message_queue_size=64,
                    receive_buffer_size=65_536,
                    max_message_size=protocol.MAX_MESSAGE_BYTES,
                )
            )
    except trio.TooSlowError:
        raise TalkError(f"{address.url} did not open a WebSocket within {CONNECT_SECONDS:g} s.") from None


class TalkClient:
    """One call from the caller's side. Only one task at a time may use its methods."""

    def __init__(
        self, socket: trio_websocket.WebSocketConnection, mode: TurnMode, language: str | None
    ) -> None:
        self.mode = mode
        self.session_id: str | None = None
        self.state = "INITIALIZING"
        self.substate: str | None = None
        self.turns: list[Turn] = []
        self.on_payload: Callable[[Payload], None] | None = None
        """Called with each payload from the server, after the client has processed it."""
        self._socket = socket
        self._language = language
        self._rate = 0
        self._due = -math.inf
        self._all_sent = False
        self._news = Signal()
        self._failure: str | None = None
        self._answering: Turn | None = None
        self._by_generation: dict[int | None, Turn] = {}
        self._by_utterance: dict[str, Turn] = {}

    async def ready(self) -> None:
        """Wait until the server is in LISTENING. Raises `TalkError` if it does not get there in time."""
        if not await self._wait_for_news(
            lambda: self.state == "LISTENING", trio.current_time() + CONNECT_SECONDS
        ):
            raise TalkError(f"The server did not begin to listen within {CONNECT_SECONDS:g} s.")

    async def say(
        self, samples: Samples, rate: int, name: str = "", interrupt_after: float | None = None
    ) -> Turn:
        """Speak one turn at `rate` Hz; returns when its answer is over, or none will come.

        With `interrupt_after`, returns that many seconds after the answer's first audio instead, so that the
        next `say` talks over it. Later messages about a turn are still added to it. Raises `TalkError` if the
        call ends.
        """
        if not self.turns:
            await self.ready()
        turn = Turn(name)
        self.turns.append(turn)
        self._all_sent = False
        await self._speak(turn, samples, rate)
        self._all_sent = True
        patience = trio.current_time() + ANSWER_SECONDS
        if interrupt_after is None:
            answered = await self._wait(lambda: self._is_over(turn), patience)
        else:
            answered = await self._wait(
                lambda: turn.first_audio_at is not None or self._is_over(turn), patience
            )
            if turn.first_audio_at is not None:
                await self._wait(lambda: False, turn.first_audio_at + interrupt_after)
        if not answered:
            turn.complaints.append(Complaint("", "NO_ANSWER", f"no answer within {ANSWER_SECONDS:g} s"))
        return turn

    async def interrupt(self) -> None:
        """Interrupt the answer, as a button would."""
        await self.send(protocol.UserInterrupt(timestamp=_wall_clock_ms()))

    async def send(self, payload: Payload) -> None:
        """Send one message. Raises `TalkError` if the call has ended."""
        self._check()
        frame = protocol.HIERARCHICAL.encode(payload, session_id=self.session_id, event_id=str(uuid7()))
        assert frame is not None
        try:
            await self._socket.send_message(frame)
        except trio_websocket.ConnectionClosed as closed:
            raise TalkError(_closing_words(closed)) from None

    async def close(self) -> None:
        """End the call."""
        await self._socket.aclose(code=1000, reason="done")

    # --- the caller's voice -------------------------------------------------------------------------------

    async def _speak(self, turn: Turn, samples: Samples, rate: int) -> None:
        samples = await self._begin_recording(samples, rate)
        began = max(self._due, trio.current_time())
        turn.speech_ended_at = began + _speech_length(samples) / self._rate
        size = self._rate * CHUNK_MS // 1000
        for start in range(0, len(samples), size):
            await self._send_chunk(samples[start : start + size])
        if self.mode is TurnMode.MANUAL:
            await self.send(protocol.AudioInputStop())

    async def _begin_recording(self, samples: Samples, rate: int) -> Samples:
        """Start a recording if need be: one for each turn in manual mode, one for all in automatic mode."""
        if self.mode is TurnMode.MANUAL or not self._rate:
            self._rate = rate
            await self.send(
                protocol.AudioInputStart(
                    sampling_rate=rate, language=self._language, turn_mode=self.mode.value
                )
            )
        resampler = StreamingResampler(rate, self._rate)
        return np.concatenate([resampler.push(samples), resampler.flush()])

    async def _send_chunk(self, samples: Samples) -> None:
        """Send a chunk at the time when a microphone would have recorded its last sample."""
        self._due = max(self._due, trio.current_time()) + len(samples) / self._rate
        await trio.sleep_until(self._due)
        await self.send(protocol.AudioInputChunk(pcm_to_bytes(samples), timestamp=_wall_clock_ms()))

    async def _wait(self, met: Callable[[], bool], until: float) -> bool:
        """Wait for `met()`, at most `until`; in automatic mode silence is sent meanwhile."""
        if self.mode is TurnMode.MANUAL:
            return await self._wait_for_news(met, until)
        silence = np.zeros(self._rate * CHUNK_MS // 1000, np.int16)
        while not met():
            if trio.current_time() >= until:
                return False
            await self._send_chunk(silence)
        return True

    async def _wait_for_news(self, met: Callable[[], bool], until: float) -> bool:
        with trio.CancelScope(deadline=until):
            while not met():
                self._check()
                await self._news.wait()
        return met()

    def _check(self) -> None:
        if self._failure:
            raise TalkError(self._failure)

    def _is_over(self, turn: Turn) -> bool:
        return self._all_sent and turn.settled

    # --- what the server sends
    # -------------------------------------------------------------------------------

    async def receive(self) -> None:
        """Process what the server sends until it closes the connection."""
        try:
            while True:
                received = protocol.receive_from_server(await self._socket.get_message())
                self._process(received)
                if self.on_payload:
                    self.on_payload(received.payload)
                self._announce()
        except trio_websocket.ConnectionClosed as closed:
            self._failure = self._failure or _closing_words(closed)
        except protocol.ProtocolError as error:
            self._failure = f"The server sent something unreadable: {error}."
        self._announce()

    def _announce(self) -> None:
        self._news.wake_all()

    def _process(self, received: Received) -> None:
        current = self.turns[-1] if self.turns else None
        match received.payload:
            case protocol.ConnectionAck(session_id=session_id):
                self.session_id = session_id
            case protocol.SystemBusy(active_sessions=active, max_sessions=most):
                self._failure = f"The server is busy: {active} of {most} calls are going on."
            case protocol.ConversationStateChanged() as change:
                self._process_state(change, current)
            case protocol.TranscriptResult(is_final=True, text=text) if current:
                current.finals.append(text)
            case protocol.ErrorPayload(error=error) if current:
                current.complaints.append(Complaint(received.event, error.code, error.message))
            case protocol.ErrorPayload(error=error):
                self._failure = f"The server refuses: {error.message} ({received.event})."
            case payload:
                self._process_answer(payload, current)

    def _process_state(self, change: protocol.ConversationStateChanged, current: Turn | None) -> None:
        self.state, self.substate = change.to_state, change.substate
        if current:
            visit = StateVisit(trio.current_time(), change.to_state, change.substate, change.cause)
            current.states.append(visit)
            waiting = change.to_state == "LISTENING" and change.substate in ("quiet", None)
            current.settled = waiting and bool(current.finals or current.complaints)

    def _process_answer(self, payload: Payload, current: Turn | None) -> None:
        match payload:
            case protocol.ConversationResponseStart(generation=generation) if current:
                self._answering = self._by_generation[generation] = current
                current.segments.clear()
                current.full_response = current.first_audio_at = None
            case protocol.ConversationResponseToken(generation=generation, token=token):
                if turn := self._by_generation.get(generation):
                    turn.segments.append(token)
            case protocol.ConversationResponseComplete(generation=generation) as complete:
                if turn := self._by_generation.get(generation):
                    turn.full_response, turn.latency = complete.full_response, complete.latency
            case protocol.AudioOutputStart(utterance_id=utterance, sampling_rate=rate) if self._answering:
                self._by_utterance[utterance] = self._answering
                self._answering.audio_rate = rate
            case protocol.AudioOutputChunk(utterance_id=utterance, audio=audio):
                if turn := self._by_utterance.get(utterance):
                    turn.first_audio_at = turn.first_audio_at or trio.current_time()
                    turn.audio.append(pcm_from_bytes(audio)[0])
            case protocol.ConversationStateInterrupted(utterance_id=utterance) as interruption:
                if turn := self._by_utterance.get(utterance or "", self._answering):
                    turn.interruption = interruption


def _speech_length(samples: Samples) -> int:
    """The number of samples up to the end of the last sound; only silence follows."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SILENCE_BELOW * 32_768)
    return int(loud[-1]) + 1 if len(loud) else len(samples)


def _closing_words(closed: trio_websocket.ConnectionClosed) -> str:
    if closed.reason is None:
        return "The server closed the call without a word."
    reason = f": {closed.reason.reason}" if closed.reason.reason else ""
    return f"The server closed the call (code {closed.reason.code}{reason})."


def _wall_clock_ms() -> float:
    return time.time() * 1000
