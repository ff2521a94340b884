"""Streams in which an engineer who had not seen the reader found faults: their kinds, not these alone.

Shapes are read without a server. What depends on time and on what was learnt goes through OpenAI's SDK, in
virtual time.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
import trio
from trio.testing import MockClock

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.answer import Answer
from adapters.openai.chat import OpenAILanguageModel
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import ToolCall
from tests.adapters.openai.chat_server import DONE
from tests.adapters.openai.test_deviations import (
    CALLS,
    END_CALL,
    NOON,
    ONE,
    SEND_DIGITS,
    STOP,
    TOOLS,
    TWO,
    calls_of,
    choice,
    event,
    say,
    text_of,
)

DIGITS = "send_digits"


def read(*lines: str | bytes, tools: Sequence[ToolSpec] = TOOLS) -> tuple[str, list[tuple[str, str]]]:
    """What is said and called. Raises `ProviderError`."""
    answer, pieces = heard(*lines, tools=tools)
    calls = [(made.call.name, made.call.arguments) for made in answer.calls()]
    return "".join(pieces), calls


def heard(*lines: str | bytes, tools: Sequence[ToolSpec] = TOOLS) -> tuple[Answer, list[str]]:
    answer = Answer(
        "vendor",
        "",
        offered={tool.name: tool for tool in tools},
        limit=500,
        begins_in_thought=False,
        new_id=str,
        note_ignored=lambda: None,
    )
    pieces: list[str] = []
    for line in lines:
        if not answer.over:
            pieces += answer.feed(line.encode() if isinstance(line, str) else line)
    return answer, [*pieces, *(answer.end() if not answer.over else []), *answer.last_pieces()]


def failure(*lines: str) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        read(*lines)
    return raised.value


def document(text: str) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})


def message(text: str, finish: str | None = None, **fields: Any) -> str:
    said = {"role": "assistant", "content": text, **fields}
    return event({"choices": [{"index": 0, "message": said, "finish_reason": finish}]})


def bare(**fields: Any) -> str:
    return event({"choices": [{"index": 0, "delta": {}, **fields}]})


def beside(**fields: Any) -> str:
    """A chunk of text with more fields."""
    return event({**json.loads(document(NOON)), **fields})


# --- ends -------------------------------------------------------------------------------------------------

LAST_LINES = [
    *('data: "[DONE]"\n\n', "data: [done]\n\n", "data: DONE\n\n", "data: [DONE].\n\n", "data: [DONE]\\n\n\n"),
    *("event: done\ndata: {}\n\n", "event: end\ndata:\n\n", 'data: {"done": true}\n\n', "data: <[DONE]>\n\n"),
]
REASONS = [
    bare(finishReason="stop"),
    bare(finish_reason={"type": "stop"}),
    bare(finish_reason=True),
    bare(finish_details={"type": "stop"}),
    choice(finish_reason="stop"),
    event({"choices": [], "finish_reason": "stop"}),
]


@pytest.mark.parametrize("last", [*LAST_LINES, *REASONS])
def test_an_end_is_understood_however_it_is_written(last: str) -> None:
    assert read(say("It is noon and"), last) == ("It is noon and", [])


@pytest.mark.parametrize(
    "text", ["It is noon.", "Is it?", 'He said "wait."', "您好。", "**Bye!**", "See you 👋", "क्या। "]
)
def test_a_response_that_ends_with_a_sentence_ends_the_answer(text: str) -> None:
    assert read(say(text[:3]), say(text[3:])) == (text, [])


@pytest.mark.parametrize("text", ["It is noon, and", "It is", "One, two,", "<think>Hm."])
def test_a_response_that_ends_within_a_sentence_broke_off(text: str) -> None:
    assert failure(say(text)).failure.error_class is ErrorClass.CONNECTION


def test_a_response_that_ends_after_whole_calls_ends_the_answer() -> None:
    calls = choice(tool_calls=[called(DIGITS, ONE)])
    assert read(say("Let me see"), calls) == ("Let me see", [(DIGITS, ONE)])
    failure(say("Let me see."), choice(tool_calls=[called(DIGITS, ONE[:6])]))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([choice("stop", content="It is "), choice("stop", content="noon."), DONE], "stop"),
        ([choice("stop", content=""), say(NOON), STOP, DONE], "stop"),
        ([choice("length", content="It is "), choice("length", content="noon."), STOP, DONE], "stop"),
        ([choice("stop", reasoning="Hm."), choice("stop", reasoning="Hm."), say(NOON), STOP], "stop"),
    ],
)
def test_what_follows_a_reason_to_end_is_the_answers_and_the_last_reason_counts(
    lines: list[str], reason: str
) -> None:
    answer, pieces = heard(*lines)
    assert "".join(pieces) == NOON
    assert answer.finish_reason == reason


FILTERS = ["PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "guardrail_intervened", "content_filtered", "refusal"]


@pytest.mark.parametrize("reason", [*FILTERS, "content-filter", "contentFilter", "image_safety"])
def test_a_filter_is_a_refusal_and_not_worth_another_request(reason: str) -> None:
    assert failure(choice(reason), DONE).failure.error_class is ErrorClass.REFUSED_TEXT


def test_a_refusal_in_words_is_the_answer() -> None:
    assert read(say("I cannot help with that."), choice("refusal"), DONE)[0] == "I cannot help with that."


BREAKS = ["server_error", "timeout", "overloaded", "aborted", "cancelled", "failed", "ServerError"]


@pytest.mark.parametrize("reason", BREAKS)
def test_a_reason_that_is_a_failure_breaks_the_answer_off(reason: str) -> None:
    assert failure(say("It is"), choice(reason), DONE).failure.error_class.retryable


@pytest.mark.parametrize("reason", ["max_output_tokens", "model_context_window_exceeded", "MAX_TOKENS"])
def test_a_limit_is_a_limit_however_it_is_spelled(reason: str) -> None:
    assert heard(say("It is"), choice(reason), DONE)[0].was_cut_off
    assert "LLM_MAX_TOKENS" in failure(choice(reason), DONE).failure.message


# --- text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [f"data: {document('It is ')}data: {document('noon.')}\n\n", STOP],
        [f"data: {document('It is ')}{document('noon.')}data: [DONE]\n\n"],
        [f"data: [{document('It is ')},{document('noon.')}]\n\n", STOP],
        [choice(content=[{"type": "text_delta", "text": NOON}]), STOP],
        [choice(content=[{"type": "Text", "text": NOON}]), STOP],
        [choice(content=[{"type": "markdown", "text": NOON}]), STOP],
        [choice(content=[{"type": "text", "content": NOON}]), STOP],
        [choice(content={"parts": [{"text": "It is "}, {"text": "noon."}]}), STOP],
        [choice(content=[["It is "], [{"text": "noon."}]]), STOP],
        [choice(text=NOON), STOP],
        [bare(text=NOON), STOP],
        [event({"result": json.loads(document(NOON)), "success": True}), STOP],
        [say("It is "), f"\ufeff{say('noon.')}", STOP],
        ["<!-- proxy -->\n", say(NOON), STOP],
        [f"<!-- proxy -->{document(NOON)}\n", STOP],
    ],
    ids=lambda lines: lines[0][:60],
)
def test_text_that_arrived_in_an_odd_shape_is_said(lines: list[str]) -> None:
    assert read(*lines) == (NOON, [])


@pytest.mark.parametrize(
    "part",
    [{"type": "summary_text", "text": "Hm."}, {"type": "reasoning_text", "text": "Hm."}, {"type": "x"}],
)
def test_a_part_that_is_no_text_is_not_said(part: dict[str, Any]) -> None:
    assert read(choice(content=[part]), say(NOON), STOP) == (NOON, [])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([message(NOON[:size]) for size in (2, 5, 8, 11)], NOON),
        ([say(NOON[:size]) for size in (2, 5, 8, 11)], NOON),
        ([say(NOON[:size]) for size in (2, 5, 11, 11)], NOON),
        ([say(NOON[:size]) for size in (9, 11)], NOON),
        ([say(NOON[:size]) for size in (2, 11)], NOON),
        ([say("I"), say("I see.")], "I see."),
        ([say("Ha"), say("Haha"), say(" yes.")], "HaHaha yes."),
        ([say("Bye bye. "), say("Bye bye. ")], "Bye bye. Bye bye. "),
        ([say("1"), say("10")], "110"),
        ([choice(content="I cannot.", refusal="I cannot.")], "I cannot."),
        ([event({"choices": [{"index": at, "delta": {"content": NOON}} for at in (0, 1)]})], NOON),
    ],
)
def test_what_is_said_again_is_said_once(lines: list[str], said: str) -> None:
    assert read(*lines, STOP, DONE)[0] == said


def said_by(index: int, text: str) -> str:
    return event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}]})


def test_of_two_choices_that_say_the_same_one_is_said() -> None:
    lines = [said_by(index, part) for part in ("It is ", "noon.") for index in (0, 1)]
    assert read(*lines, STOP, DONE)[0] == NOON
    counted = [said_by(index, part) for index, part in enumerate(("It is ", "noon."))]
    assert read(*counted, STOP, DONE)[0] == NOON, "a server that counts its chunks"
    twice = [said_by(-1, "It is so "), said_by(0, "It is so "), said_by(0, "hot.")]
    assert read(*twice, STOP, DONE)[0] == "It is so It is so hot.", "numbers that are none of a choice"


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        {"message": "", "type": "", "param": "", "code": None},
        {"message": None, "code": None},
        {"code": 0, "message": "success"},
        "",
        "none",
    ],
)
def test_an_error_that_says_nothing_beside_an_answer_is_none(error: Any) -> None:
    assert read(beside(error=error), STOP, DONE) == (NOON, [])


@pytest.mark.parametrize(
    ("body", "reason", "error_class"),
    [
        ({"code": 1113, "msg": "Insufficient balance"}, "Insufficient balance", ErrorClass.FATAL),
        ({"detail": "Unauthorized"}, "Unauthorized", ErrorClass.AUTH),
        ({"detail": {"object": "error", "message": "boom"}}, "boom", ErrorClass.TRANSIENT),
        ({"code": "429", "message": "slow down"}, "slow down", ErrorClass.RATE_LIMIT),
        ({"success": False, "message": "model is loading"}, "model is loading", ErrorClass.TRANSIENT),
        (
            {"choices": None, "usage": {}, "base_resp": {"status_code": 1004, "status_msg": "login fail"}},
            "login fail",
            ErrorClass.AUTH,
        ),
    ],
)
@pytest.mark.parametrize("form", ["{}", "data: {}\n\n"])
def test_an_error_with_the_status_200_is_told_with_its_reason(
    body: dict[str, Any], reason: str, error_class: ErrorClass, form: str
) -> None:
    failed = failure(form.replace("{}", json.dumps(body))).failure
    assert reason in failed.message
    assert failed.error_class is error_class


@pytest.mark.parametrize("body", ["", "\n"])
def test_a_response_without_content_is_told_as_that(body: str) -> None:
    assert "empty response" in failure(body).failure.message


# --- calls ------------------------------------------------------------------------------------------------


def called(name: str | None, arguments: Any = None, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}, **fields}


EMPTY = {"index": 0, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}


@pytest.mark.parametrize(
    "fields",
    [
        {"function_call": {}},
        {"function_call": {"name": "", "arguments": ""}},
        {"function_call": {"name": None, "arguments": None}},
        {"tool_calls": [{}]},
        {"tool_calls": [EMPTY]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {}}]},
    ],
)
def test_call_fields_that_say_nothing_are_no_call(fields: dict[str, Any]) -> None:
    assert read(choice(content=NOON, **fields), STOP, DONE) == (NOON, [])


@pytest.mark.parametrize(
    "again",
    [
        choice(tool_calls=[{**EMPTY, "index": 1}]),
        choice(tool_calls=[called(None, "", 1, id=None)]),
        choice("tool_calls", tool_calls=[called(DIGITS, ONE, id="x")]),
        choice("tool_calls", tool_calls=[called(DIGITS, "", id="x")]),
        choice("tool_calls", tool_calls=[called(DIGITS, '{"digits":"1"}', id="x")]),
        choice("tool_calls", tool_calls=[called(DIGITS, json.dumps(ONE), id="a")]),
        message("", "tool_calls", tool_calls=[{"function": {"name": DIGITS, "arguments": ONE}}]),
        message("", "tool_calls", tool_calls=[called(DIGITS, ONE, id="x")]),
        say(f'<tool_call>{{"name": "{DIGITS}", "arguments": {ONE}}}</tool_call>'),
    ],
)
def test_a_call_that_is_said_twice_is_made_once(again: str) -> None:
    assert read(choice(tool_calls=[called(DIGITS, ONE, id="a")]), again, CALLS, DONE)[1] == [(DIGITS, ONE)]


def test_calls_that_stand_beside_each_other_are_two() -> None:
    both = [called(DIGITS, ONE, index, id=str(index)) for index in (0, 1)]
    assert read(choice(tool_calls=both), CALLS)[1] == [(DIGITS, ONE)] * 2


@pytest.mark.parametrize(
    "name",
    [
        *("default_api.send_digits", "functions.send_digits:0", "Send_Digits", " send_digits\n"),
        *("send_digits()", "tools.send_digits", "SEND_DIGITS", "send_digits<|channel|>commentary"),
    ],
)
def test_an_offered_tool_is_found_under_an_odd_name(name: str) -> None:
    assert read(choice(tool_calls=[called(name, ONE, id="a")]), CALLS)[1] == [(DIGITS, ONE)]


def test_a_name_that_fits_two_tools_or_none_is_left_as_it_is() -> None:
    shouted = ToolSpec("End_Call", "", {})
    line = choice(tool_calls=[called("END_CALL", "{}", id="a")])
    assert read(line, CALLS, tools=[END_CALL, shouted])[1] == [("END_CALL", "{}")]
    assert read(line, CALLS, tools=[SEND_DIGITS])[1] == [("END_CALL", "{}")]


@pytest.mark.parametrize(
    "arguments",
    [
        json.dumps(ONE),
        f"```json\n{ONE}\n```",
        f"{ONE}</tool_call>",
        f"{ONE}<|im_end|>",
        f"[{ONE}]",
        ONE + ONE,
        "{" + ONE,
        [ONE[:5], ONE[5:]],
    ],
)
def test_arguments_come_out_of_what_they_are_wrapped_in(arguments: Any) -> None:
    assert read(choice(tool_calls=[called(DIGITS, arguments, id="a")]), CALLS)[1] == [(DIGITS, ONE)]


@pytest.mark.parametrize("nothing", ["null", "None", "[]", '""', "", None])
def test_no_arguments_are_an_empty_object(nothing: str | None) -> None:
    assert read(choice(tool_calls=[called("end_call", nothing, id="a")]), CALLS)[1] == [("end_call", "{}")]


@pytest.mark.parametrize(
    "parts",
    [
        [called(None, ONE, id="a"), called(DIGITS, "")],
        [called(None, ONE[:5], id="a"), called(DIGITS, ONE[5:])],
        [called(DIGITS, "", id="a"), called(None, ONE[:5], 1), called(None, ONE[5:], 2)],
        [called(DIGITS, "{}", id="a"), called(None, ONE[:5]), called(None, ONE[5:])],
        [called(DIGITS, ONE[:5], id="a"), called(DIGITS, ONE[5:], id="b")],
        [called("send", "", id="a"), called(DIGITS, ONE)],
        [{"index": 0, "id": "a", "function": DIGITS, "arguments": ONE}],
        [{"index": 0, "id": "a", "custom": {"name": DIGITS, "input": ONE}}],
        [{"index": 0, "id": "a", "function": {"name": DIGITS, "parameters": {"digits": "1"}}}],
    ],
)
def test_a_call_is_put_together_from_odd_fragments(parts: list[dict[str, Any]]) -> None:
    assert read(*(choice(tool_calls=[part]) for part in parts), CALLS)[1] == [(DIGITS, ONE)]


def test_fragments_of_two_calls_find_their_own() -> None:
    parts = [
        *(called(DIGITS, ONE[:5], 0, id="a"), called(DIGITS, "", 1, id="b")),
        *(called(None, ONE[5:], 0), called(None, TWO, 1)),
    ]
    assert read(*(choice(tool_calls=[part]) for part in parts), CALLS)[1] == [(DIGITS, ONE), (DIGITS, TWO)]


@pytest.mark.parametrize("reason", [STOP, CALLS])
def test_a_tool_is_not_run_with_half_of_its_arguments(reason: str) -> None:
    half = choice(tool_calls=[called(DIGITS, ONE[:8], id="a")])
    assert failure(half, reason, DONE).failure.error_class is ErrorClass.UNUSABLE_ANSWER


def test_arguments_that_are_wrong_as_a_whole_are_told_to_the_model() -> None:
    wrong = choice(tool_calls=[called(DIGITS, "{digits: one}", id="a")])
    assert read(wrong, CALLS, DONE)[1] == [(DIGITS, "{digits: one}")]


@pytest.mark.parametrize("line", [": keep-alive\n\n", "\n", ":\r\n"])
def test_what_keeps_a_connection_alive_is_a_sign_of_life_and_nothing_to_say(line: str) -> None:
    answer, pieces = heard(line, choice(content="It is noon."), STOP, DONE)
    assert pieces == ["", "It is noon."]
    assert answer.calls() == []


# --- what takes time, and what is learnt -------------------------------------------------------------------

QUESTION = [Message(Speaker.SYSTEM, "Be short."), Message(Speaker.USER, "What time is it?")]
Reply = Sequence[str | float] | tuple[int, Any]
"""Lines of a stream and seconds between them; or a status and its body. `inf` seconds: it stays open."""


class Server(httpx2.AsyncBaseTransport):
    """Answers each request with the next reply; the last again and again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.bodies: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(json.loads(await request.aread()))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, tuple):
            return httpx2.Response(reply[0], json=reply[1], request=request)
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=Lines(reply), request=request)


