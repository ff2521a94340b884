"""Speech to text by Deepgram's v1 interface (Nova models), on Deepgram's SDK.

One connection serves a whole call: `Finalize` ends a turn and leaves the connection open. Words are assigned
to a turn by their time in the audio, so late results reach the right turn.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Literal

import trio
from attrs import define, evolve, field, frozen
from deepgram.listen.v1.types import ListenV1Error, ListenV1Results, ListenV1UtteranceEnd

from adapters.deepgram import DEFAULT_MODEL
from adapters.deepgram.languages import nova_tag
from adapters.deepgram.link import DeepgramSpeechToText, DeepgramTranscriber
from adapters.deepgram.turns import Turn, confidence_of, position
from adapters.interfaces import LISTENING_RATE, Emit, Product, Settled
from adapters.vendor_errors import BROKEN_ON_SENDING
from machines.bounds import LONGEST_TRANSCRIPT, MOST_RESULTS
from machines.language.scripts import joined

KEEP_ALIVE_SECONDS = 8.0
"""Deepgram closes a connection that says nothing for 10 s (developers.deepgram.com/docs/audio-keep-alive)."""

SILENT_TURN_SECONDS = 0.6
"""A turn without voice and words has none if Deepgram has not answered `Finalize` by then, as it may."""
SURE = 0.9
"""Interim words of this confidence, over voice, are not taken back by an empty final result."""

_SAME_PLACE = LISTENING_RATE // 50
"""20 ms. Positions that close are the same, since Deepgram rounds its times."""
_NEAR_RESULTS = 16
"""So many of the last final results may be corrected by another one."""
_FLUSHED_UP_TO = LISTENING_RATE // 4
"""An answer to `Finalize` ends at most 250 ms before the audio that was sent before it."""


@frozen
class NovaSettings:
    """Options of Deepgram. All but `format` are those of the reference server, including the ones that it
    failed to send."""

    model: str = DEFAULT_MODEL
    format: Literal["numerals", "smart", "words"] = "numerals"
    """How words are written: numbers as digits, Deepgram's smart format, or every number in words."""
    endpointing_ms: int = 300
    utterance_end_ms: int = 1000
    """At least 1000; needs interim results."""
    silent_after_ms: float = 5000
    """The link is stalled if voice of this length, in this time, gets no message from Deepgram."""


class DeepgramNova(DeepgramSpeechToText[NovaSettings]):
    """Deepgram's v1 interface."""

    name = "deepgram"
    ends_turns = False
    version = "v1"
    usual = NovaSettings()

    @property
    def product(self) -> Product:
        """As `IsSold.product`."""
        return Product("deepgram", self.settings.model)

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""
        return nova_tag(self.settings.model, language) is not None

    def _request(self, language: str) -> dict[str, object]:
        return {
            "model": self.settings.model,
            # What is unknown is asked for as it is: Deepgram's refusal says it best.
            "language": nova_tag(self.settings.model, language) or language or None,
            "encoding": "linear16",
            "sample_rate": self.rate,
            "channels": 1,
            "interim_results": True,
            "punctuate": True,
            # Smart format holds numbers back for up to 3 s, and tears digits apart that are said fast
            # (developers.deepgram.com/docs/smart-format; livekit/agents#382, deepgram-js-sdk#281).
            "smart_format": self.settings.format == "smart",
            "numerals": self.settings.format == "numerals",
            "endpointing": self.settings.endpointing_ms,
            "utterance_end_ms": self.settings.utterance_end_ms,
            "vad_events": True,
        }

    def _link(self, sock: Any, emit: Emit) -> NovaTranscriber:
        return NovaTranscriber(sock, emit, self.key, self.settings.silent_after_ms, self.rate)


