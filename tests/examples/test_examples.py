"""The examples run and do what they say."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import wave
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
import uvicorn
from attrs import evolve
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock
from websockets.asyncio.client import connect

from adapters import conformance
from examples import own_tool
from examples.fastapi_host import make_app
from examples.minimal_host import ask, main
from examples.own_adapter import OllamaLanguageModel
from examples.policy_model import HOTLINE, HotlineCalls, TestHotline
from machines.history import Message, Speaker
from orchestrator import (
    AudioIn,
    CallRecord,
    ConversationPolicy,
    ErrorClass,
    MemoryTransport,
    ProviderError,
    Settings,
    ToolCall,
    ToolCalled,
    ToolReturned,
    ToolSpec,
    TurnMode,
    open_orchestrator,
)
from orchestrator.asyncio_host import open_orchestrator as open_in_asyncio
from orchestrator.simulation import Answer, SimulatedProviders, SimulatedTextToSpeech, Synthesis, script
from orchestrator.simulation.speech import silence, spoken
from tests.adapters.conftest import Speech
from tests.adapters.openai.chat_server import Exchange, chat_server

__all__ = ["TestHotline"]

RATE = 16_000
PATIENCE_S = 120
Watch = Callable[[], AbstractContextManager[None]]


# --- the minimal host -------------------------------------------------------------------------------------


async def test_the_minimal_host_asks_and_is_answered(autojump_clock: MockClock) -> None:
    async with open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
        answer = await ask(orchestrator, AudioIn(spoken("hello", RATE), RATE))
    assert sum(piece.duration_ms for piece in answer) == pytest.approx(
        60 * len("You said hello.That was all.")
    )


async def test_the_minimal_host_reads_and_writes_wav_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.chdir(tmp_path)
    with wave.open("question.wav", "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(spoken("hello", RATE).tobytes())
    await main("question.wav", "answer.wav", SimulatedProviders().for_calls())
    with wave.open("answer.wav", "rb") as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(1.68)


@pytest.mark.models
@pytest.mark.slow
async def test_the_minimal_host_is_answered_by_the_embedded_models(speech: Speech, models_dir: Path) -> None:
    settings = Settings(local_models_dir=models_dir)
    async with open_orchestrator(settings) as orchestrator:
        await orchestrator.until_usable()
        assert orchestrator.capacity == settings.local_max_calls
        answer = await ask(orchestrator, AudioIn(speech("What is the capital of France?"), RATE))
    assert sum(piece.duration_ms for piece in answer) > 300


# --- tools of one's own -----------------------------------------------------------------------------------


BOOKING = {"name": "Ada", "guests": 4, "at": "19:00"}


def asks(name: str, /, **arguments: object) -> Answer:
    """An answer that calls a tool."""
    return Answer(calls=(ToolCall("id", name, json.dumps(arguments)),))


def wav_of(path: Path, words: str) -> str:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(spoken(words, RATE).tobytes())
    return str(path)


async def test_the_restaurant_looks_up_and_books_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    autojump_clock: MockClock,
) -> None:
    monkeypatch.chdir(tmp_path)
    restaurant = own_tool.Restaurant()
    providers = SimulatedProviders()
    providers.llm.answers_with(asks("free_tables", at="19:00"), asks("book_table", **BOOKING))
    question, answer = wav_of(tmp_path / "question.wav", "hello"), str(tmp_path / "answer.wav")
    await own_tool.main(question, answer, restaurant, providers.for_calls())
    assert restaurant.bookings == [own_tool.Booking("Ada", 4, datetime.time(19))]
    printed = capsys.readouterr().out
    assert "free_tables: 3 (0 ms)" in printed
    assert "book_table: Booked for Ada: 4 guests at 19:00. (3000 ms)" in printed
    with wave.open(answer, "rb") as file:
        assert file.getnframes() / file.getframerate() > 3


async def test_a_booking_is_finished_once_although_the_caller_speaks_on(autojump_clock: MockClock) -> None:
    restaurant, transport = own_tool.Restaurant(), MemoryTransport()
    providers = SimulatedProviders()
    providers.llm.answers_with(asks("book_table", **BOOKING))
    async with (
        open_orchestrator(providers=providers.for_calls(), tools=restaurant.tools()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        nursery.start_soon(own_tool.keep, transport, [])
        await transport.start_turn()
        await transport.push(spoken("hello", RATE), RATE)
        await transport.end_turn()
        events = conversation.events()
        async for event in events:
            if isinstance(event, ToolCalled):
                break
        await transport.start_turn()
        await transport.push(spoken("wait how is the weather", RATE), RATE)
        await transport.end_turn()
        async for event in events:
            if isinstance(event, ToolReturned):
                assert not event.failed
                break
        await trio.sleep(10)
    assert len(restaurant.bookings) == 1
    outcome = await conversation.outcome()
    [record] = [each for message in outcome.history for each in message.calls]
    assert record.result == "Booked for Ada: 4 guests at 19:00."


async def test_if_the_restaurant_is_full_the_model_proposes_another_time(autojump_clock: MockClock) -> None:
    restaurant = own_tool.Restaurant(tables=0)
    providers = SimulatedProviders()
    providers.llm.answers_with(asks("book_table", **BOOKING))
    async with open_orchestrator(providers=providers.for_calls(), tools=restaurant.tools()) as orchestrator:
        await own_tool.ask(orchestrator, AudioIn(spoken("hello", RATE), RATE))
    assert restaurant.bookings == []
    [record] = providers.llm.requests[-1][-1].calls
    assert record.result == "All tables are taken at 19:00: propose another time."


# --- the FastAPI host -------------------------------------------------------------------------------------


async def _serve(host: Callable[[str], Any], providers: SimulatedProviders) -> None:
    """Run the example's application with Uvicorn, and `host` with its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    policy = ConversationPolicy(endpoint_delay_ms=100)
    app = make_app(open_in_asyncio(Settings(), providers=providers.for_calls(), policy=policy))
    server = uvicorn.Server(
        uvicorn.Config(app, ws="websockets-sansio", timeout_graceful_shutdown=1, log_config=None)
    )
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await host(address)
    finally:
        server.should_exit = True
        await serving


