"""OpenAI, simulated: chat completions, streamed or whole, and the list of models.

Sources: the types of openai 3.54 (what a request may hold), platform.openai.com/docs/guides/error-codes and
api-reference/chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import trio
from openai.types.chat import completion_create_params

from adapters.simulators.script import rest_of
from adapters.simulators.session import Session
from adapters.simulators.wire import Head, HttpWire, RefusalError

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
_EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
_JSON = {"content-type": "application/json"}
_CREATED = 1_767_225_600
"""The same for every answer: 1 January 2026."""


def refuse(
    status: int, reason: str, session: Session, code: str | None = None, param: str | None = None
) -> RefusalError:
    """The way in which OpenAI turns a request away."""
    kind, usual_code = _KINDS.get(status, ("server_error", None))
    error = {"message": reason, "type": kind, "param": param, "code": code or usual_code}
    headers = {**_JSON, "x-request-id": session.id()}
    return RefusalError(status, json.dumps({"error": error}), headers)


_KINDS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("request_forbidden", "unsupported_country_region_territory"),
    404: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
}
"""The type and usual code of each refusal, as OpenAI sends them."""


def check(head: Head, session: Session) -> None:
    """Raise `RefusalError` for a request that OpenAI would refuse whatever its body."""
    keys = session.world.keys
    scheme = head.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme != "bearer" or not head.key or (keys is not None and head.key not in keys):
        raise refuse(401, "Incorrect API key provided.", session, "invalid_api_key")


def models() -> str:
    """The answer to GET /v1/models."""
    listed = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "openai"} for name in MODELS]
    return json.dumps({"object": "list", "data": listed})


async def serve_chat(session: Session, wire: HttpWire, body: Mapping[str, Any]) -> None:
    """POST /v1/chat/completions. Raises `RefusalError`, `HangupError`."""
    _check_body(session, body)
    heard, said = _heard_and_said(body["messages"])
    text = rest_of(session.world.script.answer(heard), said)
    tokens = _tokens(text)
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or len(tokens)
    finish = "stop" if len(tokens) <= limit else "length"
    answer = _Answer(session, body, tokens[:limit], finish)
    await trio.sleep(session.world.latencies.first_token.draw(session.randomness))
    if body.get("stream") is True:
        await answer.stream(wire)
    else:
        await wire.reply(200, json.dumps(answer.whole()), _JSON)


class _Answer:
    """One completion."""

    def __init__(self, session: Session, body: Mapping[str, Any], tokens: list[str], finish: str) -> None:
        self._session = session
        self._body = body
        self._tokens = tokens
        self._finish = finish
        self._id = f"chatcmpl-{session.id().replace('-', '')[:29]}"

    def whole(self) -> dict[str, Any]:
        """As one object."""
        message = {"role": "assistant", "content": "".join(self._tokens), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return self._object("chat.completion", choices=[choice], usage=self._usage())

    async def stream(self, wire: HttpWire) -> None:
        """As server-sent events, token by token."""
        outlet = self._session.outlet(wire, events=True)

        async def send(content: str) -> None:
            await outlet.send(f"data: {content}\n\n")
            self._session.exchange.sent += 1

        await wire.begin(200, _EVENTS)
        await outlet.before_any()
        await send(self._chunk({"role": "assistant", "content": "", "refusal": None}))
        for token in self._tokens:
            await send(self._chunk({"content": token}))
            await trio.sleep(self._session.world.latencies.token.draw(self._session.randomness))
        await send(self._chunk({}, self._finish))
        if (self._body.get("stream_options") or {}).get("include_usage") is True:
            await send(json.dumps(self._object("chat.completion.chunk", choices=[], usage=self._usage())))
        await send("[DONE]")
        await outlet.release()
        await wire.finish()

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return json.dumps(self._object("chat.completion.chunk", choices=[choice]))

    def _object(self, kind: str, **fields: object) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": _CREATED,
            "model": self._body["model"],
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
            **fields,
        }

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(_tokens(_content(message))) + 4 for message in self._body["messages"])
        count = len(self._tokens)
        return {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}


def _check_body(session: Session, body: Mapping[str, Any]) -> None:
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
        if not isinstance(message, dict) or message.get("role") not in _ROLES or "content" not in message:
            raise refuse(400, "Invalid message.", session, param=f"messages[{index}]")
    for name, (least, most) in _LIMITS.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and least <= value <= most):
            raise refuse(400, f"{name} must be from {least} to {most}", session, param=name)


def _heard_and_said(messages: list[dict[str, Any]]) -> tuple[str, str]:
    """What the user said last, and what the assistant has answered to it so far."""
    said: list[str] = []
    for message in reversed(messages):
        if message["role"] == "user":
            return _content(message), " ".join(reversed(said))
        if message["role"] == "assistant":
            said.append(_content(message))
    return "", " ".join(reversed(said))


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _tokens(text: str) -> list[str]:
    """The text in pieces as a tokenizer makes them: four letters at most, the space before a word with it."""
    return re.findall(r"\s*\S{1,4}", text)
