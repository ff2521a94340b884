"""The embedded language model, through the OpenAI adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import trio

from adapters.embedded.llm import embedded_language_model, serve_model
from adapters.embedded.models import LANGUAGE_MODEL, ModelsError
from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.chat import OpenAILanguageModel, http_client
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall

pytestmark = pytest.mark.models

QUESTION = [Message(Speaker.USER, "What is the capital of France?")]


@pytest.fixture
async def model(models_dir: Path) -> AsyncIterator[OpenAILanguageModel]:
    """As it is, but that it always takes the likeliest word: so small a model errs now and then."""
    path = models_dir / LANGUAGE_MODEL.path
    async with embedded_language_model(path, parallel=2, temperature=0.0) as model:
        yield model


async def answer(model: OpenAILanguageModel, messages: list[Message] = QUESTION) -> list[str]:
    with trio.fail_after(300):
        async with model.generate(messages) as stream:
            return [piece async for piece in stream if isinstance(piece, str)]


async def test_it_answers_in_pieces(model: OpenAILanguageModel) -> None:
    await model.check()
    pieces = await answer(model)
    assert len(pieces) > 3
    assert "Paris" in "".join(pieces)


async def test_it_answers_two_at_a_time(model: OpenAILanguageModel) -> None:
    answers: list[list[str]] = []

    async def ask() -> None:
        answers.append(await answer(model))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert all(answers)
    assert len(answers) == 2


async def test_it_reads_results_of_calls_and_calls_nothing_itself(model: OpenAILanguageModel) -> None:
    """Its chat template has no place for tools, so it never sees them."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [ToolSpec("weather", "The weather in a city.", schema)]
    question = Message(Speaker.USER, "What is the weather in Paris?")
    record = CallRecord(1, ToolCall("call_1", "weather", '{"city": "Paris"}'), "Sunny, 21 degrees.")
    for messages in ([question], [question, Message(Speaker.ASSISTANT, "", calls=(record,))]):
        with trio.fail_after(300):
            async with model.generate(messages, tools) as stream:
                pieces = [piece async for piece in stream]
        assert pieces
        assert all(isinstance(piece, str) for piece in pieces)


async def test_an_answer_that_is_broken_off_makes_room_for_others(model: OpenAILanguageModel) -> None:
    story = [Message(Speaker.USER, "Tell me a very long story about a whale.")]
    for _ in range(6):
        with trio.CancelScope() as scope:
            async with model.generate(story) as stream:
                await anext(stream)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
    assert await answer(model)


async def test_a_conversation_longer_than_the_context_is_answered(model: OpenAILanguageModel) -> None:
    turns = [
        Message(speaker, f"This is sentence number {number} and it says nothing of any interest.")
        for number in range(150)
        for speaker in (Speaker.USER, Speaker.ASSISTANT)
    ]
    assert await answer(model, [*turns, *QUESTION])


async def test_a_prompt_longer_than_the_context_is_refused(model: OpenAILanguageModel) -> None:
    with pytest.raises(ProviderError) as raised:
        await answer(model, [Message(Speaker.USER, "word " * 5000)])
    assert raised.value.failure.error_class is ErrorClass.REFUSED_REQUEST


async def test_no_other_program_on_the_computer_can_use_it(models_dir: Path) -> None:
    async with serve_model(models_dir / LANGUAGE_MODEL.path) as endpoint, http_client() as http:
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        assert endpoint.token not in repr(endpoint)
        stranger = OpenAILanguageModel(http, endpoint.base_url, "embedded", "guess")
        with pytest.raises(ProviderError) as raised:
            await answer(stranger)
        assert raised.value.failure.error_class is ErrorClass.AUTH
        for path in ("/slots", "/props", "/v1/chat/completions"):
            reply = await http.request("POST", endpoint.base_url.removesuffix("/v1") + path, json={})
            assert reply.status_code in (401, 403, 404, 501)


async def test_when_it_is_stopped_no_thread_and_no_socket_is_left(
    models_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with embedded_language_model(models_dir / LANGUAGE_MODEL.path) as model:
        await answer(model)
    before = _threads_and_files()
    for _ in range(3):
        with trio.CancelScope() as scope:
            async with serve_model(models_dir / LANGUAGE_MODEL.path) as endpoint:
                assert _threads_and_files() > before
                scope.cancel()
                await trio.lowlevel.checkpoint()
        with pytest.raises(httpx2.ConnectError):
            async with httpx2.AsyncClient() as http:
                await http.get(endpoint.base_url)
    assert _threads_and_files() <= before
    assert capfd.readouterr() == ("", "")


def _threads_and_files() -> tuple[int, int]:
    return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))


async def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="vantum models fetch"):
        async with serve_model(tmp_path / LANGUAGE_MODEL.path):
            pass


async def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(b"no model at all")
    with pytest.raises(ModelsError, match=r"other\.gguf cannot be loaded"):
        async with serve_model(path):
            pass