@pytest.mark.slow
def test_the_fastapi_host_answers_callers_who_can_reserve_books(leaves_nothing: Watch) -> None:
    providers = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=2))))
    providers.llm.answers_with(asks("reserve_book", book="Emma", name="Ada"))

    async def caller(address: str) -> None:
        async with connect(f"ws://{address}/call") as client:
            speaking = asyncio.create_task(_speak(client))
            texts: list[dict[str, Any]] = []
            heard = 0
            while {"answer": "That was all."} not in texts or not heard:
                message = await client.recv()
                if isinstance(message, bytes):
                    heard += len(message)
                else:
                    texts.append(json.loads(message))
            speaking.cancel()
        assert texts == [
            {"caller": "hello"},
            {"answer": "The tools gave Reserved; it is number 1.."},
            {"answer": "That was all."},
        ]
        reserved = await asyncio.to_thread(httpx2.get, f"http://{address}/reservations")
        assert reserved.json() == [{"book": "Emma", "name": "Ada"}]

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await _serve(caller, providers)

    with leaves_nothing():
        asyncio.run(run())
    assert providers.in_use() == 0


@pytest.mark.slow
@pytest.mark.parametrize("who", ["the client", "the server"])
def test_a_call_of_the_fastapi_host_that_breaks_off_leaves_nothing(who: str, leaves_nothing: Watch) -> None:
    providers = SimulatedProviders()

    async def caller(address: str) -> None:
        client = await connect(f"ws://{address}/call")
        speaking = asyncio.create_task(_speak(client))
        while not isinstance(await client.recv(), bytes):
            pass
        speaking.cancel()
        clients.append(client)
        if who == "the client":
            client.transport.abort()
            while providers.in_use():  # noqa: ASYNC110 (a client that is gone is not told)
                await asyncio.sleep(0.01)

    clients: list[Any] = []

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await _serve(caller, providers)
            for client in clients:
                client.transport.abort()
                await client.wait_closed()

    with leaves_nothing():
        asyncio.run(run())
    assert providers.in_use() == 0


async def _speak(client: Any) -> None:
    audio = [*spoken("hello", RATE).reshape(-1, 320), *silence(5000, RATE).reshape(-1, 320)]
    for block in audio:
        await client.send(block.tobytes())
        await asyncio.sleep(0.02)


# --- the adapter of one's own -----------------------------------------------------------------------------

QUESTION = (Message(Speaker.SYSTEM, "Be brief."), Message(Speaker.USER, "Hello?"))


def line(text: str = "", *, done: bool = False) -> str:
    return json.dumps({"message": {"role": "assistant", "content": text}, "done": done}) + "\n"


async def answers(exchange: Exchange) -> None:
    """As Ollama does."""
    if exchange.path == "/api/tags":
        await exchange.reply(json.dumps({"models": [{"name": "llama3.2:latest"}]}))
    else:
        await exchange.reply(line("Hello"), line(" there."), line(done=True))


