"""Speech to text by Deepgram's v2 interface (Flux), which decides by itself when a speaker's turn is over.

Flux counts turns of its own. A turn of the conversation takes in every Flux turn that began in its audio, so
that both kinds of turn mode work: in the automatic mode Flux's decisions come out as they are made, in the
manual mode `ForceEndTurn` ends what is going on.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import numpy as np
import trio
from attrs import define, field, frozen
from deepgram.listen.v2.types import ListenV2FatalError, ListenV2TurnInfo

from adapters import deepgram_sdk, vendor_errors
from adapters.deepgram_turns import Turn, TurnClock, position
from adapters.interfaces import LISTENING_RATE, Emit, Samples, Transcriber
from adapters.vendor_errors import BROKEN, BROKEN_ON_SENDING, DEEPGRAM
from adapters.vendor_socket import OpenStream, SocketLimits, alive_with
from machines.facts import TranscriptFinal, TranscriptInterim

QUEUED_MS = 2000
"""Audio that waits to be sent before `send` blocks."""
SILENCE_AFTER_SECONDS = 5.0
"""v2 has no `KeepAlive`: a link that gets no audio for this long gets a little silence instead."""

_SILENCE = np.zeros(LISTENING_RATE // 12, np.int16)
"""About 80 ms, the chunk that Deepgram recommends for Flux."""
_FORCE_END = "ForceEndTurn"


@frozen
class EagerEndOfTurn:
    """Flux is moderately sure that turn `turn` is over: an answer to `text` may be prepared, not spoken.

    Followed by `EndOfTurn` with the same text, or by `TurnResumed`.
    """

    turn: int
    text: str
    confidence: float


@frozen
class TurnResumed:
    """The speaker of turn `turn` goes on after an `EagerEndOfTurn`: what was prepared is void."""

    turn: int


@frozen
class EndOfTurn:
    """Flux has decided that turn `turn` is over, with `text` as all its words."""

    turn: int
    text: str
    confidence: float


TurnFact = EagerEndOfTurn | TurnResumed | EndOfTurn
ReportTurnFact = Callable[[Emit, TurnFact], None]
"""Where Flux's own decisions about turns go. The first argument is the `emit` of their conversation."""


def not_reported(emit: Emit, fact: TurnFact) -> None:
    """For conversations whose turns are ended by others."""


@frozen
class FluxSettings:
    """What is asked of Flux. Thresholds are confidences."""

    eot_threshold: float = 0.7
    """From 0.5 to 0.9, or 1.0 to leave it to `finalize` alone."""
    eager_eot_threshold: float | None = 0.4
    """From 0.3 to 0.9. None: no `EagerEndOfTurn`, and no `TurnResumed`."""
    eot_timeout_ms: int = 5000
    """So much silence ends a turn whatever the confidence."""
    keyterms: tuple[str, ...] = ()
    silent_after_ms: float = 5000
    """So much voice without any message from Deepgram, and the link is stalled."""


class DeepgramFlux:
    """Deepgram's v2 interface. Making it takes about a second: construct it in a worker thread.

    Raises `ValueError` for an impossible `base_url`, and `UnknownSdkError` if the SDK is another one.
    """

    name = "deepgram-flux"

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = deepgram_sdk.PRODUCTION,
        settings: FluxSettings | None = None,
        report: ReportTurnFact = not_reported,
        limits: SocketLimits | None = None,
        open_stream: OpenStream = trio.open_tcp_stream,
    ) -> None:
        self._key = api_key
        self._settings = settings or FluxSettings()
        self._report = report
        self._client = deepgram_sdk.make_client(api_key, base_url)
        self._connect = deepgram_sdk.listen_v2(limits or SocketLimits(), open_stream)

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """As `SpeechToText.open`. English has a model of its own; all else goes to the multilingual one."""
        return self._open(emit, language)

    @asynccontextmanager
    async def _open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        async with AsyncExitStack() as stack:
            connection = self._connect(self._client.listen.v2, **self._request(language))
            try:
                sock = await stack.enter_async_context(connection)
            except deepgram_sdk.CAUGHT as error:
                raise deepgram_sdk.as_provider_error(error, self._key) from None

            def report(fact: TurnFact) -> None:
                self._report(emit, fact)

            transcriber = FluxTranscriber(sock, emit, report, self._key, self._settings.silent_after_ms)
            async with (
                alive_with(transcriber.receive_forever),
                alive_with(transcriber.send_forever),
                alive_with(transcriber.fill_with_silence_forever),
            ):
                yield transcriber

    def _request(self, language: str) -> dict[str, object]:
        """The parameters of `client.listen.v2.connect`."""
        spoken = language.replace("_", "-").split("-")[0].lower()
        english = spoken in ("", "en")
        return {
            "model": "flux-general-en" if english else "flux-general-multi",
            "language_hint": None if english else [spoken],
            "encoding": "linear16",
            "sample_rate": LISTENING_RATE,
            "eager_eot_threshold": self._settings.eager_eot_threshold,
            "eot_threshold": self._settings.eot_threshold,
            "eot_timeout_ms": self._settings.eot_timeout_ms,
            "keyterm": list(self._settings.keyterms) or None,
        }