class Lines(httpx2.AsyncByteStream):
    def __init__(self, lines: Sequence[str | float]) -> None:
        self.lines = lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self.lines:
            if isinstance(line, str):
                yield line.encode()
            else:
                await trio.sleep(line)


class Asked:
    """A model behind such a server."""

    def __init__(self, *replies: Reply) -> None:
        self.server = Server(*replies)
        self.http = httpx2.AsyncClient(transport=self.server)
        self.model = OpenAILanguageModel(self.http, "http://vendor/v1", "m", max_tokens=500)

    async def ask(
        self, messages: Sequence[Message] = QUESTION
    ) -> tuple[list[str | ToolCall], list[float], float]:
        """What came, when each piece of it came, and when the answer ended."""
        pieces: list[str | ToolCall] = []
        times: list[float] = []
        began = trio.current_time()
        async with self.model.generate(messages, TOOLS) as stream:
            async for piece in stream:
                pieces.append(piece)
                times.append(trio.current_time() - began)
            ended = trio.current_time() - began
        return pieces, times, ended


NEVER = float("inf")
PINGS: list[str | float] = [0.05, ": ping\n\n"] * 1000


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        ([choice("stop", content="It is "), 0.4, choice("stop", content="noon."), 0.4, DONE], []),
        ([choice("stop", content=""), 1.5, say(NOON), STOP, DONE], []),
        (
            [say(NOON), STOP, 0.3, choice(tool_calls=[called("end_call", "{}", id="a")]), CALLS, DONE],
            [END_CALL],
        ),
    ],
)
async def test_what_comes_a_while_after_a_reason_to_end_is_the_answers(
    autojump_clock: MockClock, lines: list[str | float], calls: list[ToolSpec]
) -> None:
    asked = Asked(lines)
    pieces, times, _ = await asked.ask()
    assert text_of(pieces) == NOON
    assert [name for name, _ in calls_of(pieces)] == [tool.name for tool in calls]
    if not calls and pieces[0] == "It is ":
        assert times[0] == 0, "what came is given at once"
    (learnt,) = asked.model.learnt
    assert "before the end" in learnt


