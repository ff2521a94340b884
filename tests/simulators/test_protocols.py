"""The simulators are as strict as the real vendors and answer like them, with any client."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.trio.client import ClientConnection, connect

from adapters.simulators import Fault, FaultKind, Latencies, Script, Simulators, simulators

KEY = "a-key"
TOKEN = {"Authorization": f"Token {KEY}"}
BEARER = {"Authorization": f"Bearer {KEY}", "Cartesia-Version": "2026-08-14"}
LISTEN = "/v1/listen?model=nova-2&encoding=linear16&sample_rate=16000"
FLUX = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000"
LOUD = (b"\x00\x20\x00\xe0" * 80) * 100
GENERATE: Mapping[str, Any] = {
    "context_id": "one",
    "model_id": "sonic-3",
    "transcript": "Hello there.",
    "voice": {"mode": "id", "id": "any"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
    "continue": True,
}


@asynccontextmanager
async def websocket(
    running: Simulators, path: str, headers: Mapping[str, str]
) -> AsyncIterator[ClientConnection]:
    stream = await running.connect()
    uri = f"ws://simulated{path}"
    async with connect(uri, stream=stream, additional_headers=headers, proxy=None) as client:
        yield client


async def refusal(running: Simulators, path: str, headers: Mapping[str, str]) -> InvalidStatus:
    refused: InvalidStatus | None = None
    try:
        async with websocket(running, path, headers):
            pass
    except InvalidStatus as error:
        refused = error
    assert refused is not None
    return refused


async def replies(client: ClientConnection, until: str) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = []
    with trio.fail_after(120):
        while not received or received[-1]["type"] != until:
            received.append(json.loads(await client.recv()))
    return received


# --- Deepgram -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (LISTEN, {}, 401),
        (LISTEN, {"Authorization": "Token wrong"}, 401),
        (LISTEN, {"Authorization": f"Basic {KEY}"}, 401),
        ("/v1/listen?model=nova-2&encoding=linear16", TOKEN, 400),
        ("/v1/listen?model=nova-2&encoding=opus&sample_rate=16000", TOKEN, 400),
        (LISTEN + "&utterance_end_ms=1000", TOKEN, 400),
        (LISTEN + "&interim_results=true&utterance_end_ms=500", TOKEN, 400),
        (LISTEN + "&vad_events=yes", TOKEN, 400),
        (LISTEN + "&utterances=true", TOKEN, 400),
        (LISTEN.replace("nova-2", "flux-general-en"), TOKEN, 400),
        (FLUX.replace("flux-general-en", "nova-3"), TOKEN, 400),
        (FLUX + "&eot_threshold=0.2", TOKEN, 400),
        (FLUX + "&language_hint=de", TOKEN, 400),
        (FLUX + "&interim_results=true", TOKEN, 400),
        ("/v3/listen", TOKEN, 400),
    ],
)
async def test_deepgram_refuses_what_it_would_refuse(
    autojump_clock: MockClock, path: str, headers: Mapping[str, str], status: int
) -> None:
    async with simulators(keys=[KEY]) as running:
        refused = await refusal(running, path, headers)
        assert refused.response.status_code == status
        assert running.requests[0].refused == status
        await running.all_closed()


async def test_deepgram_says_in_a_header_why_it_refuses(autojump_clock: MockClock) -> None:
    async with simulators() as running:
        refused = await refusal(running, LISTEN + "&vad_events=yes", TOKEN)
    assert "vad_events" in refused.response.headers["dg-error"]
    assert refused.response.headers["dg-request-id"]


@pytest.mark.parametrize("path", [LISTEN, FLUX])
async def test_deepgram_closes_a_connection_without_audio(autojump_clock: MockClock, path: str) -> None:
    async with simulators() as running, websocket(running, path, TOKEN) as client:
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                await client.recv()
        assert 9 < trio.current_time() < 13
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011
    assert caught.value.rcvd.reason.startswith("NET-0001")


async def test_an_empty_message_ends_a_connection_to_deepgram(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, LISTEN, TOKEN) as client:
        await client.send(b"")
        assert (await replies(client, "Metadata"))[-1]["duration"] == 0


async def test_without_vad_events_none_are_sent(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, LISTEN, TOKEN) as client:
        await client.send(LOUD)
        await client.send('{"type": "CloseStream"}')
        kinds = {message["type"] for message in await replies(client, "Metadata")}
    assert kinds == {"Results", "Metadata"}


async def test_words_lie_in_the_audio_in_which_they_were_spoken(autojump_clock: MockClock) -> None:
    script = Script(caller_says=("one two", "three"))
    async with simulators(script=script) as running, websocket(running, LISTEN, TOKEN) as client:
        await client.send(bytes(32_000) + LOUD + bytes(32_000) + LOUD)
        await client.send('{"type": "Finalize"}')
        await client.send('{"type": "CloseStream"}')
        results = [one for one in await replies(client, "Metadata") if one["type"] == "Results"]
    words = [word for one in results for word in one["channel"]["alternatives"][0]["words"]]
    assert [word["word"] for word in words] == ["one", "two", "three"]
    assert 0.9 < words[0]["start"] < words[0]["end"] <= words[1]["start"] < 2.1
    assert 2.9 < words[2]["start"] < words[2]["end"] < 4.1
    spans = [(one["start"], one["start"] + one["duration"]) for one in results if one["is_final"]]
    assert all(before[1] == pytest.approx(after[0]) for before, after in itertools.pairwise(spans))


async def test_flux_does_not_know_keep_alive(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, FLUX, TOKEN) as client:
        await client.send('{"type": "KeepAlive"}')
        assert (await replies(client, "Error"))[-1]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_an_end_forced_without_a_turn_is_ignored_by_flux(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, FLUX, TOKEN) as client:
        await client.send('{"type": "ForceEndTurn"}')
        await client.send(LOUD)
        received = await replies(client, "TurnInfo")
    assert [one.get("event") for one in received] == [None, "StartOfTurn"]


async def test_with_the_highest_threshold_flux_ends_no_turn_before_its_timeout(
    autojump_clock: MockClock,
) -> None:
    path = FLUX + "&eot_threshold=1.0&eot_timeout_ms=2000"
    async with simulators() as running, websocket(running, path, TOKEN) as client:
        await client.send(LOUD + bytes(32_000 * 3))
        await client.send('{"type": "CloseStream"}')
        ends = []
        with pytest.raises(ConnectionClosed):
            while True:
                message = json.loads(await client.recv())
                if message.get("event") == "EndOfTurn":
                    ends.append(message)
    assert [end["trigger"] for end in ends] == ["timeout"]
    assert ends[0]["audio_window_end"] == pytest.approx(3.0, abs=0.1)


# --- Cartesia -----------------------------------------------------------------------------------------------


async def test_cartesia_wants_a_key_and_a_version(autojump_clock: MockClock) -> None:
    async with simulators(keys=[KEY]) as running:
        path = "/tts/websocket"
        assert (await refusal(running, path, {})).response.status_code == 401
        assert (
            await refusal(running, path, TOKEN | {"Authorization": "Bearer x"})
        ).response.status_code == 401
        refused = await refusal(running, path, {"Authorization": f"Bearer {KEY}"})
        assert refused.response.status_code == 400
        async with websocket(running, f"{path}?api_key={KEY}&cartesia_version=2025-04-16", {}):
            pass  # as older clients do
        async with websocket(running, path, {"X-API-Key": KEY, "Cartesia-Version": "2025-04-16"}):
            pass


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[]", "invalid_request"),
        ("not JSON", "invalid_request"),
        ({"cancel": True}, "invalid_request"),
        ({"context_id": "one"}, "invalid_request"),
        ({**GENERATE, "model_id": "other"}, "model_not_found"),
        ({**GENERATE, "voice": {}}, "invalid_request"),
        ({**GENERATE, "invented": 1}, "invalid_request"),
        ({**GENERATE, "max_buffer_delay_ms": 9000}, "invalid_request"),
        ({**GENERATE, "output_format": {"container": "raw", "encoding": "pcm_s16le"}}, "invalid_request"),
        (
            {**GENERATE, "output_format": {**GENERATE["output_format"], "sample_rate": 11025}},
            "invalid_request",
        ),
    ],
)
async def test_cartesia_answers_a_bad_message_with_an_error(
    autojump_clock: MockClock, message: object, code: str
) -> None:
    async with simulators() as running, websocket(running, "/tts/websocket", BEARER) as client:
        await client.send(message if isinstance(message, str) else json.dumps(message))
        (error,) = await replies(client, "error")
    assert (error["error_code"], error["done"]) == (code, True)


async def test_only_the_text_may_change_within_a_context(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, "/tts/websocket", BEARER) as client:
        await client.send(json.dumps(GENERATE))
        await client.send(json.dumps({**GENERATE, "language": "de"}))
        assert (await replies(client, "error"))[-1]["error_code"] == "invalid_request"


async def test_a_context_ends_a_second_after_its_last_audio(autojump_clock: MockClock) -> None:
    async with simulators() as running, websocket(running, "/tts/websocket", BEARER) as client:
        await client.send(json.dumps(GENERATE))
        await replies(client, "done")
        assert trio.current_time() == pytest.approx(1.0)
        await client.send(json.dumps(GENERATE))
        assert (await replies(client, "error"))[-1]["error_code"] == "context_closed"


async def test_a_cancelled_context_sends_nothing_more(autojump_clock: MockClock) -> None:
    latencies = Latencies()
    async with (
        simulators(latencies=latencies) as running,
        websocket(running, "/tts/websocket", BEARER) as client,
    ):
        await client.send(json.dumps({**GENERATE, "transcript": "A sentence of many words. " * 5}))
        await replies(client, "chunk")
        await client.send(json.dumps({"context_id": "one", "cancel": True}))
        with trio.move_on_after(10):
            while True:
                await client.recv()
    context = running.records.contexts["one"]
    assert context.cancelled
    assert not context.finished
    assert running.requests[0].sent < 8


@pytest.mark.parametrize("order", range(5))
async def test_a_client_that_sends_while_it_is_closed_is_told_the_code(
    autojump_clock: MockClock, order: int
) -> None:
    """Whatever the order in which Trio runs the simulator's tasks and the client."""
    del order  # each test runs in another order
    close = Fault(FaultKind.CLOSE, "cartesia", after=1, code=1011)
    async with (
        simulators(faults=[close]) as running,
        websocket(running, "/tts/websocket", BEARER) as client,
    ):
        with pytest.raises(ConnectionClosed) as caught:
            for _ in range(100):
                await client.send(json.dumps({**GENERATE, "flush": True}))
            await client.recv()
            await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011


