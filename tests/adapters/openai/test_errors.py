"""Error messages of the OpenAI adapter: no keys, and what was asked in vain."""

from __future__ import annotations

import socket
from typing import Any

import httpx2
import pytest

from adapters.interfaces import ProviderError
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.openai.errors import error_body


@pytest.mark.parametrize("said", ["bad key my-secret", "Bearer my-secret", "sk-proj-abcdefghij was refused"])
def test_keys_are_removed_from_the_messages_of_servers(said: str) -> None:
    message = error_body("llm", {"message": said}, "my-secret").failure.message
    assert "my-secret" not in message
    assert "abcdefghij" not in message
    assert "(key)" in message


def test_long_messages_are_cut_and_put_on_one_line() -> None:
    message = error_body("llm", {"message": "word\n" * 1000}, "").failure.message
    assert "\n" not in message
    assert len(message) < 250


async def check(base_url: str) -> str:
    """What is said of a server that cannot be asked for its models."""
    async with http_client() as http:
        model = OpenAILanguageModel(http, base_url, "llama3.2")
        with pytest.raises(ProviderError) as caught:
            await model.check()
    return caught.value.failure.message


async def test_a_server_that_does_not_run_is_named_with_its_address() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        said = await check(f"http://user:hunter2@127.0.0.1:{port}/v1")
    assert said == (
        f"openai: nothing answers at http://127.0.0.1:{port}; is the server running? "
        "`vantum doctor` tells more"
    )


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    said = await check("https://llm.example/v1")
    assert said.startswith("openai: the connection to https://llm.example failed: ALL_PROXY is a SOCKS proxy")


async def test_an_address_without_its_last_part_is_told() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, text="404 page not found")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        for base_url, hint in (("http://localhost:11434", True), ("http://localhost:11434/v1", False)):
            model = OpenAILanguageModel(http, base_url, "llama3.2")
            with pytest.raises(ProviderError) as caught:
                await model.check()
            assert ("is LLM_BASE_URL without its /v1?" in caught.value.failure.message) is hint


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"try again in {'9' * 400}s"},
        {"message": f"try again in 1.{'9' * 4000}s"},
        {"details": [{"retryDelay": f"{'9' * 400}s"}]},
        {"details": [{"retryDelay": f"1.{'9' * 400}s"}]},
    ],
    ids=["words", "parts", "field", "parts of a field"],
)
def test_a_wait_that_is_no_number_is_not_known(body: dict[str, Any]) -> None:
    assert error_body("vendor", body, "").failure.retry_after_ms is None
