"""Tool calls in the OpenAI adapter: read from streams of all kinds of servers, and sent back to the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import httpx2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)
from pydantic import TypeAdapter

from adapters import conformance
from adapters.conformance import Check, LlmUnderTest
from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.openai.messages import STILL_RUNNING, message_params
from adapters.openai.streamed_calls import StreamedCalls
from adapters.simulators import Answer as Scripted
from adapters.simulators import Fault, FaultKind, Script, ScriptedCall, simulators
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall
from tests.adapters.openai.chat_server import DONE, JSON, chat_server, chunk
from tests.adapters.openai.test_chat import replying

KEY = "sk-test-0123456789abcdef"
WEATHER = ToolSpec(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TRAINS = ToolSpec("trains", "Trains to a city.", {"type": "object", "properties": {}})
PARIS, OSLO = '{"city": "Paris"}', '{"city": "Oslo"}'
QUESTION = Message(Speaker.USER, "What is the weather in Paris?")


async def ask(
    model: OpenAILanguageModel,
    messages: Sequence[Message] = (QUESTION,),
    tools: Sequence[ToolSpec] = (WEATHER, TRAINS),
    into: list[str | ToolCall] | None = None,
) -> list[str | ToolCall]:
    pieces = [] if into is None else into
    with trio.fail_after(60):
        async with model.generate(messages, tools) as stream:
            async for piece in stream:
                pieces.append(piece)
    return pieces


def text_of(pieces: Iterable[object]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def calls_of(pieces: Iterable[object]) -> list[tuple[str, str]]:
    return [(piece.name, piece.arguments) for piece in pieces if isinstance(piece, ToolCall)]


# --- against the simulated OpenAI -------------------------------------------------------------------------

SCRIPT = Script(
    answers=(
        Scripted("both", "", (ScriptedCall("weather", PARIS), ScriptedCall("trains"))),
        Scripted(
            "weather",
            "Let me look.",
            (ScriptedCall("weather", PARIS),),
            then=(
                Scripted("^Failed", "That did not work."),
                Scripted("running", "I do not know yet."),
                Scripted(
                    "rain", "", (ScriptedCall("trains"),), then=(Scripted("", "It rains, but {result}"),)
                ),
            ),
        ),
        Scripted("broken", "", (ScriptedCall("weather", "{city: Paris}"),)),
        Scripted("", "I cannot see outside."),
    )
)


async def simulated(
    question: str | Sequence[Message],
    *faults: Fault,
    tools: Sequence[ToolSpec] = (WEATHER, TRAINS),
    max_tokens: int | None = None,
) -> list[str | ToolCall | ProviderError]:
    """The answer of the simulated OpenAI; its last element may be an error."""
    messages = [Message(Speaker.USER, question)] if isinstance(question, str) else question
    pieces: list[str | ToolCall] = []
    failed: list[ProviderError] = []
    async with simulators(keys=[KEY], script=SCRIPT, faults=faults) as running:
        async with http_client() as http:
            model = OpenAILanguageModel(http, running.openai_url, "gpt-4.1", KEY, max_tokens=max_tokens)
            try:
                await ask(model, messages, tools, pieces)
            except ProviderError as error:
                failed.append(error)
        with trio.fail_after(60):
            await running.all_closed()
    return [*pieces, *failed]


async def test_text_comes_first_then_the_whole_call_under_its_id() -> None:
    *pieces, call = await simulated("How is the weather?")
    assert text_of(pieces) == "Let me look."
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("weather", PARIS)
    assert call.id.startswith("call_")


async def test_while_a_call_is_written_empty_pieces_show_that_the_model_is_alive() -> None:
    pieces = await simulated("How is the weather?")
    assert pieces[-3:-1] == ["", ""]
    assert not any(piece == "" for piece in await simulated("Hello?"))


async def test_two_calls_at_once_come_in_their_order_under_ids_of_their_own() -> None:
    pieces = await simulated("Tell me both.")
    assert calls_of(pieces) == [("weather", PARIS), ("trains", "{}")]
    assert len({piece.id for piece in pieces if isinstance(piece, ToolCall)}) == 2
    assert text_of(pieces) == ""


async def test_a_model_that_is_offered_no_tools_answers_in_words() -> None:
    pieces = await simulated("How is the weather?", tools=())
    assert text_of(pieces) == "I cannot see outside."
    assert calls_of(pieces) == []


async def test_arguments_that_are_not_json_are_kept_as_the_model_wrote_them() -> None:
    assert calls_of(await simulated("Try a broken one.")) == [("weather", "{city: Paris}")]


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CLOSE])
@pytest.mark.parametrize("after", [5, 7, 9])
async def test_an_answer_that_breaks_off_within_a_call_has_no_calls(kind: FaultKind, after: int) -> None:
    *got, error = await simulated("How is the weather?", Fault(kind, "openai", after=after))
    assert isinstance(error, ProviderError)
    assert error.failure.error_class is ErrorClass.CONNECTION
    assert text_of(got) == "Let me look."
    assert calls_of(got) == []


async def test_a_call_that_was_cut_off_by_the_token_limit_is_an_error() -> None:
    *got, error = await simulated("How is the weather?", max_tokens=7)
    assert isinstance(error, ProviderError)
    assert error.failure.error_class is ErrorClass.UNUSABLE_ANSWER
    assert "cut off: length" in error.failure.message
    assert calls_of(got) == []


def asking(*records: CallRecord, text: str = "") -> Message:
    return Message(Speaker.ASSISTANT, text, calls=records)


def record(number: int, result: str | None = None, *, failed: bool = False) -> CallRecord:
    return CallRecord(number, ToolCall(f"call_{number}", "weather", PARIS), result, failed=failed)


@pytest.mark.parametrize(
    ("result", "failed", "said"),
    [
        ("Sunny.", False, "Sunny."),
        ("no such city", True, "That did not work."),
        (None, False, "I do not know yet."),
    ],
)
async def test_the_model_is_sent_the_result_of_its_call(result: str | None, failed: bool, said: str) -> None:
    pieces = await simulated([QUESTION, asking(record(1, result, failed=failed), text="Let me look.")])
    assert text_of(pieces) == said


async def test_a_model_may_call_again_when_it_sees_a_result() -> None:
    first = asking(record(1, "Much rain."), text="Let me look.")
    pieces = await simulated([QUESTION, first])
    assert calls_of(pieces) == [("trains", "{}")]
    second = asking(CallRecord(2, ToolCall("call_2", "trains", "{}"), "the train is on time."))
    assert text_of(await simulated([QUESTION, first, second])) == "It rains, but the train is on time."


async def test_an_answer_to_a_result_that_broke_off_is_continued() -> None:
    first = asking(record(1, "It is sunny in Paris."), text="Let me look.")
    begun = Message(Speaker.ASSISTANT, "It is sunny")
    assert text_of(await simulated([QUESTION, first, begun])).strip() == "in Paris."


@pytest.mark.parametrize("check", conformance.LANGUAGE_MODEL)
async def test_the_adapter_conforms(check: Check[LlmUnderTest], http: httpx2.AsyncClient) -> None:
    name = conformance.WEATHER.name
    script = Script(
        answers=(Scripted("weather", "I look.", (ScriptedCall(name, PARIS),)), Scripted("", "One, two."))
    )
    async with simulators(keys=[KEY]) as gone:
        pass
    async with simulators(keys=[KEY], script=script) as running:
        model, nowhere = (
            OpenAILanguageModel(http, each.openai_url, "gpt-4.1", KEY) for each in (running, gone)
        )
        await check(LlmUnderTest(model, unreachable=nowhere, tool_question="What is the weather in Paris?"))


# --- other servers ----------------------------------------------------------------------------------------


def delta(*calls: Mapping[str, Any], finish: str | None = None, content: str | None = None) -> str:
    fields = {"content": content, "tool_calls": list(calls)}
    return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


def part(
    index: int | None = None, id_: str | None = None, name: str | None = None, arguments: Any = None
) -> dict[str, Any]:
    """A fragment of a call, without fields that are None."""
    function = {"name": name, "arguments": arguments}
    fields = {
        "index": index,
        "id": id_,
        "function": {key: value for key, value in function.items() if value is not None},
    }
    return {key: value for key, value in fields.items() if value is not None}


END = chunk(finish="tool_calls")
TWO = [ToolCall("a", "weather", PARIS), ToolCall("b", "weather", OSLO)]
NAMELESS = [ToolCall("call_1", "weather", PARIS), ToolCall("call_2", "weather", OSLO)]


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        # Whole calls, together, one by one, and with the end.
        ([delta(part(0, "a", "weather", PARIS), part(1, "b", "weather", OSLO)), END], TWO),
        ([delta(part(0, "a", "weather", PARIS)), delta(part(1, "b", "weather", OSLO), finish="stop")], TWO),
        # The second goes on before the first is complete.
        (
            [
                delta(part(0, "a", "weather", "")),
                delta(part(1, "b", "weather", "")),
                delta(part(0, arguments=PARIS[:5]), part(1, arguments=OSLO[:9])),
                delta(part(1, arguments=OSLO[9:]), part(0, arguments=PARIS[5:])),
                END,
            ],
            TWO,
        ),
        # Without numbers; all with the number 0; without ids; without both.
        ([delta(part(None, "a", "weather", PARIS), part(None, "b", "weather", OSLO)), END], TWO),
        (
            [
                delta(part(None, "a", "weather", PARIS[:4])),
                delta(part(None, "a", None, PARIS[4:])),
                delta(part(None, "b", "weather", OSLO[:4])),
                delta(part(None, None, None, OSLO[4:])),
                END,
            ],
            TWO,
        ),
        ([delta(part(0, "a", "weather", PARIS)), delta(part(0, "b", "weather", OSLO)), END], TWO),
        ([delta(part(0, "", "weather", PARIS)), delta(part(1, "", "weather", OSLO)), END], NAMELESS),
        (
            [
                delta(part(None, None, "weather", PARIS[:3])),
                delta(part(None, None, None, PARIS[3:])),
                delta(part(None, None, "weather", OSLO)),
                END,
            ],
            NAMELESS,
        ),
        # Name and id repeated with every fragment, an id drawn for every fragment, the id at the end.
        (
            [delta(part(0, "a", "weather", PARIS[:3])), delta(part(0, "a", "weather", PARIS[3:])), END],
            TWO[:1],
        ),
        ([delta(part(0, "a", "weather", PARIS[:3])), delta(part(0, "z", "", PARIS[3:])), END], TWO[:1]),
        ([delta(part(0, None, "weather", PARIS)), delta(part(0, "a")), END], TWO[:1]),
        # Arguments that are an object, and none.
        ([delta(part(0, "a", "weather", {"city": "Paris"})), END], TWO[:1]),
        ([delta(part(0, "a", "weather", {})), END], [ToolCall("a", "weather", "{}")]),
        ([delta(part(0, "a", "weather", "")), END], [ToolCall("a", "weather", "{}")]),
        ([delta(part(0, "a", "weather", 5)), END], [ToolCall("a", "weather", "5")]),
        # Other ends, and a call that was complete when the answer was cut off.
        ([delta(part(0, "a", "weather", PARIS)), DONE], TWO[:1]),
        ([delta(part(0, "a", "weather", PARIS)), chunk(finish="length"), DONE], TWO[:1]),
        ([delta(part(0, "a", "weather", PARIS)), chunk(finish="function_calls"), DONE], TWO[:1]),
    ],
)
async def test_calls_of_all_kinds_of_servers_are_read(
    http: httpx2.AsyncClient, lines: list[str], calls: list[ToolCall]
) -> None:
    async with chat_server(replying(*lines)) as server:
        pieces = await ask(OpenAILanguageModel(http, server.base_url, "m"))
    assert pieces[-len(calls) :] == calls
    assert set(pieces[: -len(calls)]) == {""}


@pytest.mark.parametrize(
    "reason", ["length", "LENGTH", "MAX_TOKENS", "content_filter", "SAFETY", "recitation"]
)
async def test_a_call_that_was_cut_off_is_an_error_however_the_server_spells_the_reason(
    http: httpx2.AsyncClient, reason: str
) -> None:
    lines = [delta(part(0, "a", "weather", PARIS[:5])), chunk(finish=reason), DONE]
    got: list[str | ToolCall] = []
    async with chat_server(replying(*lines)) as server:
        with pytest.raises(ProviderError, match=f"cut off: {reason}") as raised:
            await ask(OpenAILanguageModel(http, server.base_url, "m"), into=got)
    assert raised.value.failure.error_class is ErrorClass.UNUSABLE_ANSWER
    assert calls_of(got) == []


async def test_chunks_that_differ_from_openais_hold_calls_too(http: httpx2.AsyncClient) -> None:
    bare = {"choices": [{"delta": {"tool_calls": [part(0, "a", "weather", PARIS)]}, "finish_reason": "x"}]}
    async with chat_server(replying(f"data: {json.dumps(bare)}\n\n", DONE)) as server:
        assert await ask(OpenAILanguageModel(http, server.base_url, "m")) == ["", TWO[0]]


async def test_text_that_comes_after_a_call_is_reported_before_it(http: httpx2.AsyncClient) -> None:
    lines = [
        chunk("One "),
        delta(part(0, "a", "weather"), content="moment"),
        delta(part(0, arguments=PARIS)),
        chunk(", please."),
    ]
    async with chat_server(replying(*lines, END, DONE)) as server:
        pieces = await ask(OpenAILanguageModel(http, server.base_url, "m"))
    assert pieces == ["One ", "moment", "", ", please.", TWO[0]]


@pytest.mark.parametrize(
    "lines",
    [
        [delta(part(0, "a", None, PARIS)), END],
        [delta(part(0, "a", "weather", PARIS), part(1, "b", "", OSLO)), END],
        [delta(part(None, None, None, PARIS)), END],
        [delta(part(0, "a", "weather", PARIS[:5])), chunk(finish="length")],
        [delta(part(0, "a", "weather", "")), chunk(finish="length")],
        [delta(part(0, "a", "weather", PARIS[:5])), chunk(finish="content_filter")],
        ['data: {"choices": [{"delta": {"tool_calls": "none"}}]}\n\n', END],
        ['data: {"choices": [{"delta": {"tool_calls": [{"index": "x"}]}}]}\n\n', END],
        ['data: {"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]}\n\n', END],
    ],
)
async def test_a_call_that_is_broken_is_an_error(http: httpx2.AsyncClient, lines: list[str]) -> None:
    got: list[str | ToolCall] = []
    async with chat_server(replying(*lines, DONE)) as server:
        with pytest.raises(ProviderError) as raised:
            await ask(OpenAILanguageModel(http, server.base_url, "m"), into=got)
    assert raised.value.failure.error_class is ErrorClass.UNUSABLE_ANSWER
    assert calls_of(got) == []


async def test_a_server_that_refuses_tools_is_a_failed_provider(http: httpx2.AsyncClient) -> None:
    refused = replying('{"error": {"message": "no tools"}}', status=400, headers=JSON)
    async with chat_server(refused) as server:
        with pytest.raises(ProviderError, match="HTTP 400") as raised:
            await ask(OpenAILanguageModel(http, server.base_url, "m"))
    assert raised.value.failure.error_class is ErrorClass.REFUSED_REQUEST


cuts = st.sets(st.integers(1, 20)).map(sorted)


@given(cuts, cuts, cuts, st.booleans())
def test_a_call_is_the_same_however_it_is_fragmented(
    names: list[int], arguments: list[int], others: list[int], numbered: bool
) -> None:
    calls = StreamedCalls("test")
    for at, call, cut in ((0, TWO[0], arguments), (1, TWO[1], others)):
        index = at if numbered else None
        first, *more = pieces_of(call.name, names if numbered else [])
        calls.add([part(index, call.id, first)])
        calls.add(part(index, None, fragment) for fragment in more)
        calls.add(part(index, None, None, fragment) for fragment in pieces_of(call.arguments, cut))
    assert [made.call for made in calls.finish("tool_calls")] == TWO


def pieces_of(text: str, cut: Sequence[int]) -> list[str]:
    within = [at for at in cut if at < len(text)]
    return [text[start:end] for start, end in zip([0, *within], [*within, len(text)], strict=True)]


# --- what is sent -----------------------------------------------------------------------------------------


async def test_tools_are_offered_as_functions_and_nothing_else_is_asked(http: httpx2.AsyncClient) -> None:
    async with chat_server(replying(chunk("Hi"), DONE)) as server:
        model = OpenAILanguageModel(http, server.base_url, "m")
        await ask(model, tools=[WEATHER])
        await ask(model, tools=[])
    offered, not_offered = (exchange.body for exchange in server.exchanges)
    assert offered["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather in a city.",
                "parameters": dict(WEATHER.parameters),
            },
        }
    ]
    assert offered.keys() - not_offered.keys() == {"tools"}
    TypeAdapter(list[ChatCompletionFunctionToolParam]).validate_python(offered["tools"])


def test_calls_are_followed_by_their_results_in_the_types_of_the_sdk() -> None:
    conversation = [
        QUESTION,
        asking(record(1, "Sunny."), record(2, "no such city", failed=True), record(3)),
        asking(record(4, ""), text="Let me look."),
        Message(Speaker.ASSISTANT, "It is sunny."),
    ]
    params = message_params(conversation)
    TypeAdapter(list[ChatCompletionMessageParam]).validate_python(params)
    told = [(param["role"], param.get("content"), param.get("tool_call_id")) for param in params]
    assert told == [
        ("user", QUESTION.text, None),
        ("assistant", None, None),
        ("tool", "Sunny.", "000000000"),
        ("tool", "Failed: no such city", "000000001"),
        ("tool", STILL_RUNNING, "000000002"),
        ("assistant", "Let me look.", None),
        ("tool", "(nothing)", "000000003"),
        ("assistant", "It is sunny.", None),
        ("user", "(Please go on exactly where you stopped.)", None),
    ]
    asked = cast(ChatCompletionAssistantMessageParam, params[1])
    assert [call["id"] for call in asked["tool_calls"]] == ["000000000", "000000001", "000000002"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (PARIS, PARIS),
        ('{"city": "Par', json.dumps({"malformed": '{"city": "Par'})),
        ("[1]", json.dumps({"malformed": "[1]"})),
    ],
)
def test_arguments_are_always_sent_as_a_json_object(written: str, sent: str) -> None:
    (_, asked, _) = message_params(
        [asking(CallRecord(1, ToolCall("a", "weather", written), "Bad.", failed=True))]
    )
    assert asked.get("tool_calls") == [
        {"id": "000000000", "type": "function", "function": {"name": "weather", "arguments": sent}}
    ]
