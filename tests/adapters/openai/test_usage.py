"""How many tokens a server says that an answer has taken: asked for, and read in whatever form it comes."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from adapters.interfaces import CountsTokens, TokensUsed
from adapters.openai.chat import OpenAILanguageModel
from adapters.openai.usage import tokens_used
from machines.history import Message, Speaker
from tests.adapters.openai.chat_server import DONE, JSON, Exchange, chat_server, chunk

PLAIN = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


@pytest.mark.parametrize(
    ("document", "cached"),
    [
        ({"usage": PLAIN}, 0),
        ({"x_groq": {"usage": PLAIN}}, 0),
        ({"usage": {**PLAIN, "prompt_tokens_details": {"cached_tokens": 8}}}, 8),
        ({"usage": {**PLAIN, "prompt_tokens_details": None}}, 0),
        ({"usage": {**PLAIN, "prompt_cache_hit_tokens": 4}}, 4),
        ({"usage": {**PLAIN, "prompt_tokens_details": {"cached_tokens": 800}}}, 12),
    ],
)
def test_tokens_are_read_as_servers_write_them(document: Any, cached: int) -> None:
    assert tokens_used(document) == TokensUsed(12, cached, 3)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"usage": None},
        {"usage": {"total_tokens": 9}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 3}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 3}},
        {"usage": {"prompt_tokens": 10**30, "completion_tokens": 3}},
        {"usage": {"prompt_tokens": "12", "completion_tokens": 3}},
    ],
)
def test_what_is_no_number_of_tokens_is_none(document: Any) -> None:
    assert tokens_used(document) is None


NAMES = ("usage", "x_groq", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(NAMES), values, max_size=4)


@given(SCALARS | objects(SCALARS | objects(SCALARS | objects(SCALARS))))
def test_whatever_a_server_writes_nothing_breaks(document: Any) -> None:
    found = tokens_used(document)
    assert found is None or found.cached <= found.prompt


# --- over the network -------------------------------------------------------------------------------------

QUESTION = [Message(Speaker.USER, "Hello?")]
STRICT = '{"detail": "Additional properties are not allowed"}'


async def used_by(model: OpenAILanguageModel) -> TokensUsed | None:
    with trio.fail_after(60):
        async with model.generate(QUESTION) as pieces:
            async for _ in pieces:
                pass
            assert isinstance(pieces, CountsTokens)
            return pieces.used


async def test_a_server_is_asked_and_what_it_tells_at_the_end_is_known(http: httpx2.AsyncClient) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.reply(chunk("Hi", "stop"), chunk(choices=[], usage=PLAIN), DONE)

    async with chat_server(answer) as server:
        assert await used_by(OpenAILanguageModel(http, server.base_url, "m")) == TokensUsed(12, 0, 3)
    assert server.exchanges[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "refusal",
    [
        '{"error": {"message": "Unrecognized request argument supplied: stream_options"}}',
        '{"error": {"message": "stream_options is not supported", "param": "stream_options"}}',
        '{"message": "this model does not support stream_options"}',
        STRICT,
    ],
)
async def test_a_server_that_refuses_to_be_asked_answers_without(
    refusal: str, http: httpx2.AsyncClient
) -> None:
    async def answer(exchange: Exchange) -> None:
        if "stream_options" in exchange.body:
            await exchange.reply(refusal, status=400, headers=JSON)
        else:
            await exchange.reply(chunk("Hi", "stop"), DONE)

    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        assert [await used_by(model) for _ in range(2)] == [None, None]
    assert ["stream_options" in each.body for each in server.exchanges] == [True, False, False]
    assert all(each.body["stream"] for each in server.exchanges)