async def test_a_server_that_gives_its_reason_early_is_waited_for_longer_once_that_is_known(
    autojump_clock: MockClock,
) -> None:
    early: list[str | float] = [choice("stop", content="It is "), 1.5, choice("stop", content="noon."), DONE]
    asked = Asked([choice("stop", content="It "), 0.2, choice("stop", content="is."), DONE], early)
    await asked.ask()
    assert text_of((await asked.ask())[0]) == NOON


async def test_a_server_that_leaves_its_response_open_costs_a_moment_once(autojump_clock: MockClock) -> None:
    asked = Asked([say(NOON), STOP, NEVER])
    (first, times, ended), (second, _, ended_later) = await asked.ask(), await asked.ask()
    assert text_of(first) == text_of(second) == NOON
    assert times == [0], "the text does not wait"
    assert ended <= 1.5
    assert ended_later <= 0.5
    (learnt,) = asked.model.learnt
    assert "open" in learnt


async def test_pings_after_the_end_do_not_make_an_answer_endless(autojump_clock: MockClock) -> None:
    asked = Asked([say(NOON), STOP, *PINGS])
    assert (await asked.ask())[2] <= 2


async def test_usage_after_the_end_is_mostly_the_last(autojump_clock: MockClock) -> None:
    asked = Asked([say(NOON), STOP, event({"choices": [], "usage": {"total_tokens": 3}}), NEVER])
    assert (await asked.ask())[2] <= 0.5


