"""Speech to text by Deepgram's v1 interface (Nova models), spoken to through Deepgram's SDK.

One connection serves a whole call: turns are ended by `Finalize`, which leaves it open. Words belong to a
turn by their time in the audio, so results that come late find their turn.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import trio
from attrs import define, field, frozen
from deepgram.listen.v1.types import ListenV1Error, ListenV1Results, ListenV1UtteranceEnd

from adapters import deepgram_sdk, vendor_errors
from adapters.deepgram_turns import Turn, TurnClock, position
from adapters.interfaces import LISTENING_RATE, Emit, Samples, Transcriber
from adapters.vendor_errors import BROKEN, BROKEN_ON_SENDING, DEEPGRAM
from adapters.vendor_socket import OpenStream, SocketLimits, alive_with
from machines.facts import TranscriptFinal, TranscriptInterim

KEEP_ALIVE_SECONDS = 8.0
"""Deepgram closes a connection that says nothing for 10 s (developers.deepgram.com/docs/audio-keep-alive)."""
QUEUED_MS = 2000
"""Audio that waits to be sent before `send` blocks."""

_FINALIZE = "Finalize"
_SAME_PLACE = LISTENING_RATE // 50
"""20 ms: Deepgram rounds its times."""
_FLUSHED_UP_TO = LISTENING_RATE // 4
"""An answer to `Finalize` ends at most 250 ms before the audio that was sent before it."""


@frozen
class NovaSettings:
    """What is asked of Deepgram: the reference's options, those it failed to send included."""

    model: str = "nova-2"
    endpointing_ms: int = 300
    utterance_end_ms: int = 1000
    """At least 1000; needs interim results."""
    silent_after_ms: float = 5000
    """So much voice without any message from Deepgram, and the link is stalled."""


class DeepgramNova:
    """Deepgram's v1 interface. Making it takes about a second: construct it in a worker thread.

    Raises `ValueError` for an impossible `base_url`, and `UnknownSdkError` if the SDK is another one.
    """

    name = "deepgram"

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = deepgram_sdk.PRODUCTION,
        settings: NovaSettings | None = None,
        limits: SocketLimits | None = None,
        open_stream: OpenStream = trio.open_tcp_stream,
    ) -> None:
        self._key = api_key
        self._settings = settings or NovaSettings()
        self._client = deepgram_sdk.make_client(api_key, base_url)
        self._connect = deepgram_sdk.listen_v1(limits or SocketLimits(), open_stream)

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """As `SpeechToText.open`. Without a `language` Deepgram's own default applies."""
        return self._open(emit, language)

    @asynccontextmanager
    async def _open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        async with AsyncExitStack() as stack:
            connection = self._connect(self._client.listen.v1, **self._request(language))
            try:
                sock = await stack.enter_async_context(connection)
            except deepgram_sdk.CAUGHT as error:
                raise deepgram_sdk.as_provider_error(error, self._key) from None
            transcriber = NovaTranscriber(sock, emit, self._key, self._settings.silent_after_ms)
            async with (
                alive_with(transcriber.receive_forever),
                alive_with(transcriber.send_forever),
                alive_with(transcriber.keep_alive_forever),
            ):
                yield transcriber

    def _request(self, language: str) -> dict[str, object]:
        """The parameters of `client.listen.v1.connect`."""
        return {
            "model": self._settings.model,
            "language": language or None,
            "encoding": "linear16",
            "sample_rate": LISTENING_RATE,
            "channels": 1,
            "interim_results": True,
            "smart_format": True,
            "punctuate": True,
            "endpointing": self._settings.endpointing_ms,
            "utterance_end_ms": self._settings.utterance_end_ms,
            "vad_events": True,
        }


@frozen
class _Piece:
    """Words that were understood in one result."""

    text: str
    confidence: float


@frozen
class _Result:
    """A `Results` message, as far as it counts."""

    start: float
    end: float
    final: bool
    endpoint: bool
    """The speaker fell silent: `speech_final`."""
    from_finalize: bool
    text: str
    confidence: float
    words: tuple[tuple[str, float], ...]
    """Each with the position of its middle; empty if the result does not give them all."""

    @property
    def middle(self) -> float:
        """The position between its ends."""
        return (self.start + self.end) / 2

    @property
    def span(self) -> tuple[float, float, str]:
        """What two results have in common only if they are the same."""
        return self.start, self.end, self.text