@define
class _FluxTurn:
    """One of Flux's turns, inside a turn of ours."""

    index: int
    text: str = ""
    confidence: float = 0.0
    over: bool = False


@define
class _Words:
    """What was understood of one turn of ours."""

    flux_turns: list[_FluxTurn] = field(factory=list)
    heard_until: float = 0.0
    """Flux has told what it heard up to here."""

    @property
    def text(self) -> str:
        return " ".join(turn.text for turn in self.flux_turns if turn.text)

    @property
    def confidence(self) -> float:
        """The mean over the Flux turns that hold words."""
        known = [turn.confidence for turn in self.flux_turns if turn.text]
        return sum(known) / len(known) if known else 0.0

    @property
    def going_on(self) -> bool:
        """A Flux turn has begun and is not over."""
        return any(not turn.over for turn in self.flux_turns)


@frozen
class _TurnInfo:
    """A `TurnInfo` message, as far as it counts."""

    event: str
    index: int
    start: float
    end: float
    text: str
    words: tuple[tuple[str, float], ...]
    """Each with the position of its middle; empty if the message does not give them all."""
    word_confidence: float
    end_confidence: float


class FluxTranscriber:
    """The speech to text of one conversation."""

    def __init__(
        self, sock: Any, emit: Emit, report: Callable[[TurnFact], None], key: str, silent_after_ms: float
    ) -> None:
        self.ignored_messages = 0
        """Messages of an unknown type, or without what a message of their type must hold."""
        self._sock = sock
        self._emit = emit
        self._report = report
        self._key = key
        self._silent_after = silent_after_ms * LISTENING_RATE / 1000
        self._clock = TurnClock()
        self._words: dict[int, _Words] = {}
        """By turn of ours."""
        self._turn_of: dict[int, Turn] = {}
        """By index of a Flux turn that is going on."""
        self._outgoing, self._to_send = trio.open_memory_channel[bytes | str](math.inf)
        self._queued = 0
        self._sent = trio.Event()
        self._last_audio = trio.current_time()

    # --- what the conversation asks for ---

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`. What a Flux turn that goes on still brings belongs to it."""
        dropped = self._clock.turn
        begun = self._clock.begin(turn)
        self._words[turn] = _Words()
        if dropped is not None:
            del self._words[dropped.number]
            for index, owner in self._turn_of.items():
                if owner is dropped:
                    self._turn_of[index] = begun

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """As `Transcriber.send`. Raises `ProviderError` when Flux stays silent to seconds of voice."""
        if self._clock.unanswered_voice > self._silent_after:
            seconds = self._clock.unanswered_voice / LISTENING_RATE
            raise vendor_errors.late(DEEPGRAM, f"no message for {seconds:.1f} s of voice")
        self._push(samples, speech_probability)
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
        words = self._words[turn]
        silent_since = ended.last_voice if ended.last_voice is not None else ended.start
        if words.going_on or words.heard_until < silent_since:
            self._outgoing.send_nowait(_FORCE_END)
        else:
            # Nothing is going on, and Flux ignores `ForceEndTurn` then.
            self._report_finals_until(ended)

    def _push(self, samples: Samples, speech_probability: float) -> None:
        if len(samples):
            self._clock.send(len(samples), speech_probability)
            self._queued += len(samples)
            self._last_audio = trio.current_time()
            self._outgoing.send_nowait(samples.astype("<i2").tobytes())

    # --- to Deepgram ---

    async def send_forever(self) -> None:
        """Audio and `ForceEndTurn`, in the order in which they were asked for."""
        async for message in self._to_send:
            try:
                if isinstance(message, bytes):
                    await self._sock.send_media(message)
                    self._queued -= len(message) // 2
                    self._sent.set()
                else:
                    await self._sock.send_force_end_turn()
            except BROKEN_ON_SENDING:
                return  # receiving says why

    async def fill_with_silence_forever(self) -> None:
        """A little silence whenever no audio has come for a while."""
        while True:
            await trio.sleep_until(self._last_audio + SILENCE_AFTER_SECONDS)
            if trio.current_time() >= self._last_audio + SILENCE_AFTER_SECONDS:
                self._push(_SILENCE, 0.0)

    # --- from Deepgram ---

    async def receive_forever(self) -> None:
        """Report what Flux says, until the connection ends. Raises `ProviderError`."""
        try:
            async with aclosing(aiter(self._sock)) as messages:
                async for message in messages:
                    self._clock.unanswered_voice = 0
                    self._receive(message)
        except BROKEN as error:
            raise deepgram_sdk.as_provider_error(error, self._key) from None

    def _receive(self, message: object) -> None:
        match message:
            case ListenV2TurnInfo():
                info = _read(message)
                if info is None:
                    self.ignored_messages += 1
                else:
                    self._take(info)
            case ListenV2FatalError():
                code, reason = getattr(message, "code", None), getattr(message, "description", "")
                raise vendor_errors.reported(DEEPGRAM, str(code), None, str(reason), self._key)
            case None:
                self.ignored_messages += 1
            case _:
                pass  # Connected, Warning and the answers to a Configure that is never sent

    def _take(self, info: _TurnInfo) -> None:
        if info.index not in self._turn_of and info.event == "Update" and not info.text:
            self._note_silence(info)
            return
        turn = self._owner(info)
        if turn is None:
            return  # a turn that was dropped, or heard of in full before
        words = self._words[turn.number]
        words.heard_until = max(words.heard_until, info.end)
        self._note(words, turn, info)
        if words.text and words.text != turn.shown:
            turn.shown = words.text
            self._emit(TranscriptInterim(turn.number, words.text, words.confidence))
        self._decide(words, turn, info)

    def _note_silence(self, info: _TurnInfo) -> None:
        """Flux reports on silence between its turns, too: under the index of the turn to come."""
        turn = self._clock.at(info.end)
        if turn is not None:
            words = self._words[turn.number]
            words.heard_until = max(words.heard_until, info.end)

    def _owner(self, info: _TurnInfo) -> Turn | None:
        """The turn of ours in whose audio this turn of Flux's began."""
        turn = self._turn_of.get(info.index)
        if turn is not None and turn.number in self._words:
            return turn
        first_word = info.words[0][1] if info.words else info.end
        turn = self._clock.at(first_word) or self._clock.at(info.start) or self._clock.turn
        if turn is not None:
            self._turn_of[info.index] = turn
        return turn

    def _note(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        known = next((one for one in words.flux_turns if one.index == info.index), None)
        if known is None:
            known = _FluxTurn(info.index)
            words.flux_turns.append(known)
            if turn in self._clock.awaiting and info.event != "EndOfTurn":
                # `ForceEndTurn` came before Flux had noticed the turn, and was ignored.
                self._outgoing.send_nowait(_FORCE_END)
        own = [word for word, middle in info.words if middle >= turn.start]
        known.text = info.text if len(own) == len(info.words) else " ".join(own)
        known.confidence = info.word_confidence
        known.over = info.event == "EndOfTurn"

    def _decide(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        match info.event:
            case "EagerEndOfTurn":
                self._report(EagerEndOfTurn(turn.number, words.text, info.end_confidence))
            case "TurnResumed":
                self._report(TurnResumed(turn.number))
            case "EndOfTurn":
                self._turn_of.pop(info.index, None)
                if turn in self._clock.awaiting:
                    self._report_finals_until(turn)
                else:
                    self._report(EndOfTurn(turn.number, words.text, info.end_confidence))

    def _report_finals_until(self, last: Turn) -> None:
        for turn in self._clock.complete_until(last):
            words = self._words.pop(turn.number)
            self._emit(TranscriptFinal(turn.number, words.text, words.confidence, turn.speech_ms))


def _read(message: ListenV2TurnInfo) -> _TurnInfo | None:
    """The message's content; None if it is not what the SDK documents. The SDK does not check that."""
    event, index = getattr(message, "event", None), getattr(message, "turn_index", None)
    text = getattr(message, "transcript", None)
    start = position(getattr(message, "audio_window_start", None))
    end = position(getattr(message, "audio_window_end", None))
    if not (isinstance(event, str) and isinstance(index, int) and isinstance(text, str)):
        return None
    if start is None or end is None:
        return None
    words, confidences = _read_words(getattr(message, "words", None))
    end_confidence = getattr(message, "end_of_turn_confidence", None)
    return _TurnInfo(
        event=event,
        index=index,
        start=start,
        end=end,
        text=" ".join(text.split()),
        words=words,
        word_confidence=sum(confidences) / len(confidences) if confidences else 0.0,
        end_confidence=float(end_confidence) if isinstance(end_confidence, int | float) else 0.0,
    )


def _read_words(words: object) -> tuple[tuple[tuple[str, float], ...], list[float]]:
    """The words with their places, if all have one, and how sure Flux is of each."""
    read: list[tuple[str, float]] = []
    confidences: list[float] = []
    listed = words if isinstance(words, list) else []
    for word in listed:
        spelling, confidence = getattr(word, "word", None), getattr(word, "confidence", None)
        start, end = position(getattr(word, "start", None)), position(getattr(word, "end", None))
        if isinstance(confidence, int | float):
            confidences.append(float(confidence))
        if isinstance(spelling, str) and start is not None and end is not None:
            read.append((spelling, (start + end) / 2))
    return (tuple(read) if len(read) == len(listed) else ()), confidences
