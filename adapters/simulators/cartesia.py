"""The simulated Cartesia: text to speech over WebSocket, server-sent events and plain bytes.

Sources: docs.cartesia.ai (api-reference/tts/websocket, contexts, context-flushing-and-flush-i-ds, api-errors,
concurrency-limits-and-timeouts) and the types of cartesia 4.2.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from random import Random
from typing import Any

import trio
from attrs import define, field, frozen

from adapters.simulators.dialects import TtsDialect
from adapters.simulators.faults import FaultKind
from adapters.simulators.records import SpeechContext
from adapters.simulators.session import Sender, Session
from adapters.simulators.speech import Speech, SpokenWord
from adapters.simulators.wire import Head, HttpWire, RefusalError

_SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
_PIECE_SECONDS = 0.1
_EXPIRES_SECONDS = 1.0
"""How long after its last audio a context is dropped."""
_REQUIRED = ("model_id", "transcript", "voice", "output_format")
_CONTEXT_FIELDS = frozenset(
    (
        "context_id",
        "continue",
        "flush",
        "max_buffer_delay_ms",
        "add_timestamps",
        "add_phoneme_timestamps",
        "use_normalized_timestamps",
    )
)
_FIELDS = frozenset(
    (*_REQUIRED, "language", "locale", "normalization", "speed", "generation_config", "pronunciation_dict_id")
)
_MAY_CHANGE = frozenset(("transcript", "continue", "flush", "duration"))
_STATUS_OF_AUDIO = 206
_UNDERSTANDS_TAGS = re.compile(r"sonic-(?:3|latest|[4-9])")


_REFUSED = re.compile(r"[\W\u00b2\u00b3\u00b9\u00bc-\u00be\u2150-\u218b\u2460-\u249b]*")
"""A text without a letter or a plain digit."""
_LATIN = re.compile(r"[0-9A-Za-z\u00c0-\u024f]")


def _is_unsayable(text: str, language: object) -> bool:
    """An English voice gives no audio for a text in another script, and says nothing about it."""
    return language == "en" and not _LATIN.search(text)


@frozen
class RequestError(Exception):
    """A message that Cartesia answers with an `error`."""

    status: int
    code: str
    title: str
    message: str

    def event(self, request_id: str, context_id: object) -> dict[str, Any]:
        """The error as a WebSocket or server-sent event."""
        event = {
            "type": "error",
            "done": True,
            "status_code": self.status,
            "error_code": self.code,
            "title": self.title,
            "message": self.message,
            "request_id": request_id,
        }
        return event | ({"context_id": context_id} if isinstance(context_id, str) else {})


def refuse(status: int, reason: str, session: Session) -> RefusalError:
    """A refusal as Cartesia sends it, with a JSON body."""
    body = {
        "error_code": _ERROR_CODES.get(status),
        "title": "Request refused",
        "message": reason,
        "request_id": session.id(),
    }
    return RefusalError(status, json.dumps(body), {"content-type": "application/json"})


_ERROR_CODES = {401: "unauthorized", 403: "forbidden", 429: "concurrency_limited"}


def check(head: Head, session: Session) -> None:
    """Raise `RefusalError` for a request that Cartesia would refuse whatever its body."""
    keys = session.world.keys
    asked = head.key or head.headers.get("x-api-key", "") or head.query.get("api_key", [""])[0]
    if not asked or (keys is not None and asked not in keys):
        raise refuse(401, "The API key is missing or unknown.", session)
    if not (head.headers.get("cartesia-version") or head.query.get("cartesia_version")):
        raise refuse(400, "The header Cartesia-Version is missing.", session)


def check_body(body: Mapping[str, Any], more_fields: frozenset[str] = frozenset()) -> None:
    """Raise `RequestError` for a generation request that Cartesia would refuse."""
    missing = [name for name in _REQUIRED if name not in body]
    _require(not missing, f"missing: {', '.join(missing)}")
    unknown = sorted(set(body) - _FIELDS - more_fields)
    _require(not unknown, f"unknown: {', '.join(unknown)}")
    _require(isinstance(body["transcript"], str), "transcript must be a string")
    model = body["model_id"]
    if not (isinstance(model, str) and model.startswith("sonic")):
        raise RequestError(404, "model_not_found", "Invalid model", f"There is no model {model!r}.")
    voice = body["voice"]
    voice_id = voice.get("id") if isinstance(voice, dict) else voice
    _require(isinstance(voice_id, str) and voice_id != "", "voice needs an id")
    if voice_id == UNKNOWN_VOICE:
        raise RequestError(404, "voice_not_found", "Invalid voice", f"There is no voice {voice_id!r}.")
    form = body["output_format"]
    _require(isinstance(form, dict) and form.get("container") == "raw", "this simulator makes raw audio only")
    _require(form.get("encoding") == "pcm_s16le", "this simulator makes pcm_s16le only")
    _require(form.get("sample_rate") in _SAMPLE_RATES, f"sample_rate must be one of {_SAMPLE_RATES}")
    delay = body.get("max_buffer_delay_ms")
    _require(
        delay is None or (isinstance(delay, int) and 0 <= delay <= 5000), "max_buffer_delay_ms: 0 to 5000"
    )


UNKNOWN_VOICE = "00000000-0000-4000-a000-000000000000"
"""The only voice id that the simulator does not know."""


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise RequestError(400, "invalid_request", "Bad request", otherwise)


_IDLE_SECONDS = 60.0
"""`TtsDialect.IDLE_CLOSE` closes a link without a message for this long."""


@define
class _Generation:
    """A text to be spoken, or a flush."""

    text: str = ""
    flush: bool = False
    last: bool = False


@define(eq=False)
class _Context:
    """A context, with its queue of texts."""

    record: SpeechContext
    form: Mapping[str, Any]
    add: trio.MemorySendChannel[_Generation]
    todo: trio.MemoryReceiveChannel[_Generation]
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    flush_id: int = 1
    seconds: float = 0.0
    """The length of its audio so far."""
    ended: bool = False
    """Whether no more text may come."""


class CartesiaSocket:
    """One WebSocket, with all its contexts."""

    def __init__(self, session: Session, sender: Sender, nursery: trio.Nursery) -> None:
        self._session = session
        self._sender = sender
        self._nursery = nursery
        self._contexts: dict[str, _Context] = {}
        self._request_id = session.id()
        self._last_message = trio.current_time()
        if session.world.tts_dialect is TtsDialect.IDLE_CLOSE:
            nursery.start_soon(self._watch)

    async def _watch(self) -> None:
        """Close the connection if the client is silent for too long."""
        remaining = _IDLE_SECONDS
        while remaining > 0:
            await trio.sleep(remaining)
            remaining = self._last_message + _IDLE_SECONDS - trio.current_time()
        self._sender.close(1000)

    def process(self, message: dict[str, Any] | bytes | str) -> None:
        """Process a message of the client."""
        self._last_message = trio.current_time()
        context_id = message.get("context_id") if isinstance(message, dict) else None
        try:
            if not isinstance(message, dict):
                raise RequestError(400, "invalid_request", "Bad request", "not a JSON object")
            if not isinstance(context_id, str) or not context_id:
                raise RequestError(400, "invalid_request", "Bad request", "context_id is missing")
            if message.get("cancel") is True:
                self._cancel(context_id)
            else:
                self._generate(context_id, message)
        except RequestError as error:
            self._sender.say(error.event(self._request_id, context_id))

    def _cancel(self, context_id: str) -> None:
        context = self._contexts.get(context_id)
        if context is None or context.record.finished:
            return
        context.record.cancelled = True
        context.ended = True
        self._session.world.records.change()
        if not any(fault.kind is FaultKind.LATE_AUDIO for fault in self._session.faults):
            context.scope.cancel()

    def _generate(self, context_id: str, message: Mapping[str, Any]) -> None:
        check_body(message, _CONTEXT_FIELDS)
        context = self._contexts.get(context_id)
        if context is None:
            context = self._begin(context_id, message)
        elif context.ended:
            raise RequestError(400, "context_closed", "Context has closed", "Use a new context_id.")
        elif _fixed(message) != context.form:
            raise RequestError(400, "invalid_request", "Bad request", "only the transcript may change")
        context.record.transcript += message["transcript"]
        context.record.flushes += message.get("flush") is True
        context.ended = message.get("continue") is not True
        context.add.send_nowait(
            _Generation(message["transcript"], message.get("flush") is True, last=context.ended)
        )
        self._session.world.records.change()

    def _begin(self, context_id: str, message: Mapping[str, Any]) -> _Context:
        record = SpeechContext(context_id)
        self._session.world.records.contexts[context_id] = record
        add, todo = trio.open_memory_channel[_Generation](math.inf)
        context = self._contexts[context_id] = _Context(record, _fixed(message), add, todo)
        self._nursery.start_soon(self._speak, context)
        return context

    async def _speak(self, context: _Context) -> None:
        with context.scope, context.add, context.todo:
            waiting, said = "", 0
            dialect = self._session.world.tts_dialect
            refuses = dialect is TtsDialect.REFUSES_TEXT
            silent = dialect is TtsDialect.NO_AUDIO and len(self._contexts) == 1
            while True:
                generation = await self._next(context)
                waiting += generation.text
                said += bool(generation.text.strip())
                if waiting.strip() and (_REFUSED.fullmatch(waiting) or (refuses and said == 2)):
                    self._refuse(context)
                    return
                if (
                    waiting.strip()
                    and not silent
                    and not _is_unsayable(waiting, context.form.get("language"))
                ):
                    await self._say(context, waiting)
                waiting = ""
                if generation.flush:
                    self._send(context, "flush_done", done=False, flush_done=True, flush_id=context.flush_id)
                    context.flush_id += 1
                if generation.last:
                    self._finish(context)
                    return

    def _refuse(self, context: _Context) -> None:
        """As Cartesia refuses a text, and with it the context (github.com/pipecat-ai/pipecat/issues/1703)."""
        context.ended = context.record.finished = True
        refusal = {"type": "error", "status_code": 400, "done": True, "context_id": context.record.id}
        self._sender.say({**refusal, "error": "transcript empty or contains only punctuation"})
        self._session.world.records.change()

    async def _next(self, context: _Context) -> _Generation:
        """The next text, or the end: a context with audio expires soon without further text."""
        limit = _EXPIRES_SECONDS if context.seconds else math.inf
        with trio.move_on_after(limit):
            return await context.todo.receive()
        return _Generation(last=True)

    def _finish(self, context: _Context) -> None:
        context.ended = context.record.finished = True
        self._send(context, "done", done=True)
        self._session.world.records.change()

    async def _say(self, context: _Context, text: str) -> None:
        world, randomness = self._session.world, self._session.randomness
        rate = context.form["output_format"]["sample_rate"]
        await trio.sleep(world.latencies.first_audio.draw(randomness))
        speech = await world.voice.speak(spoken(text, context.form["model_id"]), rate)
        if context.form.get("add_timestamps") is True:
            packed = world.tts_dialect is TtsDialect.PACKED_WORDS
            timed = packed_words(speech, randomness) if packed else speech
            stamps = word_timestamps(timed, context.seconds)
            self._send(context, "timestamps", done=False, flush_id=context.flush_id, word_timestamps=stamps)
        if context.form.get("add_phoneme_timestamps") is True:
            phonemes = phoneme_timestamps(speech, context.seconds)
            self._send(
                context,
                "phoneme_timestamps",
                done=False,
                flush_id=context.flush_id,
                phoneme_timestamps=phonemes,
            )
        odd = world.tts_dialect is TtsDialect.ODD_CHUNKS
        for data in pieces(speech, rate, odd=odd):
            self._send(context, "chunk", done=False, data=data, step_time=20.0, flush_id=context.flush_id)
            await trio.sleep(world.latencies.audio_piece.draw(randomness))
        context.seconds += len(speech.samples) / rate

    def _send(self, context: _Context, kind: str, **fields: object) -> None:
        message = {"type": kind, "status_code": _STATUS_OF_AUDIO, "context_id": context.record.id, **fields}
        self._sender.say(message)


def _fixed(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that must not change within a context."""
    return {name: value for name, value in message.items() if name not in _MAY_CHANGE}


