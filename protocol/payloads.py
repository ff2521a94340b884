"""The payloads of all events, as frozen classes; `structure` and `unstructure` convert them from and to maps.

Attributes are snake_case, wire keys camelCase. An optional attribute that is None is absent on the wire, and
null on the wire becomes None. Units: `timestamp` is ms since the Unix epoch, `duration` and names in `_ms`
are ms, `sampling_rate` is Hz, `audio` is Int16 little-endian mono PCM. Times are floats.

Fields marked "extension" are ours; peers that do not know them ignore them.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from attrs import field, frozen
from cattrs import ClassValidationError, Converter
from cattrs.errors import AttributeValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from protocol.errors import InvalidPayload, UnsupportedRate, describe

LOWEST_RATE = 8_000
"""Hz. The lowest sampling rate that is accepted from a client, as in the reference."""
HIGHEST_RATE = 48_000
"""Hz. The highest sampling rate that is accepted from a client, as in the reference."""
DEFAULT_RATE = 16_000
"""Hz. The sampling rate of a client that does not state one, as in the reference."""

INTERRUPTED = "interrupted"
"""The `reason` of an `AudioOutputCancel` for an interruption. Any other reason is a plain stop."""


@frozen
class Payload:
    """Base of all payloads."""


def _check_rate(payload: object, attribute: "attrs.Attribute[Any]", rate: int | None) -> None:
    if rate is not None and not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UnsupportedRate(wire_name(attribute), rate, LOWEST_RATE, HIGHEST_RATE)


# --- connection -------------------------------------------------------------------------------------------


@frozen
class Acknowledgement(Payload):
    """The answer to a successful request, with the request's own type and id."""

    success: bool = True


@frozen
class ConnectionAck(Payload):
    """Sent once per socket: it is accepted, and `session_id` is the id of the conversation."""

    session_id: str
    success: bool = True


@frozen
class Heartbeat(Payload):
    """A sign of life, from either side."""

    timestamp: float


@frozen
class Disconnect(Payload):
    """The sender is about to close the socket. `code` is the WebSocket close code, if it is known."""

    reason: str
    code: int | None = None


# --- audio ------------------------------------------------------------------------------------------------


@frozen
class AudioInputStart(Payload):
    """A recording cycle begins. None stands for the session's language or voice.

    `turn_mode` (extension): who ends the caller's turns; None stands for the session's mode.
    `output_sampling_rate` (extension): the rate of answers; None stands for the session's rate.
    """

    sampling_rate: int = field(default=DEFAULT_RATE, validator=_check_rate)
    language: str | None = None
    voice_id: str | None = None
    turn_mode: Literal["manual", "automatic"] | None = None
    output_sampling_rate: int | None = field(default=None, validator=_check_rate)


@frozen
class AudioInputChunk(Payload):
    """A block of the caller's audio, of any length. Muted audio counts as activity only."""

    audio: bytes
    timestamp: float | None = None
    is_muted: bool = False


@frozen
class AudioInputStop(Payload):
    """The recording cycle is over."""

    reason: str | None = None


@frozen
class AudioOutputStart(Payload):
    """Audio of `utterance_id` is about to follow."""

    utterance_id: str
    sampling_rate: int
    timestamp: float


@frozen
class AudioOutputChunk(Payload):
    """A piece of an utterance's audio, in order. All messages of one answer have the same utterance id."""

    audio: bytes
    utterance_id: str
    sampling_rate: int
    timestamp: float


@frozen
class AudioOutputComplete(Payload):
    """All audio of the utterance was sent; `duration` is its length."""

    utterance_id: str
    duration: float
    timestamp: float


@frozen
class AudioOutputCancel(Payload):
    """Stop playing the utterance. `reason` is `INTERRUPTED` if the caller interrupted it."""

    utterance_id: str
    reason: str
    timestamp: float


# --- transcripts ------------------------------------------------------------------------------------------


@frozen
class TranscriptResult(Payload):
    """The transcript of the turn so far, interim or final.

    `confidence` is from 0 to 1; `duration` is the length of the speech, on final results.
    `turn` (extension): the number of the turn.
    """

    text: str
    confidence: float
    is_final: bool
    duration: float | None = None
    turn: int | None = None


# --- conversation -----------------------------------------------------------------------------------------


@frozen
class LinkChange:
    """A change of the link of a role (`stt`, `llm`, `tts`).

    `status` is `trying`, `waiting` (for the next round of attempts), `up` or `down` (for good). `provider` is
    the name of the provider.
    """

    role: str
    status: str
    provider: str


