"""Speech to text by Deepgram's v1 interface (Nova models), spoken to through Deepgram's SDK.

One connection serves a whole call: turns are ended by `Finalize`, which leaves it open. Words belong to a
turn by their time in the audio, so results that come late find their turn.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import trio
from attrs import define, field, frozen
from deepgram.listen.v1.types import ListenV1Error, ListenV1Results, ListenV1UtteranceEnd

from adapters.deepgram import DEFAULT_MODEL
from adapters.deepgram.link import DeepgramSpeechToText, DeepgramTranscriber
from adapters.deepgram.turns import Turn, position
from adapters.interfaces import LISTENING_RATE, Emit, Settled
from adapters.vendor_errors import BROKEN_ON_SENDING
from machines.language.scripts import joined

KEEP_ALIVE_SECONDS = 8.0
"""Deepgram closes a connection that says nothing for 10 s (developers.deepgram.com/docs/audio-keep-alive)."""

_SAME_PLACE = LISTENING_RATE // 50
"""20 ms: Deepgram rounds its times."""
_FLUSHED_UP_TO = LISTENING_RATE // 4
"""An answer to `Finalize` ends at most 250 ms before the audio that was sent before it."""


@frozen
class NovaSettings:
    """What is asked of Deepgram: the reference's options, those it failed to send included."""

    model: str = DEFAULT_MODEL
    endpointing_ms: int = 300
    utterance_end_ms: int = 1000
    """At least 1000; needs interim results."""
    silent_after_ms: float = 5000
    """So much voice, for so long, without any message from Deepgram, and the link is stalled."""


class DeepgramNova(DeepgramSpeechToText[NovaSettings]):
    """Deepgram's v1 interface."""

    name = "deepgram"
    ends_turns = False
    version = "v1"
    usual = NovaSettings()

    def _request(self, language: str) -> dict[str, object]:
        return {
            "model": self.settings.model,
            "language": language or None,
            "encoding": "linear16",
            "sample_rate": self.rate,
            "channels": 1,
            "interim_results": True,
            "smart_format": True,
            "punctuate": True,
            "endpointing": self.settings.endpointing_ms,
            "utterance_end_ms": self.settings.utterance_end_ms,
            "vad_events": True,
        }

    def _link(self, sock: Any, emit: Emit) -> NovaTranscriber:
        return NovaTranscriber(sock, emit, self.key, self.settings.silent_after_ms, self.rate)


@frozen
class _Piece:
    """Words that were understood in one result."""

    text: str
    confidence: float
    end: float
    """The position up to which the result covers the audio."""


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
        return joined(*(piece.text for piece in self.pieces))

    @property
    def confidence(self) -> float:
        """The mean over the words."""
        counts = [len(piece.text.split()) for piece in self.pieces]
        total = sum(piece.confidence * count for piece, count in zip(self.pieces, counts, strict=True))
        return total / sum(counts) if any(counts) else 0.0


class NovaTranscriber(DeepgramTranscriber[_Words]):
    """The speech to text of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float, rate: int) -> None:
        super().__init__(sock, emit, key, silent_after_ms, rate)
        self._taken: deque[tuple[float, float, str]] = deque(maxlen=16)
        """The last final results."""
        self._final_until = 0.0
        """There were final results up to here."""
        self._unbroken_until = 0.0
        """Final results cover all audio up to here: none of them was lost on the way."""
        self._endpoint = 0.0
        """Deepgram heard the speaker fall silent, and had final results for everything before here."""

    def settled(self, turn: int) -> Settled:
        """As `Transcriber.settled`: the words of final results, as far as none of these is missing."""
        begun = next((one for one in self._clock.unfinished if one.number == turn), None)
        if begun is None:
            return Settled()
        known = [piece for piece in self._words[turn].finals if piece.end <= self._unbroken_until]
        words = _Words(known)
        return Settled(words.text, words.confidence, max(begun.start, int(self._unbroken_until)))

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`."""
        if self._clock.turn is not None:
            self._words.pop(self._clock.turn.number, None)
        self._clock.begin(turn)
        self._words[turn] = _Words()

    def _end(self, turn: Turn, words: _Words) -> None:
        self._outgoing.send_nowait(None)
        # Deepgram may not answer `Finalize` if it has heard the end already, as it documents.
        silent_since = turn.last_voice if turn.last_voice is not None else math.inf
        if words.finals and words.interim is None and self._endpoint >= silent_since:
            self._report_finals_until(turn)

    # --- to Deepgram ---

    async def _send_end(self) -> None:
        await self._sock.send_finalize()

    async def keep_open_forever(self) -> None:
        """As `DeepgramTranscriber.keep_open_forever`: by `KeepAlive`."""
        while True:
            await trio.sleep(KEEP_ALIVE_SECONDS)
            try:
                await self._sock.send_keep_alive()
            except BROKEN_ON_SENDING:
                return

    # --- from Deepgram ---

    def _receive(self, message: object) -> None:
        match message:
            case ListenV1Results():
                self._receive_result(_read(message))
            case ListenV1UtteranceEnd():
                self._endpoint = max(self._endpoint, self._final_until)
            case ListenV1Error():
                raise self._reported(getattr(message, "variant", None), getattr(message, "description", ""))
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
        for start, end, _ in sorted(self._taken):
            if start <= self._unbroken_until + _SAME_PLACE:
                self._unbroken_until = max(self._unbroken_until, end)
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
            self._show(turn, words)

    def _piece_of(self, result: _Result, turn: Turn) -> _Piece | None:
        own = [word for word, middle in result.words if turn.holds(middle)]
        if len(own) == len(result.words):
            text = result.text if result.words or turn is self._turn_of(result) else ""
        else:
            text = joined(*own)
        return _Piece(text, result.confidence, result.end) if text else None

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
