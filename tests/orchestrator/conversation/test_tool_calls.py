"""Whole conversations in which the model calls tools of a host."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import trio
from attrs import Factory, define, evolve
from trio.testing import MockClock

from machines.effects import RunTool
from machines.facts import EndReason, ToolFinished
from machines.system import Handled
from machines.tools import ToolCall
from orchestrator import (
    AnswerEnded,
    AnswerText,
    AudioEnds,
    AudioOut,
    Conversation,
    ConversationOutcome,
    Event,
    MemoryTransport,
    Outgoing,
    Settings,
    StateChanged,
    Tool,
    ToolCalled,
    ToolContext,
    ToolReturned,
    TurnMode,
    end_call,
    open_orchestrator,
    send_digits,
    tool,
    transfer_call,
)
from orchestrator.journal.exported_test import source_of_test
from orchestrator.journal.format import Journal, read_journal
from orchestrator.journal.replay import replay
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.tools.tool_runner import CANCELLED
from tests.orchestrator.hosting.host_calls import listen, take_turn

NEVER_MS = 3_600_000


def asks(*names: str, text: str | None = None, **arguments: object) -> Answer:
    """The model asks for a call of each of these tools."""
    calls = tuple(ToolCall(f"id {name}", name, json.dumps(arguments)) for name in names)
    return Answer(text, calls=calls)


@define
class Talk:
    """A conversation with a caller whose turns are by hand."""

    conversation: Conversation
    transport: MemoryTransport
    heard: list[Outgoing] = Factory(list)

    async def until(self, kind: type[Event], times: int = 1) -> Any:
        """The event of this kind that comes so many times."""
        async for event in self.conversation.events():
            if isinstance(event, kind):
                times -= 1
                if not times:
                    return event
        raise AssertionError(f"no {kind.__name__}")

    async def answered(self) -> None:
        """Return when it is the caller's turn again."""
        async for event in self.conversation.events():
            match event:
                case StateChanged(source="THINKING" | "RESPONDING", target="LISTENING"):
                    return

    async def events(self, kind: type[Event]) -> list[Any]:
        """Those of a conversation that is over."""
        return [event async for event in self.conversation.events() if isinstance(event, kind)]


@asynccontextmanager
async def talk(
    *answers: Answer,
    tools: list[Tool],
    settings: Settings | None = None,
    llm: SimulatedLanguageModel | None = None,
    **policies: Any,
) -> AsyncIterator[Talk]:
    """A conversation in which the model gives these answers, and nothing is left of it afterwards.

    Where a journal is kept, time must be real, for files know no other; so the voice is a fast one.
    """
    voice = Synthesis(ms_per_character=1 if settings and settings.journal_dir else 60)
    providers = SimulatedProviders(
        llm=llm or SimulatedLanguageModel(script(*answers, then=Answer())),
        tts=SimulatedTextToSpeech(script(then=voice)),
    )
    transport = MemoryTransport()
    async with open_orchestrator(settings, providers=providers.for_calls(), tools=tools) as orchestrator:
        policy = evolve(orchestrator.policy, tool_filler_after_ms=NEVER_MS, **policies)
        async with (
            trio.open_nursery() as nursery,
            orchestrator.conversation(transport, policy=policy, turn_mode=TurnMode.MANUAL) as conversation,
        ):
            held = Talk(conversation, transport)
            nursery.start_soon(listen, transport, held.heard)
            yield held
    assert providers.in_use() == 0


def kept(outcome: ConversationOutcome) -> Journal:
    """The journal of a conversation, which gives the same when it is replayed, and as an exported test."""
    assert outcome.journal is not None
    journal = read_journal(outcome.journal)
    assert [moment for moment in replay(journal) if not moment.same] == []
    names: dict[str, Any] = {}
    exec(source_of_test(journal), names)
    names["test_the_call_goes_as_it_went"]()
    return journal


@tool
async def price(of: str) -> float:
    """The price of something."""
    await trio.sleep(1)
    return {"apple": 0.5}[of]


# --- answers with tools -----------------------------------------------------------------------------------


