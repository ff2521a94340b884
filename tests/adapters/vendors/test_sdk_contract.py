"""The vendors' own SDKs against the simulators: every message they know, every parameter that we send.

If an SDK release breaks one of these tests, check the adapters before you change the pin in pyproject.toml.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args, get_type_hints

import cartesia
import httpx2
import openai
import pytest
import trio
from cartesia.lib import _tts as sockets
from cartesia.types import (
    GenerationRequestParam,
    TTSSSEEvent,
    generation_request_param,
    websocket_client_event_param,
    websocket_response,
)
from deepgram.listen.v1 import socket_client as nova_socket
from deepgram.listen.v1.client import AsyncV1Client
from deepgram.listen.v1.types import ListenV1Configure
from deepgram.listen.v2 import socket_client as flux_socket
from deepgram.listen.v2.client import AsyncV2Client
from deepgram.listen.v2.types import ListenV2Configure
from openai.types.chat import ChatCompletionMessageParam
from trio.testing import MockClock

from adapters.cartesia import BASE_URL
from adapters.cartesia import sdk as cartesia_sdk
from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram import sdk as deepgram_sdk
from adapters.deepgram.flux import DeepgramFlux, FluxSettings
from adapters.deepgram.nova import DeepgramNova
from adapters.gathering import GATHERED_MS
from adapters.simulators import Simulators, simulators
from adapters.simulators.cartesia import UNKNOWN_VOICE
from adapters.vendor_errors import UnknownSdkError
from adapters.vendor_socket import SocketLimits, open_vendor_socket
from tests.adapters.simulated_vendors import ADDRESS, KEY
from tests.adapters.vendors.stt_links import Emitted, be_silent, speak

LOUD = (b"\x00\x20\x00\xe0" * 80) * 100  # one second at 16 kHz
SILENT = bytes(32_000)


# --- Deepgram -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def deepgram_of_the_sdk(version: str, running: Simulators, **parameters: Any) -> AsyncIterator[Any]:
    client = deepgram_sdk.make_client(KEY, ADDRESS)
    connect = deepgram_sdk.listen(client, version, SocketLimits(), running.connect)
    async with connect(encoding="linear16", sample_rate=16_000, **parameters) as sock:
        yield sock


nova_of_the_sdk = partial(deepgram_of_the_sdk, "v1")
flux_of_the_sdk = partial(deepgram_of_the_sdk, "v2")


async def messages_until(sock: Any, kind: str) -> list[Any]:
    """The messages as the SDK parses them, up to the first of a kind."""
    received: list[Any] = []
    with trio.fail_after(60):
        while not received or getattr(received[-1], "type", None) != kind:
            received.append(await sock.recv())
    return received


async def test_every_message_of_deepgram_v1_is_received_and_every_request_accepted(
    vendors: Simulators, autojump_clock: MockClock
) -> None:
    options = {"interim_results": True, "vad_events": True, "utterance_end_ms": 1000, "endpointing": 300}
    seen: list[Any] = []
    async with nova_of_the_sdk(vendors, model="nova-3", **options) as sock:
        await sock.send_keep_alive()
        await sock.send_media(LOUD)
        await sock.send_media(SILENT * 2)
        seen += await messages_until(sock, "UtteranceEnd")
        await sock.send_configure(ListenV1Configure(keyterms=["Vantum"]))
        seen += await messages_until(sock, "ConfigureSuccess")
        await sock.send_media(LOUD)
        await sock.send_finalize()
        while not getattr(seen[-1], "from_finalize", False):
            seen += await messages_until(sock, "Results")
        await sock._send('{"type": "Nonsense"}')
        seen += await messages_until(sock, "Error")
        await sock.send_close_stream()
        seen += await messages_until(sock, "Metadata")
    async with nova_of_the_sdk(vendors, model="nova-2") as sock:
        await sock.send_configure(ListenV1Configure(keyterms=["Vantum"]))
        seen += await messages_until(sock, "ConfigureFailure")
    assert {type(message) for message in seen} == set(get_args(nova_socket.V1SocketClientResponse))
    for message in seen:
        type(message).model_validate(message.model_dump())  # nothing that the SDK documents is missing


async def test_every_message_of_deepgram_v2_is_received_and_every_request_accepted(
    vendors: Simulators, autojump_clock: MockClock
) -> None:
    seen: list[Any] = []
    async with flux_of_the_sdk(vendors, model="flux-general-multi", eager_eot_threshold=0.4) as sock:
        seen += await messages_until(sock, "Connected")
        await sock.send_media(LOUD + bytes(9600) + LOUD)
        await sock.send_force_end_turn()
        while getattr(seen[-1], "event", None) != "EndOfTurn":
            seen += await messages_until(sock, "TurnInfo")
        events = {one.event for one in seen if one.type == "TurnInfo"}
        assert events == {"StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn"}
        assert seen[-1].trigger == "manual"
        await sock.send_configure(ListenV2Configure(numerals=True))
        seen += await messages_until(sock, "ConfigureSuccess")
        await sock.send_close_stream()
    async with flux_of_the_sdk(vendors, model="flux-general-en") as sock:
        await sock.send_configure(ListenV2Configure(language_hints=["de"]))
        seen += await messages_until(sock, "ConfigureFailure")
        await sock._send('{"type": "KeepAlive"}')
        seen += await messages_until(sock, "Error")
    assert {type(message) for message in seen} == set(get_args(flux_socket.V2SocketClientResponse))
    sequence = [message.sequence_id for message in seen[: len(seen) - 2]]
    assert sequence[:5] == [0, 1, 2, 3, 4]


def names(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


async def test_defect_23_what_deepgram_is_asked_for_arrives(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US"):
        pass
    (exchange,) = vendors.requests
    assert exchange.path == "/v1/listen"
    assert {name: values[0] for name, values in exchange.query.items()} == {
        "model": "nova-2",
        "language": "en-US",
        "encoding": "linear16",
        "sample_rate": "16000",
        "channels": "1",
        "interim_results": "true",
        "smart_format": "false",
        "punctuate": "true",
        "numerals": "true",
        "endpointing": "300",
        "utterance_end_ms": "1000",
        "vad_events": "true",
    }
    assert set(exchange.query) <= names(AsyncV1Client.connect)
    assert exchange.headers["authorization"] == "Token"
    assert exchange.headers["user-agent"].startswith("deepgram-sdk/")


async def test_what_flux_is_asked_for_arrives(
    vendors: Simulators, autojump_clock: MockClock, emitted: Emitted
) -> None:
    settings = FluxSettings(keyterms=("Vantum", "machine"))
    flux = DeepgramFlux(KEY, base_url=ADDRESS, settings=settings, open_stream=vendors.connect)
    async with flux.open(emitted, "en"):
        pass
    (exchange,) = vendors.requests
    assert exchange.path == "/v2/listen"
    assert exchange.query == {
        "model": ["flux-general-en"],
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        "eager_eot_threshold": ["0.4"],
        "eot_threshold": ["0.7"],
        "eot_timeout_ms": ["5000"],
        "keyterm": ["Vantum", "machine"],
    }
    assert set(exchange.query) <= names(AsyncV2Client.connect)


async def test_defect_22_the_rate_that_is_declared_is_the_rate_that_is_sent(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 1)
    (exchange,) = vendors.requests
    seconds = exchange.audio_bytes / 2 / int(exchange.query["sample_rate"][0])
    assert seconds == pytest.approx(2.0, abs=GATHERED_MS / 1000), "the last of it waits for more"


def test_a_deepgram_sdk_that_has_moved_a_name_is_recognized() -> None:
    deepgram_sdk.require_known_sdk()

    class AsyncV1Client:
        async def connect(self) -> None: ...

    changed = types.ModuleType("deepgram.listen.v1.client")
    changed.AsyncV1Client = AsyncV1Client  # type: ignore[attr-defined]
    with pytest.raises(UnknownSdkError, match=r"AsyncV1Client\.connect"):
        deepgram_sdk._generator_of(changed)

    @asynccontextmanager
    async def connect() -> AsyncIterator[None]:
        yield

    AsyncV1Client.connect = connect  # type: ignore[method-assign, assignment]
    with pytest.raises(UnknownSdkError, match="websockets_client_connect"):
        deepgram_sdk._generator_of(changed)


# --- Cartesia -----------------------------------------------------------------------------------------------


async def test_every_message_of_cartesia_is_received_and_every_request_accepted(
    vendors: Simulators, autojump_clock: MockClock
) -> None:
    client = cartesia_sdk.make_client(KEY, ADDRESS)
    seen: list[Any] = []
    async with open_vendor_socket(
        cartesia_sdk.socket_url(client), cartesia_sdk.headers(client), open_stream=vendors.connect
    ) as socket:
        sdk = cartesia_sdk.connection_over(socket)
        request: GenerationRequestParam = {
            "context_id": "one",
            "model_id": "sonic-3",
            "transcript": "Hello there.",
            "voice": {"id": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44_100},
            "add_timestamps": True,
            "add_phoneme_timestamps": True,
            "continue": True,
        }
        await sdk.send(request)
        await sdk.send({**request, "transcript": "", "flush": True})
        await sdk.send({**request, "transcript": "", "continue": False})
        await sdk.send({**request, "context_id": "two", "voice": UNKNOWN_VOICE})
        await sdk.send({**request, "context_id": "three"})
        await sdk.send({"context_id": "three", "cancel": True})
        while not {"done", "error"} <= {event.type for event in seen}:
            seen.append(await sdk.recv())
    kinds = get_args(get_args(websocket_response.WebsocketResponse)[0])
    assert {type(event) for event in seen} == set(kinds)
    for event in seen:
        type(event).model_validate(event.model_dump())
    assert vendors.records.contexts["three"].cancelled


async def test_what_cartesia_is_asked_for_is_what_its_sdk_documents(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en-US") as voice:
        async with voice.speak(48_000, None) as stream:
            await stream.say(0, "Hello.")
            await stream.end()
            async for _ in stream:
                pass
        async with voice.speak(48_000, None) as stream:
            await stream.say(0, "Bye.")
    (exchange,) = vendors.requests
    assert exchange.path == "/tts/websocket"
    assert exchange.headers["cartesia-version"] == "2026-08-14"
    text, flush, end, *_, cancel = exchange.messages
    context_id = text["context_id"]
    common = {
        "context_id": context_id,
        "model_id": "sonic-3",
        "voice": {"mode": "id", "id": "c961b81c-a935-4c17-bfb3-ba2239de8c2f"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 48_000},
        "add_timestamps": True,
        "max_buffer_delay_ms": 0,
        "language": "en",
    }
    assert text == {**common, "transcript": "Hello. ", "continue": True}
    assert flush == {**common, "transcript": "", "continue": True, "flush": True}
    assert end == {**common, "transcript": "", "continue": False}
    assert set(cancel) == set(get_type_hints(websocket_client_event_param.CancelContextRequest))
    documented = set(get_type_hints(generation_request_param.GenerationRequestParam)) | {"continue"}
    assert all(set(message) <= documented for message in (text, flush, end))


def test_a_cartesia_sdk_that_has_moved_a_name_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    cartesia_sdk.require_known_sdk()
    monkeypatch.delattr(sockets.AsyncTTSResourceConnectionManager, "_prepare_url")
    with pytest.raises(UnknownSdkError, match="_prepare_url"):
        CartesiaTextToSpeech(KEY)


def test_cartesias_address_is_the_one_that_was_given() -> None:
    assert cartesia_sdk.socket_url(cartesia_sdk.make_client(KEY, BASE_URL)) == (
        "wss://api.cartesia.ai/tts/websocket"
    )
    client = cartesia_sdk.make_client(KEY, "http://127.0.0.1:9100/")
    assert cartesia_sdk.socket_url(client) == "ws://127.0.0.1:9100/tts/websocket"
    with pytest.raises(ValueError, match="https://"):
        cartesia_sdk.make_client(KEY, "127.0.0.1:9100")


async def test_cartesias_other_interfaces_answer_its_sdk() -> None:
    async with simulators(keys=[KEY]) as running:
        request: dict[str, Any] = {
            "model_id": "sonic-3",
            "transcript": "Hello there.",
            "voice": {"id": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
        }
        async with cartesia.AsyncCartesia(
            api_key=KEY, base_url=running.cartesia_url, max_retries=0
        ) as client:
            response = await client.tts.generate(**request)
            audio = await response.read()
            stream = await client.tts.generate_sse(
                **request, add_timestamps=True, add_phoneme_timestamps=True
            )
            async with stream:
                events = [event async for event in stream]
            with pytest.raises(cartesia.NotFoundError):
                await client.tts.generate(**{**request, "model_id": "other"})
        kinds = {event.type for event in events}
        with trio.fail_after(60):
            await running.all_closed()
    assert len(audio) == pytest.approx(0.66 * 16_000 * 2, rel=0.01)
    assert b"".join(event.audio or b"" for event in events if event.type == "chunk") == audio
    all_kinds = {kind.model_fields["type"].annotation for kind in get_args(get_args(TTSSSEEvent)[0])}
    assert kinds | {"error"} == {get_args(kind)[0] for kind in all_kinds}


# --- OpenAI -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def openai_of_the_sdk(running: Simulators, key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    async with httpx2.AsyncClient() as http:
        yield openai.AsyncOpenAI(api_key=key, base_url=running.openai_url, http_client=http, max_retries=0)


HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


async def test_openais_sdk_gets_models_and_answers_whole_and_streamed() -> None:
    async with simulators(keys=[KEY]) as running:
        async with openai_of_the_sdk(running) as client:
            models = [model.id async for model in client.models.list()]
            whole = await client.chat.completions.create(model="gpt-4.1", messages=HELLO)
            stream = await client.chat.completions.create(
                model="gpt-4.1", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
            async with stream:
                chunks = [chunk async for chunk in stream]
            short = await client.chat.completions.create(model="gpt-4.1", messages=HELLO, max_tokens=2)
        with trio.fail_after(60):
            await running.all_closed()
    assert "gpt-4.1-2025-04-14" in models
    text = whole.choices[0].message.content
    assert text is not None
    assert text.startswith("Hello! This is Alex. ||BREAK||")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert (short.choices[0].finish_reason, short.choices[0].message.content) == ("length", "Hello!")
    for chunk in chunks:
        type(chunk).model_validate(chunk.model_dump())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"model": "other"}, openai.NotFoundError),
        ({"messages": []}, openai.BadRequestError),
        ({"temperature": 3}, openai.BadRequestError),
        ({"extra_body": {"invented": 1}}, openai.BadRequestError),
        ({"messages": [{"role": "nobody", "content": "Hi"}]}, openai.BadRequestError),
    ],
)
async def test_openai_refuses_what_it_would_refuse(
    request_: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    async with simulators(keys=[KEY]) as running, openai_of_the_sdk(running) as client:
        refused: openai.APIStatusError | None = None
        try:
            await client.chat.completions.create(**{"model": "gpt-4.1", "messages": HELLO, **request_})
        except openai.APIStatusError as raised:
            refused = raised
        assert type(refused) is error


async def test_openai_refuses_a_wrong_key() -> None:
    async with simulators(keys=[KEY]) as running, openai_of_the_sdk(running, "sk-wrong") as client:
        refused: Exception | None = None
        try:
            await client.models.list()
        except openai.APIStatusError as raised:
            refused = raised
        assert isinstance(refused, openai.AuthenticationError)
        assert refused.code == "invalid_api_key"
