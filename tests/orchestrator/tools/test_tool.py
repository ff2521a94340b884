"""Tools: what a model is told of a function, and what becomes of a call of it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import pytest
import structlog
import trio
from attrs import frozen
from pydantic import BaseModel, Field
from trio.testing import MockClock

from adapters.interfaces import Emit
from machines.facts import EndReason, Fact, HungUp, SayMode, SayRequested
from machines.tools import OnInterruption, ToolCall, ToolPolicy
from orchestrator import Tool, ToolContext, ToolError, end_call, tool, transfer_call
from orchestrator.settings.types import TOOLS
from orchestrator.tools.builtin_tools import BUILT_IN
from orchestrator.tools.tool_runner import ToolResult, ToolRunner


class Address(BaseModel):
    street: str
    number: int = Field(ge=1)


# --- what the model is told -------------------------------------------------------------------------------


def test_the_signature_is_the_schema_and_the_docstring_the_description() -> None:
    @tool
    async def deliver(
        to: Address,
        pizzas: Annotated[int, Field(ge=1, le=9, description="How many.")],
        size: Literal["small", "large"] = "large",
        *,
        note: str | None = None,
        context: ToolContext,
    ) -> None:
        """Deliver pizzas.

        Ask for the address before.
        """

    assert deliver.name == "deliver"
    assert deliver.spec.description == "Deliver pizzas.\n\nAsk for the address before."
    assert deliver.spec.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["to", "pizzas"],
        "properties": {
            "to": {"$ref": "#/$defs/Address"},
            "pizzas": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many."},
            "size": {"type": "string", "enum": ["small", "large"], "default": "large"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "$defs": {
            "Address": {
                "title": "Address",
                "type": "object",
                "required": ["street", "number"],
                "properties": {
                    "street": {"type": "string"},
                    "number": {"type": "integer", "minimum": 1},
                },
            }
        },
    }


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    @tool(name="the-time")
    def now() -> str:
        """The time."""
        return "noon"

    assert now.spec.name == now.policy.name == "the-time"
    assert now.spec.parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_what_the_conversation_must_know_of_a_tool_is_its_policy() -> None:
    @tool(timeout_s=2.5, on_interruption="block", reply=False, filler="I am on it.")
    def work() -> None:
        """Work."""

    @tool
    def other() -> None:
        """Work."""

    assert work.policy == ToolPolicy("work", 2500, OnInterruption.BLOCK, False, "I am on it.")
    assert other.policy == ToolPolicy("other")


def test_methods_are_tools_of_their_object() -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        def greet(self, who: str) -> str:
            """Greet."""
            return f"{self.name} greets {who}."

    greet = tool(Shop("The shop").greet)
    assert list(greet.spec.parameters["properties"]) == ["who"]  # type: ignore[call-overload]
    assert greet.function("you") == "The shop greets you."


class Strange:
    """Nothing that a model knows."""


def undocumented(day: str) -> None: ...


def unannotated(day) -> None:  # type: ignore[no-untyped-def]
    """Do it."""


def strange(day: Strange) -> None:
    """Do it."""


def calling(back: Callable[[], int]) -> None:
    """Do it."""


def many(*days: str) -> None:
    """Do it."""


def any_named(**days: str) -> None:
    """Do it."""


def unnamed(day: str, /) -> None:
    """Do it."""


def yielding(day: str) -> Iterator[str]:
    """Do it."""
    yield day


def misspelt(day: "Strang") -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
    """Do it."""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (undocumented, "undocumented cannot be a tool without a docstring: it tells the model what"),
        (unannotated, "unannotated cannot be a tool: its parameter day has no annotation"),
        (strange, r"strange cannot be a tool: a model cannot give such arguments \(Unable to generate"),
        (calling, r"calling cannot be a tool: a model cannot give such arguments \(Cannot generate a JsonSc"),
        (many, r"many cannot be a tool: a model gives each argument by its name, which \*days: str does not"),
        (any_named, r"each argument by its name, which \*\*days: str does not allow"),
        (unnamed, "each argument by its name, which day: str does not allow"),
        (yielding, "yielding cannot be a tool: it yields, and a tool returns one result"),
        (misspelt, "misspelt cannot be a tool: name 'Strang' is not defined in its annotations"),
        (
            functools.partial(undocumented, "Monday"),
            "a tool is made of a function or a method, not of functools.partial",
        ),
        ("strange", "a tool is made of a function or a method, not of 'strange'"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_the_tool_is_made(function: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        tool(function)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "to book"}, "'to book' cannot be a tool's name: 1 to 64 letters"),
        ({"name": "b" * 65}, "cannot be a tool's name"),
        ({"name": ""}, "'' cannot be a tool's name"),
        ({"timeout_s": 0}, "timeout_s of work is 0, but must be above 0"),
        ({"timeout_s": float("inf")}, "timeout_s of work is inf, but must be above 0 and finite"),
        ({"on_interruption": "stop"}, "'stop' is not a valid OnInterruption"),
        ({"filler": "…"}, "there is nothing to say in '…'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], told: str) -> None:
    def work() -> None:
        """Work."""

    with pytest.raises(ValueError, match=told):
        tool(**options)(work)


# --- a call -----------------------------------------------------------------------------------------------


@frozen
class Point:
    x: int
    y: int


@tool
async def give(what: str = "text") -> Any:
    """Give something."""
    return {
        "text": 'As it is: "é".',
        "nothing": None,
        "number": 3.5,
        "model": Address(street="Main", number=7),
        "list": [1, "zwei", None],
        "strange": Strange(),
    }[what]


@tool
async def book(guests: Annotated[int, Field(ge=1, le=12)], when: str) -> str:
    """Book a table."""
    return f"{guests!r} guests {when}"


def nobody(fact: Fact) -> None:
    raise AssertionError(f"{fact} was not expected")


async def call(of: Tool, arguments: str, *, name: str | None = None, put: Emit | None = None) -> ToolResult:
    asked = ToolCall("id 1", name or of.name, arguments)
    return await ToolRunner([of], "conversation").run(1, asked, of.policy.timeout_ms, put or nobody)


@pytest.mark.parametrize(
    ("what", "result"),
    [
        ("text", 'As it is: "é".'),
        ("nothing", "done"),
        ("number", "3.5"),
        ("model", '{"street":"Main","number":7}'),
        ("list", '[1,"zwei",null]'),
    ],
)
async def test_a_result_is_text_for_the_model(what: str, result: str) -> None:
    assert await call(give, f'{{"what": "{what}"}}') == ToolResult(result)


async def test_a_result_that_is_no_json_is_a_failure() -> None:
    assert await call(give, '{"what": "strange"}') == ToolResult(
        "give failed (PydanticSerializationError).", failed=True
    )


@pytest.mark.parametrize("arguments", ["", " ", "{}", "\n{ }"])
async def test_no_arguments_may_be_no_text(arguments: str) -> None:
    assert (await call(give, arguments)).text == 'As it is: "é".'


async def test_arguments_become_what_the_parameters_are() -> None:
    assert await call(book, '{"guests": "4", "when": "today"}') == ToolResult("4 guests today")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"guests": 40, "when": "today"}', "guests: input should be less than or equal to 12"),
        ('{"guests": 4}', "when is missing"),
        ('{"guests": 4, "when": "today", "smoking": true}', "there is no argument smoking"),
        ('{"guests": "many", "when": null}', "guests: input should be a valid integer, unable to parse"),
        ("4", "they must be a JSON object"),
        ('{"guests": 4, "when"', "invalid JSON: EOF while parsing"),
        ("guests=4", "invalid JSON: expected value"),
    ],
)
async def test_wrong_arguments_are_told_so_that_the_model_can_correct_them(arguments: str, told: str) -> None:
    result = await call(book, arguments)
    assert result.failed
    assert result.text.startswith("book was not called, since its arguments are wrong: ")
    assert told in result.text
    assert result.text.endswith(". Correct them.")


async def test_a_tool_that_does_not_exist_is_told_with_those_that_do() -> None:
    result = await call(book, "{}", name="cook")
    assert result == ToolResult("There is no tool cook; the tools are: book.", failed=True)


async def test_of_an_exception_the_model_learns_the_class_and_the_log_everything() -> None:
    @tool
    async def connect() -> None:
        """Connect."""
        async with trio.open_nursery():
            raise OSError("no route to admin:hunter2@database")

    with structlog.testing.capture_logs() as logs:
        result = await call(connect, "{}")
    assert result == ToolResult("connect failed (OSError).", failed=True)
    told = next(line for line in logs if line["event"] == "tool failed")
    assert "hunter2" in str(told["exc_info"])


async def test_why_a_tool_cannot_do_it_is_told_if_it_says_so() -> None:
    @tool
    def closed() -> None:
        """Open."""
        raise ToolError("We are closed on Sundays.")

    assert await call(closed, "{}") == ToolResult("We are closed on Sundays.", failed=True)


async def test_a_call_that_takes_too_long_has_failed(autojump_clock: MockClock) -> None:
    ended = []

    @tool(timeout_s=3)
    async def sleep() -> None:
        """Sleep."""
        try:
            await trio.sleep(10)
        finally:
            ended.append(trio.current_time())

    began = trio.current_time()
    result = await call(sleep, "{}")
    assert result == ToolResult(
        "sleep did not finish within 3 seconds; it is not known what it has done.", True
    )
    assert ended == [began + 3]


async def test_a_synchronous_function_runs_in_a_thread_and_is_left_there_when_it_takes_too_long() -> None:
    let_go, over, threads = threading.Event(), threading.Event(), []

    def wait() -> None:
        """Wait."""
        threads.append(threading.current_thread())
        let_go.wait()
        over.set()

    try:
        assert (await call(tool(timeout_s=0.01)(wait), "{}")).failed
        assert not over.is_set()
    finally:
        let_go.set()
    assert over.wait(120)
    assert threads and threads != [threading.main_thread()]


async def test_threads_are_bounded_and_waiting_for_one_counts() -> None:
    let_go = threading.Event()

    @tool(timeout_s=0.05)
    def wait() -> None:
        """Wait."""
        let_go.wait()

    box = ToolRunner([wait], threads=trio.CapacityLimiter(1))
    try:
        for number in (1, 2):
            assert (await box.run(number, ToolCall("id", "wait", ""), 50, nobody)).failed
        let_go.set()
        assert await box.run(3, ToolCall("id", "wait", ""), 60_000, nobody) == ToolResult("done")
    finally:
        let_go.set()


async def test_a_tool_that_fails_over_its_cancellation_only_fails(autojump_clock: MockClock) -> None:
    async def stubborn() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("gone")

    @tool
    async def work() -> None:
        """Work."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stubborn)
            await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await call(work, "{}")
    assert scope.cancelled_caught
    with structlog.testing.capture_logs() as logs:
        assert (await call(tool(timeout_s=1)(work.function), "{}")).text == "work failed (KeyError)."
    assert [line["event"] for line in logs].count("tool failed") == 1


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_tool_can_have_something_said_and_end_the_conversation(in_thread: bool) -> None:
    facts: list[Fact] = []

    def act(context: ToolContext) -> str:
        """Act."""
        context.say("One moment.")
        context.say("Bye.", SayMode.INTERRUPT, interruptible=False, then=EndReason.HANDED_OVER)
        context.end()
        return f"{context.conversation_id} {context.call}"

    async def act_too(context: ToolContext) -> str:
        """Act."""
        return act(context)

    result = await call(tool(act if in_thread else act_too), "{}", put=facts.append)
    assert result == ToolResult("conversation 1")
    assert facts == [
        SayRequested("One moment.", SayMode.QUEUE),
        SayRequested("Bye.", SayMode.INTERRUPT, interruptible=False, then=EndReason.HANDED_OVER),
        HungUp(EndReason.AGENT_HUNG_UP),
    ]


