"""Which messages a client is sent for each effect of the machine."""

from __future__ import annotations

from attrs import frozen

from machines import effects as do
from machines.admission import Extra
from machines.effects import ClientError, Effect
from orchestrator.sessions.client_words import OVER, UNSURE, WORDS
from protocol import (
    ConversationResponseComplete,
    ConversationResponseStart,
    ConversationResponseToken,
    ConversationStateChanged,
    ConversationStateInterrupted,
    Latency,
    LinkChange,
    LlmFailed,
    LlmTimeout,
    LlmUnavailable,
    LowConfidence,
    Payload,
    ProtocolError,
    SttFailed,
    SttUnavailable,
    SystemReady,
    TranscriptResult,
    TtsUnavailable,
)


@frozen
class MessageContext:
    """What the messages contain beside the effect."""

    timestamp: float
    """Ms since the Unix epoch."""
    utterance_id: str | None
    """The wire's id of the answer that the effect is about."""
    turn: int
    generation: int
    state: str = ""
    """The state of the conversation."""
    substate: str = ""
    provider: str = ""
    """Of `NotifyLink`: the name of the provider."""


def payloads_of(effect: Effect, context: MessageContext) -> list[Payload]:
    """The messages for a `Notify...` effect; none for an error (see `error_of`)."""
    match effect:
        case do.NotifyState():
            return _state(effect, context)
        case do.NotifyLink():
            return [_link(effect, context)]
        case do.NotifyTranscript():
            duration = effect.speech_ms if effect.is_final else None
            return [TranscriptResult(effect.text, effect.confidence, effect.is_final, duration, effect.turn)]
        case do.NotifyAnswerStarted(generation=generation):
            return [ConversationResponseStart(context.timestamp, generation)]
        case do.NotifySegment(generation=generation, segment=segment, text=text, gap=gap):
            return [ConversationResponseToken(gap + text, segment, generation)]
        case do.NotifyAnswerEnded(
            generation=generation, text=text, segments=segments, duration_ms=duration_ms
        ):
            latency = _latency(effect.latency)
            return [ConversationResponseComplete(text, segments, duration_ms, generation, latency)]
        case do.NotifyInterrupted(heard=heard, unheard=unheard, heard_ms=heard_ms):
            return [
                ConversationStateInterrupted(
                    heard, context.timestamp, unheard, context.utterance_id, heard_ms
                )
            ]
    return []


def extra_of(effect: Effect) -> Extra | None:
    """What kind of thing the messages for an effect are, if a client can do without them."""
    match effect:
        case do.NotifyTranscript(is_final=False):
            return Extra.INTERIM_WORDS
        case do.NotifyState(source=source, target=target) if source == target:
            return Extra.TELEMETRY
        case do.NotifyLink():
            return Extra.TELEMETRY
    return None


def error_of(effect: Effect) -> ProtocolError | None:
    """The error message for an effect, in words for callers; None if the effect is not an error."""
    match effect:
        case do.Refuse(request=request, error=error):
            words = OVER if error is None else WORDS[error]
            return SttUnavailable(words, wire_type=request.event_type, event_id=request.event_id)
        case do.NotifyLowConfidence(confidence=confidence):
            return LowConfidence(UNSURE, confidence)
        case do.NotifyClientError(error=error, retryable=retryable):
            return _protocol_error(error, retryable)
    return None


def detail_of(effect: Effect) -> str | None:
    """What the machine says about an error, for the log; None if it says nothing."""
    return effect.message if isinstance(effect, do.Refuse | do.NotifyClientError) else None


def _state(effect: do.NotifyState, context: MessageContext) -> list[Payload]:
    changed = ConversationStateChanged(
        effect.source,
        effect.target,
        context.timestamp,
        effect.substate,
        effect.cause,
        context.turn or None,
        context.generation or None,
    )
    ready = effect.source == "INITIALIZING" and effect.target not in ("INITIALIZING", "ENDING")
    return [changed, SystemReady(context.timestamp)] if ready else [changed]


def _link(effect: do.NotifyLink, context: MessageContext) -> Payload:
    return ConversationStateChanged(
        context.state,
        context.state,
        context.timestamp,
        context.substate,
        effect.cause,
        context.turn or None,
        context.generation or None,
        LinkChange(effect.role.value, effect.news.value, context.provider),
    )


def _latency(latency: do.TurnLatency) -> Latency:
    return Latency(
        latency.endpoint_ms,
        latency.transcript_ms,
        latency.first_segment_ms,
        latency.first_audio_ms,
        latency.total_ms,
    )


def _protocol_error(error: ClientError, retryable: bool) -> ProtocolError:
    message = WORDS[error]
    match error:
        case ClientError.TRANSCRIPTION_FAILED:
            return SttFailed(message)
        case ClientError.MODEL_FAILED:
            return LlmFailed(message)
        case ClientError.MODEL_LATE:
            return LlmTimeout(message)
        case ClientError.STT_UNAVAILABLE:
            return SttUnavailable(message)
        case ClientError.LLM_UNAVAILABLE:
            return LlmUnavailable(message)
        case ClientError.VOICE_FAILED | ClientError.UNSAYABLE:
            return TtsUnavailable(message, error_type="synthesis", retryable=retryable)
        case ClientError.TTS_UNAVAILABLE:
            return TtsUnavailable(message, error_type="connection", retryable=retryable)