async def test_the_adapter_streams_answers_and_knows_its_model() -> None:
    async with chat_server(answers) as server, httpx2.AsyncClient() as http:
        model = OllamaLanguageModel(http, "llama3.2", server.base_url.removesuffix("/v1"))
        await model.check()
        async with model.generate(QUESTION) as pieces:
            assert [piece async for piece in pieces] == ["Hello", " there."]
        asked = server.exchanges[-1].body
        other = OllamaLanguageModel(http, "mistral", server.base_url.removesuffix("/v1"))
        with pytest.raises(ProviderError, match="no such model"):
            await other.check()
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
    ]


async def _calls(exchange: Exchange) -> None:
    call = {"function": {"name": "price", "arguments": {"of": "pear"}}}
    message = {"role": "assistant", "content": "", "tool_calls": [call, call]}
    await exchange.reply(
        line("Let me look."), json.dumps({"message": message, "done": False}) + "\n", line(done=True)
    )


async def test_the_adapter_knows_tools() -> None:
    price = ToolSpec("price", "The price.", {"type": "object", "properties": {"of": {"type": "string"}}})
    earlier = (
        CallRecord(1, ToolCall("a", "price", '{"of": "apple"}'), "0.5"),
        CallRecord(2, ToolCall("b", "price", "apple"), None),
    )
    messages = (*QUESTION, Message(Speaker.ASSISTANT, "One moment.", calls=earlier))
    async with chat_server(_calls) as server, httpx2.AsyncClient() as http:
        model = OllamaLanguageModel(http, "llama3.2", server.base_url.removesuffix("/v1"))
        async with model.generate(messages, [price]) as pieces:
            assert [piece async for piece in pieces] == [
                "Let me look.",
                ToolCall("call 0", "price", '{"of": "pear"}'),
                ToolCall("call 1", "price", '{"of": "pear"}'),
            ]
        asked = server.exchanges[-1].body
    function = {"name": "price", "description": "The price.", "parameters": price.parameters}
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["messages"][2:] == [
        {
            "role": "assistant",
            "content": "One moment.",
            "tool_calls": [
                {"function": {"name": "price", "arguments": {"of": "apple"}}},
                {"function": {"name": "price", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_name": "price", "content": "0.5"},
        {"role": "tool", "tool_name": "price", "content": "It still runs; there is no result yet."},
    ]


@pytest.mark.parametrize("check", conformance.LANGUAGE_MODEL)
async def test_the_adapter_conforms(check: conformance.Check[conformance.LlmUnderTest]) -> None:
    async with chat_server(answers) as gone:
        pass
    async with chat_server(answers) as server, httpx2.AsyncClient() as http:
        address = server.base_url.removesuffix("/v1")
        nowhere = OllamaLanguageModel(http, "llama3.2", gone.base_url)
        subject = conformance.LlmUnderTest(
            OllamaLanguageModel(http, "llama3.2", address), unreachable=nowhere
        )
        await check(subject)


async def _refuses(exchange: Exchange) -> None:
    await exchange.reply("no", status=429)


async def _breaks_off(exchange: Exchange) -> None:
    await exchange.reply(line("Hel"))


async def _reports(exchange: Exchange) -> None:
    await exchange.reply(line("Hel"), json.dumps({"error": "out of memory"}) + "\n")


async def _babbles(exchange: Exchange) -> None:
    await exchange.reply("<html>\n")


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [
        (_refuses, ErrorClass.RATE_LIMIT),
        (_breaks_off, ErrorClass.CONNECTION),
        (_reports, ErrorClass.TRANSIENT),
        (_babbles, ErrorClass.TRANSIENT),
    ],
)
async def test_errors_of_the_adapters_vendor_are_classified(
    answer: Callable[[Exchange], Any], error_class: ErrorClass
) -> None:
    async with chat_server(answer) as server, httpx2.AsyncClient() as http:
        model = OllamaLanguageModel(http, "llama3.2", server.base_url.removesuffix("/v1"))
        with pytest.raises(ProviderError) as caught:
            async with model.generate(QUESTION) as pieces:
                async for _ in pieces:
                    await trio.lowlevel.checkpoint()
    assert caught.value.failure.error_class is error_class


async def test_a_vendor_that_cannot_be_reached_is_a_lost_connection() -> None:
    async with chat_server(answers) as server:
        address = server.base_url.removesuffix("/v1")
    async with httpx2.AsyncClient() as http:
        with pytest.raises(ProviderError) as caught:
            await OllamaLanguageModel(http, "llama3.2", address).check()
    assert caught.value.failure.error_class is ErrorClass.CONNECTION


# --- the model of a policy --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_model_finds_a_policy_that_violates_an_invariant() -> None:
    class Careless(HotlineCalls):
        policy = evolve(HOTLINE, idle_after_ms=0)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Careless, settings=settings(max_examples=30, database=None))