@define
class _Words:
    """What was understood of one turn."""

    finals: list[_Piece] = field(factory=list)
    interim: _Piece | None = None

    @property
    def pieces(self) -> list[_Piece]:
        return [*self.finals, *([self.interim] if self.interim else [])]

    @property
    def text(self) -> str:
        return " ".join(piece.text for piece in self.pieces)

    @property
    def confidence(self) -> float:
        """The mean over the words."""
        counts = [len(piece.text.split()) for piece in self.pieces]
        total = sum(piece.confidence * count for piece, count in zip(self.pieces, counts, strict=True))
        return total / sum(counts) if any(counts) else 0.0


class NovaTranscriber:
    """The speech to text of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float) -> None:
        self.ignored_messages = 0
        """Messages of an unknown type, or without what a message of their type must hold."""
        self._sock = sock
        self._emit = emit
        self._key = key
        self._silent_after = silent_after_ms * LISTENING_RATE / 1000
        self._clock = TurnClock()
        self._words: dict[int, _Words] = {}
        """By turn."""
        self._taken: deque[tuple[float, float, str]] = deque(maxlen=16)
        """The last final results."""
        self._final_until = 0.0
        """Final results cover the audio up to here."""
        self._endpoint = 0.0
        """Deepgram heard the speaker fall silent, and had final results for everything before here."""
        self._outgoing, self._to_send = trio.open_memory_channel[bytes | str](math.inf)
        self._queued = 0
        self._sent = trio.Event()

    # --- what the conversation asks for ---

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`."""
        if self._clock.turn is not None:
            self._words.pop(self._clock.turn.number, None)
        self._clock.begin(turn)
        self._words[turn] = _Words()

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """As `Transcriber.send`. Raises `ProviderError` when Deepgram stays silent to seconds of voice."""
        if self._clock.unanswered_voice > self._silent_after:
            seconds = self._clock.unanswered_voice / LISTENING_RATE
            raise vendor_errors.late(DEEPGRAM, f"no message for {seconds:.1f} s of voice")
        if len(samples):  # an empty message would make Deepgram close the connection
            self._clock.send(len(samples), speech_probability)
            self._queued += len(samples)
            self._outgoing.send_nowait(samples.astype("<i2").tobytes())
        while self._queued * 1000 > QUEUED_MS * LISTENING_RATE:
            self._sent = trio.Event()
            await self._sent.wait()
        await trio.lowlevel.checkpoint()

    def finalize(self, turn: int) -> None:
        """As `Transcriber.finalize`. A turn that never began or was dropped has an empty transcript."""
        ended = self._clock.finalize(turn)
        if ended is None:
            if turn != self._clock.last_ended:
                self._emit(TranscriptFinal(turn, ""))
                self._clock.last_ended = turn
            return
        self._outgoing.send_nowait(_FINALIZE)
        if self._is_understood(ended):
            self._report_finals_until(ended)

    def _is_understood(self, turn: Turn) -> bool:
        """Deepgram has heard this turn's end already: it may not answer `Finalize` then, as it documents."""
        words = self._words[turn.number]
        silent_since = turn.last_voice if turn.last_voice is not None else math.inf
        return bool(words.finals) and words.interim is None and self._endpoint >= silent_since

    # --- to Deepgram ---

    async def send_forever(self) -> None:
        """Audio and `Finalize`, in the order in which they were asked for."""
        async for message in self._to_send:
            try:
                if isinstance(message, bytes):
                    await self._sock.send_media(message)
                    self._queued -= len(message) // 2
                    self._sent.set()
                else:
                    await self._sock.send_finalize()
            except BROKEN_ON_SENDING:
                return  # receiving says why

    async def keep_alive_forever(self) -> None:
        """`KeepAlive`, for as long as the link is open."""
        while True:
            await trio.sleep(KEEP_ALIVE_SECONDS)
            try:
                await self._sock.send_keep_alive()
            except BROKEN_ON_SENDING:
                return

    # --- from Deepgram ---

    async def receive_forever(self) -> None:
        """Report what Deepgram says, until the connection ends. Raises `ProviderError`."""
        try:
            async with aclosing(aiter(self._sock)) as messages:
                async for message in messages:
                    self._clock.unanswered_voice = 0
                    self._receive(message)
        except BROKEN as error:
            raise deepgram_sdk.as_provider_error(error, self._key) from None

    def _receive(self, message: object) -> None:
        match message:
            case ListenV1Results():
                self._receive_result(_read(message))
            case ListenV1UtteranceEnd():
                self._endpoint = max(self._endpoint, self._final_until)
            case ListenV1Error():
                code, reason = getattr(message, "variant", None), getattr(message, "description", "")
                raise vendor_errors.reported(DEEPGRAM, str(code), None, str(reason), self._key)
            case None:
                self.ignored_messages += 1
            case _:
                pass  # SpeechStarted: our own voice activity is earlier. Metadata and the rest: of no use

    def _receive_result(self, result: _Result | None) -> None:
        if result is None:
            self.ignored_messages += 1
            return
        if result.final and result.span in self._taken:
            return  # sent twice: its words must not be said twice
        self._take(result)
        if not result.final:
            return
        self._taken.append(result.span)
        self._final_until = max(self._final_until, result.end)
        if result.endpoint:
            self._endpoint = self._final_until
        if (answered := self._answered_by(result)) is not None:
            self._report_finals_until(answered)

    def _take(self, result: _Result) -> None:
        """Give the words to the turns in whose audio they were spoken."""
        for turn in self._clock.unfinished:
            piece = self._piece_of(result, turn)
            words = self._words[turn.number]
            if result.final and (piece or turn.overlaps(result.start, result.end)):
                words.interim = None
            if piece and result.final:
                words.finals.append(piece)
            elif piece:
                words.interim = piece
            if words.text and words.text != turn.shown:
                turn.shown = words.text
                self._emit(TranscriptInterim(turn.number, words.text, words.confidence))

    def _piece_of(self, result: _Result, turn: Turn) -> _Piece | None:
        own = [word for word, middle in result.words if turn.holds(middle)]
        if len(own) == len(result.words):
            text = result.text if result.words or turn is self._turn_of(result) else ""
        else:
            text = " ".join(own)
        return _Piece(text, result.confidence) if text else None

    def _turn_of(self, result: _Result) -> Turn | None:
        """The turn of a result that does not say when its words were spoken."""
        return self._clock.at(result.middle)

    def _answered_by(self, result: _Result) -> Turn | None:
        """The newest finalized turn of which nothing more will come."""
        tolerance = _FLUSHED_UP_TO if result.from_finalize else _SAME_PLACE
        complete = [
            turn
            for turn in self._clock.awaiting
            if turn.end is not None and result.end >= turn.end - tolerance
        ]
        if not complete and result.from_finalize:
            # The answer's times are odd, but it answers the oldest question.
            complete = self._clock.awaiting[:1]
        return complete[-1] if complete else None

    def _report_finals_until(self, last: Turn) -> None:
        """Earlier turns than `last` will get no more words either: results come in the order of the audio."""
        for turn in self._clock.complete_until(last):
            words = self._words.pop(turn.number)
            self._emit(TranscriptFinal(turn.number, words.text, words.confidence, turn.speech_ms))


