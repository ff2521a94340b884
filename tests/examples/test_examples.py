"""The examples do what they say."""

from __future__ import annotations

import asyncio
import json
import socket
import wave
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import hypercorn
import pytest
import trio
from attrs import evolve
from hypercorn.asyncio import serve
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock
from websockets.asyncio.client import connect

from adapters import conformance
from examples.asgi_host import make_app
from examples.minimal_host import ask, main
from examples.own_adapter import OllamaLanguageModel
from examples.policy_model import HOTLINE, HotlineCalls, TestHotline
from machines.history import Message, Speaker
from orchestrator import AudioIn, ConversationPolicy, ErrorClass, ProviderError, Settings, open_orchestrator
from orchestrator.asyncio_host import open_orchestrator as open_in_asyncio
from orchestrator.simulation import SimulatedProviders, SimulatedTextToSpeech, Speaking, script
from orchestrator.simulation.speech import silence, spoken
from tests.adapters.chat_server import Exchange, chat_server
from tests.adapters.conftest import Speech

__all__ = ["TestHotline"]

RATE = 16_000
PATIENCE_S = 20
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


# --- the ASGI host ----------------------------------------------------------------------------------------


async def _serve(host: Callable[[str], Any], providers: SimulatedProviders) -> None:
    """Run the example's application with Hypercorn's asyncio worker, and `host` with its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}/call"
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 0.2
    stop = asyncio.Event()
    policy = ConversationPolicy(endpoint_delay_ms=100)
    app = make_app(open_in_asyncio(Settings(), providers=providers.for_calls(), policy=policy))
    serving = asyncio.create_task(
        serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    )
    try:
        await host(address)
    finally:
        stop.set()
        await serving


def test_the_asgi_host_answers_callers_over_websockets(leaves_nothing: Watch) -> None:
    providers = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Speaking(ms_per_character=2))))

    async def caller(address: str) -> None:
        async with connect(address) as client:
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
        assert texts == [{"caller": "hello"}, {"answer": "You said hello."}, {"answer": "That was all."}]

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await _serve(caller, providers)

    with leaves_nothing():
        asyncio.run(run())
    assert providers.in_use() == 0


@pytest.mark.parametrize("who", ["the client", "the server"])
def test_a_call_of_the_asgi_host_that_breaks_off_leaves_nothing(who: str, leaves_nothing: Watch) -> None:
    providers = SimulatedProviders()

    async def caller(address: str) -> None:
        client = await connect(address)
        speaking = asyncio.create_task(_speak(client))
        while not isinstance(await client.recv(), bytes):
            pass
        speaking.cancel()
        clients.append(client)
        if who == "the client":
            client.transport.abort()
            while providers.in_use():  # noqa: ASYNC110 (nobody tells a client that is gone)
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


@pytest.mark.parametrize("check", conformance.LANGUAGE_MODEL)
async def test_the_adapter_conforms(check: conformance.Check[conformance.Thinking]) -> None:
    async with chat_server(answers) as gone:
        pass
    async with chat_server(answers) as server, httpx2.AsyncClient() as http:
        address = server.base_url.removesuffix("/v1")
        nowhere = OllamaLanguageModel(http, "llama3.2", gone.base_url)
        subject = conformance.Thinking(OllamaLanguageModel(http, "llama3.2", address), unreachable=nowhere)
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
async def test_what_goes_wrong_at_the_adapters_vendor_is_classed(
    answer: Callable[[Exchange], Any], error_class: ErrorClass
) -> None:
    async with chat_server(answer) as server, httpx2.AsyncClient() as http:
        model = OllamaLanguageModel(http, "llama3.2", server.base_url.removesuffix("/v1"))
        with pytest.raises(ProviderError) as caught:
            async with model.generate(QUESTION) as pieces:
                async for _ in pieces:
                    await trio.lowlevel.checkpoint()
    assert caught.value.failure.error_class is error_class


async def test_an_adapters_vendor_that_is_not_there_is_a_lost_connection() -> None:
    async with chat_server(answers) as server:
        address = server.base_url.removesuffix("/v1")
    async with httpx2.AsyncClient() as http:
        with pytest.raises(ProviderError) as caught:
            await OllamaLanguageModel(http, "llama3.2", address).check()
    assert caught.value.failure.error_class is ErrorClass.CONNECTION


# --- the model of a policy --------------------------------------------------------------------------------


def test_the_model_finds_a_policy_that_breaks_its_promises() -> None:
    class Careless(HotlineCalls):
        policy = evolve(HOTLINE, idle_after_ms=0)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Careless, settings=settings(max_examples=30, database=None))
