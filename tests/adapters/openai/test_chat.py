"""The OpenAI adapter against a server on loopback: requests, streams, and the classes of errors."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import trio

from adapters.interfaces import ProviderError
from adapters.openai.chat import OpenAILanguageModel
from adapters.openai.messages import GO_ON
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import ToolCall
from tests.adapters.openai.chat_server import DONE, EVENTS, JSON, Answer, Exchange, chat_server, chunk

KEY = "sk-test-0123456789abcdef"
QUESTION = [Message(Speaker.SYSTEM, "Be short."), Message(Speaker.USER, "Hello?")]


def replying(*lines: str, status: int = 200, headers: dict[str, str] = EVENTS) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.reply(*lines, status=status, headers=headers)

    return answer


async def collect(
    model: OpenAILanguageModel, into: list[str | ToolCall] | None = None
) -> list[str | ToolCall]:
    pieces = [] if into is None else into
    with trio.fail_after(60):
        async with model.generate(QUESTION) as stream:
            async for piece in stream:
                pieces.append(piece)
    return pieces


async def failure_of(
    http: httpx2.AsyncClient, answer: Answer, into: list[str | ToolCall] | None = None
) -> ProviderError:
    async with chat_server(answer) as server:
        with pytest.raises(ProviderError) as raised:
            await collect(OpenAILanguageModel(http, server.base_url, "m", KEY), into)
    assert KEY not in str(raised.value) + repr(raised.value) + raised.value.failure.message
    return raised.value


# --- what is sent -----------------------------------------------------------------------------------------


async def test_a_request_carries_the_key_the_messages_and_what_was_set(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(chunk("Hi", "stop"), DONE)) as server:
        model = OpenAILanguageModel(
            http, server.base_url, "gpt-x", KEY, temperature=0.7, max_tokens=50, presence_penalty=0.5
        )
        await collect(model)
    (exchange,) = server.exchanges
    assert exchange.path == "/v1/chat/completions"
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    assert exchange.body == {
        "model": "gpt-x",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hello?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "max_tokens": 50,
        "presence_penalty": 0.5,
    }


async def test_the_organization_is_named_if_there_is_one(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(chunk("Hi"), DONE)) as server:
        await collect(OpenAILanguageModel(http, server.base_url, "m", KEY, organization="org-ours"))
        await collect(OpenAILanguageModel(http, server.base_url, "m", KEY))
    with_one, without = server.exchanges
    assert with_one.headers["openai-organization"] == "org-ours"
    assert "openai-organization" not in without.headers


async def test_extra_fields_go_into_the_request(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(chunk("Hi"), DONE)) as server:
        await collect(OpenAILanguageModel(http, server.base_url, "m", extra_body={"repeat_penalty": 1.1}))
    assert server.exchanges[0].body["repeat_penalty"] == 1.1


async def test_the_model_is_sent_only_the_heard_part_of_an_answer(http: httpx2.AsyncClient) -> None:
    said = Message(Speaker.ASSISTANT, "I was", interrupted=True, heard_ms=300, unheard=" about to say more")
    async with (
        chat_server(replying(chunk("Hi"), DONE)) as server,
        OpenAILanguageModel(http, server.base_url, "m").generate([*QUESTION, said]) as stream,
    ):
        assert [piece async for piece in stream] == ["Hi"]
    assert server.exchanges[0].body["messages"][2:] == [
        {"role": "assistant", "content": "I was"},
        {"role": "user", "content": GO_ON},
    ]


# --- what is read -----------------------------------------------------------------------------------------


async def test_text_arrives_piece_by_piece_while_the_server_still_writes(http: httpx2.AsyncClient) -> None:
    got_first = trio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(chunk("Good "))
        await got_first.wait()
        await exchange.write(chunk("morning.") + chunk(finish="stop") + DONE)
        await exchange.finish()

    async with chat_server(answer) as server:
        with trio.fail_after(60):
            async with OpenAILanguageModel(http, server.base_url, "m").generate(QUESTION) as stream:
                assert await anext(stream) == "Good "
                got_first.set()
                assert [piece async for piece in stream] == ["morning."]


@pytest.mark.parametrize(
    ("lines", "pieces"),
    [
        ([": ping\n\n", chunk("x"), "\n", ": ping\n\n", chunk("b", "stop"), DONE], ["", "x", "", "b"]),
        (["event: message\nid: 7\nretry: 10\n" + chunk("x", "stop")], ["x"]),
        ([chunk("x").replace("data: ", "data:"), DONE], ["x"]),
        ([chunk("x").replace("\n", "\r\n"), DONE], ["x"]),
        ([chunk("", choices=[]), chunk("x"), chunk(choices=[], usage=None), DONE], ["x"]),
        ([chunk("x", "length")], ["x"]),
        ([chunk("x", "of_another_server"), DONE], ["x"]),
        (['data: {"choices": [{"delta": {"content": "x"}}]}\n\n', DONE], ["x"]),
        ([chunk("x"), "data: [DONE]\n\n", chunk("after the end")], ["x"]),
    ],
)
async def test_streams_of_all_kinds_are_read(
    http: httpx2.AsyncClient, lines: list[str], pieces: list[str]
) -> None:
    async with chat_server(replying(*lines)) as server:
        assert await collect(OpenAILanguageModel(http, server.base_url, "m")) == pieces


async def test_characters_cut_between_two_packets_are_put_together(http: httpx2.AsyncClient) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        line = (chunk("$", "stop").replace("$", "Grüße 🙂") + DONE).encode()
        for at in range(len(line)):
            await exchange.write(line[at : at + 1])
        await exchange.finish()

    async with chat_server(answer) as server:
        assert await collect(OpenAILanguageModel(http, server.base_url, "m")) == ["Grüße 🙂"]


async def test_answers_one_after_the_other_use_one_connection(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(chunk("a", "stop"), DONE)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        for _ in range(5):
            await collect(model)
        assert server.connections == 1


# --- stopping ---------------------------------------------------------------------------------------------


def endless(hung_up: trio.Event) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(chunk("word "))
        await exchange.hung_up()
        hung_up.set()

    return answer


async def test_leaving_the_context_stops_the_generation_at_the_server(http: httpx2.AsyncClient) -> None:
    hung_up = trio.Event()
    async with chat_server(endless(hung_up)) as server:
        async with OpenAILanguageModel(http, server.base_url, "m").generate(QUESTION) as stream:
            assert await anext(stream) == "word "
        with trio.fail_after(60):
            await hung_up.wait()


async def test_cancelling_stops_the_generation_at_the_server(http: httpx2.AsyncClient) -> None:
    hung_up = trio.Event()
    async with chat_server(endless(hung_up)) as server:
        with trio.CancelScope() as scope:
            async with OpenAILanguageModel(http, server.base_url, "m").generate(QUESTION) as stream:
                async for _ in stream:
                    scope.cancel()
        assert scope.cancelled_caught
        with trio.fail_after(60):
            await hung_up.wait()


async def test_many_broken_off_answers_use_up_no_connections() -> None:
    hung_up = trio.Event()
    limits = httpx2.Limits(max_connections=2)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as http, chat_server(endless(hung_up)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        for number in range(10):
            with trio.CancelScope() as scope:
                async with model.generate(QUESTION) as stream:
                    assert await anext(stream) == "word "
                    if number % 2:
                        scope.cancel()
                        await trio.lowlevel.checkpoint()
        assert server.connections == 10


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "error_class"),
    [
        (400, {"message": "no"}, ErrorClass.REFUSED_REQUEST),
        (401, {"message": f"Incorrect API key provided: {KEY}."}, ErrorClass.AUTH),
        (401, {"type": "invalid_request_error", "message": "who?"}, ErrorClass.AUTH),
        (403, {"message": "region"}, ErrorClass.AUTH),
        (403, {"type": "invalid_request_error", "code": "unknown", "message": "no"}, ErrorClass.AUTH),
        (403, {"code": "model_not_found", "message": "not for you"}, ErrorClass.FATAL),
        (403, {"type": "insufficient_quota", "message": "pay"}, ErrorClass.FATAL),
        (404, {"code": "model_not_found", "message": "no model m"}, ErrorClass.FATAL),
        (408, {"message": "slow"}, ErrorClass.TIMEOUT),
        (409, {"message": "busy"}, ErrorClass.TRANSIENT),
        (402, {"type": "invalid_request_error", "message": "pay"}, ErrorClass.FATAL),
        (404, {"type": "invalid_request_error", "message": "no model m"}, ErrorClass.FATAL),
        (400, {"type": "invalid_request_error", "code": "model_decommissioned"}, ErrorClass.FATAL),
        (400, {"type": "invalid_request_error", "message": "no"}, ErrorClass.REFUSED_REQUEST),
        (422, {"message": "no"}, ErrorClass.REFUSED_REQUEST),
        (429, {"message": "slow down"}, ErrorClass.RATE_LIMIT),
        (429, {"code": "insufficient_quota", "message": "pay"}, ErrorClass.FATAL),
        (500, {"message": "oops"}, ErrorClass.TRANSIENT),
        (503, {"message": "loading"}, ErrorClass.TRANSIENT),
        (504, {"message": "upstream"}, ErrorClass.TIMEOUT),
    ],
)
async def test_each_status_has_its_class(
    http: httpx2.AsyncClient, status: int, body: dict[str, Any], error_class: ErrorClass
) -> None:
    requests: list[Exchange] = []

    async def answer(exchange: Exchange) -> None:
        requests.append(exchange)
        await exchange.reply(httpx2.Response(200, json={"error": body}).text, status=status, headers=JSON)

    error = await failure_of(http, answer)
    assert error.failure.error_class is error_class
    assert f"HTTP {status}" in error.failure.message
    assert len(requests) == 1, "the adapter never asks again by itself"


async def test_an_error_page_of_a_proxy_is_read_as_its_status(http: httpx2.AsyncClient) -> None:
    page = replying("<html>Bad Gateway</html>", status=502, headers={"content-type": "text/html"})
    assert (await failure_of(http, page)).failure.error_class is ErrorClass.TRANSIENT


async def test_the_wait_that_the_server_asks_for_is_reported(http: httpx2.AsyncClient) -> None:
    busy = replying("{}", status=429, headers={**JSON, "retry-after": "7"})
    assert (await failure_of(http, busy)).failure.retry_after_ms == 7000


@pytest.mark.parametrize(
    ("line", "error_class"),
    [
        ('data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n', ErrorClass.TRANSIENT),
        ('data: {"error": {"code": 429, "message": "slow down"}}\n\n', ErrorClass.RATE_LIMIT),
        ('data: {"error": {"code": "rate_limit_exceeded", "message": "x"}}\n\n', ErrorClass.RATE_LIMIT),
        ('data: {"error": "just words"}\n\n', ErrorClass.TRANSIENT),
        (
            'error: {"code": 400, "message": "context", "type": "exceed_context_size_error"}\n\n',
            ErrorClass.REFUSED_REQUEST,
        ),
        ('{"error": {"code": 401, "message": "who?"}}\n', ErrorClass.AUTH),
        ('{"error": {"code": 401, "type": "invalid_request_error"}}\n', ErrorClass.AUTH),
        (chunk("", error={"code": 502, "message": "upstream"}), ErrorClass.TRANSIENT),
        ("data: {not json\n\n", ErrorClass.TRANSIENT),
        ('data: {"choices": [{"delta"\n\n', ErrorClass.TRANSIENT),
    ],
)
async def test_an_error_inside_a_stream_ends_it(
    http: httpx2.AsyncClient, line: str, error_class: ErrorClass
) -> None:
    got: list[str | ToolCall] = []
    error = await failure_of(http, replying(chunk("before "), line, chunk("after", "stop"), DONE), got)
    assert got == ["before "]
    assert error.failure.error_class is error_class


@pytest.mark.parametrize(
    "junk", ['{"type": "FromTheFuture", "content": "nobody knows me"}', "{}", "[1, 2]", "null", '"text"']
)
async def test_a_message_that_does_not_belong_to_an_answer_is_ignored_and_counted(
    http: httpx2.AsyncClient, junk: str
) -> None:
    unknown = f"data: {junk}\n\n"
    lines = [unknown, chunk("a "), unknown, chunk("b", "stop"), unknown, DONE]
    async with chat_server(replying(*lines)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        assert await collect(model) == ["a ", "b"]
    assert model.ignored_messages == 3


async def test_an_answer_with_only_unknown_messages_counts_as_broken_off(http: httpx2.AsyncClient) -> None:
    error = await failure_of(http, replying('data: {"type": "FromTheFuture"}\n\n'))
    assert error.failure.error_class is ErrorClass.CONNECTION


async def test_a_server_that_dies_within_an_answer_is_a_lost_connection(http: httpx2.AsyncClient) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(chunk("half an "))

    got: list[str | ToolCall] = []
    error = await failure_of(http, answer, got)
    assert got == ["half an "]
    assert error.failure.error_class is ErrorClass.CONNECTION


async def test_an_answer_that_ends_without_a_finish_reason_counts_as_broken_off(
    http: httpx2.AsyncClient,
) -> None:
    error = await failure_of(http, replying(chunk("half an ")))
    assert error.failure.error_class is ErrorClass.CONNECTION
    assert "broke off" in error.failure.message


async def test_an_address_where_nothing_listens_is_a_connection_error(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying()) as server:
        pass
    with pytest.raises(ProviderError) as raised:
        await collect(OpenAILanguageModel(http, server.base_url, "m"))
    assert raised.value.failure.error_class is ErrorClass.CONNECTION


async def test_a_silent_server_is_a_timeout() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(chunk("word"))
        await exchange.hung_up()

    async with httpx2.AsyncClient(timeout=0.2) as http:
        assert (await failure_of(http, answer)).failure.error_class is ErrorClass.TIMEOUT


# --- checking ---------------------------------------------------------------------------------------------


async def test_a_server_that_lists_models_can_be_used(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying('{"object": "list", "data": []}', headers=JSON)) as server:
        await OpenAILanguageModel(http, server.base_url, "m", KEY).check()
    assert [exchange.path for exchange in server.exchanges] == ["/v1/models"]


async def test_a_server_without_a_list_of_models_is_asked_for_a_token(http: httpx2.AsyncClient) -> None:
    async def answer(exchange: Exchange) -> None:
        if exchange.path == "/v1/models":
            await exchange.reply("{}", status=404, headers=JSON)
        else:
            await exchange.reply(chunk("H", "length"), DONE)

    async with chat_server(answer) as server:
        await OpenAILanguageModel(http, server.base_url, "m").check()
    assert server.exchanges[1].body["max_tokens"] == 16


async def test_the_check_fails_for_a_refused_key(http: httpx2.AsyncClient) -> None:
    refusal = replying('{"error": {"message": "no"}}', status=401, headers=JSON)
    async with chat_server(refusal) as server:
        with pytest.raises(ProviderError) as raised:
            await OpenAILanguageModel(http, server.base_url, "m", KEY).check()
    assert raised.value.failure.error_class is ErrorClass.AUTH


async def test_the_check_fails_if_nothing_listens(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying()) as server:
        pass
    with pytest.raises(ProviderError) as raised:
        await OpenAILanguageModel(http, server.base_url, "m").check()
    assert raised.value.failure.error_class is ErrorClass.CONNECTION


async def test_no_exception_holds_the_key(http: httpx2.AsyncClient) -> None:
    error = await failure_of(http, replying("{}", status=401, headers=JSON))
    assert error.__cause__ is None
    assert error.__suppress_context__
