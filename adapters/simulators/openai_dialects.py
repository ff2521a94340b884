"""How servers with OpenAI's interface differ from OpenAI. Users reported each of these deviations in public.

A dialect says which requests its server refuses besides those that OpenAI refuses, and how it answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import define, field, frozen

from adapters.simulators.wire import RefusalError

Delta = dict[str, Any]
Body = Mapping[str, Any]

FLAGGED = "weapon"
"""A word that content filters refuse."""
THOUGHT = "The caller wants an answer, so I think about one."


@define
class Dialect:
    """OpenAI's own dialect. The others change parts of it. One instance serves one run of the simulators."""

    def check(self, body: Body) -> None:
        """Raise `RefusalError` for a request that only this server refuses."""

    def models_refused(self) -> RefusalError | None:
        """The refusal of a request for the list of models; None if the server gives the list."""
        return None

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        """The answer's deltas in this server's form."""
        return list(pieces)

    def early_finish(self) -> str | None:
        """The `finish_reason` of chunks with more to follow."""
        return None

    def finish(self, reason: str) -> str | None:
        """The `finish_reason` of the last chunk; None if the server sends no such chunk."""
        return reason

    def opening(self) -> list[Mapping[str, Any]]:
        """Documents before the first chunk."""
        return []

    def closing(self, said: str) -> list[str]:
        """Events after the chunk that finishes the answer."""
        del said
        return [framed("[DONE]")]

    def event(self, document: str) -> str:
        """A document as an event of the stream."""
        return framed(document)

    streams: bool = True
    """The server streams an answer if `stream` says so."""


def framed(data: str) -> str:
    """One server-sent event."""
    return f"data: {data}\n\n"


def refusal(
    status: int, message: str, *, code: str | int | None = None, param: str | None = None, **more: Any
) -> RefusalError:
    """A refusal with an error body of the usual form."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code, **more}
    return RefusalError(status, json.dumps({"error": error}), {"content-type": "application/json"})


def is_text(piece: Delta) -> bool:
    return "content" in piece


def texts_of(body: Body) -> list[str]:
    return [str(message.get("content") or "") for message in body["messages"]]


def with_calls(body: Body) -> list[Mapping[str, Any]]:
    return [message for message in body["messages"] if message.get("tool_calls")]


def whole_calls(pieces: Sequence[Delta]) -> list[dict[str, Any]]:
    """The calls in deltas, each as one object, in OpenAI's form."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        for part in piece.get("tool_calls", ()):
            function = part["function"]
            if part["index"] in calls:
                calls[part["index"]]["function"]["arguments"] += function.get("arguments", "")
            else:
                calls[part["index"]] = {**part, "function": dict(function)}
    return list(calls.values())


def split(text: str, size: int = 4) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


# --- the dialects -----------------------------------------------------------------------------------------


class Azure(Dialect):
    """Sends filter results in a document without choices, and usage with `choices: null`. Filters content."""

    def check(self, body: Body) -> None:
        if any(FLAGGED in text for text in texts_of(body)):
            raise refusal(
                400,
                "The response was filtered due to the prompt triggering Azure OpenAI's content management "
                "policy.",
                code="content_filter",
                param="prompt",
                innererror={"code": "ResponsibleAIPolicyViolation"},
            )

    def opening(self) -> list[Mapping[str, Any]]:
        results = [{"prompt_index": 0, "content_filter_results": {}}]
        return [
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [],
                "prompt_filter_results": results,
            }
        ]

    def closing(self, said: str) -> list[str]:
        usage = {"id": "", "object": "chat.completion.chunk", "choices": None, "usage": {"total_tokens": 9}}
        return [framed(json.dumps(usage)), framed("[DONE]")]