async def test_an_answer_without_an_end_is_continued_at_most_once_and_that_is_learnt(
    autojump_clock: MockClock,
) -> None:
    asked = Asked([say("It is noon, and")])
    with pytest.raises(ProviderError):
        await asked.ask()
    begun = [*QUESTION, Message(Speaker.ASSISTANT, "It is noon, and")]
    assert text_of((await asked.ask(begun))[0]) == "It is noon, and"
    assert text_of((await asked.ask(begun))[0]) == "It is noon, and"
    (learnt,) = asked.model.learnt
    assert "does not say when an answer ends" in learnt
    assert text_of((await asked.ask())[0]) == "It is noon, and", "a question is answered by one request"
    asked.server.replies = [[say(NOON), STOP, DONE], [say("It is noon, and")]]
    await asked.ask()
    with pytest.raises(ProviderError):
        await asked.ask()


VERIFY = "Your organization must be verified to stream this model."
REFUSED = {"message": VERIFY, "type": "invalid_request_error", "param": "stream", "code": "unsupported_value"}
ROUTED = {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps(REFUSED)}}
WHOLE = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": NOON}}]}


@pytest.mark.parametrize("error", [REFUSED, ROUTED])
async def test_a_server_that_refuses_to_stream_is_asked_for_whole_answers(
    autojump_clock: MockClock, error: dict[str, Any]
) -> None:
    asked = Asked((400, {"error": error}), (200, WHOLE))
    assert text_of((await asked.ask())[0]) == text_of((await asked.ask())[0]) == NOON
    assert [body["stream"] for body in asked.server.bodies] == [True, False, False]
    (learnt,) = asked.model.learnt
    assert "stream" in learnt
