"""Normalizes a chunk of a streamed answer: the one place that knows in which shapes servers send it.

Every function here takes any JSON value and never fails. It skips what it does not understand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from adapters.openai.events import Document

_TEXT_PARTS = (None, "text", "output_text", "input_text", "refusal")
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking", "thoughts")
"""Fields in which servers send what a model thinks before it answers."""
_REASONING = ("reasoning_content", "reasoning")
"""Those of them that are plain text. Some servers want to see them again."""
_NO_REASON = ("", "null", "none", "undefined")


@frozen
class Chunk:
    """What one document adds to an answer."""

    text: str = ""
    reasoning: str = ""
    thought: bool = False
    """The model thinks: a sign of life without text."""
    calls: tuple[Mapping[str, Any], ...] = ()
    """Fragments of calls."""
    finish: str | None = None
    """Why the answer ends; None if it does not end here."""
    whole: bool = False
    """The text is a message's, not a delta's: it may be the whole answer."""
    error: Any = None
    """The error that the server reports; None if it reports none."""
    understood: bool = True
    """The document has the form of a chunk or of an error."""


NOTHING = Chunk(understood=False)


def read(document: Document) -> Chunk:
    """The chunk that a document means."""
    value = document.value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        return Chunk(error=value) if document.event == "error" and value else NOTHING
    if (error := _error(document.event, value)) is not None:
        return Chunk(error=error)
    if "choices" not in value:
        return NOTHING
    choices = [_choice(choice) for choice in _listed(value["choices"])]
    return _joined(choices) if choices else Chunk()


def _error(event: str, fields: Mapping[str, Any]) -> Any:
    if error := fields.get("error"):
        return error
    if event == "error" or fields.get("object") == "error" or fields.get("type") == "error":
        return fields
    return next((choice["error"] for choice in _listed(fields.get("choices")) if choice.get("error")), None)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, or the single object."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, Mapping)]


def _joined(choices: list[Chunk]) -> Chunk:
    """All choices as one: we ask for one answer, so they are parts of it."""
    return Chunk(
        "".join(choice.text for choice in choices),
        "".join(choice.reasoning for choice in choices),
        any(choice.thought for choice in choices),
        tuple(call for choice in choices for call in choice.calls),
        next((choice.finish for choice in choices if choice.finish), None),
        any(choice.whole for choice in choices),
    )


def _choice(fields: Mapping[str, Any]) -> Chunk:
    delta, whole = _delta(fields)
    content = _content(delta.get("content"))
    text = content.text + _content(delta.get("refusal")).text
    thinks = content.thought or any(delta.get(name) for name in _THOUGHTS)
    if _is_thought(delta):
        text, thinks = "", thinks or bool(text)
    return Chunk(
        text,
        next((delta[name] for name in _REASONING if isinstance(delta.get(name), str)), ""),
        thinks,
        tuple(_calls(delta)),
        _finish(fields.get("finish_reason")),
        whole,
    )


def _delta(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """What the choice adds, and whether it is a message. If a server sends both, the message repeats."""
    delta, message = fields.get("delta"), fields.get("message")
    if isinstance(delta, str):
        delta = {"content": delta}
    if isinstance(delta, Mapping) and (delta or not isinstance(message, Mapping)):
        return delta, False
    if isinstance(message, Mapping):
        return message, True
    return {"content": fields.get("text")}, False


def _is_thought(delta: Mapping[str, Any]) -> bool:
    """Whether the delta's content is a thought, which Google marks."""
    extra = delta.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return isinstance(google, Mapping) and google.get("thought") is True


@frozen
class _Content:
    text: str = ""
    thought: bool = field(default=False)


def _content(value: Any) -> _Content:
    """Read text, a number, a part, or a list of parts."""
    if isinstance(value, str):
        return _Content(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _Content(str(value))
    if isinstance(value, list):
        parts = [_content(part) for part in value if not isinstance(part, list)]
        return _Content("".join(part.text for part in parts), any(part.thought for part in parts))
    if not isinstance(value, Mapping):
        return _Content()
    if value.get("type") in _TEXT_PARTS:
        text = value.get("text") or value.get("refusal")
        text = text.get("value") if isinstance(text, Mapping) else text
        return _Content(text if isinstance(text, str) else "")
    return _Content(thought=True)


def _calls(delta: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    calls = _listed(delta.get("tool_calls"))
    yield from calls
    if not calls and isinstance(function := delta.get("function_call"), Mapping):
        yield {"function": function}


def _finish(reason: Any) -> str | None:
    return reason if isinstance(reason, str) and reason.strip().lower() not in _NO_REASON else None