class Mistral(Dialect):
    """Sends content in parts, thoughts too, and whole calls. Wants ids of nine characters, roles in order."""

    def check(self, body: Body) -> None:
        roles = [message["role"] for message in body["messages"]]
        if roles[-1] == "assistant":
            raise refusal(
                400, "Expected last role User or Tool (or Assistant with prefix True).", code="3230"
            )
        if ("tool", "user") in pairwise(roles):
            raise refusal(400, "Unexpected role 'user' after role 'tool'", code="3230")
        for message in with_calls(body):
            for call in message["tool_calls"]:
                if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]):
                    raise refusal(
                        400, f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9.", code="3280"
                    )

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        thinking = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}]}
        texts = [
            {"content": [{"type": "text", "text": piece["content"]}]} for piece in pieces if is_text(piece)
        ]
        calls = whole_calls(pieces)
        return [thinking, *texts, *([{"tool_calls": calls}] if calls else [])]


class Gemini(Dialect):
    """Sends calls with index 0, without id, with a signature that it wants back. Refuses empty schemas."""

    _SIGNED: Mapping[str, Any] = {"google": {"thought_signature": "c2lnbmVk"}}

    def check(self, body: Body) -> None:
        for tool in body.get("tools") or ():
            parameters = tool["function"].get("parameters")
            if parameters is not None and not parameters.get("properties"):
                raise _listed(400, "parameters.properties: should be non-empty for OBJECT type")
        for message in with_calls(body):
            if message["tool_calls"][0].get("extra_content") != self._SIGNED:
                raise _listed(400, "Function call is missing a thought_signature in functionCall parts.")

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        calls = [
            {
                "index": 0,
                "id": "",
                "type": "function",
                "function": call["function"],
                "extra_content": self._SIGNED,
            }
            for call in whole_calls(pieces)
        ]
        return [*filter(is_text, pieces), *({"tool_calls": [call]} for call in calls)]


def _listed(status: int, message: str) -> RefusalError:
    error = {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}
    return RefusalError(status, json.dumps([error]), {"content-type": "application/json"})


@define
class Groq(Dialect):
    """Refuses every other call of a tool, since the model wrote it wrongly."""

    _refused: set[str] = field(factory=set)

    def check(self, body: Body) -> None:
        asked = texts_of(body)[-1]
        if body.get("tools") and body["messages"][-1]["role"] == "user" and asked not in self._refused:
            self._refused.add(asked)
            raise refusal(
                400,
                "Failed to call a function. Please adjust your prompt. See 'failed_generation'.",
                code="tool_use_failed",
                failed_generation="<function=weather{}",
            )
        self._refused.discard(asked)


class OllamaThinking(Dialect):
    """The model writes its thoughts into the content, and takes no tools."""

    def check(self, body: Body) -> None:
        if any("content" in message and message["content"] is None for message in body["messages"]):
            raise refusal(400, "invalid message content type: <nil>")
        if body.get("tools"):
            raise refusal(400, f"registry.ollama.ai/library/{body['model']} does not support tools")

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        thought = f"<think>\n{THOUGHT}\n</think>\n\n"
        return [*({"content": part} for part in split(thought, 5)), *pieces]


class VllmBare(Dialect):
    """Has no parser for calls. The template has no system role, and opens the thought before the answer."""

    def check(self, body: Body) -> None:
        roles = [message["role"] for message in body["messages"]]
        if body.get("tools"):
            message = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
            raise RefusalError(
                400,
                json.dumps({"object": "error", "message": message, "type": "BadRequestError", "code": 400}),
                {"content-type": "application/json"},
            )
        if "system" in roles or any(first == second for first, second in pairwise(roles)):
            raise refusal(400, "Conversation roles must alternate user/assistant/user/assistant/...")

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        return [*({"content": part} for part in split(f"{THOUGHT}\n</think>\n\n", 6)), *pieces]


