"""Normalizes a chunk of a streamed answer: the one place that knows in which shapes servers send it.

Every function here takes any JSON value and never fails. It skips what it does not understand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from adapters.interfaces import TokensUsed
from adapters.openai.response_documents import Document
from adapters.openai.usage import tokens_used

_TEXT_PARTS = re.compile(r"text|markdown|refusal", re.IGNORECASE)
"""Types of the parts of a message whose text is said."""
_SILENT_PARTS = re.compile(r"think|thought|reason|summary", re.IGNORECASE)
_TEXT_KEYS = ("text", "content", "refusal", "value", "parts")
"""Where a part has its text."""
_DEEPEST = 6
"""Parts within parts."""
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking", "thoughts")
"""Fields in which servers send what a model thinks before it answers."""
_REASONING = ("reasoning_content", "reasoning")
"""Those of them that are plain text. Some servers want to see them again."""
_CALLS = ("tool_calls", "toolCalls", "tool_call")
_REASONS = ("finish_reason", "finishReason", "finish_details")
_NO_REASON = ("", "null", "none", "undefined")
_WRAPPERS = ("data", "result", "output", "response")
"""Fields in which gateways put the chunk."""
_ENDS = ("done", "end", "message_stop", "response.completed")
"""Names of events that end an answer."""
_WELL = ("", "0", "200", "20000", "none", "null", "success", "succeeded", "ok", "false")
"""What servers write into an error, or a status, if nothing went wrong."""
_COMPLAINTS = ("detail", "errors", "error_msg", "errorMessage")
"""Fields besides `error` with which a document without choices says what went wrong."""


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
    ends: bool = False
    """Nothing comes after it."""
    closes: bool = False
    """It tells what an answer has cost, and nothing else: its server has mostly said all."""
    whole: bool = False
    """The text is a message's, not a delta's: it may be the whole answer."""
    choice: int | None = None
    """Which answer it is a part of, where a server gives several."""
    error: Any = None
    """The error that the server reports; None if it reports none."""
    used: TokensUsed | None = None
    """The tokens that the whole answer has taken, or has taken so far."""
    understood: bool = True
    """The document has the form of a chunk or of an error."""


def read(document: Document) -> list[Chunk]:
    """The chunks that a document means: mostly one."""
    value = document.value
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [_with_usage(_chunk(document.event, _unwrapped(each)), _unwrapped(each)) for each in value]
    return [_with_usage(_chunk(document.event, _unwrapped(value)), _unwrapped(value))]


def _with_usage(chunk: Chunk, value: Any) -> Chunk:
    used = tokens_used(value)
    return chunk if used is None else evolve(chunk, used=used)


def _unwrapped(value: Any) -> Any:
    """The chunk in a document that only wraps it."""
    if not isinstance(value, Mapping) or value.get("choices") is not None:
        return value
    inner = (value.get(name) for name in _WRAPPERS)
    return next((each for each in inner if isinstance(each, Mapping) and "choices" in each), value)


def _is_end(event: str, fields: Mapping[str, Any]) -> bool:
    return event in _ENDS or fields.get("done") is True or fields.get("type") in _ENDS


def _chunk(event: str, value: Any) -> Chunk:
    if not isinstance(value, Mapping):
        if event == "error" and value:
            return Chunk(error=value)
        return Chunk(ends=event in _ENDS, understood=False)
    choices = _listed(value.get("choices"))
    if (error := _error(event, value, choices)) is not None:
        return Chunk(error=error)
    finish, ends = _finish(value), _is_end(event, value)
    if not choices:
        usage = value.get("usage")
        closes = isinstance(usage, Mapping) and bool(usage)
        understood = "choices" in value or finish is not None
        return Chunk(finish=finish, ends=ends, closes=closes, understood=understood)
    read = [_choice(choice) for choice in choices]
    joined = read[0] if len(read) == 1 else _joined(read)
    if ends or (finish and not joined.finish):
        return evolve(joined, finish=joined.finish or finish, ends=ends)
    return joined


def _error(event: str, fields: Mapping[str, Any], choices: list[Mapping[str, Any]]) -> Any:
    error = fields.get("error")
    if error and not (choices and _says_nothing(error)):
        return error
    if event == "error" or fields.get("object") == "error" or fields.get("type") == "error":
        return fields
    for choice in choices:
        if (error := choice.get("error")) and not _says_nothing(error):
            return error
    return None if choices else _complaint(fields)


def _says_nothing(error: Any) -> bool:
    """Whether it is what a server writes where an error would stand."""
    if isinstance(error, Mapping):
        return all(_says_nothing(value) for value in error.values())
    return not error or str(error).strip().lower() in _WELL


def _complaint(fields: Mapping[str, Any]) -> Any:
    """An error that is told in a document of its own, without the field `error`."""
    if any(fields.get(name) for name in _COMPLAINTS):
        return fields
    told = fields.get("base_resp")
    if isinstance(told, Mapping) and not _says_nothing(told.get("status_code")):
        return told
    failed = fields.get("success") is False or str(fields.get("status")).lower() in ("error", "failed")
    failed = failed or not _says_nothing(fields.get("code"))
    return fields if failed and (fields.get("message") or fields.get("msg")) else None


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, or the single object."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, Mapping)]


def _joined(choices: list[Chunk]) -> Chunk:
    """All choices as one: we ask for one answer, so they are parts of it, or say it again."""
    texts = [choice.text for choice in choices if choice.text]
    copies = len({choice.choice for choice in choices}) > 1 and len(set(texts)) == 1
    return Chunk(
        "".join(texts[:1] if copies else texts),
        "".join(choice.reasoning for choice in choices),
        any(choice.thought for choice in choices),
        tuple(call for choice in choices for call in choice.calls),
        next((choice.finish for choice in choices if choice.finish), None),
        whole=any(choice.whole for choice in choices),
    )


def _choice(fields: Mapping[str, Any]) -> Chunk:
    delta, whole = _delta(fields)
    content = _content(_said(fields, delta))
    text, refusal = content.text, delta.get("refusal")
    if refusal and (refused := _content(refusal).text) != text:
        text += refused
    thinks = content.thought or any(map(delta.get, _THOUGHTS))
    if _is_thought(delta):
        text, thinks = "", thinks or bool(text)
    index = fields.get("index")
    return Chunk(
        text,
        next((delta[name] for name in _REASONING if isinstance(delta.get(name), str)), "") if thinks else "",
        thinks,
        tuple(_calls(delta) or _calls(fields)),
        _finish(fields) or _finish(delta),
        whole=whole,
        choice=index if isinstance(index, int) and not isinstance(index, bool) else None,
    )


def _said(fields: Mapping[str, Any], delta: Mapping[str, Any]) -> Any:
    for given in (delta.get("content"), delta.get("text")):
        if given is not None and given != "":
            return given
    return fields.get("text")


def _delta(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """What the choice adds, and whether it is a message. If a server sends both, the message repeats."""
    delta, message = fields.get("delta"), fields.get("message")
    if isinstance(delta, str):
        delta = {"content": delta}
    if isinstance(delta, Mapping) and (delta or not isinstance(message, Mapping)):
        return delta, False
    if isinstance(message, Mapping):
        return message, True
    return {}, False


def _is_thought(delta: Mapping[str, Any]) -> bool:
    """Whether the delta's content is a thought, which Google marks."""
    extra = delta.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return isinstance(google, Mapping) and google.get("thought") is True


