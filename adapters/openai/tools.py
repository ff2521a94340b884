"""Tools in OpenAI's chat interface: offers, calls and results in requests, and calls assembled from a
stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)

from adapters.interfaces import ProviderError, ToolSpec
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall

STILL_RUNNING = "The call is still running; its result is not known yet."
_CUT_OFF = ("length", "content_filter")
"""Finish reasons of an answer that was cut off."""
_NO_ARGUMENTS = "{}"


# --- requests -----------------------------------------------------------------------------------------


def tool_params(tools: Sequence[ToolSpec]) -> list[ChatCompletionFunctionToolParam]:
    """The `tools` of a request."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in tools
    ]


def message_params(messages: Sequence[Message]) -> list[ChatCompletionMessageParam]:
    """The `messages` of a request. Results of calls are messages of their own, after the message with the
    calls."""
    return [param for message in messages for param in _params(message)]


def _params(message: Message) -> list[ChatCompletionMessageParam]:
    match message.speaker:
        case Speaker.SYSTEM:
            return [{"role": "system", "content": message.text}]
        case Speaker.USER:
            return [{"role": "user", "content": message.text}]
        case Speaker.ASSISTANT if message.calls:
            return [_asking(message), *map(_result, message.calls)]
        case Speaker.ASSISTANT:
            return [{"role": "assistant", "content": message.text}]


def _asking(message: Message) -> ChatCompletionAssistantMessageParam:
    return {
        "role": "assistant",
        "content": message.text or None,
        "tool_calls": [
            {
                "id": record.call.id,
                "type": "function",
                "function": {"name": record.call.name, "arguments": _sendable(record.call.arguments)},
            }
            for record in message.calls
        ],
    }


def _result(record: CallRecord) -> ChatCompletionMessageParam:
    if record.result is None:
        content = STILL_RUNNING
    elif record.failed:
        content = f"Failed: {record.result}"
    else:
        content = record.result
    return {"role": "tool", "tool_call_id": record.call.id, "content": content}


def _sendable(arguments: str) -> str:
    """The arguments as they were written; if they are not a JSON object, wrapped into one.

    OpenAI accepts any arguments. But a server whose chat template parses them (llama.cpp) refuses every
    request after such a call: "Failed to parse tool call arguments as JSON", 500.
    """
    return arguments if is_object(arguments) else json.dumps({"malformed": arguments})


def is_object(arguments: str) -> bool:
    """Whether the text is a complete JSON object."""
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


# --- answers -----------------------------------------------------------------------------------------


@frozen
class _Fragment:
    """What one delta says about one call. Empty texts stand for fields that it does not have."""

    index: int | None
    id: str
    name: str
    arguments: str

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> _Fragment:
        """The fragment with these fields. Raises `TypeError` or `AttributeError` if they are not one."""
        function = fields.get("function") or {}
        arguments = function.get("arguments") or ""
        if isinstance(arguments, Mapping):  # some servers do not write them as a text
            arguments = json.dumps(arguments)
        fragment = cls(fields.get("index"), fields.get("id") or "", function.get("name") or "", arguments)
        texts = (fragment.id, fragment.name, fragment.arguments)
        if not isinstance(fragment.index, int | None) or not all(isinstance(text, str) for text in texts):
            raise TypeError("a field of a call has the wrong type")
        return fragment


@define
class _Begun:
    """A call of which fragments have come."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: list[str] = field(factory=list)

    def add(self, fragment: _Fragment) -> None:
        self.id = self.id or fragment.id
        if fragment.name != self.name:  # else the name is repeated, as some servers do with every fragment
            self.name += fragment.name
        self.arguments.append(fragment.arguments)

    def goes_on_with(self, fragment: _Fragment) -> bool:
        """Whether the fragment belongs to this call. Servers leave out different fields.

        Some give all calls of an answer the number 0, each with its own id: a new name with a new id begins
        another call. Others give every fragment a new id, so a new id alone does not. Without number and id,
        a name begins a call.
        """
        if fragment.index is not None:
            another = fragment.id and self.id and fragment.id != self.id and fragment.name
            return fragment.index == self.index and not another
        return fragment.id == self.id if fragment.id else not fragment.name


@define
class StreamedCalls:
    """The calls of one answer, in the order in which they began."""

    _provider: str
    _begun: list[_Begun] = field(factory=list)

    def add(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Add the `tool_calls` of a delta. Raises `TypeError` or `AttributeError` if they are malformed."""
        for fields in deltas:
            fragment = _Fragment.read(fields)
            self._call_of(fragment).add(fragment)

    def finish(self, reason: str | None) -> list[ToolCall]:
        """All calls of a complete answer, which ended for `reason`. Raises `ProviderError`."""
        written = ["".join(begun.arguments).strip() for begun in self._begun]
        if not all(begun.name for begun in self._begun):
            raise self._error("a call of a tool without the tool's name")
        if reason in _CUT_OFF and not all(map(is_object, written)):
            raise self._error(f"a call of a tool was cut off: {reason}")
        return [
            ToolCall(begun.id or f"call_{position}", begun.name, arguments or _NO_ARGUMENTS)
            for position, (begun, arguments) in enumerate(zip(self._begun, written, strict=True))
        ]

    def _call_of(self, fragment: _Fragment) -> _Begun:
        for begun in reversed(self._begun):
            if begun.goes_on_with(fragment):
                return begun
            if fragment.index is None and not fragment.id:
                break  # only the newest can be meant
        self._begun.append(_Begun(fragment.index))
        return self._begun[-1]

    def _error(self, what: str) -> ProviderError:
        return ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: {what}")
