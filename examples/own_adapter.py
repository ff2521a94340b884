"""An example of an adapter: a language model behind Ollama's native chat interface.

docs/adapters.md says what an adapter must do; `tests/examples` runs the conformance kit on this one.
`ollama_first` shows how a host uses it. (Ollama also has OpenAI's interface, for which `LLM_BASE_URL` is
enough and no adapter is needed.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

import httpx2
from attrs import evolve

from orchestrator import (
    ErrorClass,
    Message,
    ProviderError,
    Providers,
    Settings,
    ToolCall,
    ToolSpec,
    open_providers,
)

REFUSALS = {401: ErrorClass.AUTH, 403: ErrorClass.AUTH, 408: ErrorClass.TIMEOUT, 429: ErrorClass.RATE_LIMIT}
"""By HTTP status. Of all others, 4xx are fatal and the rest transient."""


class OllamaLanguageModel:
    """The model `model` of the Ollama server at `base_url`. Whoever makes the HTTP client closes it."""

    def __init__(
        self, http: httpx2.AsyncClient, model: str, base_url: str = "http://localhost:11434"
    ) -> None:
        self.name = f"ollama {model}"
        self._http = http
        self._model = model
        self._base_url = base_url.rstrip("/")

    async def check(self) -> None:
        """Return if the server answers and has the model."""
        with self._errors():
            response = await self._http.get(f"{self._base_url}/api/tags")
            await self._accept(response)
            names = {str(model["name"]) for model in response.json()["models"]}
        if not {self._model, f"{self._model}:latest"} & names:
            raise ProviderError(ErrorClass.FATAL, f"{self.name}: the server has no such model")

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        """Stream one answer. Leaving the block closes the connection, which makes Ollama stop."""
        body: dict[str, object] = {
            "model": self._model,
            "messages": [plain for each in messages for plain in _plain(each)],
        }
        if tools:
            body["tools"] = [_function(each) for each in tools]
        request = self._http.build_request("POST", f"{self._base_url}/api/chat", json=body)
        with self._errors():
            response = await self._http.send(request, stream=True)
        async with aclosing(response):
            await self._accept(response)
            async with aclosing(self._pieces(response)) as pieces:
                yield pieces

    async def _pieces(self, response: httpx2.Response) -> AsyncGenerator[str | ToolCall, None]:
        """The pieces of an answer, which has a JSON object on each line. Calls come last."""
        calls: list[ToolCall] = []
        with self._errors():
            async for line in response.aiter_lines():
                said = json.loads(line)
                if "error" in said:
                    raise ProviderError(ErrorClass.TRANSIENT, f"{self.name}: {said['error']}")
                if said["message"]["content"]:
                    yield said["message"]["content"]
                for asked in said["message"].get("tool_calls", ()):
                    function = asked["function"]
                    # Ollama does not give its calls ids; their order says which result belongs to which call.
                    number = f"call {len(calls)}"
                    calls.append(ToolCall(number, function["name"], json.dumps(function["arguments"])))
                if said["done"]:
                    for call in calls:
                        yield call
                    return
        raise ProviderError(ErrorClass.CONNECTION, f"{self.name}: the answer broke off")

    async def _accept(self, response: httpx2.Response) -> None:
        """Raise `ProviderError` for a refusal, with the class of its status."""
        if response.is_success:
            return
        status = response.status_code
        default = ErrorClass.REFUSED_REQUEST if 400 <= status < 500 else ErrorClass.TRANSIENT
        raise ProviderError(REFUSALS.get(status, default), f"{self.name}: refused with {status}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the HTTP client become `ProviderError`; cancellation passes unchanged."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise ProviderError(ErrorClass.TIMEOUT, f"{self.name}: {type(error).__name__}") from error
        except httpx2.HTTPError as error:
            raise ProviderError(ErrorClass.CONNECTION, f"{self.name}: {type(error).__name__}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(ErrorClass.TRANSIENT, f"{self.name}: not Ollama's answer") from error


def _plain(message: Message) -> Iterator[dict[str, object]]:
    """A message as Ollama needs it: the results of calls are messages of their own."""
    plain: dict[str, object] = {"role": message.speaker.value, "content": message.text}
    if message.calls:
        plain["tool_calls"] = [
            {"function": {"name": each.call.name, "arguments": _arguments(each.call)}}
            for each in message.calls
        ]
    yield plain
    for each in message.calls:
        result = each.result if each.result is not None else "It still runs; there is no result yet."
        yield {"role": "tool", "tool_name": each.call.name, "content": result}


def _arguments(call: ToolCall) -> object:
    try:
        return json.loads(call.arguments)
    except ValueError:
        return {}  # the result says what was wrong with them


def _function(tool: ToolSpec) -> dict[str, object]:
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": described}


@asynccontextmanager
async def ollama_first(settings: Settings, model: str) -> AsyncIterator[Providers]:
    """Ollama, with the models of the settings as fallback.

    `open_orchestrator(settings, providers=ollama_first(settings, "llama3.2"))` uses them.
    """
    async with httpx2.AsyncClient(timeout=60) as http, open_providers(settings) as others:
        yield evolve(others, llm=(OllamaLanguageModel(http, model), *others.llm))