def _read(message: ListenV1Results) -> _Result | None:
    """The message's content; None if it is not what the SDK documents. The SDK does not check that."""
    start, duration = position(getattr(message, "start", None)), position(getattr(message, "duration", None))
    try:
        alternative = message.channel.alternatives[0]
        text = alternative.transcript
    except (AttributeError, LookupError, TypeError):
        return None
    if start is None or duration is None or not isinstance(text, str):
        return None
    confidence = getattr(alternative, "confidence", None)
    return _Result(
        start=start,
        end=start + duration,
        final=getattr(message, "is_final", None) is True,
        endpoint=getattr(message, "speech_final", None) is True,
        from_finalize=getattr(message, "from_finalize", None) is True,
        text=" ".join(text.split()),
        confidence=float(confidence) if isinstance(confidence, int | float) else 0.0,
        words=_read_words(getattr(alternative, "words", None)),
    )


def _read_words(words: object) -> tuple[tuple[str, float], ...]:
    read = []
    for word in words if isinstance(words, list) else []:
        spelling = getattr(word, "punctuated_word", None) or getattr(word, "word", None)
        start, end = position(getattr(word, "start", None)), position(getattr(word, "end", None))
        if not isinstance(spelling, str) or start is None or end is None:
            return ()
        read.append((spelling, (start + end) / 2))
    return tuple(read)
