"""Validation of chat completion requests as OpenAI does it, and its refusals.

Sources: the types of openai 3.54 (what a request may hold), platform.openai.com/docs/guides/error-codes,
guides/function-calling and api-reference/chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

from openai.types.chat import completion_create_params

from adapters.simulators.session import Session
from adapters.simulators.wire import Head, RefusalError

MODELS = ("gpt-4.1-2025-04-14", "gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini")
_ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_LIMITS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "max_tokens": (1, 32768),
    "max_completion_tokens": (1, 32768),
}
_PARAMETERS = frozenset(
    (
        *get_type_hints(completion_create_params.CompletionCreateParamsBase),
        *get_type_hints(completion_create_params.CompletionCreateParamsStreaming),
    )
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ONLY_WITH_TOOLS = ("tool_choice", "parallel_tool_calls")
_KINDS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("request_forbidden", "unsupported_country_region_territory"),
    404: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
}
"""The type and usual code of each refusal, as OpenAI sends them."""


def refuse(
    status: int, reason: str, session: Session, code: str | None = None, param: str | None = None
) -> RefusalError:
    """A refusal as OpenAI sends it."""
    kind, usual_code = _KINDS.get(status, ("server_error", None))
    error = {"message": reason, "type": kind, "param": param, "code": code or usual_code}
    headers = {"content-type": "application/json", "x-request-id": session.id()}
    return RefusalError(status, json.dumps({"error": error}), headers)


def check(head: Head, session: Session) -> None:
    """Raise `RefusalError` for a request that OpenAI would refuse whatever its body."""
    keys = session.world.keys
    scheme = head.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme != "bearer" or not head.key or (keys is not None and head.key not in keys):
        raise refuse(401, "Incorrect API key provided.", session, "invalid_api_key")


def check_body(session: Session, body: Mapping[str, Any]) -> None:
    """Raise `RefusalError` for a body that OpenAI would refuse."""
    unknown = sorted(set(body) - _PARAMETERS)
    if unknown:
        reason = f"Unrecognized request argument supplied: {', '.join(unknown)}"
        raise refuse(400, reason, session)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse(400, "you must provide a model parameter", session)
    if model not in MODELS and not model.startswith(("gpt-", "ft:")):
        raise refuse(404, f"The model `{model}` does not exist.", session, "model_not_found")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise refuse(400, "'messages' must be a non-empty array.", session, param="messages")
    for index, message in enumerate(messages):
        _check_message(session, index, message)
    _check_order(session, messages)
    _check_tools(session, body)
    for name, (least, most) in _LIMITS.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and least <= value <= most):
            raise refuse(400, f"{name} must be from {least} to {most}", session, param=name)


def _check_message(session: Session, index: int, message: object) -> None:
    where = f"messages.[{index}]"
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise refuse(400, "Invalid message.", session, param=where)
    calls = message.get("tool_calls")
    if message.get("content") is None and not (message["role"] == "assistant" and calls):
        reason = "Invalid value for 'content': expected a string, got null."
        raise refuse(400, reason, session, param=f"{where}.content")
    if calls is None:
        return
    if message["role"] != "assistant" or not isinstance(calls, list) or not calls:
        raise refuse(400, "Invalid 'tool_calls'.", session, param=f"{where}.tool_calls")
    for at, call in enumerate(calls):
        if not _is_call(call):
            reason = f"Invalid value: '{where}.tool_calls[{at}]'."
            raise refuse(400, reason, session, param=f"{where}.tool_calls[{at}]")


def _is_call(call: object) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return False
    texts = (call.get("id"), function.get("name"), function.get("arguments"))
    return (
        call.get("type") == "function" and all(isinstance(text, str) for text in texts) and bool(call["id"])
    )


def _check_order(session: Session, messages: list[dict[str, Any]]) -> None:
    """Every call must have its `tool` message right after its own message, and there may be no others."""
    asked: set[str] = set()
    awaited: set[str] = set()
    for index, message in enumerate([*messages, {"role": "end"}]):
        where = f"messages.[{index}]"
        if message["role"] == "tool":
            named = message.get("tool_call_id")
            if not asked:
                reason = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'."
                )
                raise refuse(400, reason, session, param=f"{where}.role")
            if named not in asked:
                reason = (
                    f"Invalid parameter: 'tool_call_id' of '{named}' not found in 'tool_calls' of previous "
                    "message."
                )
                raise refuse(400, reason, session, param=f"{where}.tool_call_id")
            awaited.discard(str(named))
            continue
        if awaited:
            reason = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                f"{', '.join(sorted(awaited))}"
            )
            raise refuse(400, reason, session, param=where)
        asked = {call["id"] for call in message.get("tool_calls") or ()}
        awaited = set(asked)


def _check_tools(session: Session, body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        for name in _ONLY_WITH_TOOLS:
            if body.get(name) is not None:
                reason = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise refuse(400, reason, session, param=name)
        return
    if not isinstance(tools, list) or not tools:
        reason = (
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead."
        )
        raise refuse(400, reason, session, "empty_array", "tools")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        where = f"tools[{index}].function"
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise refuse(400, f"Invalid value: '{where}'.", session, "invalid_value", where)
        if not _TOOL_NAME.fullmatch(str(function.get("name", ""))):
            reason = (
                f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the "
                "pattern '^[a-zA-Z0-9_-]+$'."
            )
            raise refuse(400, reason, session, "invalid_value", f"{where}.name")
        parameters = function.get("parameters", {"type": "object"})
        if not isinstance(parameters, dict) or parameters.get("type") != "object":
            reason = f"Invalid schema for function '{function['name']}': schema must be of type 'object'."
            raise refuse(400, reason, session, "invalid_function_parameters", f"{where}.parameters")
