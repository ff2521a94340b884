"""The part that Nova and Flux share: opening a Deepgram link, sending, and detecting a dead link."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from copy import copy
from typing import Any, Generic, Protocol, Self, TypeVar

import trio

from adapters import vendor_errors
from adapters.deepgram import BASE_URL
from adapters.deepgram import sdk as deepgram_sdk
from adapters.deepgram.turns import Turn, TurnClock
from adapters.gathering import goes_now
from adapters.interfaces import (
    LISTENING_RATE,
    TELEPHONE_RATE,
    Emit,
    ProviderError,
    Samples,
    Settled,
    Transcriber,
)
from adapters.tasks import Signal
from adapters.vendor_errors import BROKEN, BROKEN_ON_SENDING, DEEPGRAM
from adapters.vendor_socket import OpenStream, SocketLimits, alive_with
from machines.facts import ErrorClass, TranscriptFinal, TranscriptInterim

QUEUED_MS = 2000
"""Audio that may wait to be sent before `send` blocks."""

IDLE_SECONDS = 8.0
"""A link that was sent no audio for this long is idle."""

S = TypeVar("S")


class DeepgramSpeechToText(ABC, Generic[S]):
    """One of Deepgram's interfaces. Construct it in a worker thread, since that takes about a second.

    Raises `ValueError` for a `base_url` of another scheme, and `UnknownSdkError` for an unknown SDK.
    """

    name: str
    ends_turns: bool
    version: str
    """The name of the interface in the SDK."""
    usual: S
    """The settings that apply if none are given."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        settings: S | None = None,
        limits: SocketLimits | None = None,
        open_stream: OpenStream = trio.open_tcp_stream,
    ) -> None:
        self.key = api_key
        self.rate = LISTENING_RATE
        """The sample rate of the audio that links take, in Hz."""
        self.settings: S = settings or self.usual
        client = deepgram_sdk.make_client(api_key, base_url)
        self._connect = deepgram_sdk.listen(client, self.version, limits or SocketLimits(), open_stream)

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """As `SpeechToText.open`. Without a `language` Deepgram's own default applies."""
        return self._open(emit, language)

    def for_telephones(self) -> Self:
        """As `HearsTelephones.for_telephones`."""
        other = copy(self)
        other.rate = TELEPHONE_RATE
        return other

    @asynccontextmanager
    async def _open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        async with AsyncExitStack() as stack:
            try:
                sock = await stack.enter_async_context(self._connect(**self._request(language)))
            except deepgram_sdk.CAUGHT as error:
                raise deepgram_sdk.as_provider_error(error, self.key) from None
            link = self._link(sock, emit)
            async with (
                alive_with(link.receive_forever),
                alive_with(link.send_forever),
                alive_with(link.keep_open_forever),
                alive_with(link.give_up_forever),
            ):
                yield link

    @abstractmethod
    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""

    @abstractmethod
    def _request(self, language: str) -> dict[str, object]:
        """The parameters of the SDK's `connect`."""

    @abstractmethod
    def _link(self, sock: Any, emit: Emit) -> DeepgramTranscriber[Any]:
        """The link on an open connection."""


class TurnWords(Protocol):
    """The words of one turn."""

    @property
    def text(self) -> str: ...

    @property
    def confidence(self) -> float: ...


W = TypeVar("W", bound=TurnWords)


