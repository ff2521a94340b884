"""Writes tools and the conversation into a request, in a form that every server accepts.

Servers and the templates of their models are strict, each in its own way, so all get the same: the system
message first, then the user and the assistant in turns. The assistant is neither the first nor the last. Its
calls are followed by their results and nothing else. No text is empty. Ids of calls are nine letters and
digits, as Mistral wants them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import frozen
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from adapters.interfaces import ToolSpec
from adapters.openai.streamed_calls import is_object
from machines.history import Message
from machines.tools import CallRecord

STILL_RUNNING = "The call is still running; its result is not known yet."
GO_ON = "(Please go on exactly where you stopped.)"
"""The user says this after an answer that broke off: many servers refuse it if the assistant spoke last."""
INTERRUPTED = "(interrupted)"
"""The assistant says this between a result and the caller's next words, if it said nothing there."""
BEGINNING = "(The call begins.)"
"""The user says this where the assistant would speak first."""
NO_RESULT = "(nothing)"
_ID_DIGITS = 9

Extras = Callable[[str], Mapping[str, Any]]
"""Returns what the provider attached to the call of this id and wants back: fields of the call, and, under
`reasoning_content`, a field of its message."""


@frozen
class Form:
    """The form in which a server wants the conversation. The defaults suit most."""

    tools: bool = True
    """The server knows calls of tools. If not, they are told in words."""
    content_with_calls: bool = False
    """A message with calls always has a text, even an empty one. If not, an empty text is left out."""
    system_as_user: bool = False
    """The server knows no system message. The user says it first."""
    reasoning_with_calls: bool = False
    """A message with calls holds the thoughts that led to them, even empty ones."""
    prefill: bool = False
    """An answer that broke off may be the last message. The server continues it."""


def no_extras(identity: str) -> Mapping[str, Any]:
    """Nothing was attached to any call."""
    del identity
    return {}


# --- tools ------------------------------------------------------------------------------------------------


def tool_params(tools: Sequence[ToolSpec]) -> list[ChatCompletionFunctionToolParam]:
    """The tools as a request offers them. Google refuses empty schemas: a tool without arguments has none."""
    return [{"type": "function", "function": cast(Any, _function(tool))} for tool in tools]


def _function(tool: ToolSpec) -> dict[str, object]:
    function: dict[str, object] = {"name": tool.name, "description": tool.description}
    if tool.parameters.get("properties"):
        function["parameters"] = dict(tool.parameters)
    return function


def called_tools(messages: Sequence[Message]) -> list[str]:
    """The names of the tools that were called, without repeats."""
    return list(dict.fromkeys(record.call.name for message in messages for record in message.calls))


# --- messages ---------------------------------------------------------------------------------------------

_Param = dict[str, Any]


def message_params(
    messages: Sequence[Message], form: Form | None = None, extras: Extras = no_extras
) -> list[ChatCompletionMessageParam]:
    """The conversation as the messages of a request."""
    form = form or Form()
    params = list(_in_turns(_told(messages, form, extras)))
    if params and params[-1]["role"] == "assistant" and not form.prefill:
        params.append({"role": "user", "content": GO_ON})
    if form.system_as_user:
        params = _system_folded(params)
    return cast(list[ChatCompletionMessageParam], params)


def _told(messages: Sequence[Message], form: Form, extras: Extras) -> Iterator[_Param]:
    """Each message as it is. The results of its calls follow it."""
    made = 0
    for message in messages:
        if not message.calls:
            if message.text.strip():
                yield {"role": message.speaker.value, "content": message.text}
        elif form.tools:
            ids = [f"{made + place:0{_ID_DIGITS}d}" for place in range(len(message.calls))]
            made += len(ids)
            yield _asking(message, ids, form, extras)
            yield from (_result(record, name) for record, name in zip(message.calls, ids, strict=True))
        else:
            yield {"role": "assistant", "content": _asked_in_words(message)}
            yield {"role": "user", "content": "\n".join(map(_result_in_words, message.calls))}


def _in_turns(params: Iterator[_Param]) -> Iterator[_Param]:
    """Join neighbours of one role, and fill in what is missing between two roles."""
    waiting: _Param | None = None
    for param in params:
        if waiting is None:
            waiting = param
            if param["role"] == "assistant":
                yield {"role": "user", "content": BEGINNING}
            continue
        if _joins(waiting, param):
            waiting = {**param, "content": _joined(waiting, param)}
            continue
        yield waiting
        if waiting["role"] == "system" and param["role"] == "assistant":
            yield {"role": "user", "content": BEGINNING}
        if waiting["role"] == "tool" and param["role"] == "user":
            yield {"role": "assistant", "content": INTERRUPTED}
        waiting = param
    if waiting is not None:
        yield waiting


def _joins(first: _Param, second: _Param) -> bool:
    """Whether two messages are to be one. Nothing follows calls within a message."""
    return first["role"] == second["role"] != "tool" and "tool_calls" not in first


def _joined(first: _Param, second: _Param) -> str:
    return "\n\n".join(text for text in (first.get("content"), second.get("content")) if text)


def _system_folded(params: list[_Param]) -> list[_Param]:
    if not params or params[0]["role"] != "system":
        return params
    system, *rest = params
    if not rest or rest[0]["role"] != "user":
        return [{**system, "role": "user"}, *rest]
    return [{**rest[0], "content": _joined(system, rest[0])}, *rest[1:]]


# --- calls ------------------------------------------------------------------------------------------------


def _asking(message: Message, ids: Sequence[str], form: Form, extras: Extras) -> _Param:
    calls = []
    param: _Param = {"role": "assistant"}
    if message.text.strip() or form.content_with_calls:
        param["content"] = message.text
    if form.reasoning_with_calls:
        param["reasoning_content"] = ""
    for record, name in zip(message.calls, ids, strict=True):
        attached = dict(extras(record.call.id))
        reasoning = attached.pop("reasoning_content", "")
        if reasoning and form.reasoning_with_calls:
            param["reasoning_content"] = reasoning
        function = {"name": record.call.name, "arguments": _sendable(record.call.arguments)}
        calls.append({"id": name, "type": "function", "function": function, **attached})
    param["tool_calls"] = calls
    return param


def _result(record: CallRecord, name: str) -> _Param:
    return {"role": "tool", "tool_call_id": name, "content": _outcome(record)}


def _outcome(record: CallRecord) -> str:
    if record.result is None:
        return STILL_RUNNING
    result = record.result if record.result.strip() else NO_RESULT
    return f"Failed: {result}" if record.failed else result


def _asked_in_words(message: Message) -> str:
    asked = (f"(I use {record.call.name} with {record.call.arguments}.)" for record in message.calls)
    return "\n".join((*([message.text] if message.text.strip() else []), *asked))


def _result_in_words(record: CallRecord) -> str:
    return f"(Result of {record.call.name}: {_outcome(record)})"


def _sendable(arguments: str) -> str:
    """The arguments as they were written. If they are not a JSON object, they are put into one.

    OpenAI accepts any text. A server whose chat template parses the arguments (llama.cpp) refuses every later
    request of the conversation: "Failed to parse tool call arguments as JSON", 500.
    """
    return arguments if is_object(arguments) else json.dumps({"malformed": arguments})
