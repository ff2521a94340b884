"""The speech of one answer by Cartesia: sends texts, receives audio, word times and ends of segments.

Every answer is a context of its own, and every segment of it is flushed, so the `flush_id` says to which
segment audio, word times and ends belong. The connection that all answers share is in `voice.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections import deque
from typing import Protocol

import trio
from attrs import define, field, frozen

from adapters import vendor_errors
from adapters.cartesia import DEFAULT_MODEL, DEFAULT_VOICE_ID
from adapters.interfaces import ProviderError, Samples, SegmentEnd, SpokenAudio
from adapters.pcm_reader import PcmReader
from adapters.spoken_text import spoken_text
from adapters.tasks import Signal
from adapters.vendor_errors import CARTESIA
from machines.bounds import LONGEST_SPEECH_S, MOST_WORDS
from machines.facts import ErrorClass, Word
from machines.language.packs import is_foreign

CONTEXT_LIVES_SECONDS = 0.5
"""Cartesia drops a context one second after its last audio (docs.cartesia.ai, "Contexts"). A text that comes
later than this begins a new one; the rest of the second is for the network."""
AHEAD_SECONDS = 20.0
"""Audio that may wait to be consumed before `say` blocks."""

_SPEAKS_MARKUP = re.compile(r"sonic-(?:3|latest|[4-9])")
_MARKUP = re.compile(r"<(?:emotion|speed|volume|break)\b[^<>]*/>|</?spell>", re.IGNORECASE)
"""The tags that Sonic-3 knows (docs.cartesia.ai, "SSML tags")."""
_CONTEXT_CLOSED = "context_closed"
_VOICE_UNKNOWN = "voice_not_found"
_NOT_FOUND = 404
_EARLY = 0.1
"""Seconds by which a word may begin before its segment's audio."""


@frozen
class CartesiaSettings:
    """Options of Cartesia."""

    model: str = DEFAULT_MODEL
    voice_id: str = DEFAULT_VOICE_ID
    """The voice of answers that ask for none, or for one whose id is not one of Cartesia's."""
    silent_after_ms: float = 5000
    """The link is stalled if a segment gets no message for this long."""


class Connection(Protocol):
    """What a stream needs of its connection."""

    settings: CartesiaSettings
    language: str
    key: str
    has_spoken: bool
    """Audio has come over it: the settings are ones that Cartesia takes."""

    def note_refusal(self, error: ProviderError) -> None:
        """Cartesia has refused an answer."""
        ...

    def register(self, context_id: str, stream: CartesiaSpeechStream) -> None:
        """Deliver messages of this context to this stream from now on."""
        ...

    def forget(self, context_id: str) -> None:
        """Drop messages of this context from now on."""
        ...

    async def request(self, event: dict[str, object]) -> None:
        """Send through the SDK. Raises `ProviderError`."""
        ...


@define(eq=False)
class _Segment:
    """One segment on its way from text to audio."""

    number: int
    text: str
    """The text as it is spoken; empty if there is nothing to speak."""
    context_id: str = ""
    flush_id: int = 0
    pieces: deque[Samples] = field(factory=deque)
    samples: int = 0
    """Samples received so far."""
    words: dict[Word, None] = field(factory=dict)
    """In order. Times in ms, as Cartesia counts them."""
    complete: bool = False
    unsayable: bool = False
    """Cartesia cannot say this text."""


@define
class _Context:
    """One of Cartesia's contexts."""

    id: str
    flushes: int = 0
    samples: int = 0
    """Samples of its complete segments."""
    last_audio: float = 0.0
    pcm: PcmReader = field(factory=PcmReader)
    closed: bool = False
    """Whether Cartesia ended it, or was told that no more text comes."""