@frozen
class _Piece:
    """The words of one result."""

    text: str
    confidence: float
    start: float
    end: float
    """The positions between which the result covers the audio."""
    words: tuple[tuple[str, float], ...] = ()
    """As in `_Result`."""

    def replaces(self, other: _Piece) -> bool:
        """It is a later version of the same result, or of one within it."""
        return self.start <= other.start + _SAME_PLACE and other.end <= self.end + _SAME_PLACE

    def without(self, other: _Piece) -> _Piece | None:
        """Only what is not in `other`, the result of overlapping audio; None if that is nothing."""
        if self.end <= other.start + _SAME_PLACE or other.end <= self.start + _SAME_PLACE:
            return self
        if not self.words:
            within = other.start <= self.start + _SAME_PLACE and self.end <= other.end + _SAME_PLACE
            return None if within else self
        rest = tuple(each for each in self.words if not other.start <= each[1] < other.end)
        if len(rest) == len(self.words):
            return self
        return evolve(self, text=joined(*(word for word, _ in rest)), words=rest) if rest else None


@frozen
class _Result:
    """The content of a `Results` message that matters."""

    start: float
    end: float
    final: bool
    endpoint: bool
    """`speech_final`: the speaker fell silent."""
    from_finalize: bool
    text: str
    confidence: float
    words: tuple[tuple[str, float], ...]
    """(word, position of its middle); empty if the result does not give all positions."""

    @property
    def middle(self) -> float:
        """The position in the middle of the result."""
        return (self.start + self.end) / 2

    @property
    def span(self) -> tuple[float, float, str]:
        """What identifies the result: two results with the same span are the same."""
        return self.start, self.end, self.text


@define
class _Words:
    """The words of one turn."""

    finals: list[_Piece] = field(factory=list)
    interim: _Piece | None = None
    _length: int = 0

    def add(self, piece: _Piece) -> None:
        """Add the words of a final result; those beyond the bounds of a transcript are left out.

        Results may come twice, corrected, out of order, or for audio that another one covers in part: what
        was said at one time counts once.
        """
        near = self.finals[-_NEAR_RESULTS:]
        kept = [each for each in near if not piece.replaces(each)]
        for each in kept:
            rest = piece.without(each)
            if rest is None:
                return
            piece = rest
        if len(self.finals) < MOST_RESULTS and self._length <= LONGEST_TRANSCRIPT:
            self.finals[-_NEAR_RESULTS:] = sorted([*kept, piece], key=lambda each: each.start)
            self._length += len(piece.text) - sum(len(each.text) for each in near if each not in kept)

    @property
    def pieces(self) -> list[_Piece]:
        return [*self.finals, *([self.interim] if self.interim else [])]

    @property
    def text(self) -> str:
        return joined(*(piece.text for piece in self.pieces))

    @property
    def confidence(self) -> float:
        """The mean confidence of the words, as far as it is known."""
        known = [(piece.confidence, len(piece.text.split())) for piece in self.pieces if piece.confidence > 0]
        count = sum(words for _, words in known)
        return sum(confidence * words for confidence, words in known) / count if count else 0.0