@frozen
class _Content:
    text: str = ""
    thought: bool = field(default=False)


def _content(value: Any, depth: int = 0) -> _Content:
    """Read text, a number, a part, or a list of parts."""
    if isinstance(value, str):
        return _Content(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _Content(str(value) if math.isfinite(value) else "")
    if depth > _DEEPEST:
        return _Content()
    if isinstance(value, list):
        parts = [_content(part, depth + 1) for part in value]
        return _Content("".join(part.text for part in parts), any(part.thought for part in parts))
    if not isinstance(value, Mapping):
        return _Content()
    kind = value.get("type")
    if kind is None or (
        isinstance(kind, str) and _TEXT_PARTS.search(kind) and not _SILENT_PARTS.search(kind)
    ):
        inner = next((value[key] for key in _TEXT_KEYS if value.get(key)), None)
        return _content(inner, depth + 1) if not isinstance(inner, int | float) else _Content()
    return _Content(thought=True)


def _calls(delta: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in _CALLS:
        if not (listed := delta.get(name)):
            continue
        each_in = listed if isinstance(listed, list) else [listed]
        flat = [inner for each in each_in for inner in (each if isinstance(each, list) else [each])]
        if calls := _listed(flat):
            return calls
    function = delta.get("function_call")
    return [{"function": function}] if isinstance(function, Mapping) else []


def _finish(fields: Mapping[str, Any]) -> str | None:
    for name in _REASONS:
        if (value := fields.get(name)) is not None and (reason := _reason(value)) is not None:
            return reason
    return None


def _reason(value: Any) -> str | None:
    if value is True:
        return "stop"
    if isinstance(value, Mapping):
        value = value.get("type") or value.get("reason")
    return value if isinstance(value, str) and value.strip().lower() not in _NO_REASON else None
