"""Servers that send something else than OpenAI does: text that arrived is said once, and nothing else is.

Each case is a stream of a kind that was reported in public; the letters are those of the list they were
collected in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
import trio

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.chat import OpenAILanguageModel, Rehearsal
from adapters.openai.hidden_text import HiddenTextFilter
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall
from tests.adapters.openai.chat_server import DONE, EVENTS, JSON, Answer, Exchange, chat_server, chunk

QUESTION = [Message(Speaker.SYSTEM, "Be short."), Message(Speaker.USER, "What time is it?")]
END_CALL = ToolSpec("end_call", "Ends the call.", {"type": "object", "properties": {}})
SEND_DIGITS = ToolSpec(
    "send_digits", "Presses keys.", {"type": "object", "properties": {"digits": {"type": "string"}}}
)
TOOLS = (END_CALL, SEND_DIGITS)
ONE, TWO = '{"digits": "1"}', '{"digits": "2"}'
NOON = "It is noon."


def event(value: Any) -> str:
    return f"data: {json.dumps(value)}\n\n"


def choice(finish: str | None = None, **delta: Any) -> str:
    """A bare chunk."""
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def say(text: str) -> str:
    return choice(content=text)


def call(name: str, arguments: str, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "function": {"name": name, "arguments": arguments}, **fields}


STOP = choice("stop")
CALLS = choice("tool_calls")


def replying(*lines: str | bytes, status: int = 200, headers: dict[str, str] = EVENTS) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin(status, headers)
        for line in lines:
            await exchange.write(line)
        await exchange.finish()

    return answer


async def pieces_of(
    http: httpx2.AsyncClient, answer: Answer, tools: Sequence[ToolSpec] = TOOLS
) -> list[str | ToolCall]:
    async with chat_server(answer) as server:
        pieces = await ask(OpenAILanguageModel(http, server.base_url, "m", max_tokens=500), tools=tools)
    assert len(server.exchanges) == 1
    return pieces


async def ask(
    model: OpenAILanguageModel,
    messages: Sequence[Message] = QUESTION,
    tools: Sequence[ToolSpec] = TOOLS,
) -> list[str | ToolCall]:
    with trio.fail_after(120):
        async with model.generate(messages, tools) as stream:
            return [piece async for piece in stream]


async def failure_of(http: httpx2.AsyncClient, answer: Answer) -> ProviderError:
    async with chat_server(answer) as server:
        with pytest.raises(ProviderError) as raised:
            await ask(OpenAILanguageModel(http, server.base_url, "m", max_tokens=500))
    assert len(server.exchanges) == 1
    return raised.value


def text_of(pieces: Sequence[str | ToolCall]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def calls_of(pieces: Sequence[str | ToolCall]) -> list[tuple[str, str]]:
    return [(piece.name, piece.arguments) for piece in pieces if isinstance(piece, ToolCall)]


# --- text -------------------------------------------------------------------------------------------------

NOTHING = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
AFTER = chunk(choices=None, usage={"total_tokens": 5})
WHOLE = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": NOON}}]}
THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "They want the time."}]}]
TEXT_PART = [{"type": "text", "text": NOON}]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([event({**NOTHING, "prompt_filter_results": []}), chunk(NOON), STOP, DONE], id="A1"),
        pytest.param([chunk(NOON), STOP, AFTER, DONE], id="A2"),
        pytest.param([choice(content=THINKING), choice(content=TEXT_PART), STOP, DONE], id="A3"),
        pytest.param(
            [say("<think>"), say("\nThe caller wants\n"), say("</think>"), say(f"\n\n{NOON}"), STOP], id="A4"
        ),
        pytest.param(
            [*map(say, ["<th", "ink>No", "w? </", "thi", "nk", ">", NOON]), STOP, DONE], id="A4 split"
        ),
        pytest.param([choice(reasoning_content="Hm."), choice(reasoning="Hm."), say(NOON), STOP], id="A5"),
        pytest.param([choice(refusal="It is "), choice(refusal="noon."), STOP, DONE], id="A12"),
        pytest.param([json.dumps(WHOLE)], id="A13"),
        pytest.param([json.dumps(WHOLE, indent=2)], id="A13 indented"),
        pytest.param(
            ['data: {"choices": [{"index": 0,\ndata: "delta": {"content": "It is noon."}}]}\n\n', STOP],
            id="A17",
        ),
        pytest.param(
            [
                f"data: data: {json.dumps({'choices': [{'delta': {'content': NOON}}]})}\ndata:\ndata:\n\n",
                STOP,
            ],
            id="A34",
        ),
        pytest.param(["\ufeff", say("It is "), say("noon."), STOP], id="A35"),
        pytest.param(["data:\n\n", say(NOON), "data:\n\n", STOP, DONE], id="A36"),
        pytest.param([say("It is "), say("noon."), choice("stop", content=NOON), DONE], id="A30 delta"),
        pytest.param([say("It is "), say("noon."), STOP, event(WHOLE), DONE], id="A30 message"),
        pytest.param([event({"choices": [{"delta": None}]}), say(NOON), STOP], id="A47 no delta"),
        pytest.param([event({"choices": [None]}), say(NOON), STOP], id="A47 no choice"),
        pytest.param([choice(content={"type": "text", "text": NOON}), STOP], id="A47 one part"),
        pytest.param([event({"choices": [{"text": NOON}]}), STOP], id="A47 text"),
        pytest.param([event({"choices": {"delta": {"content": NOON}}}), STOP], id="A47 one choice"),
        pytest.param(
            [f"data: {say(NOON)[6:].rstrip()}\n", STOP.rstrip() + "\n", "data: [DONE]\n"], id="no blank lines"
        ),
        pytest.param([say("It is "), "data: ping\n\n", ": ping\n\n", say("noon."), STOP], id="pings"),
        pytest.param([say("It is "), say("noon."), STOP, "data: {not json\n\n"], id="junk after the end"),
        pytest.param(
            [say("It is "), say("noon."), STOP, event({"error": {"message": "late"}})], id="late error"
        ),
        pytest.param(
            [
                say("It "),
                *[choice(content=NOON[3:], role="assistant")],
                choice("stop", content=""),
                DONE,
            ],
            id="roles",
        ),
        pytest.param(
            [
                say("<|channel|>analysis<|message|>User wants the time.<|end|><|start|>assistant"),
                say("<|channel|>final<|message|>It is noon.<|return|>"),
                STOP,
            ],
            id="A38",
        ),
        pytest.param([say(f"{NOON}<|im_end|>"), STOP], id="turn mark"),
    ],
)
async def test_text_that_arrived_is_said_exactly_once(http: httpx2.AsyncClient, lines: list[str]) -> None:
    pieces = await pieces_of(http, replying(*lines))
    assert text_of(pieces).strip() == NOON
    assert calls_of(pieces) == []


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
async def test_lines_of_a_stream_end_at_line_feeds_only(http: httpx2.AsyncClient, separator: str) -> None:
    """A8."""
    body = {"choices": [{"delta": {"content": f"It is{separator}noon."}}]}
    line = f"data: {json.dumps(body, ensure_ascii=False)}\r\n\r\n"
    assert text_of(await pieces_of(http, replying(line, STOP, DONE))) == f"It is{separator}noon."


async def test_halves_of_a_character_in_two_chunks_are_joined_and_a_lone_one_dropped(
    http: httpx2.AsyncClient,
) -> None:
    """A37."""
    lines = [
        'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        'data: {"choices":[{"delta":{"content":"\\ude00 Hi\\ud83d"}}]}\n\n',
        'data: {"choices":[{"delta":{"content":" there."}}]}\n\n',
    ]
    assert text_of(await pieces_of(http, replying(*lines, STOP))) == "\U0001f600 Hi there."


@pytest.mark.parametrize(
    "thought",
    [
        choice(reasoning_content="Hm."),
        choice(reasoning="Hm."),
        choice(reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]),
        choice(content=THINKING),
        say("<think>Hm."),
        choice(content="Hm.", extra_content={"google": {"thought": True}}),
    ],
)
async def test_a_thought_is_a_sign_of_life(http: httpx2.AsyncClient, thought: str) -> None:
    """A3, A4, A5."""
    lines = [thought, thought, say("</think>") if "think>" in thought else ": \n\n", say(NOON), STOP, DONE]
    pieces = await pieces_of(http, replying(*lines))
    assert pieces[:2] == ["", ""]
    assert text_of(pieces) == NOON


async def test_a_thought_that_the_template_began_is_held_back_from_the_second_answer_on(
    http: httpx2.AsyncClient,
) -> None:
    """A39: nobody can know it before the first end of a thought."""
    lines = [say("They want the time."), say("</think>"), say(NOON), STOP]
    async with chat_server(replying(*lines)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        await ask(model)
        assert text_of(await ask(model)) == NOON


@pytest.mark.parametrize(
    "text",
    [
        "If x < 5, then stop.",
        "a <b or [T",
        "``` is a fence.",
        "{well} said",
        "1 <",
        "Use the <tool> tag.",
        "We send_digits(1) if asked.",
        "end_call is a tool.",
        "x[0] and [end]",
        "{'We can send_digits(1) here'}",
    ],
)
async def test_what_only_begins_like_markup_is_said(http: httpx2.AsyncClient, text: str) -> None:
    for cut in range(len(text)):
        pieces = await pieces_of(http, replying(say(text[:cut]), say(text[cut:]), STOP))
        assert text_of(pieces) == text


# --- calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        pytest.param(
            [
                choice(tool_calls=[call("end_call", "{}", id="")]),
                choice(tool_calls=[call("send_digits", ONE, id="")]),
            ],
            [("end_call", "{}"), ("send_digits", ONE)],
            id="A7",
        ),
        pytest.param(
            [choice(tool_calls=[call("end_call", "")]), choice(tool_calls=[call("send_digits", ONE)])],
            [("end_call", "{}"), ("send_digits", ONE)],
            id="A7 no ids, no arguments",
        ),
        pytest.param(
            [
                choice(tool_calls=[call("send_digits", ONE, id="")]),
                choice(tool_calls=[call("send_digits", TWO, id="")]),
            ],
            [("send_digits", ONE), ("send_digits", TWO)],
            id="A18",
        ),
        pytest.param(
            [choice(tool_calls=[call("send_digits", ONE, id=""), call("", TWO, id="")])],
            [("send_digits", ONE), ("send_digits", TWO)],
            id="A18 no name",
        ),
        pytest.param(
            [choice(tool_calls=[call("send_digits", "")])]
            + [choice(tool_calls=[{"index": 0, "function": {"arguments": each}}]) for each in (ONE, ONE)],
            [("send_digits", ONE)],
            id="A19 repeated",
        ),
        pytest.param(
            [choice(tool_calls=[call("send_digits", "{", id="a")]), choice(tool_calls=[call("", ONE)])],
            [("send_digits", ONE)],
            id="A19 brace",
        ),
        pytest.param(
            [choice(tool_calls=[call("send_digits", "{}", id="a")]), choice(tool_calls=[call("", ONE)])],
            [("send_digits", ONE)],
            id="A19 empty",
        ),
        pytest.param(
            [choice(tool_calls=[call("end_call<|channel|>commentary", "{}", id="a")])],
            [("end_call", "{}")],
            id="A38 name",
        ),
        pytest.param(
            [choice(tool_calls=call("send_digits", ONE, id="a"))], [("send_digits", ONE)], id="A47 object"
        ),
        pytest.param(
            [choice(function_call={"name": "send_digits", "arguments": ONE})],
            [("send_digits", ONE)],
            id="A47 function_call",
        ),
        pytest.param(
            [
                event(
                    {
                        "choices": [
                            {"index": 0, "delta": {"content": "Yes."}},
                            {"index": 1, "delta": {"tool_calls": [call("send_digits", ONE, id="a")]}},
                        ]
                    }
                )
            ],
            [("send_digits", ONE)],
            id="A47 second choice",
        ),
    ],
)
async def test_calls_are_told_apart(
    http: httpx2.AsyncClient, lines: list[str], calls: list[tuple[str, str]]
) -> None:
    pieces = await pieces_of(http, replying(*lines, CALLS, DONE))
    assert calls_of(pieces) == calls
    ids = [piece.id for piece in pieces if isinstance(piece, ToolCall)]
    assert all(ids)
    assert len(set(ids)) == len(ids)


async def test_calls_with_one_id_get_ids_of_their_own(http: httpx2.AsyncClient) -> None:
    both = [{**call("send_digits", each, id="a"), "index": index} for index, each in enumerate((ONE, TWO))]
    pieces = await pieces_of(http, replying(choice(tool_calls=both), CALLS, DONE))
    assert calls_of(pieces) == [("send_digits", ONE), ("send_digits", TWO)]
    assert len({piece.id for piece in pieces if isinstance(piece, ToolCall)}) == 2


CALLED_AS_TEXT = [
    f'<tool_call>\n{{"name": "send_digits", "arguments": {ONE}}}\n</tool_call>',
    "<tool_call>send_digits\n<arg_key>digits</arg_key>\n<arg_value>1</arg_value>\n</tool_call>",
    "<tool_call>\n<function=send_digits>\n<parameter=digits>\n1\n</parameter>\n</function>\n</tool_call>",
    f"<function=send_digits>{ONE}</function>",
    f'[TOOL_CALLS][{{"name": "send_digits", "arguments": {ONE}}}]',
    f"[TOOL_CALLS]send_digits[ARGS]{ONE}",
    f'<|python_tag|>{{"name": "send_digits", "parameters": {ONE}}}',
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>send_digits\n"
    f"```json\n{ONE}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.send_digits:0<|tool_call_argument_begin|>"
    f"{ONE}<|tool_call_end|><|tool_calls_section_end|>",
    f'{{"name": "send_digits", "parameters": {ONE}}}',
    f'```json\n{{"name": "send_digits", "arguments": {ONE}}}\n```',
    f"<|channel|>commentary to=functions.send_digits <|constrain|>json<|message|>{ONE}<|call|>",
    f'{{"type": "function", "name": "send_digits", "parameters": {ONE}}}',
    f'{{"type":"function","function":{{"name":"send_digits","arguments":{ONE}}}}}',
    f'{{"arguments": {ONE}, "name": "send_digits"}}',
    f'{{"id":"1","name":"send_digits","arguments":{ONE}}}',
    f'{{"tool_name": "send_digits", "args": {ONE}}}',
    f'{{"action": "send_digits", "action_input": {ONE}}}',
    f'{{"tool_calls":[{{"name":"send_digits","arguments":{ONE}}}]}}',
    f'[{{"name": "send_digits", "arguments": {ONE}}}]',
    f'```json\n[{{"name": "send_digits", "arguments": {ONE}}}]\n```',
    f'```\n{{"name": "send_digits", "arguments": {ONE}}}\n```',
    f'```JSON\r\n{{"name": "send_digits", "arguments": {ONE}}}\n```',
    '```tool_code\nsend_digits(digits="1")\n```',
    '```tool_code\nprint(default_api.send_digits(digits="1"))\n```',
    "{'name': 'send_digits', 'arguments': {'digits': '1'}}",
    '[send_digits(digits="1")]',
    'send_digits("1")',
    '<|tool_call_start|>[send_digits(digits="1")]<|tool_call_end|>',
    f'<tool_use>{{"name":"send_digits","input":{ONE}}}</tool_use>',
    f'<TOOLCALL>[{{"name":"send_digits","arguments":{ONE}}}]</TOOLCALL>',
    f'<tool_calls>[{{"name":"send_digits","arguments":{ONE}}}]</tool_calls>',
    f'functools[{{"name": "send_digits", "arguments": {ONE}}}]',
    '<invoke name="send_digits"><parameter name="digits">1</parameter></invoke>',
    '<function_calls>\n<invoke name="send_digits">\n<parameter name="digits">1</parameter>\n</invoke>\n'
    "</function_calls>",
    '<｜DSML｜function_calls><｜DSML｜invoke name="send_digits"><｜DSML｜parameter name="digits" '
    'string="true">1</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>',
    "<start_function_call>call:send_digits{digits:<escape>1<escape>}<end_function_call>",
    '<|tool_call>call:send_digits{digits:<|"|>1<|"|>}<tool_call|>',
    f'<|action_start|><|plugin|>{{"name":"send_digits","parameters":{ONE}}}<|action_end|>',
    f"send_digits{ONE}",
    f"<send_digits>{ONE}</send_digits>",
]


@pytest.mark.parametrize("written", CALLED_AS_TEXT)
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_call_that_is_written_as_text_is_made_and_never_spoken(
    http: httpx2.AsyncClient, written: str, size: int
) -> None:
    """A14."""
    parts = [say(written[at : at + size]) for at in range(0, len(written), size)]
    pieces = await pieces_of(http, replying(say("One moment. "), *parts, STOP, DONE))
    assert text_of(pieces).strip() == "One moment."
    (made,) = (piece for piece in pieces if isinstance(piece, ToolCall))
    assert (made.name, json.loads(made.arguments)) == ("send_digits", json.loads(ONE))


THOUGHTS = [
    "<think>Hm.</think>",
    "<Think>Hm.</Think>",
    "<THINK>Hm.</think>",
    "<think hidden>Hm.</think>",
    "<mm:think>Hm.</mm:think>",
    "<antThinking>Hm.</antThinking>",
    "<inner_monologue>Hm.</inner_monologue>",
    "<scratchpad>Hm.</scratchpad>",
    "[thinking]Hm.[/thinking]",
    "[THINK]Hm.[/THINK]",
    "<|thinking|>Hm.<|/thinking|>",
    "<|START_THINKING|>Hm.<|END_THINKING|>",
    "<|begin_of_thought|>Hm.<|end_of_thought|>",
    "<|channel>thought\nHm.<channel|>",
    "<unused94>thought\nHm.<unused95>",
    "◁think▷Hm.◁/think▷",
    "\n<think>Hm.</think>\n<think>So.</think>\n",
]


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize("before", ["", "Well. ", "Well, "])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_thought_is_not_said_whatever_its_tag_and_wherever_it_stands(
    thought: str, before: str, size: int
) -> None:
    """A4."""
    text = f"{before}{thought}{NOON}"
    hidden = HiddenTextFilter()
    parts = [hidden.push(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(each.text for each in [*parts, hidden.finish()]).replace("\n", "") == f"{before}{NOON}"


@pytest.mark.parametrize(
    "text",
    [
        "Use the <think> tag in HTML. " + "It has no end. " * 60,
        "Write <thinking>, and then <think>, please.",
        "He said [thinking] nothing.",
    ],
)
def test_a_thoughts_tag_that_is_only_spoken_of_is_text(text: str) -> None:
    """A4."""
    for size in (1, 7, 5000):
        hidden = HiddenTextFilter()
        parts = [hidden.push(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(each.text for each in [*parts, hidden.finish()]) == text


async def test_a_call_as_text_of_a_tool_that_is_not_offered_is_neither_made_nor_spoken(
    http: httpx2.AsyncClient,
) -> None:
    written = '<tool_call>{"name": "launch", "arguments": {}}</tool_call>'
    pieces = await pieces_of(http, replying(say("Well."), say(written), STOP, DONE))
    assert pieces[0] == "Well."
    assert text_of(pieces) == "Well."
    assert calls_of(pieces) == []


# --- ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "error", "abort", "network_error"])
async def test_an_answer_that_its_server_broke_off_is_an_error(http: httpx2.AsyncClient, reason: str) -> None:
    """A31."""
    error = await failure_of(http, replying(say("It is "), choice(reason), DONE))
    assert error.failure.error_class is ErrorClass.TRANSIENT
    assert reason in error.failure.message


async def test_an_answer_that_is_nothing_but_thoughts_names_the_limit_and_the_setting(
    http: httpx2.AsyncClient,
) -> None:
    """A6."""
    error = await failure_of(http, replying(choice(reasoning_content="Hm."), choice("length"), DONE))
    assert error.failure.error_class is ErrorClass.LIMIT_SPENT, "another request would end the same"
    assert "LLM_MAX_TOKENS" in error.failure.message
    assert "500" in error.failure.message


@pytest.mark.parametrize(
    "lines", [[STOP, DONE], [CALLS, DONE], [choice(content=""), STOP], [say(" \n"), STOP]]
)
async def test_an_empty_answer_is_worth_another_request(http: httpx2.AsyncClient, lines: list[str]) -> None:
    """A29."""
    error = await failure_of(http, replying(*lines))
    assert error.failure.error_class is ErrorClass.UNUSABLE_ANSWER
    assert "empty answer" in error.failure.message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([event({"object": "error", "message": "boom", "code": 500})], "boom"),
        (['event: error\ndata: {"message": "overloaded"}\n\n'], "overloaded"),
        ([event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})], "busy"),
        ([event({"choices": [{"error": {"code": 502, "message": "upstream"}}]})], "upstream"),
        ([event([{"error": {"code": 500, "message": "listed"}}])], "listed"),
    ],
)
async def test_errors_of_all_shapes_come_out_with_their_reason(
    http: httpx2.AsyncClient, lines: list[str], message: str
) -> None:
    """A32, A33."""
    error = await failure_of(http, replying(say("It "), *lines, DONE))
    assert message in error.failure.message


async def test_a_connection_that_breaks_after_the_end_does_no_harm(http: httpx2.AsyncClient) -> None:
    """A45."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(say(NOON) + STOP)

    assert text_of(await pieces_of(http, answer)) == NOON