async def test_the_model_is_told_of_the_tools_and_speaks_about_the_result(autojump_clock: MockClock) -> None:
    llm = SimulatedLanguageModel(script(asks("price", of="apple"), then=Answer()))
    async with talk(tools=[price], llm=llm) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    outcome = await held.conversation.outcome()
    assert llm.offered == [(price.spec,), (price.spec,)]
    texts = [event.text for event in await held.events(AnswerText)]
    assert texts == ["The tools gave 0.5.", "That was all."]
    assert sum(each.duration_ms for each in held.heard if isinstance(each, AudioOut)) == pytest.approx(
        60 * len("".join(texts))
    )
    [called], [returned] = await held.events(ToolCalled), await held.events(ToolReturned)
    assert (called.call, called.name, called.arguments) == (1, "price", '{"of": "apple"}')
    assert (returned.call, returned.name, returned.result, returned.failed) == (1, "price", "0.5", False)
    assert returned.duration_ms == pytest.approx(1000)
    assert returned.at_ms == pytest.approx(called.at_ms + 1000)
    [message] = [each for each in outcome.history if each.calls]
    assert [(each.call.name, each.result, each.failed) for each in message.calls] == [("price", "0.5", False)]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (asks("price", of="pear"), "price failed (KeyError)."),
        (asks("price", amount=3), "its arguments are wrong: of is missing; there is no argument amount."),
        (asks("weight", of="apple"), "There is no tool weight; the tools are: price."),
    ],
)
async def test_what_goes_wrong_with_a_call_is_a_result_that_the_model_can_speak_about(
    answer: Answer, told: str, autojump_clock: MockClock
) -> None:
    llm = SimulatedLanguageModel(script(answer, then=Answer("I am sorry.")))
    async with talk(tools=[price], llm=llm) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    [record] = llm.requests[1][-1].calls
    assert record.failed
    assert record.result is not None and told in record.result
    assert [event.text for event in await held.events(AnswerText)] == ["I am sorry."]
    assert [event.failed for event in await held.events(ToolReturned)] == [True]


async def test_calls_of_one_message_run_at_once(autojump_clock: MockClock) -> None:
    async with talk(asks("price", "price", of="apple"), tools=[price]) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    called, returned = await held.events(ToolCalled), await held.events(ToolReturned)
    assert [event.call for event in called] == [1, 2]
    assert returned[-1].at_ms == pytest.approx(called[0].at_ms + 1000)


async def test_a_conversation_may_have_tools_of_its_own(autojump_clock: MockClock) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    async with (
        open_orchestrator(providers=providers.for_calls(), tools=[price]) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport, tools=[], turn_mode=TurnMode.MANUAL) as conversation,
    ):
        assert orchestrator.tools == (price,)
        nursery.start_soon(listen, transport, [])
        await take_turn(transport, "hello")
        async for event in conversation.events():
            if isinstance(event, AnswerEnded):
                break
    assert providers.llm.offered == [()]