@frozen
class ConversationStateChanged(Payload):
    """The conversation moved from one state to another, perhaps the same.

    Extensions: the `substate` reached, the `cause`, the `turn` and the `generation`. When a `link` is
    retried, moves to another provider, is up again or lost, the state stays the same and `link` has the
    change.
    """

    from_state: str = field(metadata={"wire": "from"})
    to_state: str = field(metadata={"wire": "to"})
    timestamp: float
    substate: str | None = None
    cause: str | None = None
    turn: int | None = None
    generation: int | None = None
    link: LinkChange | None = None


@frozen
class ConversationStateInterrupted(Payload):
    """The caller interrupted the answer; `partial_response` is the part that was heard.

    Extensions: the text that was generated and not heard, the utterance, and how much of its audio was heard.
    """

    partial_response: str
    timestamp: float
    unheard_response: str | None = None
    utterance_id: str | None = None
    heard_ms: float | None = None


@frozen
class ConversationResponseStart(Payload):
    """The language model was asked for an answer. `generation` (extension): the number of the answer."""

    timestamp: float
    generation: int | None = None


@frozen
class ConversationResponseToken(Payload):
    """A piece of the answer's text, with its number from 0. `generation` (extension): the answer's number."""

    token: str
    index: int
    generation: int | None = None


@frozen
class Latency:
    """The parts of the time from the end of the caller's speech to the answer's first audio, in ms."""

    endpoint_ms: float | None = None
    transcript_ms: float | None = None
    first_segment_ms: float | None = None
    first_audio_ms: float | None = None
    total_ms: float | None = None


@frozen
class ConversationResponseComplete(Payload):
    """The answer's text is complete. `token_count` is the number of pieces, `duration` the time it took.

    Extensions: the number of the answer, and its latency by stage.
    """

    full_response: str
    token_count: int
    duration: float
    generation: int | None = None
    latency: Latency | None = None


# --- user -------------------------------------------------------------------------------------------------


@frozen
class UserInterrupt(Payload):
    """The caller interrupts."""

    timestamp: float


@frozen
class UserEndCall(Payload):
    """The caller hangs up."""

    reason: str | None = None


@frozen
class UserMute(Payload):
    """The caller's microphone was muted."""

    timestamp: float


@frozen
class UserUnmute(Payload):
    """The caller's microphone is live again."""

    timestamp: float


@frozen
class UserSentiment(Payload):
    """How the caller feels about the call."""

    sentiment: Literal["positive", "neutral", "negative"]
    timestamp: float


# --- system -----------------------------------------------------------------------------------------------


@frozen
class SystemReady(Payload):
    """The server accepts calls, or the providers of this call are connected."""

    timestamp: float


@frozen
class SystemBusy(Payload):
    """The server has no room for this call."""

    active_sessions: int
    max_sessions: int


@frozen
class SystemMaintenance(Payload):
    """The server is about to go away: for about `estimated_downtime` ms, if that is known."""

    estimated_downtime: float | None = None


@frozen
class RateLimitWarning(Payload):
    """A provider's quota is nearly used up."""

    service: str
    remaining_quota: int


@frozen
class QuotaExceeded(Payload):
    """What may be taken of a service is used up until `reset_at` (ms since the Unix epoch): the `money` that
    calls of one account may cost in a day."""

    service: str
    reset_at: float


# --- errors -----------------------------------------------------------------------------------------------


@frozen
class ErrorDetail:
    """What went wrong. `code` is one of `ErrorCode`."""

    message: str
    code: str
    timestamp: float


@frozen
class ErrorPayload(Payload):
    """The payload of every hierarchical error event.

    `request_type` is the type of the failed request, as sent, or the error's placeholder if there was none;
    `request_event_id` is the id of that request.
    """

    request_type: str
    error: ErrorDetail
    request_event_id: str | None = None


@frozen
class LowConfidencePayload(ErrorPayload):
    """The error payload of `transcript.error.low_confidence`, with the confidence (0 to 1)."""

    confidence: float = field(kw_only=True)


# --- to and from the wire ---------------------------------------------------------------------------------

P = TypeVar("P", bound=Payload)

Map = dict[str, Any]
"""A decoded MessagePack map with string keys."""


def structure(payload_type: type[P], value: object) -> P:
    """The payload in a decoded value, which must be a map. Unknown keys are ignored.

    Raises `InvalidPayload`, or `UnsupportedRate`, with a message that names every wrong field.
    """
    if not isinstance(value, dict):
        raise InvalidPayload(
            f"payload must be a map, got {describe(value)}" if value is not None else "payload is missing"
        )
    try:
        return _CONVERTER.structure(value, payload_type)
    except ClassValidationError as group:
        raise _explanation(group) from group