@pytest.mark.slow
async def test_a_server_that_never_closes_is_not_waited_for_after_the_end(http: httpx2.AsyncClient) -> None:
    """A45."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.write(say(NOON) + STOP)
        await exchange.hung_up()

    assert text_of(await pieces_of(http, answer)) == NOON


async def test_a_web_page_instead_of_an_answer_says_what_may_be_missing(http: httpx2.AsyncClient) -> None:
    """A40."""
    page = replying("<!DOCTYPE html>\n<html>Welcome</html>", headers={"content-type": "text/html"})
    error = await failure_of(http, page)
    assert error.failure.error_class is ErrorClass.FATAL
    assert "/v1" in error.failure.message


async def test_an_event_without_end_is_an_error_and_costs_little(http: httpx2.AsyncClient) -> None:
    flood = [say("It is "), "data: {", *["x" * 65536] * 20]
    error = await failure_of(http, replying(*flood))
    assert "an event of more than" in error.failure.message


async def test_a_call_refused_by_the_server_for_its_form_is_asked_for_again(http: httpx2.AsyncClient) -> None:
    """A16."""
    body = {
        "error": {
            "message": "Failed to call a function.",
            "type": "invalid_request_error",
            "code": "tool_use_failed",
        }
    }
    error = await failure_of(http, replying(json.dumps(body), status=400, headers=JSON))
    assert error.failure.error_class is ErrorClass.UNUSABLE_ANSWER


@pytest.mark.parametrize(
    "lines",
    [
        [say('<tool_call>{"name": "launch", "arguments": {}}</tool_call>'), STOP],
        [choice("MALFORMED_FUNCTION_CALL")],
        [choice(tool_calls=[call("", "{}")]), CALLS],
    ],
    ids=["of a tool that is not offered", "malformed", "without a name"],
)
async def test_a_call_that_cannot_be_made_is_no_failure_of_the_server(
    http: httpx2.AsyncClient, lines: list[str]
) -> None:
    error = await failure_of(http, replying(*lines, DONE))
    assert error.failure.error_class is ErrorClass.UNUSABLE_ANSWER


# --- what a request may hold ------------------------------------------------------------------------------


def refusing(reason: dict[str, Any], status: int = 400, *, unless: Any) -> Answer:
    """Answers a request only where `unless(body)` is true."""

    async def answer(exchange: Exchange) -> None:
        if exchange.path.endswith("/chat/completions") and not unless(exchange.body):
            await exchange.reply(json.dumps(reason), status=status, headers=JSON)
        else:
            await exchange.reply(say(NOON), STOP, DONE)

    return answer


CALLED = [
    *QUESTION,
    Message(Speaker.ASSISTANT, "", calls=(CallRecord(1, ToolCall("call_0", "end_call", "{}"), "Done."),)),
]


def openai_error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


@pytest.mark.parametrize(
    ("reason", "status", "unless"),
    [
        pytest.param(
            openai_error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                code="unsupported_parameter",
                param="max_tokens",
            ),
            400,
            lambda body: "max_tokens" not in body and body["max_completion_tokens"] == 500,
            id="A9 max_tokens",
        ),
        pytest.param(
            openai_error(
                "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) "
                "value is supported.",
                code="unsupported_value",
                param="temperature",
            ),
            400,
            lambda body: "temperature" not in body,
            id="A9 temperature",
        ),
        pytest.param(
            openai_error("`temperature` and `top_p` cannot both be specified for this model."),
            400,
            lambda body: "top_p" not in body and "temperature" in body,
            id="A24 both",
        ),
        pytest.param(
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "frequency_penalty"], "msg": "no"}]},
            422,
            lambda body: "frequency_penalty" not in body,
            id="A24 detail",
        ),
        pytest.param(
            openai_error(
                '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
            ),
            400,
            lambda body: "tools" not in body and all("tool_calls" not in each for each in body["messages"]),
            id="A25 vllm",
        ),
        pytest.param(
            openai_error("registry.example/m does not support tools"),
            400,
            lambda body: "tools" not in body,
            id="A25 ollama",
        ),
        pytest.param(
            openai_error("No endpoints found that support tool use.", code=404),
            404,
            lambda body: "tools" not in body,
            id="A25 openrouter",
        ),
        pytest.param(
            openai_error("System role not supported"),
            400,
            lambda body: (
                body["messages"][0]["role"] == "user" and "Be short." in body["messages"][0]["content"]
            ),
            id="A26",
        ),
        pytest.param(
            openai_error("invalid message content type: <nil>"),
            400,
            lambda body: all(isinstance(each.get("content"), str) for each in body["messages"]),
            id="A23",
        ),
        pytest.param(
            openai_error("The `reasoning_content` in the thinking mode must be passed back to the API."),
            400,
            lambda body: all(
                "reasoning_content" in each for each in body["messages"] if "tool_calls" in each
            ),
            id="A21",
        ),
    ],
)
async def test_what_a_server_refuses_of_a_request_is_learnt_once(
    http: httpx2.AsyncClient, reason: dict[str, Any], status: int, unless: Any
) -> None:
    async with chat_server(refusing(reason, status, unless=unless)) as server:
        model = OpenAILanguageModel(
            http,
            server.base_url,
            "m",
            temperature=0.3,
            max_tokens=500,
            top_p=0.9,
            frequency_penalty=0.5,
        )
        assert text_of(await ask(model, CALLED)) == NOON
        assert len(server.exchanges) == 2, "it is asked again at once"
        assert text_of(await ask(model, CALLED)) == NOON
        assert len(server.exchanges) == 3, "and known from then on"
    assert len(model.learnt) == 1


async def test_neutral_parameters_are_not_sent(http: httpx2.AsyncClient) -> None:
    """A24."""
    async with chat_server(replying(say(NOON), STOP)) as server:
        await ask(
            OpenAILanguageModel(
                http, server.base_url, "m", top_p=1.0, frequency_penalty=0.0, presence_penalty=0.0
            )
        )
    assert not server.exchanges[0].body.keys() & {"top_p", "frequency_penalty", "presence_penalty"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            400,
            {
                "code": "content_filter",
                "message": "The prompt triggered the content policy.",
                "param": "prompt",
            },
        ),
        (403, {"code": 403, "message": "requires moderation", "metadata": {"reasons": ["self-harm"]}}),
    ],
)
async def test_a_refusal_of_what_was_said_is_a_class_of_its_own(
    http: httpx2.AsyncClient, status: int, error: dict[str, Any]
) -> None:
    """A27, A28."""
    failed = await failure_of(http, replying(json.dumps({"error": error}), status=status, headers=JSON))
    assert failed.failure.error_class is ErrorClass.REFUSED_TEXT


async def test_the_wait_in_a_body_is_read(http: httpx2.AsyncClient) -> None:
    """A43."""
    body = [{"error": {"code": 429, "message": "Quota exceeded.", "details": [{"retryDelay": "20s"}]}}]
    failed = await failure_of(http, replying(json.dumps(body), status=429, headers=JSON))
    assert failed.failure.retry_after_ms == 20_000
    assert "Quota exceeded." in failed.failure.message
    groq = {
        "error": {"message": "Rate limit reached. Please try again in 7.66s.", "code": "rate_limit_exceeded"}
    }
    failed = await failure_of(http, replying(json.dumps(groq), status=429, headers=JSON))
    assert failed.failure.retry_after_ms == 7_660


@pytest.mark.parametrize(
    "reason",
    [
        openai_error("This model's maximum context length is 4096 tokens.", code="context_length_exceeded"),
        openai_error(
            "'max_tokens' is too large: 500. This model's maximum context length is 4096 tokens and your "
            "request has 3700 input tokens.",
            param="max_tokens",
        ),
    ],
)
async def test_a_history_that_is_too_long_is_halved_until_it_fits(
    http: httpx2.AsyncClient, reason: dict[str, Any]
) -> None:
    """A44."""
    long = [QUESTION[0]]
    for number in range(8):
        long += [Message(Speaker.USER, f"Question {number}"), Message(Speaker.ASSISTANT, f"Answer {number}")]
    long.append(QUESTION[1])
    answer = refusing(reason, unless=lambda body: len(body["messages"]) <= 6)
    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m", max_tokens=500)
        assert text_of(await ask(model, long)) == NOON
    sent = server.exchanges[-1].body["messages"]
    assert sent[0]["role"] == "system"
    assert sent[-1]["content"] == QUESTION[1].text
    assert sent[1]["role"] == "user"
    assert model.learnt == ()


# --- the order of messages --------------------------------------------------------------------------------


def order_of(server: Any) -> list[str]:
    return [message["role"] for message in server.exchanges[-1].body["messages"]]


RESULT = Message(Speaker.ASSISTANT, "", calls=(CallRecord(1, ToolCall("x", "end_call", "{}"), "Done."),))


@pytest.mark.parametrize(
    ("messages", "order"),
    [
        ([*QUESTION, RESULT], "system user assistant tool"),
        ([*QUESTION, RESULT, QUESTION[1]], "system user assistant tool assistant user"),
        ([*QUESTION, Message(Speaker.ASSISTANT, "It is")], "system user assistant user"),
        ([*QUESTION, QUESTION[1]], "system user"),
        (
            [*QUESTION, Message(Speaker.ASSISTANT, "One."), Message(Speaker.ASSISTANT, "Two."), QUESTION[1]],
            "system user assistant user",
        ),
        ([*QUESTION, Message(Speaker.ASSISTANT, ""), QUESTION[1]], "system user"),
        (
            [*QUESTION, RESULT, RESULT, QUESTION[1]],
            "system user assistant tool assistant tool assistant user",
        ),
    ],
)
async def test_messages_are_in_an_order_that_every_server_takes(
    http: httpx2.AsyncClient, messages: list[Message], order: str
) -> None:
    """A10."""
    async with chat_server(replying(say(NOON), STOP, DONE)) as server:
        await ask(OpenAILanguageModel(http, server.base_url, "m"), messages)
    assert order_of(server) == order.split()


async def test_tools_of_the_history_are_named_where_none_may_be_called(http: httpx2.AsyncClient) -> None:
    """A11."""
    async with chat_server(replying(say(NOON), STOP, DONE)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        await ask(model, CALLED, TOOLS)
        await ask(model, CALLED, ())
        await ask(model, QUESTION, ())
    offered, kept, plain = (exchange.body for exchange in server.exchanges)
    assert kept["tools"] == offered["tools"]
    assert kept["tool_choice"] == "none"
    assert not plain.keys() & {"tools", "tool_choice"}


async def test_ids_of_calls_are_our_own_and_differ_within_a_request(http: httpx2.AsyncClient) -> None:
    """A22: nine letters and digits, as Mistral wants them."""
    calls = [CallRecord(number, ToolCall("call_0", "end_call", "{}"), "Done.") for number in (1, 2)]
    messages = [*QUESTION, *(Message(Speaker.ASSISTANT, "", calls=(each,)) for each in calls)]
    async with chat_server(replying(say(NOON), STOP, DONE)) as server:
        await ask(OpenAILanguageModel(http, server.base_url, "m"), messages)
    sent = server.exchanges[0].body["messages"]
    asked = [each["tool_calls"][0]["id"] for each in sent if "tool_calls" in each]
    assert asked == [each["tool_call_id"] for each in sent if each["role"] == "tool"]
    assert len(set(asked)) == 2
    assert all(len(each) == 9 and each.isalnum() for each in asked)


async def test_what_a_provider_attaches_to_a_call_comes_back_with_it(http: httpx2.AsyncClient) -> None:
    """A20, A21."""
    extra = {"google": {"thought_signature": "abc"}}
    first = [
        choice(reasoning_content="They want it "),
        choice(reasoning_content="to end."),
        choice(tool_calls=[call("end_call", "{}", extra_content=extra)]),
        CALLS,
    ]

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(*(first if len(exchange.body["messages"]) == 2 else [say(NOON), STOP]))

    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        (made,) = (piece for piece in await ask(model) if isinstance(piece, ToolCall))
        history = [*QUESTION, Message(Speaker.ASSISTANT, "", calls=(CallRecord(1, made, "Done."),))]
        await ask(model, history)
        stranger = OpenAILanguageModel(http, server.base_url, "another")
        await ask(stranger, history)
    _, own, others = ([each for each in x.body["messages"] if "tool_calls" in each] for x in server.exchanges)
    assert own[0]["tool_calls"][0]["extra_content"] == extra
    assert "extra_content" not in others[0]["tool_calls"][0]


async def test_a_tool_without_arguments_is_offered_without_a_schema(http: httpx2.AsyncClient) -> None:
    """A46."""
    async with chat_server(replying(say(NOON), STOP, DONE)) as server:
        await ask(OpenAILanguageModel(http, server.base_url, "m"))
    ended, sent = (each["function"] for each in server.exchanges[0].body["tools"])
    assert "parameters" not in ended
    assert sent["parameters"] == SEND_DIGITS.parameters


# --- the probe --------------------------------------------------------------------------------------------


REHEARSAL = Rehearsal(QUESTION, TOOLS)


def listing(status: int, body: str = "{}", chat: tuple[int, Any] | None = None) -> Answer:
    """Answers the list of models with `status`, and questions as `chat` says, or well."""

    async def answer(exchange: Exchange) -> None:
        if exchange.path == "/v1/models":
            await exchange.reply(body, status=status, headers=JSON)
        elif chat is not None:
            await exchange.reply(json.dumps(chat[1]), status=chat[0], headers=JSON)
        else:
            await exchange.reply(say(NOON), STOP, DONE)

    return answer


async def test_the_first_probe_asks_what_a_call_asks_and_later_ones_list_the_models(
    http: httpx2.AsyncClient,
) -> None:
    """A9."""
    async with chat_server(listing(200)) as server:
        model = OpenAILanguageModel(
            http, server.base_url, "m", temperature=0.3, max_tokens=500, rehearsal=REHEARSAL
        )
        await model.check()
        await model.check()
    first, second = server.exchanges
    assert (first.body["temperature"], first.body["max_tokens"]) == (0.3, 500)
    assert [message["role"] for message in first.body["messages"]] == ["system", "user"]
    assert len(first.body["tools"]) == 2
    assert second.path == "/v1/models"


@pytest.mark.parametrize("status", [403, 404])
async def test_a_key_that_may_not_list_models_is_asked_a_question_and_not_at_every_call(
    http: httpx2.AsyncClient, status: int
) -> None:
    """A15."""
    async with chat_server(listing(status)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        for _ in range(3):
            await model.check()
    paths = [exchange.path for exchange in server.exchanges]
    assert paths.count("/v1/chat/completions") == 1


async def test_after_a_refusal_that_all_would_get_probes_ask_until_a_question_is_taken(
    http: httpx2.AsyncClient,
) -> None:
    unpaid = listing(200, chat=(429, openai_error("You exceeded your quota.", code="insufficient_quota")))
    paid = listing(200)
    credit = False

    async def answer(exchange: Exchange) -> None:
        await (paid if credit else unpaid)(exchange)

    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        await model.check()
        for asked in (lambda: ask(model), model.check, model.check):
            with pytest.raises(ProviderError) as raised:
                await asked()
            assert raised.value.failure.error_class is ErrorClass.FATAL
        credit = True
        await model.check()
        await model.check()
    assert [exchange.path.rpartition("/")[2] for exchange in server.exchanges] == [
        *("models", "completions", "completions", "completions", "completions", "models")
    ]


@pytest.mark.parametrize(
    "useless",
    [
        listing(200, chat=(400, {"error": "Bad Request"})),
        replying(say(""), STOP, DONE),
    ],
)
async def test_after_an_answer_of_no_use_the_next_probe_asks_and_finds_whether_all_are_so(
    http: httpx2.AsyncClient, useless: Answer
) -> None:
    async def answer(exchange: Exchange) -> None:
        listed = exchange.path.endswith("/models")
        await (listing(200) if listed or well else useless)(exchange)

    well = True
    async with chat_server(answer) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        await model.check()
        well = False
        for asked in (lambda: ask(model), model.check):
            with pytest.raises(ProviderError) as raised:
                await asked()
            assert raised.value.failure.error_class.casts_doubt
        well = True
        await model.check()
        well = False
        await model.check()
    assert [exchange.path.rpartition("/")[2] for exchange in server.exchanges] == [
        *("models", "completions", "completions", "completions", "models")
    ]


async def test_a_list_that_is_none_is_no_failure(http: httpx2.AsyncClient) -> None:
    """A40."""
    async with chat_server(listing(200, "<html>Welcome</html>")) as server:
        await OpenAILanguageModel(http, server.base_url, "m").check()


async def test_a_refused_model_fails_the_probe(http: httpx2.AsyncClient) -> None:
    refused = openai_error("The model `m` does not exist.", code="model_not_found")
    async with chat_server(listing(200, chat=(404, refused))) as server:
        with pytest.raises(ProviderError) as raised:
            await OpenAILanguageModel(http, server.base_url, "m", rehearsal=REHEARSAL).check()
    assert raised.value.failure.error_class is ErrorClass.FATAL


@pytest.mark.parametrize(
    "refused",
    [
        openai_error("Could not finish the message because max_tokens or model output limit was reached."),
        openai_error("Your input was flagged.", code="content_filter"),
    ],
)
async def test_a_refusal_that_says_that_all_else_is_well_passes_the_probe(
    http: httpx2.AsyncClient, refused: dict[str, Any]
) -> None:
    """A42."""
    async with chat_server(listing(200, chat=(400, refused))) as server:
        model = OpenAILanguageModel(http, server.base_url, "m", max_tokens=500, rehearsal=REHEARSAL)
        await model.check()
    assert model.learnt == ()


async def test_parameters_can_be_left_out_and_renamed_by_settings(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(say(NOON), STOP)) as server:
        model = OpenAILanguageModel(
            http,
            server.base_url,
            "m",
            temperature=0.3,
            max_tokens=500,
            reasoning_effort="low",
            omit=["temperature"],
            rename={"max_tokens": "max_completion_tokens"},
        )
        await ask(model)
    body = server.exchanges[0].body
    assert "temperature" not in body
    assert "max_tokens" not in body
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (500, "low")
