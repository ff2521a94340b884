"""The simulated Deepgram: the v1 (Nova) and v2 (Flux) interfaces of streaming speech to text.

Sources: developers.deepgram.com (finalize, audio-keep-alive, endpointing, utterance-end, flux/state,
flux/force-end-turn, stt-troubleshooting-websocket-data-and-net-errors) and the types of deepgram-sdk 7.17.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import trio
from attrs import define, evolve, field

from adapters.simulators.dialects import SttDialect
from adapters.simulators.recognition import RecognizedWord, Recognizer, SpeechEvent
from adapters.simulators.session import Sender, Session
from adapters.simulators.wire import Head, RefusalError

_V1_PARAMETERS = frozenset(
    (
        "callback",
        "callback_method",
        "channels",
        "detect_entities",
        "diarize",
        "diarize_model",
        "dictation",
        "encoding",
        "endpointing",
        "extra",
        "filler_words",
        "interim_results",
        "keyterm",
        "keywords",
        "language",
        "language_hint",
        "mip_opt_out",
        "model",
        "multichannel",
        "no_delay",
        "numerals",
        "profanity_filter",
        "punctuate",
        "redact",
        "replace",
        "sample_rate",
        "search",
        "smart_format",
        "tag",
        "tier",
        "utterance_end_ms",
        "vad_events",
        "version",
    )
)
_V1_BOOLEANS = frozenset(
    (
        "diarize",
        "dictation",
        "interim_results",
        "mip_opt_out",
        "multichannel",
        "no_delay",
        "numerals",
        "profanity_filter",
        "punctuate",
        "smart_format",
        "vad_events",
    )
)
_V2_PARAMETERS = frozenset(
    (
        "model",
        "encoding",
        "sample_rate",
        "eager_eot_threshold",
        "eot_threshold",
        "eot_timeout_ms",
        "keyterm",
        "language_hint",
        "mip_opt_out",
        "numerals",
        "profanity_filter",
        "redact",
        "tag",
    )
)
_LANGUAGES = ("en", "en-US", "en-GB", "de", "de-CH", "es", "es-419", "fr", "fr-CA", "ja", "no", "multi")
_V2_MODELS = ("flux-general-en", "flux-general-multi")
_TIMEOUT_SECONDS = 10.0
"""Without audio or `KeepAlive` for this long, the connection is closed with 1011 (NET-0001)."""
_TIMED_OUT = (1011, "NET-0001: no audio data or text message within the timeout window")
CLOSES_IDLE: Mapping[SttDialect, tuple[int, str]] = {
    SttDialect.NET0001: (1011, "Deepgram did not receive audio data. See https://dpgr.am/net0001"),
    SttDialect.NET0000: (1011, "The server had an internal error. See https://dpgr.am/net0000"),
    SttDialect.METADATA_CLOSE: (1000, ""),
}
"""The dialects that close a link without audio, whatever `KeepAlive` says; how they do it."""
_ZH = ("您好", "，", "我要", "订", "明天", "六点", "的", "位", "。")
_V1_INTERIM_EVERY = 0.3
_V1_SILENCE_EVERY = 3.0
"""In silence an empty final result is sent every so many seconds."""
_V1_WORTH_FLUSHING = 0.1
"""`Finalize` is not answered with less audio than this since the last final result, as documented."""
_V2_UPDATE_EVERY = 0.24
_V2_EAGER_SILENCE = 0.24
_V2_SILENCE = 0.48
"""Silence after which the confidence of Flux is above every usual threshold."""


def refuse(status: int, reason: str, session: Session) -> RefusalError:
    """A refusal as Deepgram sends it, with the reason in a header and in the body."""
    body = json.dumps({"err_code": _ERROR_CODES.get(status, "ERROR"), "err_msg": reason})
    return RefusalError(
        status,
        body,
        {"content-type": "application/json", "dg-error": reason, "dg-request-id": session.id()},
    )


_ERROR_CODES = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    402: "ASR_PAYMENT_REQUIRED",
    403: "INSUFFICIENT_PERMISSIONS",
    429: "TOO_MANY_REQUESTS",
}


def check(head: Head, session: Session) -> None:
    """Raise `RefusalError` for a request that Deepgram would refuse."""
    scheme = head.headers.get("authorization", "").partition(" ")[0].lower()
    keys = session.world.keys
    if scheme not in ("token", "bearer") or not head.key or (keys is not None and head.key not in keys):
        raise refuse(401, "Invalid credentials.", session)
    try:
        (_check_v1 if session.exchange.route == "deepgram.v1" else _check_v2)(head.query)
        if session.world.stt_dialect is SttDialect.KNOWN_LANGUAGES:
            language = head.query.get("language", ["en"])[0]
            _require(language in _LANGUAGES, f"No such model/language/tier combination found: {language}")
    except ValueError as error:
        raise refuse(400, str(error), session) from None


def _check_v1(query: Mapping[str, list[str]]) -> None:
    _require(not set(query) - _V1_PARAMETERS, f"unknown: {sorted(set(query) - _V1_PARAMETERS)}")
    for name in _V1_BOOLEANS & set(query):
        _require(query[name] in (["true"], ["false"]), f"{name} must be true or false")
    _check_audio(query)
    _require(not query.get("model", [""])[0].startswith("flux"), "Flux is served at /v2/listen")
    if "utterance_end_ms" in query:
        _require(query.get("interim_results") == ["true"], "utterance_end_ms needs interim_results")
        _require(_number(query, "utterance_end_ms") >= 1000, "utterance_end_ms must be at least 1000")
    endpointing = query.get("endpointing", ["10"])[0]
    _require(endpointing in ("true", "false") or endpointing.isdigit(), "endpointing must be in ms")


def _check_v2(query: Mapping[str, list[str]]) -> None:
    _require(not set(query) - _V2_PARAMETERS, f"unknown: {sorted(set(query) - _V2_PARAMETERS)}")
    _require(query.get("model", [""])[0] in _V2_MODELS, f"model must be one of {', '.join(_V2_MODELS)}")
    _require("language_hint" not in query or query["model"] == [_V2_MODELS[1]], "no hints for this model")
    _check_audio(query)
    limits = {"eot_threshold": (0.5, 0.9), "eager_eot_threshold": (0.3, 0.9), "eot_timeout_ms": (500, 60000)}
    for name, (least, most) in limits.items():
        if name in query:
            value = _number(query, name)
            suppressed = name == "eot_threshold" and value == 1.0
            _require(suppressed or least <= value <= most, f"{name} must be from {least} to {most}")


def _check_audio(query: Mapping[str, list[str]]) -> None:
    _require(query.get("encoding") == ["linear16"], "this simulator takes linear16 only")
    _require(8000 <= _number(query, "sample_rate") <= 48000, "sample_rate is needed for linear16")
    _require(query.get("channels", ["1"]) == ["1"], "this simulator takes one channel only")


def _number(query: Mapping[str, list[str]], name: str) -> float:
    return float(query.get(name, ["0"])[0])


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


@define
class _Stream:
    """The part that both interfaces share."""

    session: Session
    sender: Sender
    query: Mapping[str, list[str]]
    recognizer: Recognizer = field(init=False)
    last_sign: float = field(init=False, factory=trio.current_time)
    request_id: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        rate = int(_number(self.query, "sample_rate"))
        self.recognizer = Recognizer(rate, self.session.world.script)
        self.request_id = self.session.id()

    @property
    def dialect(self) -> SttDialect:
        """How this Deepgram deviates."""
        return self.session.world.stt_dialect

    def asked(self, name: str) -> bool:
        """Whether a boolean parameter is true."""
        return self.query.get(name) == ["true"]

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message, with the latency of transcripts."""
        self.sender.say(message, self.session.world.latencies.transcript.draw(self.session.randomness))

    async def watch(self) -> None:
        """Close the connection if the client is silent for too long."""
        remaining = _TIMEOUT_SECONDS
        while remaining > 0:
            await trio.sleep(remaining)
            remaining = self.last_sign + _TIMEOUT_SECONDS - trio.current_time()
        if self.dialect is SttDialect.METADATA_CLOSE:
            self.say({"type": "Metadata", "request_id": self.request_id, "duration": 0.0, "channels": 1})
        self.sender.close(*CLOSES_IDLE.get(self.dialect, _TIMED_OUT))


