"""How long each part of a telephone call may last."""

from __future__ import annotations

from attrs import frozen


@frozen
class CallPolicy:
    """How long each part of a call may last, except the conversation. Times in ms."""

    placing_timeout_ms: float = 15_000
    """How long the carrier may take to accept the order to dial. Its adapter gives up sooner."""
    ringing_timeout_ms: float = 75_000
    """How long it may ring. The carrier gives up sooner by itself and reports it."""
    stream_timeout_ms: float = 15_000
    """How long the media stream may take to open after the call was answered."""
    verdict_timeout_ms: float = 35_000
    """How long the carrier may take to tell whether a person answered, if the call has a text for machines.
    Twilio takes up to 5 s, or, while a machine talks, 30 s."""
    screening_timeout_ms: float = 25_000
    """How long a person is waited for after a machine that did not beep was told the text for machines; 0:
    the call ends then. Call screening shows a person what is said, and lets them take the call."""
    pressing_timeout_ms: float = 15_000
    """How long the carrier may take to press keys and to open another media stream, besides the time of the
    keys. Its adapter gives up sooner."""
    key_ms: float = 500
    """How long the carrier takes for one key or pause."""
    goodbye_timeout_ms: float = 30_000
    """How long a conversation may take to end after it was told to: it finishes what it is saying."""
    transfer_timeout_ms: float = 15_000
    """How long the carrier may take to connect the caller elsewhere. Its adapter gives up sooner."""
    hang_up_timeout_ms: float = 10_000
    """How long the carrier may take to report the end after it was told to hang up."""
