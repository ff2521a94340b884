"""The simulated Deepgram: what it refuses, at the v1 (Nova) and v2 (Flux) interfaces of speech to text.

Their streams are in `deepgram_nova.py` and `deepgram_flux.py`.

Sources: developers.deepgram.com (finalize, audio-keep-alive, endpointing, utterance-end, flux/state,
flux/force-end-turn, stt-troubleshooting-websocket-data-and-net-errors) and the types of deepgram-sdk 7.17.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from adapters.simulators.deepgram_flux import FLUX_MODELS
from adapters.simulators.deepgram_stream import number
from adapters.simulators.dialects import SttDialect
from adapters.simulators.session import Session
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
        _require(number(query, "utterance_end_ms") >= 1000, "utterance_end_ms must be at least 1000")
    endpointing = query.get("endpointing", ["10"])[0]
    _require(endpointing in ("true", "false") or endpointing.isdigit(), "endpointing must be in ms")


def _check_v2(query: Mapping[str, list[str]]) -> None:
    _require(not set(query) - _V2_PARAMETERS, f"unknown: {sorted(set(query) - _V2_PARAMETERS)}")
    _require(query.get("model", [""])[0] in FLUX_MODELS, f"model must be one of {', '.join(FLUX_MODELS)}")
    _require("language_hint" not in query or query["model"] == [FLUX_MODELS[1]], "no hints for this model")
    _check_audio(query)
    limits = {"eot_threshold": (0.5, 0.9), "eager_eot_threshold": (0.3, 0.9), "eot_timeout_ms": (500, 60000)}
    for name, (least, most) in limits.items():
        if name in query:
            value = number(query, name)
            suppressed = name == "eot_threshold" and value == 1.0
            _require(suppressed or least <= value <= most, f"{name} must be from {least} to {most}")


def _check_audio(query: Mapping[str, list[str]]) -> None:
    _require(query.get("encoding") == ["linear16"], "this simulator takes linear16 only")
    _require(8000 <= number(query, "sample_rate") <= 48000, "sample_rate is needed for linear16")
    _require(query.get("channels", ["1"]) == ["1"], "this simulator takes one channel only")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