def spoken(text: str, model: str) -> str:
    """The text that is spoken: Sonic-3 understands tags, older models read them out."""
    return " ".join((re.sub(r"<[^<>]*>", " ", text) if _UNDERSTANDS_TAGS.match(model) else text).split())


def word_timestamps(speech: Speech, begins: float) -> dict[str, list[Any]]:
    """The words' times in seconds, from the start of the context."""
    return {
        "words": [word.text for word in speech.words],
        "start": [round(begins + word.start, 4) for word in speech.words],
        "end": [round(begins + word.end, 4) for word in speech.words],
    }


def packed_words(speech: Speech, randomness: Random) -> Speech:
    """The text's characters in pieces of one to five, cut anywhere, with their share of the time.

    As of Chinese: “请”, “问有”, “什么” (github.com/pipecat-ai/pipecat/issues/5679).
    """
    timed = [
        SpokenWord(letter, word.start + number * length, word.start + (number + 1) * length)
        for word in speech.words
        for length in ((word.end - word.start) / len(word.text),)
        for number, letter in enumerate(word.text)
    ]
    pieces: list[SpokenWord] = []
    while timed:
        taken, timed = timed[: (size := randomness.randint(1, 5))], timed[size:]
        pieces.append(SpokenWord("".join(each.text for each in taken), taken[0].start, taken[-1].end))
    return Speech(speech.samples, tuple(pieces))


