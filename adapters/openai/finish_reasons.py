"""Why an answer ended, in the words of servers with OpenAI's interface. Some write them in capitals."""

from __future__ import annotations

_LIMIT = ("length", "max_tokens", "model_length")
_FILTERED = ("content_filter", "safety", "recitation", "sensitive")
_BROKE_OFF = ("error", "abort", "network_error", "insufficient_system_resource")
_MALFORMED = "malformed_function_call"


def at_limit(reason: str) -> bool:
    """The answer was as long as answers may be."""
    return reason.lower() in _LIMIT


def filtered(reason: str) -> bool:
    """A content filter withheld the answer, or what was left of it."""
    return reason.lower() in _FILTERED


def broke_off(reason: str) -> bool:
    """The server could not go on."""
    return reason.lower() in _BROKE_OFF


def malformed(reason: str) -> bool:
    """The model wrote a call of a tool that its server could not read."""
    return _MALFORMED in reason.lower()


def cut_off(reason: str) -> bool:
    """The model had not finished."""
    return at_limit(reason) or filtered(reason)