class CartesiaSpeechStream:
    """The speech of one answer. Texts are sent at once; audio is delivered segment by segment."""

    def __init__(self, connection: Connection, sample_rate: int, voice_id: str) -> None:
        self.sample_rate = sample_rate
        self._connection = connection
        self._voice_id = voice_id
        self._context: _Context | None = None
        self._contexts: dict[str, _Context] = {}
        """Contexts for which messages may still come, by id."""
        self._segments: deque[_Segment] = deque()
        """Segments that were not delivered completely yet, in order."""
        self._again: deque[_Segment] = deque()
        """To be asked for in another context, since theirs was ended because of another text."""
        self._ended = False
        self._failure: ProviderError | None = None
        self._changed = Signal()
        self._last_message_at = trio.current_time()
        """When the last message for this stream came, or the last request was sent."""

    # --- texts in ---

    async def say(self, segment: int, text: str) -> None:
        """As `SpeechStream.say`. Markup is spoken by Sonic-3 models, and left out for others.

        Waits while 20 s of audio were not consumed. If the stream has failed, nothing is added: iterating
        raises the error after all audio that came.
        """
        while self._failure is None and self._waiting_samples() > AHEAD_SECONDS * self.sample_rate:
            await self._changed.wait()
        if self._failure is not None:
            await trio.lowlevel.checkpoint()
            return
        added = _Segment(segment, _speakable(text, self._connection.settings.model))
        self._segments.append(added)
        if added.text:
            await self._synthesize(added)
        else:
            added.complete = True
            self._announce()
            await trio.lowlevel.checkpoint()

    async def end(self) -> None:
        """As `SpeechStream.end`."""
        self._ended = True
        self._announce()
        context = self._context
        if context is not None and not context.closed:
            context.closed = True
            await self._ask(context, "", **{"continue": False})
        else:
            await trio.lowlevel.checkpoint()

    async def leave(self) -> None:
        """Cancel what is left of the stream at Cartesia."""
        unfinished = [context for context in self._contexts.values() if not self._is_exhausted(context)]
        for context_id in self._contexts:
            self._connection.forget(context_id)
        # Bounded and shielded: an interruption cancels this task, and the cancel must still be sent.
        with trio.move_on_after(1, shield=True):
            for context in unfinished:
                try:
                    await self._connection.request({"context_id": context.id, "cancel": True})
                except ProviderError:
                    return  # the contexts are gone with the connection

    async def _synthesize(self, segment: _Segment) -> None:
        context = self._open_context()
        context.flushes += 1
        segment.context_id, segment.flush_id = context.id, context.flushes
        self._last_message_at = trio.current_time()
        self._announce()
        await self._ask(context, f"{segment.text} ", **{"continue": True})
        await self._ask(context, "", **{"continue": True, "flush": True})

    async def _ask(self, context: _Context, transcript: str, **flags: object) -> None:
        try:
            await self._connection.request(self._request(context, transcript, **flags))
        except ProviderError as error:
            self.fail(error)

    def _open_context(self) -> _Context:
        """The stream's context, or a new one if Cartesia has ended it or is about to."""
        context = self._context
        if context is not None and not context.closed and not self._is_expiring(context):
            return context
        context = _Context(str(uuid.uuid4()))
        self._context = self._contexts[context.id] = context
        self._connection.register(context.id, self)
        return context

    def _is_expiring(self, context: _Context) -> bool:
        return not self._pending(context) and trio.current_time() - context.last_audio > CONTEXT_LIVES_SECONDS

    def _request(self, context: _Context, transcript: str, **fields: object) -> dict[str, object]:
        """A `GenerationRequestParam`. Within a context all but `transcript` and flags must stay the same."""
        request: dict[str, object] = {
            "context_id": context.id,
            "model_id": self._connection.settings.model,
            "transcript": transcript,
            "voice": {"mode": "id", "id": self._voice_id},
            "output_format": {
                "container": "raw",
                "encoding": "pcm_s16le",
                "sample_rate": self.sample_rate,
            },
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
            **fields,
        }
        if self._connection.language:
            request["language"] = self._connection.language
        return request

    # --- audio out ---

    def __aiter__(self) -> CartesiaSpeechStream:
        return self

    async def __anext__(self) -> SpokenAudio | SegmentEnd:
        """The next piece. Raises `ProviderError` after all audio that came, also if the link is stalled."""
        await trio.lowlevel.checkpoint()
        while True:
            while self._again:
                await self._synthesize(self._again.popleft())
                if self._ended and not self._again:
                    await self.end()
            ready = self._next_ready()
            if ready is not None:
                return ready
            if self._failure is not None:
                raise self._failure
            if self._ended and not self._segments:
                raise StopAsyncIteration
            await self._wait()

    def _next_ready(self) -> SpokenAudio | SegmentEnd | None:
        if not self._segments:
            return None
        segment = self._segments[0]
        if segment.pieces:
            self._announce()
            return SpokenAudio(segment.number, segment.pieces.popleft())
        if not segment.complete:
            return None
        self._segments.popleft()
        return SegmentEnd(segment.number, tuple(segment.words), segment.unsayable)

    async def _wait(self) -> None:
        """Wait until something changes, at most as long as Cartesia may be silent about a pending segment."""
        if not self._segments:
            await self._changed.wait()
            return
        patience_s = self._connection.settings.silent_after_ms / 1000
        with trio.move_on_at(self._last_message_at + patience_s) as scope:
            await self._changed.wait()
        # Something may have come in the very instant in which the time was over.
        if scope.cancelled_caught and trio.current_time() >= self._last_message_at + patience_s:
            self.fail(vendor_errors.late(CARTESIA, f"nothing came for a text within {patience_s:.1f} s"))

    # --- messages from Cartesia ---

    def process(self, context_id: str, kind: str, event: object) -> bool:
        """Process a message for one of this stream's contexts; False if it is not as documented."""
        self._last_message_at = trio.current_time()
        context = self._contexts[context_id]
        match kind:
            case "chunk":
                taken = self._process_audio(context, event)
            case "timestamps":
                taken = self._process_words(context, event)
            case "flush_done":
                taken = self._process_flush(context, event)
            case "done":
                self._close(context)
                taken = True
            case "error":
                self._take_error(context, event)
                taken = True
            case _:
                taken = kind == "phoneme_timestamps"  # never asked for
        self._announce()
        return taken

    def fail(self, error: ProviderError) -> None:
        """End the stream with this error. What has come already is still delivered."""
        if self._failure is None:
            self._failure = error
        self._announce()

    def _process_audio(self, context: _Context, event: object) -> bool:
        segment = self._segment_of(context, event)
        data = getattr(event, "data", None)
        if segment is None or not isinstance(data, str):
            return False
        try:
            audio = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return False
        context.last_audio = trio.current_time()
        samples = context.pcm.push(audio)
        if segment.samples + len(samples) > LONGEST_SPEECH_S * self.sample_rate:
            reason = f"{CARTESIA.vendor}: more than {LONGEST_SPEECH_S:.0f} s of audio for one text"
            self.fail(ProviderError(ErrorClass.TRANSIENT, reason))
        elif len(samples):
            self._connection.has_spoken = True
            segment.pieces.append(samples)
            segment.samples += len(samples)
        return True

    def _process_words(self, context: _Context, event: object) -> bool:
        segment = self._segment_of(context, event)
        stamps = getattr(event, "word_timestamps", None)
        columns = [getattr(stamps, name, None) for name in ("words", "start", "end")]
        if segment is None or not all(isinstance(column, list) for column in columns):
            return False
        for word, start, end in zip(*columns, strict=False):
            if not (isinstance(word, str) and _is_time(start) and _is_time(end)):
                return False
            spoken = Word(word, start * 1000, end * 1000)
            if len(segment.words) < MOST_WORDS:
                segment.words[spoken] = None  # nothing new if the message was sent twice
        return True

    def _process_flush(self, context: _Context, event: object) -> bool:
        """Complete a segment, and those before it, whose own messages were lost."""
        last = self._segment_of(context, event)
        if last is None:
            return False
        for segment in self._pending(context):
            if segment.flush_id <= last.flush_id:
                self._complete(context, segment)
        return True

    def _take_error(self, context: _Context, event: object) -> None:
        """The context is over. If it was for one text, the others of it are asked for again."""
        refused = self._segment_of(context, event) if self._refuses_text(event) else None
        pending = self._pending(context)
        self._forget(context)
        if refused is None:
            chosen = self._voice_id != self._connection.settings.voice_id
            error = reported(event, self._connection.key, voice_chosen=chosen)
            self._connection.note_refusal(error)
            self.fail(error)
            return
        refused.unsayable = not refused.samples
        for segment in pending[: pending.index(refused) + 1]:
            self._complete(context, segment)
        self._again.extend(each for each in pending if not each.complete)

    def _refuses_text(self, event: object) -> bool:
        """Whether Cartesia does not take a text ("transcript empty or contains only punctuation").

        That is a 400 for a context, as one for the settings is; where those have worked, it is the text.
        """
        status, code = getattr(event, "status_code", None), getattr(event, "error_code", None)
        return status == 400 and code != _CONTEXT_CLOSED and self._connection.has_spoken

    def _pending(self, context: _Context) -> list[_Segment]:
        """The incomplete segments of a context, in order."""
        return [one for one in self._segments if one.context_id == context.id and not one.complete]

    def _segment_of(self, context: _Context, event: object) -> _Segment | None:
        """The segment that a message is about: by its `flush_id`, else the first incomplete one."""
        flush_id = getattr(event, "flush_id", None)
        pending = self._pending(context)
        return next((one for one in pending if flush_id in (None, one.flush_id)), None)

    def _complete(self, context: _Context, segment: _Segment) -> None:
        begins_ms = context.samples * 1000 / self.sample_rate
        length_ms = segment.samples * 1000 / self.sample_rate
        segment.words = dict.fromkeys(_within_segment(list(segment.words), begins_ms, length_ms))
        context.samples += segment.samples
        segment.complete = True

    def _close(self, context: _Context) -> None:
        """Process the end of a context: its segments are complete, or no audio will come for them."""
        for segment in self._pending(context):
            segment.unsayable = not segment.samples and is_foreign(segment.text, self._connection.language)
            if not segment.samples and not segment.unsayable:
                reason = f"{CARTESIA.vendor}: no audio came for a text"
                self.fail(ProviderError(ErrorClass.TRANSIENT, reason))
                break
            self._complete(context, segment)
        self._forget(context)

    def _forget(self, context: _Context) -> None:
        context.closed = True
        del self._contexts[context.id]
        self._connection.forget(context.id)

    def _is_exhausted(self, context: _Context) -> bool:
        """Whether no more messages come for it: all its segments are complete, and it is closed."""
        return context.closed and not self._pending(context)

    def _waiting_samples(self) -> int:
        return sum(len(piece) for segment in self._segments for piece in segment.pieces)

    def _announce(self) -> None:
        self._changed.wake_all()