# --- OpenAI, and what is common -----------------------------------------------------------------------------


async def test_answers_are_chosen_by_what_the_user_said() -> None:
    async with simulators() as running, httpx2.AsyncClient(headers=BEARER) as http:
        answers = []
        for said in ("Hello", "What does it cost?", "Something else"):
            messages = [{"role": "system", "content": "hello"}, {"role": "user", "content": said}]
            body = {"model": "gpt-4.1", "messages": messages}
            response = await http.post(f"{running.openai_url}/chat/completions", json=body)
            answers.append(response.json()["choices"][0]["message"]["content"])
    assert answers[0].startswith("Hello!")
    assert "dollars" in answers[1]
    assert answers[2].startswith("You said: Something else")


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/tts/bytes", b"{}", 400),
        ("POST", "/tts/sse", b"3", 400),
        ("GET", "/v1/listen", b"", 426),
        ("GET", "/nowhere", b"", 404),
        ("POST", "/v1/models", b"", 404),
    ],
)
async def test_a_malformed_request_is_refused(method: str, path: str, content: bytes, status: int) -> None:
    async with simulators() as running:
        async with httpx2.AsyncClient(headers=BEARER) as http:
            response = await http.request(method, f"{running.url}{path}", content=content)
            assert response.status_code == status
            again = await http.get(f"{running.openai_url}/models")
            assert again.status_code == 200
        with trio.fail_after(60):
            await running.all_closed()