class NovaTranscriber(DeepgramTranscriber[_Words]):
    """A speech-to-text link of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float, rate: int) -> None:
        super().__init__(sock, emit, key, silent_after_ms, rate)
        self._seen: deque[tuple[float, float, str]] = deque(maxlen=16)
        """The spans of the last final results."""
        self._final_until = 0.0
        """The position up to which there are final results."""
        self._unbroken_until = 0.0
        """The position up to which final results cover all audio, so none was lost on the way."""
        self._endpoint = 0.0
        """Where Deepgram found the speaker silent, with final results for all audio before it."""
        self._without_voice, self._to_give_up = trio.open_memory_channel[tuple[float, Turn]](math.inf)
        """Turns that ended without voice and words, and when they are given up."""

    def settled(self, turn: int) -> Settled:
        """As `Transcriber.settled`: the words of final results, up to the first that is missing."""
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
        self._end_turn()
        # Deepgram documents that it may not answer `Finalize` if it has detected the end already.
        if not turn.voice and not words.pieces:
            self._without_voice.send_nowait((trio.current_time() + SILENT_TURN_SECONDS, turn))
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

    async def give_up_forever(self) -> None:
        """As `DeepgramTranscriber.give_up_forever`."""
        async for due, turn in self._to_give_up:
            await trio.sleep_until(due)
            if self._clock.awaiting[:1] == [turn] and not self._words[turn.number].pieces:
                self._report_finals_until(turn)

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
                pass  # SpeechStarted comes later than our own voice activity; the rest is of no use

    def _receive_result(self, result: _Result | None) -> None:
        if result is None:
            self.ignored_messages += 1
            return
        if result.final and result.span in self._seen:
            return  # sent twice: its words must not count twice
        self._assign(result)
        if not result.final:
            return
        self._seen.append(result.span)
        self._final_until = max(self._final_until, result.end)
        for start, end, _ in sorted(self._seen):
            if start <= self._unbroken_until + _SAME_PLACE:
                self._unbroken_until = max(self._unbroken_until, end)
        if result.endpoint:
            self._endpoint = self._final_until
        if (answered := self._answered_by(result)) is not None:
            self._report_finals_until(answered)

    def _assign(self, result: _Result) -> None:
        """Assign the words to the turns in whose audio they were spoken."""
        for turn in self._clock.unfinished:
            piece = self._piece_of(result, turn)
            words = self._words[turn.number]
            if result.final and (piece or turn.overlaps(result.start, result.end)):
                if piece is None and words.interim and self._was_surely_said(words.interim, result, turn):
                    words.add(words.interim)
                words.interim = None
            if piece and result.final:
                words.add(piece)
            elif piece:
                words.interim = piece
            self._show(turn, words)

    def _was_surely_said(self, interim: _Piece, taken_back_by: _Result, turn: Turn) -> bool:
        """Whether to keep words that an empty final result takes back. Deepgram does so to short words."""
        covered = interim.end <= taken_back_by.end + _SAME_PLACE
        return covered and not taken_back_by.text and turn.voice > 0 and interim.confidence >= SURE

    def _piece_of(self, result: _Result, turn: Turn) -> _Piece | None:
        own = [word for word, middle in result.words if turn.contains(middle)]
        if len(own) == len(result.words):
            text = result.text if result.words or turn is self._turn_of(result) else ""
        else:
            text = joined(*own)
        words = tuple(each for each in result.words if turn.contains(each[1]))
        return _Piece(text, result.confidence, result.start, result.end, words) if text else None

    def _turn_of(self, result: _Result) -> Turn | None:
        """The turn of a result without times of its words."""
        return self._clock.at(result.middle)

    def _answered_by(self, result: _Result) -> Turn | None:
        """The newest finalized turn that this result completes."""
        tolerance = _FLUSHED_UP_TO if result.from_finalize else _SAME_PLACE
        complete = [
            turn
            for turn in self._clock.awaiting
            if turn.end is not None and result.end >= turn.end - tolerance
        ]
        if not complete and result.from_finalize:
            # The times of the answer are wrong, but it answers the oldest `Finalize`.
            complete = self._clock.awaiting[:1]
        return complete[-1] if complete else None


def _read(message: ListenV1Results) -> _Result | None:
    """The content of a message; None if it is not as documented, which the SDK does not check."""
    start, duration = position(getattr(message, "start", None)), position(getattr(message, "duration", None))
    from_finalize = getattr(message, "from_finalize", None) is True
    alternatives = getattr(getattr(message, "channel", None), "alternatives", None)
    if not isinstance(alternatives, list):
        return None
    alternative = alternatives[0] if alternatives else None
    # No alternative at all means no words.
    text = getattr(alternative, "transcript", None) if alternatives else ""
    words = _read_words(getattr(alternative, "words", None))
    if start is None and words:
        start = words[0][1]
    if start is None or not isinstance(text, str):
        return None
    if duration is None:
        # Its words say how long it is. They are weighed by their middles, so that is enough.
        duration = max([start, *(middle for _, middle in words)]) - start
    return _Result(
        start=start,
        end=start + duration,
        # What answers `Finalize` is final, even if it does not say so.
        final=getattr(message, "is_final", None) is True or from_finalize,
        endpoint=getattr(message, "speech_final", None) is True,
        from_finalize=from_finalize,
        text=" ".join(text.split()),
        confidence=confidence_of(getattr(alternative, "confidence", None)) or 0.0,
        words=words,
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