def _is_time(seconds: object) -> bool:
    return isinstance(seconds, int | float) and -1e6 < seconds < 1e6


def _speakable(text: str, model: str) -> str:
    """The part of a text that the model can speak; empty if there is nothing to say."""
    return spoken_text(text, keep=_MARKUP if _SPEAKS_MARKUP.match(model) else None)


def _within_segment(words: list[Word], begins_ms: float, length_ms: float) -> list[Word]:
    """The words with times from the start of the segment's audio.

    Cartesia counts from the start of the context. Other clients rely on that, but for flushed contexts it is
    not documented. Times that are too early for it are taken as counted from the flush.
    """
    of_context = bool(words) and words[0].start_ms >= begins_ms - _EARLY * 1000
    shift = begins_ms if of_context else 0.0

    def within(ms: float) -> float:
        return min(max(ms - shift, 0.0), length_ms)

    return [Word(word.text, within(word.start_ms), within(word.end_ms)) for word in words]


def _reason(event: object) -> str:
    # Older errors have `error` alone; the SDK's property of that name hides it.
    older = (getattr(event, "model_extra", None) or {}).get("error")
    said = [getattr(event, "title", None), getattr(event, "message", None), older]
    return ": ".join(part for part in said if isinstance(part, str))


def reported(event: object, key: str, *, voice_chosen: bool = False) -> ProviderError:
    """The error that a message of Cartesia's reports, without the key.

    `voice_chosen`: it is about an answer in a voice that the call chose.
    """
    code, status = getattr(event, "error_code", None), getattr(event, "status_code", None)
    error = vendor_errors.reported(
        CARTESIA,
        code if isinstance(code, str) else None,
        status if isinstance(status, int) else None,
        _reason(event),
        key,
    )
    if voice_chosen and (code == _VOICE_UNKNOWN or (code is None and status == _NOT_FOUND)):
        return ProviderError(ErrorClass.REFUSED_REQUEST, error.failure.message)
    return error