@pytest.mark.parametrize("sent", [b"", b"GET", b"\x00\xff garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
async def test_bytes_that_are_not_a_request_end_only_their_connection(sent: bytes) -> None:
    async with simulators() as running:
        stream = await running.connect()
        if sent:
            await stream.send_all(sent)
        await stream.aclose()
        with trio.fail_after(60):
            await running.all_closed()
            async with httpx2.AsyncClient(headers=BEARER) as http:
                assert (await http.get(f"{running.openai_url}/models")).status_code == 200


async def test_no_key_is_kept_in_the_records() -> None:
    async with simulators() as running, httpx2.AsyncClient(headers={**BEARER, "X-API-Key": KEY}) as http:
        await http.get(f"{running.openai_url}/models")
        assert KEY not in str(running.records)
        assert running.requests[0].headers["authorization"] == "Bearer"


async def test_the_same_seed_gives_the_same_call(autojump_clock: MockClock) -> None:
    async def call(seed: int) -> list[tuple[float, str]]:
        started = trio.current_time()
        path = LISTEN + "&interim_results=true&vad_events=true"
        async with (
            simulators(seed=seed, latencies=Latencies()) as running,
            websocket(running, path, TOKEN) as client,
        ):
            await client.send(LOUD + bytes(32_000))
            await client.send('{"type": "CloseStream"}')
            received = []
            with pytest.raises(ConnectionClosed):
                while True:
                    received.append((round(trio.current_time() - started, 6), str(await client.recv())))
        return received

    first = await call(1)
    assert [text for _, text in first] == [text for _, text in await call(1)]
    assert [at for at, _ in first] == [pytest.approx(at, abs=1e-6) for at, _ in await call(1)]
    assert first != await call(2)