@define
class NovaStream(_Stream):
    """One stream of the v1 interface."""

    _final_until: float = field(init=False, default=0.0)
    _last_interim: float = field(init=False, default=0.0)
    _utterance_end: float | None = field(init=False, default=None)
    """The end of the last word; None when `UtteranceEnd` was sent for it."""

    def process(self, message: dict[str, Any] | bytes | str) -> None:
        """Process a message of the client."""
        if message != {"type": "KeepAlive"} or self.dialect not in CLOSES_IDLE:
            self.last_sign = trio.current_time()
        match message:
            case bytes() if not message:
                self._close()
            case bytes():
                for event in self.recognizer.feed(message):
                    self._react(event)
            case {"type": "KeepAlive"}:
                pass
            case {"type": "Finalize"}:
                self._finalize()
            case {"type": "CloseStream"}:
                self._close()
            case dict() if message.get("type") == "Configure":
                self._configure(message)
            case _:
                description = "Could not deserialize last text message"
                content = message if isinstance(message, str) else json.dumps(message)
                self.say(
                    {
                        "type": "Error",
                        "variant": "SchemaError",
                        "description": description,
                        "message": content,
                    }
                )

    def _react(self, event: SpeechEvent) -> None:
        if event is SpeechEvent.BEGAN:
            self._utterance_end = None
            if self.asked("vad_events"):
                self.say(
                    {
                        "type": "SpeechStarted",
                        "channel": [0, 1],
                        "timestamp": round(self.recognizer.began or 0, 3),
                    }
                )
        if event is not SpeechEvent.GOES_ON:
            return
        now, silence = self.recognizer.now, self.recognizer.silence
        if self.recognizer.began is not None:
            if silence >= self._endpointing():
                self._send_final(speech_final=True)
            elif self.asked("interim_results") and now - self._last_interim >= _V1_INTERIM_EVERY:
                self._last_interim = now
                self._send_result(self.recognizer.words_so_far(), now)
        elif now - self._final_until >= _V1_SILENCE_EVERY:
            self._send_final()
        wanted = _number(self.query, "utterance_end_ms") / 1000
        if wanted and self._utterance_end is not None and now - self._utterance_end >= wanted:
            last_word_end = round(self._utterance_end, 3)
            self.say({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last_word_end})
            self._utterance_end = None

    def _endpointing(self) -> float:
        asked = self.query.get("endpointing", ["10"])[0]
        if asked == "false":
            return float("inf")
        return 0.01 if asked == "true" else int(asked) / 1000

    def _finalize(self) -> None:
        if self.dialect is SttDialect.NO_FINALIZE and not self.recognizer.all_words():
            return
        if self.recognizer.now - self._final_until >= _V1_WORTH_FLUSHING:
            self._send_final(from_finalize=True)

    def _send_final(self, *, speech_final: bool = False, from_finalize: bool = False) -> None:
        words = () if self.dialect is SttDialect.TAKEN_BACK else self.recognizer.all_words()
        self.recognizer.end_utterance()
        if self.dialect is SttDialect.INTERIM_ONLY and words:
            return
        if self.dialect is SttDialect.OKAY_IN_SILENCE and not words and not from_finalize:
            words = (RecognizedWord("Okay.", self.recognizer.now - 0.5, self.recognizer.now - 0.1),)
            self._send_result(words, self.recognizer.now)
        self._send_result(
            words, self.recognizer.now, is_final=True, speech_final=speech_final, from_finalize=from_finalize
        )
        self._final_until = self._last_interim = self.recognizer.now
        if words:
            self._utterance_end = words[-1].end

    def _send_result(
        self,
        words: Sequence[RecognizedWord],
        now: float,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> None:
        if self.dialect is SttDialect.ZH_WORDS:
            words = [evolve(word, text=_ZH[number % len(_ZH)]) for number, word in enumerate(words)]
        confidence = 0.965 if self.dialect is SttDialect.OKAY_IN_SILENCE else 0.98
        blank = "" if self.dialect is SttDialect.ZH_WORDS else " "
        alternative = {
            "transcript": blank.join(word.text for word in words),
            "confidence": confidence if words else 0.0,
            "words": [
                {
                    "word": word.text.strip(".,!?").lower(),
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "confidence": confidence,
                    "punctuated_word": word.text,
                }
                for word in words
            ],
        }
        nothing = self.dialect is SttDialect.NO_ALTERNATIVES and not words
        self.say(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": round(now - self._final_until, 3),
                "start": round(self._final_until, 3),
                "is_final": is_final,
                "speech_final": speech_final,
                "channel": {"alternatives": [] if nothing else [alternative]},
                "metadata": {
                    "request_id": self.request_id,
                    "model_info": {"name": self._model, "version": "2026-01-01.0", "arch": self._model},
                    "model_uuid": "00000000-0000-4000-a000-000000000000",
                },
                "from_finalize": from_finalize,
            }
        )

    @property
    def _model(self) -> str:
        return self.query.get("model", ["general"])[0]

    def _configure(self, message: Mapping[str, Any]) -> None:
        if message.get("keyterms") is not None and not self._model.startswith("nova-3"):
            self.say(
                {
                    "type": "ConfigureFailure",
                    "request_id": self.request_id,
                    "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                    "description": f"{self._model} has no keyterms",
                }
            )
            return
        answer = {"type": "ConfigureSuccess", "request_id": self.request_id}
        if message.get("keyterms") is not None:
            answer["keyterms"] = message["keyterms"]
        self.say(answer)

    def _close(self) -> None:
        self._send_final()
        self.say(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.request_id,
                "sha256": "0" * 64,
                "created": "2026-01-01T00:00:00.000Z",
                "duration": round(self.recognizer.now, 3),
                "channels": 1,
            }
        )
        self.sender.close(1000)