def unstructure(payload: Payload) -> Map:
    """The payload as a map for the wire. Times in it are floats."""
    unstructured: Map = _CONVERTER.unstructure(payload)
    return unstructured


def wire_name(attribute: "attrs.Attribute[Any]") -> str:
    """The key of an attribute on the wire."""
    named: str | None = attribute.metadata.get("wire")
    return named or re.sub(r"_([a-z])", lambda match: match[1].upper(), attribute.name)


def _explanation(group: ClassValidationError) -> InvalidPayload:
    problems = _problems(group, "")
    text = "; ".join(_sentence(path, problem) for path, problem in problems)
    rates = [problem for _, problem in problems if isinstance(problem, UnsupportedRate)]
    return rates[0].worded(text) if len(rates) == len(problems) else InvalidPayload(text)


def _problems(group: ClassValidationError, prefix: str) -> list[tuple[str, Exception]]:
    """The exceptions in a group, each with the wire path of its field."""
    fields = attrs.fields_dict(group.cl)
    found: list[tuple[str, Exception]] = []
    for problem in group.exceptions:
        notes = [
            note for note in getattr(problem, "__notes__", ()) if isinstance(note, AttributeValidationNote)
        ]
        path = prefix + "".join(wire_name(fields[note.name]) for note in notes)
        if isinstance(problem, ClassValidationError):
            found += _problems(problem, f"{path}.")
        else:
            found.append((path, problem))
    return found


def _sentence(path: str, problem: Exception) -> str:
    if isinstance(problem, InvalidPayload):
        return problem.message  # names its field
    return f"{path} is missing" if isinstance(problem, KeyError) else f"{path} {problem}"


def _string(value: object, _: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"must be a string, got {describe(value)}")


def _binary(value: object, _: object) -> bytes:
    if isinstance(value, bytes):
        return value
    raise TypeError(f"must be binary, got {describe(value)}")


def _boolean(value: object, _: object) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"must be true or false, got {describe(value)}")


def _number(value: object, _: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise TypeError(f"must be a finite number, got {describe(value)}")


def _whole_number(value: object, _: object) -> int:
    """A whole number, also as a float: JavaScript sends whole numbers above 2^32 as floats."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError(f"must be a whole number, got {describe(value)}")


def _is_choice(hint: object) -> bool:
    return get_origin(hint) is Literal


def _choice(value: object, literal: object) -> str:
    choices = get_args(literal)
    if isinstance(value, str) and value in choices:
        return value
    raise ValueError(f"must be one of {', '.join(choices)}, got {describe(value)}")


def _rate_of(attribute: "attrs.Attribute[Any]") -> Callable[[object, object], int | None]:
    """Reads a rate in whole Hz, rounded. 0 and NaN mean the default, as in the reference."""

    def read(value: object, _: object) -> int | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"must be a number of Hz, got {describe(value)}")
        if value == 0 or math.isnan(value):
            default: int | None = attribute.default
            return default
        if value < 0:
            raise ValueError(f"must not be negative, got {describe(value)}")
        if not LOWEST_RATE <= value <= HIGHEST_RATE:
            raise UnsupportedRate(wire_name(attribute), value, LOWEST_RATE, HIGHEST_RATE)
        return round(value)

    return read


def _structuring(cls: type[Any], converter: Converter) -> Callable[[Any, Any], Any]:
    overrides: Any = {
        attribute.name: override(
            rename=wire_name(attribute),
            struct_hook=_rate_of(attribute) if attribute.validator is _check_rate else None,
        )
        for attribute in attrs.fields(cls)
    }
    from_map = make_dict_structure_fn(cls, converter, **overrides)

    def from_wire(value: object, _: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"must be a map, got {describe(value)}")
        return from_map({key: item for key, item in value.items() if item is not None}, cls)

    return from_wire


def _unstructuring(cls: type[Any], converter: Converter) -> Callable[[Any], Map]:
    overrides: Any = {
        attribute.name: override(rename=wire_name(attribute), omit_if_default=attribute.default is None)
        for attribute in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, **overrides)


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(bytes, _binary)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(_is_choice, _choice)
    # A caller may well put an int where a float is meant; on the wire times must not be integers.
    converter.register_unstructure_hook(float, float)
    converter.register_structure_hook_factory(attrs.has, _structuring)
    converter.register_unstructure_hook_factory(attrs.has, _unstructuring)
    return converter


_CONVERTER = _make_converter()