def phoneme_timestamps(speech: Speech, begins: float) -> dict[str, list[Any]]:
    """The times of the phonemes, likewise; every letter counts as a phoneme."""
    stamps: dict[str, list[Any]] = {"phonemes": [], "start": [], "end": []}
    for word in speech.words:
        length = (word.end - word.start) / len(word.text)
        for index, letter in enumerate(word.text):
            stamps["phonemes"].append(letter)
            stamps["start"].append(round(begins + word.start + index * length, 4))
            stamps["end"].append(round(begins + word.start + (index + 1) * length, 4))
    return stamps


def pieces(speech: Speech, rate: int, *, odd: bool = False) -> list[str]:
    """The audio in pieces of 100 ms, as base64; if `odd`, each is one byte longer."""
    size = round(rate * _PIECE_SECONDS) * 2 + odd
    audio = speech.samples.astype("<i2").tobytes()
    return [base64.b64encode(audio[start : start + size]).decode() for start in range(0, len(audio), size)]


async def serve_sse(session: Session, wire: HttpWire, body: Mapping[str, Any]) -> None:
    """POST /tts/sse: the whole text's audio as server-sent events. Raises `HangupError`."""
    speech, rate = await _speak_body(session, body)
    outlet = session.outlet(wire, events=True)
    context = {"context_id": body["context_id"]} if body.get("context_id") else {}

    async def send(kind: str, **fields: object) -> None:
        event = {"type": kind, "status_code": _STATUS_OF_AUDIO, **context, **fields}
        await outlet.send(f"event: {kind}\ndata: {json.dumps(event)}\n\n")
        session.exchange.sent += 1

    await wire.begin(200, {"content-type": "text/event-stream"})
    await outlet.before_any()
    if body.get("add_timestamps") is True:
        await send("timestamps", done=False, word_timestamps=word_timestamps(speech, 0.0))
    if body.get("add_phoneme_timestamps") is True:
        await send("phoneme_timestamps", done=False, phoneme_timestamps=phoneme_timestamps(speech, 0.0))
    for data in pieces(speech, rate):
        await send("chunk", done=False, data=data, step_time=20.0)
        await trio.sleep(session.world.latencies.audio_piece.draw(session.randomness))
    await send("done", done=True)
    await outlet.release()
    await wire.finish()


async def serve_bytes(session: Session, wire: HttpWire, body: Mapping[str, Any]) -> None:
    """POST /tts/bytes: the whole text's audio, raw. Raises `HangupError`."""
    speech, _ = await _speak_body(session, body)
    await wire.begin(200, {"content-type": "application/octet-stream"})
    await wire.send_bytes(speech.samples.astype("<i2").tobytes())
    await wire.finish()


async def _speak_body(session: Session, body: Mapping[str, Any]) -> tuple[Speech, int]:
    try:
        check_body(body, _CONTEXT_FIELDS | {"save"})
    except RequestError as error:
        event = error.event(session.id(), None)
        raise RefusalError(error.status, json.dumps(event), {"content-type": "application/json"}) from None
    rate = body["output_format"]["sample_rate"]
    await trio.sleep(session.world.latencies.first_audio.draw(session.randomness))
    return await session.world.voice.speak(spoken(body["transcript"], body["model_id"]), rate), rate