class CallsAsText(Dialect):
    """Has no parser for calls, so the model's calls stand in the content."""

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        written = []
        for call in whole_calls(pieces):
            function = call["function"]
            body = f'{{"name": "{function["name"]}", "arguments": {function["arguments"]}}}'
            tag = f"<tool_call>\n{body}\n</tool_call>"
            written += [{"content": part} for part in split(tag)]
        return [*filter(is_text, pieces), *written]


class OpenAIReasoning(Dialect):
    """OpenAI's models that think. They take other parameters, and at least 16 tokens."""

    def check(self, body: Body) -> None:
        if "max_tokens" in body:
            raise refusal(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                code="unsupported_parameter",
                param="max_tokens",
            )
        for name in ("temperature", "top_p"):
            if body.get(name) not in (None, 1):
                raise refusal(
                    400,
                    f"Unsupported value: '{name}' does not support {body[name]} with this model. Only the "
                    "default (1) value is supported.",
                    code="unsupported_value",
                    param=name,
                )
        if body.get("max_completion_tokens", 16) < 16:
            raise refusal(400, "Could not finish the message: max_tokens or model output limit was reached.")


class LiteLlm(Dialect):
    """Claude behind LiteLLM. It takes one sampling parameter, and no calls in a request without tools."""

    def check(self, body: Body) -> None:
        if "temperature" in body and "top_p" in body:
            raise refusal(400, "`temperature` and `top_p` cannot both be specified for this model.")
        if with_calls(body) and not body.get("tools"):
            raise refusal(400, "Anthropic expects the `tools=` param when tool calls are in the messages.")

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        written: list[Delta] = []
        for call in whole_calls(pieces):
            function = call["function"]
            parts = [{"index": call["index"], "id": call["id"], "function": {**function, "arguments": "{}"}}]
            parts.append({"index": call["index"], "function": {"arguments": function["arguments"]}})
            written += [{"tool_calls": [part]} for part in parts]
        return [*filter(is_text, pieces), *written]


class DeepSeek(Dialect):
    """Sends thoughts in a field of their own, and wants to see them again with the calls."""

    def check(self, body: Body) -> None:
        if any("reasoning_content" not in message for message in with_calls(body)):
            raise refusal(400, "The `reasoning_content` in the thinking mode must be passed back to the API.")

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        return [*({"content": None, "reasoning_content": part} for part in split(THOUGHT, 8)), *pieces]


class OpenRouter(Dialect):
    """Sends comments while it looks for a provider, and moderates texts itself."""

    def check(self, body: Body) -> None:
        if any(FLAGGED in text for text in texts_of(body)):
            message = "openai/gpt-4.1 requires moderation on OpenRouter. Your input was flagged."
            error = {
                "code": 403,
                "message": message,
                "metadata": {"reasons": ["violence"], "flagged_input": ""},
            }
            raise RefusalError(403, json.dumps({"error": error}), {"content-type": "application/json"})

    def event(self, document: str) -> str:
        return f": OPENROUTER PROCESSING\n\n{framed(document)}"


