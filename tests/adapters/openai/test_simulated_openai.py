"""The simulated OpenAI accepts tools, calls and results as OpenAI does, and refuses what OpenAI refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from adapters.openai.messages import tool_params
from adapters.simulators import Simulators, simulators
from tests.adapters.openai.test_tools import KEY, PARIS, SCRIPT, TRAINS, WEATHER


def told(role: str, content: str | None = "Hi", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def calling(*ids: str) -> dict[str, Any]:
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
    return told("assistant", None, tool_calls=calls)


USER = told("user")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([USER, calling("a")], "did not have response messages: a"),
        ([USER, calling("a"), USER], "did not have response messages: a"),
        ([USER, calling("a", "b"), told("tool", tool_call_id="a")], "did not have response messages: b"),
        ([USER, calling("a"), USER, told("tool", tool_call_id="a")], "did not have response messages: a"),
        ([USER, told("tool", tool_call_id="a")], "must be a response to a preceeding message"),
        ([USER, calling("a"), told("tool", tool_call_id="b")], "'tool_call_id' of 'b' not found"),
        ([USER, told("assistant", None)], "expected a string, got null"),
        ([USER, told("assistant", None, tool_calls=[{"id": "a"}])], "Invalid value"),
    ],
)
async def test_the_simulated_openai_refuses_calls_without_results_and_results_without_calls(
    messages: list[dict[str, Any]], reason: str
) -> None:
    error = await refusal({"messages": messages, "tools": [TOOL]})
    assert reason in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tools": [{"type": "function"}]},
        {"tools": [{**TOOL, "function": {"name": "no spaces"}}]},
        {"tools": [{**TOOL, "function": {"name": "f", "parameters": {"type": "string"}}}]},
        {"tool_choice": "auto"},
        {"parallel_tool_calls": True},
    ],
)
async def test_the_simulated_openai_refuses_malformed_tools(fields: dict[str, Any]) -> None:
    assert (await refusal({"messages": [USER], **fields}))["type"] == "invalid_request_error"


async def refusal(body: Mapping[str, Any]) -> dict[str, Any]:
    async with simulators(keys=[KEY]) as running, httpx2.AsyncClient() as http:
        response = await post(http, running, body)
    assert response.status_code == 400
    error: dict[str, Any] = response.json()["error"]
    return error


async def post(http: httpx2.AsyncClient, running: Simulators, body: Mapping[str, Any]) -> httpx2.Response:
    return await http.post(
        f"{running.openai_url}/chat/completions",
        headers={"authorization": f"Bearer {KEY}"},
        json={"model": "gpt-4.1", **body},
    )


async def test_the_simulated_openai_gives_calls_in_whole_answers_too() -> None:
    async with simulators(keys=[KEY], script=SCRIPT) as running, httpx2.AsyncClient() as http:
        tools = tool_params([WEATHER, TRAINS])
        asked = {"messages": [told("user", "both")], "tools": tools}
        both = (await post(http, running, asked)).json()["choices"][0]
        one = (await post(http, running, {**asked, "parallel_tool_calls": False})).json()["choices"][0]
        none = (await post(http, running, {**asked, "tool_choice": "none"})).json()["choices"][0]
    functions = [call["function"] for call in both["message"]["tool_calls"]]
    assert functions == [{"name": "weather", "arguments": PARIS}, {"name": "trains", "arguments": "{}"}]
    assert (both["message"]["content"], both["finish_reason"]) == (None, "tool_calls")
    assert len(one["message"]["tool_calls"]) == 1
    assert none["message"]["content"] == "I cannot see outside."