async def test_two_tools_of_one_name_are_refused_at_once(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders().for_calls()
    with pytest.raises(ValueError, match="two tools named price"):
        async with open_orchestrator(providers=providers, tools=[price, price]):
            raise AssertionError("not opened")
    async with open_orchestrator(providers=providers) as orchestrator:
        with pytest.raises(ValueError, match="two tools named price"):
            async with orchestrator.conversation(MemoryTransport(), tools=[price, price]):
                raise AssertionError("not begun")
        async with orchestrator.conversation(MemoryTransport()):
            pass  # nothing of the one before takes room


async def test_built_in_tools_are_those_of_the_settings_if_the_host_gives_none(
    autojump_clock: MockClock,
) -> None:
    providers = SimulatedProviders().for_calls()
    async with open_orchestrator(Settings(tools=("end_call",)), providers=providers) as orchestrator:
        assert orchestrator.tools == (end_call,)
    async with open_orchestrator(providers=providers) as orchestrator:
        assert orchestrator.tools == ()


# --- journals ---------------------------------------------------------------------------------------------


async def test_a_tool_that_runs_is_in_its_journal_and_then_its_result_is(tmp_path: Path) -> None:
    @tool
    async def look(context: ToolContext) -> str:
        """Look into the journal."""
        [path] = list(tmp_path.iterdir())  # noqa: ASYNC240
        assert path.stem == context.conversation_id
        handled = read_journal(path).handled
        effects = [effect for each in handled if isinstance(each, Handled) for effect in each.effects]
        return str([effect.call for effect in effects if isinstance(effect, RunTool)])

    async with talk(asks("look"), tools=[look], settings=Settings(journal_dir=tmp_path)) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    [returned] = await held.events(ToolReturned)
    assert returned.result == "[1]"
    journal = kept(await held.conversation.outcome())
    assert journal.head.policy.tools == (look.policy,)
    steps = [step for each in journal.handled if isinstance(each, Handled) for step in each.steps]
    assert [step.fact.result for step in steps if isinstance(step.fact, ToolFinished)] == ["[1]"]


async def test_of_a_redacted_journal_nobody_learns_what_tools_were_given_and_gave(tmp_path: Path) -> None:
    @tool(filler="Momentarily occupied.")
    async def balance(account: str) -> str:
        """The balance."""
        return f"Overdrawn: {account}."

    settings = Settings(journal_dir=tmp_path, journal_transcripts="redacted")
    answers = asks("balance", account="Zwingli"), asks("balance", wrong="Calvin")
    async with talk(*answers, tools=[balance], settings=settings) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    outcome = await held.conversation.outcome()
    assert "Overdrawn: Zwingli." in str(outcome.history)
    journal = kept(outcome)
    assert journal.head.redacted
    data = journal.path.read_bytes()
    for word in ("Zwingli", "Calvin", "account", "wrong", "Overdrawn", "occupied", "arguments are"):
        assert word.encode() not in data, word
    assert b"balance" in data, "the tool's name is not secret"


@pytest.mark.parametrize("transcripts", ["full", "redacted"])
async def test_what_the_caller_overtakes_is_told_the_model_and_replays_from_any_journal(
    transcripts: Literal["full", "redacted"], tmp_path: Path
) -> None:
    goes_on = trio.Event()

    @tool(on_interruption="cancel")
    async def wait() -> None:
        """Wait."""
        await goes_on.wait()

    llm = SimulatedLanguageModel(script(asks("wait", "wait"), then=Answer("Well.")))
    settings = Settings(journal_dir=tmp_path, journal_transcripts=transcripts)
    async with talk(tools=[wait], llm=llm, settings=settings, tools_in_parallel=False) as held:
        await take_turn(held.transport, "hello")
        await held.until(ToolCalled)
        await take_turn(held.transport, "wait")
        await held.until(ToolReturned)
        await held.answered()
    outcome = await held.conversation.outcome()
    kept(outcome)
    assert [event.call for event in await held.events(ToolCalled)] == [1]
    [message] = [each for each in outcome.history if each.calls]
    assert [each.failed for each in message.calls] == [True, True]
    assert message.calls[0].result == CANCELLED.text


# --- the end of a conversation ----------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "finishes"), [("cancel", False), ("finish", True), ("block", True)])
async def test_a_caller_who_hangs_up_stops_what_may_be_stopped_and_the_rest_has_a_moment(
    policy: Literal["cancel", "finish", "block"], finishes: bool, autojump_clock: MockClock
) -> None:
    began, finished, ended = trio.Event(), [], []

    @tool(on_interruption=policy)
    async def work() -> None:
        """Work."""
        began.set()
        try:
            await trio.sleep(1)
            finished.append(trio.current_time())
        finally:
            ended.append(trio.current_time())

    async with talk(asks("work"), tools=[work]) as held:
        await take_turn(held.transport, "hello")
        await began.wait()
        await held.transport.hang_up()
        outcome = await held.conversation.outcome()
    assert outcome.reason is EndReason.CALLER_HUNG_UP
    assert (len(finished), len(ended)) == (int(finishes), 1)


async def test_a_tool_does_not_outlive_its_conversation(autojump_clock: MockClock) -> None:
    began, ended = trio.Event(), []

    @tool(timeout_s=3600, on_interruption="finish")
    async def work() -> None:
        """Work."""
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with talk(asks("work"), tools=[work]) as held:
        await take_turn(held.transport, "hello")
        await began.wait()
        began_at = trio.current_time()
    assert len(ended) == 1
    assert ended[0] <= began_at + 2, "the policy's close timeout"
    assert (await held.conversation.outcome()).reason is EndReason.SHUTDOWN


@pytest.mark.parametrize("how", ["exception", "cancellation", "transport"])
async def test_a_host_that_breaks_off_in_the_midst_of_a_tool_leaves_nothing(
    how: str, autojump_clock: MockClock
) -> None:
    began, ended = trio.Event(), trio.Event()

    @tool
    async def work() -> None:
        """Work."""
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    class Breaking(MemoryTransport):
        async def receive(self) -> Any:
            if not began.is_set() or how != "transport":
                return await super().receive()
            raise ZeroDivisionError

    llm = SimulatedLanguageModel(script(asks("work"), then=Answer()))
    providers, transport = SimulatedProviders(llm=llm), Breaking()
    left = trio.CancelScope()
    ends: dict[str, AbstractContextManager[object]] = {
        "exception": pytest.raises(KeyError, match="the host's"),
        "cancellation": left,
        "transport": pytest.raises(ZeroDivisionError),
    }
    with ends[how]:
        async with (
            open_orchestrator(providers=providers.for_calls(), tools=[work]) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
        ):
            await take_turn(transport, "hello")
            await began.wait()
            if how == "exception":
                raise KeyError("the host's")
            if how == "transport":
                await transport.interrupt()
                await trio.sleep(3600)
            left.cancel()
            await conversation.outcome()
    assert ended.is_set()
    assert providers.in_use() == 0


# --- built in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "argument", "reason"),
    [
        (end_call, "farewell", EndReason.AGENT_HUNG_UP),
        (transfer_call, "announcement", EndReason.HANDED_OVER),
    ],
)
async def test_the_model_ends_the_call_when_its_last_words_were_heard(
    of: Tool, argument: str, reason: EndReason, tmp_path: Path
) -> None:
    words = "Thank you for calling."
    llm = SimulatedLanguageModel(script(asks(of.name, **{argument: words}), then=Answer("More.")))
    async with talk(tools=[of], llm=llm, settings=Settings(journal_dir=tmp_path)) as held:
        await take_turn(held.transport, "hello")
        outcome = await held.conversation.outcome()
    assert outcome.reason is reason
    assert held.transport.closed_for is reason
    assert [event.text for event in await held.events(AnswerText)] == [words]
    assert isinstance(held.heard[-1], AudioEnds)
    assert held.heard[-1].duration_ms == pytest.approx(len(words))
    assert len(llm.requests) == 1
    assert kept(outcome).ended is reason


