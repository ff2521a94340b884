"""What providers send beyond `machines/bounds.py`: an answer is cut, nothing grows, nobody waits."""

from __future__ import annotations

import gzip
import json
import zlib

import httpx2
import pytest
import trio

from adapters.http_clients import BodyTooLong
from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.chat import OpenAILanguageModel
from machines.bounds import LONGEST_ANSWER, LONGEST_BODY, LONGEST_ERROR_BODY, LONGEST_EVENT, MOST_CALLS
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from tests.adapters.openai.chat_server import DONE, EVENTS, Answer, Exchange, chat_server, chunk

TOOLS = [ToolSpec("a", "", {"type": "object"})]


def sending(*parts: bytes, status: int = 200, encoding: str = "", forever: bool = False) -> Answer:
    """Sends the parts, then the last one again and again if it is `forever`."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin(status, {**EVENTS, **({"content-encoding": encoding} if encoding else {})})
        for part in parts:
            await exchange.write(part)
        while forever:
            await exchange.write(parts[-1])
        await exchange.finish()

    return answer


async def said_by(http: httpx2.AsyncClient, answer: Answer) -> tuple[str, ProviderError | None]:
    said: list[str] = []
    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        try:
            async with model.generate([Message(Speaker.USER, "Hello?")], TOOLS) as pieces:
                async for piece in pieces:
                    assert isinstance(piece, str)
                    said.append(piece)
        except ProviderError as error:
            return "".join(said), error
    return "".join(said), None


async def test_providers_are_asked_not_to_compress(http: httpx2.AsyncClient) -> None:
    async with chat_server(sending(chunk("Hi.", "stop").encode(), DONE.encode())) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        async with model.generate([Message(Speaker.USER, "Hello?")]) as pieces:
            assert [piece async for piece in pieces] == ["Hi."]
    assert server.exchanges[0].headers["accept-encoding"] == "identity"


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _raw_deflate), ("identity", bytes)],
)
async def test_a_server_that_compresses_all_the_same_is_understood(
    http: httpx2.AsyncClient, encoding: str, compressed: type[bytes]
) -> None:
    whole = compressed((chunk("Hi ") + chunk("there.", "stop") + DONE).encode())
    parts = [whole[at : at + 20] for at in range(0, len(whole), 20)]
    assert await said_by(http, sending(*parts, encoding=encoding)) == ("Hi there.", None)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "rot13"])
async def test_an_unknown_compression_fails_the_request(http: httpx2.AsyncClient, encoding: str) -> None:
    said, error = await said_by(http, sending(b"\x0b\x02", encoding=encoding))
    assert not said
    assert error is not None
    assert "uncompressed" in error.failure.message


async def test_damaged_compression_fails_the_answer(http: httpx2.AsyncClient) -> None:
    whole = gzip.compress((chunk("Hi. ") * 50).encode())
    _, error = await said_by(http, sending(whole[:40] + b"\xff" * 40 + whole[80:], encoding="gzip"))
    assert error is not None
    assert error.failure.error_class in (ErrorClass.TRANSIENT, ErrorClass.CONNECTION)


THOUGHT = f"data: {json.dumps({'choices': [{'delta': {'reasoning': 'x' * 200_000}}]})}\n\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_response_without_end_is_an_answer_that_was_cut(
    http: httpx2.AsyncClient, encoding: str
) -> None:
    """What came first is said. A few hundred KB of gzip would else have become GB."""
    beginning, going_on = chunk("That is all I have to say.").encode(), THOUGHT.encode()
    if encoding:
        whole = gzip.compress(beginning + going_on * (2 * LONGEST_BODY // len(going_on)))
        answer = sending(whole, encoding=encoding)
    else:
        answer = sending(beginning, going_on, forever=True)
    assert await said_by(http, answer) == ("That is all I have to say.", None)


async def test_a_text_without_end_is_an_answer_that_was_cut(http: httpx2.AsyncClient) -> None:
    line = chunk("All work and no play. " * 40).encode()
    said, error = await said_by(http, sending(line, forever=True))
    assert error is None
    assert len(said) == LONGEST_ANSWER


async def test_an_event_without_end_is_the_servers_fault(http: httpx2.AsyncClient) -> None:
    begun = [chunk("Now then. ").encode(), b'data: {"choices": [{"delta": {"content": "']
    said, error = await said_by(http, sending(*begun, b"x" * 65_536, forever=True))
    assert said == "Now then. "
    assert error is not None
    assert error.failure.error_class is ErrorClass.TRANSIENT
    assert f"{LONGEST_EVENT:,} characters" in error.failure.message


async def test_calls_without_end_are_the_servers_fault(http: httpx2.AsyncClient) -> None:
    written = '<tool_call>{"name": "a", "arguments": {}}</tool_call>' * (2 * MOST_CALLS)
    said, error = await said_by(http, sending(chunk(written, "stop").encode(), DONE.encode()))
    assert not said
    assert error is not None
    assert error.failure.error_class is ErrorClass.TRANSIENT
    assert "without end" in error.failure.message


@pytest.mark.parametrize("status", [400, 500])
async def test_an_error_without_end_is_read_only_at_its_beginning(
    http: httpx2.AsyncClient, status: int
) -> None:
    with trio.fail_after(120):
        _, error = await said_by(http, sending(b"no " * 10_000, status=status, forever=True))
    assert error is not None
    assert f"HTTP {status}" in error.failure.message


async def test_any_other_response_without_end_fails(http: httpx2.AsyncClient) -> None:
    bomb = gzip.compress(bytes(2 * LONGEST_BODY))
    assert len(bomb) < LONGEST_ERROR_BODY
    async with chat_server(sending(bomb, encoding="gzip")) as server:
        with pytest.raises(BodyTooLong, match=f"{LONGEST_BODY:,} bytes"):
            await http.post(f"{server.base_url}/anything", json={})