def test_what_a_tool_wants_after_everything_is_over_is_nothing() -> None:
    kept: list[ToolContext] = []

    @tool
    async def keep(context: ToolContext) -> None:
        """Keep it."""
        kept.append(context)

    trio.run(call, keep, "{}")
    kept[0].say("Is anybody there?")
    with pytest.raises(ValueError, match="nothing to say"):
        kept[0].say("?")


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="there are two tools named book: give one of them another name"):
        ToolRunner([book, give, tool(name="book")(give.function)])


# --- built in ---------------------------------------------------------------------------------------------


def test_the_built_in_tools_are_those_that_the_settings_know() -> None:
    assert tuple(BUILT_IN) == TOOLS


@pytest.mark.parametrize(
    ("of", "parameter", "reason", "interruptible"),
    [
        (end_call, "farewell", EndReason.AGENT_HUNG_UP, True),
        (transfer_call, "announcement", EndReason.HANDED_OVER, False),
    ],
)
async def test_last_words_of_the_model_are_said_before_the_call_ends(
    of: Tool, parameter: str, reason: EndReason, interruptible: bool
) -> None:
    facts: list[Fact] = []
    assert not (await call(of, f'{{"{parameter}": "Goodbye!"}}', put=facts.append)).failed
    assert facts == [SayRequested("Goodbye!", SayMode.QUEUE, interruptible, reason)]
    facts.clear()
    assert not (await call(of, f'{{"{parameter}": " "}}', put=facts.append)).failed
    assert facts == [HungUp(reason)]