def pressed(chunks: list[AudioOut]) -> str:
    """The keys in a sound, as a telephone network finds them: the two loudest tones of each stretch."""
    rate = chunks[0].rate
    samples = np.concatenate([chunk.samples for chunk in chunks]).astype(float)
    step = rate // 50
    keys, before = "", ""
    for start in range(0, len(samples) - step + 1, step):
        window = samples[start : start + step]
        spectrum = np.abs(np.fft.rfft(window * np.hanning(step), rate // 10))
        rows, columns = (
            [spectrum[round(hz / 10)] for hz in tones]
            for tones in ((697, 770, 852, 941), (1209, 1336, 1477, 1633))
        )
        loud = np.abs(window).max() > 3000
        key = ("123A", "456B", "789C", "*0#D")[int(np.argmax(rows))][int(np.argmax(columns))] if loud else ""
        keys += key if key != before else ""
        before = key
    return keys


async def test_the_model_presses_keys_and_the_other_side_hears_their_tones(
    autojump_clock: MockClock,
) -> None:
    async with talk(asks("send_digits", digits="42*9#"), tools=[send_digits]) as held:
        await take_turn(held.transport, "hello")
        await held.until(AnswerText)
        await held.until(AnswerEnded, times=2)
    assert pressed([each for each in held.heard if isinstance(each, AudioOut)]) == "42*9#"
    assert [message.text for message in (await held.conversation.outcome()).history] == [
        "hello",
        "",
    ]


async def test_a_host_presses_keys_too_and_nothing_else_than_keys(autojump_clock: MockClock) -> None:
    async with talk(tools=[]) as held:
        held.conversation.send_digits("0")
        with pytest.raises(ValueError, match="'1;2' cannot be pressed"):
            held.conversation.send_digits("1;2")
        await held.until(AnswerEnded)
    assert pressed([each for each in held.heard if isinstance(each, AudioOut)]) == "0"


async def test_a_model_that_presses_what_is_no_key_is_told(autojump_clock: MockClock) -> None:
    async with talk(asks("send_digits", digits="two"), tools=[send_digits]) as held:
        await take_turn(held.transport, "hello")
        await held.answered()
    [returned] = await held.events(ToolReturned)
    assert (returned.failed, returned.result) == (
        True,
        "'two' cannot be pressed: the keys are 0 to 9, *, # and A to D, w is a pause of half a second and"
        " W one of a second; 64 at most.",
    )
