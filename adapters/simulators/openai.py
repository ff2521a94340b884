"""The simulated OpenAI: chat completions, streamed or whole, with tool calls, and the list of models.

Sources: platform.openai.com/docs/api-reference/chat and guides/function-calling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import trio
from attrs import evolve, frozen

from adapters.simulators.openai_requests import MODELS, check, check_body, refuse
from adapters.simulators.script import Called, ScriptedCall, rest_of
from adapters.simulators.session import Session
from adapters.simulators.wire import HttpWire

__all__ = ["check", "models", "refuse", "serve_chat"]

_EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
_JSON = {"content-type": "application/json"}
_CREATED = 1_767_225_600
"""The same for every answer: 1 January 2026."""


def models(session: Session) -> str:
    """The answer to GET /v1/models. Raises `RefusalError`."""
    if refusal := session.world.llm.models_refused():
        raise refusal
    listed = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "openai"} for name in MODELS]
    return json.dumps({"object": "list", "data": listed})


async def serve_chat(session: Session, wire: HttpWire, body: Mapping[str, Any]) -> None:
    """POST /v1/chat/completions. Raises `RefusalError`, `HangupError`."""
    check_body(session, body)
    dialect = session.world.llm
    dialect.check(body)
    conversation = _Conversation.read(body["messages"])
    scripted = session.world.script.answer(conversation.heard, _offered(body), conversation.called)
    text = rest_of(scripted.say, conversation.said)
    calls = scripted.calls[:1] if body.get("parallel_tool_calls") is False else scripted.calls
    pieces = dialect.deltas([*({"content": token} for token in _tokens(text)), *_call_pieces(session, calls)])
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or len(pieces)
    finish = "length" if len(pieces) > limit else "tool_calls" if calls else "stop"
    answer = _Answer(session, body, pieces[:limit], finish)
    await trio.sleep(session.world.latencies.first_token.draw(session.randomness))
    if body.get("stream") is True and dialect.streams:
        await answer.stream(wire)
    else:
        await wire.reply(200, json.dumps(answer.whole()), _JSON)


class _Answer:
    """One completion."""

    def __init__(
        self, session: Session, body: Mapping[str, Any], pieces: list[dict[str, Any]], finish: str
    ) -> None:
        self._session = session
        self._body = body
        self._pieces = pieces
        """The deltas, one for each token."""
        self._finish = finish
        self._id = f"chatcmpl-{session.id().replace('-', '')[:29]}"

    def whole(self) -> dict[str, Any]:
        """The answer as one object."""
        content = "".join(piece["content"] for piece in self._pieces if "content" in piece)
        calls = _assembled(self._pieces)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content or (None if calls else ""),
            "refusal": None,
        }
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return self._object("chat.completion", choices=[choice], usage=self._usage())

    async def stream(self, wire: HttpWire) -> None:
        """Send the answer as server-sent events, token by token."""
        outlet = self._session.outlet(wire, events=True)

        dialect = self._session.world.llm

        async def send(content: str) -> None:
            await outlet.send(dialect.event(content))
            self._session.exchange.sent += 1

        await wire.begin(200, _EVENTS)
        await outlet.before_any()
        for document in dialect.opening():
            await send(json.dumps(document))
        only_calls = bool(self._pieces) and "content" not in self._pieces[0]
        await send(self._chunk({"role": "assistant", "content": None if only_calls else "", "refusal": None}))
        for piece in self._pieces:
            await send(self._chunk(piece, dialect.early_finish()))
            await trio.sleep(self._session.world.latencies.token.draw(self._session.randomness))
        if (finish := dialect.finish(self._finish)) is not None:
            await send(self._chunk({}, finish))
        if (self._body.get("stream_options") or {}).get("include_usage") is True:
            await send(json.dumps(self._object("chat.completion.chunk", choices=[], usage=self._usage())))
        for event in dialect.closing("".join(map(_text, self._pieces))):
            await outlet.send(event)
            self._session.exchange.sent += 1
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
        count = len(self._pieces)
        return {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}


@frozen
class _Conversation:
    """The content of a request's messages that matters for the answer."""

    heard: str
    """The user's last message."""
    called: tuple[Called, ...]
    """The calls that the assistant has made since then."""
    said: str
    """The beginning of the answer that is to be continued; empty if there is none."""

    @classmethod
    def read(cls, messages: Sequence[Mapping[str, Any]]) -> _Conversation:
        users = [index for index, message in enumerate(messages) if _is_said_by_user(message)]
        heard = _said(messages[users[-1]]) if users else ""
        called: list[Called] = []
        said: list[str] = []
        for message in messages[users[-1] + 1 if users else 0 :]:
            if message["role"] == "tool":
                called[-1] = evolve(called[-1], results=f"{called[-1].results} {_content(message)}".strip())
            elif calls := message.get("tool_calls"):
                called.append(Called(frozenset(call["function"]["name"] for call in calls), ""))
                said = []
            elif message["role"] == "assistant":
                said.append(_content(message))
        return cls(heard, tuple(called), " ".join(said))


def _is_said_by_user(message: Mapping[str, Any]) -> bool:
    return message["role"] == "user" and (_said(message) != "" or _content(message) == "")


def _said(message: Mapping[str, Any]) -> str:
    """Paragraphs in brackets, like "(Please go on.)", are not the user's own words."""
    paragraphs = _content(message).split("\n\n")
    return "\n\n".join(each for each in paragraphs if not re.fullmatch(r"\(.*\)", each, re.DOTALL))


def _text(piece: Mapping[str, Any]) -> str:
    content = piece.get("content")
    return content if isinstance(content, str) else ""


def _offered(body: Mapping[str, Any]) -> frozenset[str]:
    if body.get("tool_choice") == "none":
        return frozenset()
    return frozenset(tool["function"]["name"] for tool in body.get("tools") or ())


def _call_pieces(session: Session, calls: Sequence[ScriptedCall]) -> Iterator[dict[str, Any]]:
    """The deltas of the calls: for each its id and name, then its arguments, four characters at a time."""
    for index, call in enumerate(calls):
        function = {"name": call.tool, "arguments": ""}
        identity = f"call_{session.id().replace('-', '')[:24]}"
        yield {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}
        for start in range(0, len(call.arguments), 4):
            fragment = {"arguments": call.arguments[start : start + 4]}
            yield {"tool_calls": [{"index": index, "function": fragment}]}


def _assembled(pieces: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The calls in these deltas, each assembled into one object."""
    calls: list[dict[str, Any]] = []
    for piece in pieces:
        for delta in piece.get("tool_calls", ()):
            if "id" in delta:
                function = dict(delta["function"])
                calls.append({"id": delta["id"], "type": "function", "function": function})
            else:
                calls[-1]["function"]["arguments"] += delta["function"]["arguments"]
    return calls


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _tokens(text: str) -> list[str]:
    """The text in pieces like those of a tokenizer: at most four letters, a space with the word after it."""
    return re.findall(r"\s*\S{1,4}", text)