@define
class FluxStream(_Stream):
    """One stream of the v2 interface."""

    _sequence: int = field(init=False, default=0)
    _turn: int = field(init=False, default=0)
    _window_start: float = field(init=False, default=0.0)
    _last_update: float = field(init=False, default=0.0)
    _eager: bool = field(init=False, default=False)
    """Whether `EagerEndOfTurn` was the last message about the end of the turn."""

    def begin(self) -> None:
        """Send the first message of a connection."""
        self._say("Connected")

    def process(self, message: dict[str, Any] | bytes | str) -> None:
        """Process a message of the client."""
        self.last_sign = trio.current_time()
        match message:
            case bytes():
                for event in self.recognizer.feed(message):
                    self._react(event)
            case {"type": "ForceEndTurn"}:
                if self.recognizer.began is not None:
                    self._end_turn("manual")
            case {"type": "CloseStream"}:
                self.sender.close(1000)
            case dict() if message.get("type") == "Configure":
                self._configure(message)
            case _:
                description = "Could not parse the client's message"
                self._say("Error", code="UNPARSABLE_CLIENT_MESSAGE", description=description)
                self.sender.close(1008, description)

    def _react(self, event: SpeechEvent) -> None:
        match event:
            case SpeechEvent.BEGAN:
                self._turn_info("StartOfTurn", self.recognizer.words_so_far(), 0.01)
            case SpeechEvent.RESUMED if self._eager:
                self._eager = False
                self._turn_info("TurnResumed", self.recognizer.words_so_far(), 0.1)
            case SpeechEvent.GOES_ON:
                self._go_on()

    def _go_on(self) -> None:
        silence, eager = self.recognizer.silence, _number(self.query, "eager_eot_threshold")
        if self.recognizer.began is None:
            self._update(())
        elif silence >= self._patience:
            if eager and not self._eager:
                self._turn_info("EagerEndOfTurn", self.recognizer.all_words(), eager)
            self._end_turn("timeout" if self._threshold >= 1.0 else "model")
        elif eager and silence >= _V2_EAGER_SILENCE and not self._eager:
            self._eager = True
            self._turn_info("EagerEndOfTurn", self.recognizer.all_words(), eager)
        elif not self._eager:
            self._update(self.recognizer.words_so_far())

    @property
    def _threshold(self) -> float:
        return _number(self.query, "eot_threshold") or 0.7

    @property
    def _patience(self) -> float:
        timeout = (_number(self.query, "eot_timeout_ms") or 5000) / 1000
        return timeout if self._threshold >= 1.0 else min(_V2_SILENCE, timeout)

    def _update(self, words: Sequence[RecognizedWord]) -> None:
        if self.recognizer.now - self._last_update >= _V2_UPDATE_EVERY:
            self._turn_info("Update", words, 0.05)

    def _end_turn(self, trigger: str) -> None:
        words = self.recognizer.all_words()
        self.recognizer.end_utterance()
        self._eager = False
        self._turn_info("EndOfTurn", words, max(self._threshold, 0.7), trigger=trigger)
        self._turn += 1
        self._window_start = self.recognizer.now

    def _turn_info(
        self, event: str, words: Sequence[RecognizedWord], confidence: float, **fields: str
    ) -> None:
        self._last_update = self.recognizer.now
        self._say(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=round(self._window_start, 3),
            audio_window_end=round(self.recognizer.now, 3),
            transcript=" ".join(word.text for word in words),
            words=[
                {
                    "word": word.text,
                    "confidence": 0.97,
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                }
                for word in words
            ],
            end_of_turn_confidence=confidence,
            **fields,
        )

    def _configure(self, message: Mapping[str, Any]) -> None:
        if message.get("language_hints") and self.query["model"] != [_V2_MODELS[1]]:
            description = "language hints need flux-general-multi"
            self._say("ConfigureFailure", code="INVALID_CONFIGURATION", description=description)
            return
        if message.get("numerals") and self.query["model"] == [_V2_MODELS[1]]:
            description = "numerals are not formatted in every language"
            self._say("Warning", code="NUMERALS_LANGUAGE_DEPENDENT", description=description)
        thresholds = message.get("thresholds") or {}
        self.query = {**self.query, **{name: [str(value)] for name, value in thresholds.items() if value}}
        self._say("ConfigureSuccess", thresholds=thresholds, keyterms=message.get("keyterms") or [])

    def _say(self, kind: str, **fields: object) -> None:
        self.say({"type": kind, "request_id": self.request_id, "sequence_id": self._sequence, **fields})
        self._sequence += 1