class Harmony(Dialect):
    """gpt-oss without a parser. Its channels stand in the content, and a call is one of them."""

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        text = "".join(piece["content"] for piece in pieces if is_text(piece))
        parts = [f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"]
        if text:
            parts.append(f"<|channel|>final<|message|>{text}<|end|><|start|>assistant")
        for call in whole_calls(pieces):
            function = call["function"]
            header = f"<|channel|>commentary to=functions.{function['name']} <|constrain|>json"
            parts.append(f"{header}<|message|>{function['arguments']}<|call|>")
        return [{"content": part} for part in split("".join(parts), 7)]


class Gateway(Dialect):
    """Wraps events twice, divides them over lines, repeats the whole answer, and never sends [DONE]."""

    def event(self, document: str) -> str:
        head, comma, rest = document.partition(', "choices"')
        lines = f'{head},\r\ndata: "choices"{rest}' if comma else document
        return f"\ufeffdata: data: {lines}\r\ndata:\r\n\r\n".lstrip("\ufeff")

    def closing(self, said: str) -> list[str]:
        again = {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}
        late = {"error": {"message": "upstream closed the connection"}}
        return [self.event(json.dumps(again)), framed(json.dumps(late))]


class Unstreamed(Dialect):
    """Never streams, whatever `stream` says."""

    streams = False


class RestrictedKey(Dialect):
    """The key may ask questions, but not for the list of models."""

    def models_refused(self) -> RefusalError | None:
        return refusal(
            403, "You have insufficient permissions for this operation. Missing scopes: api.model.read"
        )


class EarlyStop(Dialect):
    """Says `stop` in every chunk, and after the last one nothing else."""

    def early_finish(self) -> str | None:
        return "stop"

    def finish(self, reason: str) -> str | None:
        return reason if reason == "length" else None


class NoEnd(Dialect):
    """Never says that an answer ends, unless it was too long: the response is over, and that is all."""

    def finish(self, reason: str) -> str | None:
        return reason if reason == "length" else None

    def closing(self, said: str) -> list[str]:
        del said
        return []


class Unverified(Dialect):
    """OpenAI for an organization whose identity it has not verified: it does not stream."""

    def check(self, body: Body) -> None:
        if body.get("stream"):
            raise refusal(
                400,
                "Your organization must be verified to stream this model. Please go to: "
                "https://platform.openai.com/settings/organization/general and click on Verify Organization.",
                code="unsupported_value",
                param="stream",
            )


class Cumulative(Dialect):
    """Sends with each chunk the whole text so far."""

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        so_far = ""
        grown: list[Delta] = []
        for piece in pieces:
            so_far += piece.get("content", "")
            grown.append({**piece, "content": so_far} if is_text(piece) else piece)
        return grown


class OddCalls(Dialect):
    """Sends empty calls beside text and at the end, prefixed names, and a number for each fragment."""

    def deltas(self, pieces: Sequence[Delta]) -> list[Delta]:
        empty = {"name": "", "arguments": ""}
        odd: list[Delta] = [{**piece, "function_call": empty} for piece in pieces if is_text(piece)]
        count = 0
        for call in whole_calls(pieces):
            named = {"name": f"default_api.{call['function']['name']}", "arguments": ""}
            fragments = [{"id": call["id"], "type": "function", "function": named}]
            fragments += [{"function": {"arguments": part}} for part in split(call["function"]["arguments"])]
            for fragment in fragments:
                odd.append({"tool_calls": [{"index": count, **fragment}]})
                count += 1
        return [*odd, {"tool_calls": [{"index": count, "id": "", "type": "function", "function": empty}]}]


class Truthful(Dialect):
    """OpenAI itself."""


@frozen
class Profile:
    """A dialect by its name."""

    make: Callable[[], Dialect]

    @property
    def about(self) -> str:
        """A sentence that describes the dialect."""
        return (self.make.__doc__ or "").strip().partition("\n")[0]


DIALECTS: Mapping[str, Profile] = {
    "openai": Profile(Truthful),
    "azure": Profile(Azure),
    "mistral": Profile(Mistral),
    "gemini": Profile(Gemini),
    "groq": Profile(Groq),
    "ollama-thinking": Profile(OllamaThinking),
    "vllm-bare": Profile(VllmBare),
    "calls-as-text": Profile(CallsAsText),
    "openai-reasoning": Profile(OpenAIReasoning),
    "litellm": Profile(LiteLlm),
    "deepseek": Profile(DeepSeek),
    "openrouter": Profile(OpenRouter),
    "harmony": Profile(Harmony),
    "gateway": Profile(Gateway),
    "unstreamed": Profile(Unstreamed),
    "restricted-key": Profile(RestrictedKey),
    "early-stop": Profile(EarlyStop),
    "no-end": Profile(NoEnd),
    "unverified": Profile(Unverified),
    "cumulative": Profile(Cumulative),
    "odd-calls": Profile(OddCalls),
}
OPENAI = "openai"