class DeepgramTranscriber(ABC, Generic[W]):
    """A speech-to-text link of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float, rate: int) -> None:
        self.rate = rate
        """As `TelephoneTranscriber.rate`. Positions are counted at `LISTENING_RATE` in any case."""
        self.ignored_messages = 0
        """Counts messages of an unknown type, or without what their type must hold."""
        self._sock = sock
        self._emit = emit
        self._key = key
        self._silent_after = silent_after_ms / 1000
        self._clock = TurnClock()
        self._words: dict[int, W] = {}
        """The words of turns without a final transcript, by number of the turn."""
        self._outgoing, self._to_send = trio.open_memory_channel[bytes | None](math.inf)
        """Audio, or None to end the turn."""
        self._joined = bytearray()
        """Audio that waits for more, to be sent as one message."""
        self._queued = 0
        self._sent = Signal()
        self._last_audio = self._unanswered_since = trio.current_time()

    # --- what the conversation asks for ---

    @abstractmethod
    def settled(self, turn: int) -> Settled:
        """As `Transcriber.settled`."""

    @abstractmethod
    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`."""

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """As `Transcriber.send`. Raises `ProviderError` if Deepgram says nothing for seconds of voice."""
        self._check_answers()
        self._push(samples, speech_probability)
        while self._queued * 1000 > QUEUED_MS * self.rate:
            await self._sent.wait()
        await trio.lowlevel.checkpoint()

    def finalize(self, turn: int) -> None:
        """As `Transcriber.finalize`. A turn that never began or was dropped has an empty transcript."""
        ended = self._clock.finalize(turn)
        if ended is not None and ended.end == ended.start:
            # Deepgram does not answer if no audio was sent.
            self._clock.awaiting.remove(ended)
            del self._words[turn]
            self._emit(TranscriptFinal(turn, ""))
        elif ended is not None:
            self._end(ended, self._words[turn])
        elif turn != self._clock.last_ended:
            self._emit(TranscriptFinal(turn, ""))
            self._clock.last_ended = turn

    @abstractmethod
    def _end(self, turn: Turn, words: W) -> None:
        """End the turn: ask Deepgram for what is missing, or report the final transcript at once."""

    def _check_answers(self) -> None:
        """Raise `ProviderError` if the link is silent to voice for some time (replayed audio is sent
        fast)."""
        voice, now = self._clock.unanswered_voice / LISTENING_RATE, trio.current_time()
        if not voice:
            self._unanswered_since = now
        elif min(voice, now - self._unanswered_since) > self._silent_after:
            raise vendor_errors.late(DEEPGRAM, f"no message for {voice:.1f} s of voice")

    def _push(self, samples: Samples, speech_probability: float) -> None:
        if len(samples):  # an empty message would make Deepgram close the connection
            self._clock.send(len(samples) * LISTENING_RATE // self.rate, speech_probability)
            self._queued += len(samples)
            self._last_audio = trio.current_time()
            self._joined += samples.astype("<i2").tobytes()
            gathered = len(self._joined) // 2 * LISTENING_RATE // self.rate
            if goes_now(gathered, self._clock.sent, self._clock.last_voice):
                self._send_joined()

    def _send_joined(self) -> None:
        """Have the audio sent that waits for more."""
        if self._joined:
            self._outgoing.send_nowait(bytes(self._joined))
            self._joined.clear()

    def _end_turn(self) -> None:
        """Have Deepgram told that the turn is over."""
        self._send_joined()
        self._outgoing.send_nowait(None)

    # --- to Deepgram ---

    async def send_forever(self) -> None:
        """Send audio and ends of turns, in the order in which they were asked for."""
        async for audio in self._to_send:
            try:
                if audio is None:
                    await self._send_end()
                else:
                    await self._sock.send_media(audio)
                    self._queued -= len(audio) // 2
                    self._sent.wake_all()
            except BROKEN_ON_SENDING:
                return  # `receive_forever` raises the reason

    @abstractmethod
    async def _send_end(self) -> None:
        """Tell Deepgram that the turn is over."""

    @abstractmethod
    async def keep_open_forever(self) -> None:
        """Keep the link open while nothing is said."""

    async def give_up_forever(self) -> None:
        """Report turns that Deepgram gives no answer for, if there are such turns."""

    # --- from Deepgram ---

    async def receive_forever(self) -> None:
        """Process Deepgram's messages until the connection ends. Raises `ProviderError`."""
        try:
            async with aclosing(aiter(self._sock)) as messages:
                async for message in messages:
                    self._clock.unanswered_voice = 0
                    self._receive(message)
        except BROKEN as error:
            if self._idle:
                raise vendor_errors.closed_idle(DEEPGRAM, error, self._key) from None
            raise deepgram_sdk.as_provider_error(error, self._key) from None
        # The SDK ends the messages without an error when the vendor closes with 1000.
        message = f"{DEEPGRAM.vendor}: closed with 1000"
        raise ProviderError(ErrorClass.CONNECTION, message, idle=self._idle)

    @property
    def _idle(self) -> bool:
        """Whether Deepgram was asked for nothing lately: no audio came, and no words are awaited."""
        quiet_s = trio.current_time() - self._last_audio
        return not self._clock.awaiting and (not self._clock.sent or quiet_s >= IDLE_SECONDS)

    @abstractmethod
    def _receive(self, message: object) -> None:
        """Process a message, as the SDK has parsed it. Raises `ProviderError`."""

    def _reported(self, code: object, reason: object) -> ProviderError:
        return vendor_errors.reported(DEEPGRAM, str(code), None, str(reason), self._key)

    def _show(self, turn: Turn, words: W) -> None:
        """Report the interim transcript of the turn, if it has changed."""
        if words.text and words.text != turn.shown:
            turn.shown = words.text
            self._emit(TranscriptInterim(turn.number, words.text, words.confidence))

    def _report_finals_until(self, last: Turn) -> None:
        """Report the turns up to `last`. No more words come for earlier ones, since results are in order."""
        for turn in self._clock.complete_until(last):
            words = self._words.pop(turn.number)
            self._emit(TranscriptFinal(turn.number, words.text, words.confidence, turn.speech_ms))
