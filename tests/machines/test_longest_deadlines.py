"""The times in the diagrams: as long as a deadline can be, and no longer. The walks hold them, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from machines import effects as do
from machines import facts
from machines.breaker import Breaker, BreakerContext, BreakerPolicy
from machines.conversation.context import Context, RunningCall
from machines.conversation.deadlines import longest_ms
from machines.conversation.machine import Conversation
from machines.facts import ErrorClass, ProviderFailure, Role, TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.tables import BREAKER, CALL, CONVERSATION, LINK, MACHINES, Machine, deadlines
from machines.tools import CallRecord, ToolCall, ToolPolicy
from tests.machines.calls import CHARTS, Call

DEFAULT = ConversationPolicy()


def test_the_longest_deadlines_are_those_of_the_diagrams() -> None:
    def drawn(machine: Machine) -> dict[str, float]:
        return {each.state: each.longest_ms / 1000 for each in deadlines(machine)}

    assert drawn(CONVERSATION) == {
        "connecting": 5,
        "hearing": 60,
        "endpointing": 3.5,
        "speculating": 3.5,
        "keypad": 3,
        "finalizing": 2,
        "generating": 5,
        "retrying": 10,
        "running_tools": 11,
        "speaking": 5,
        "paused": 2,
        "confirming": 2,
        "closing": 2,
        "saying_goodbye": 5,
    }
    assert drawn(LINK) == {"opening": 2.5, "waiting": 15, "reopening": 2.5, "pausing": 15}
    assert drawn(BREAKER) == {"resting": 300, "pausing": 300}
    assert drawn(CALL)["ringing"] == 75
    assert [each.state for machine in MACHINES for each in deadlines(machine) if not each.settings] == [
        "running_tools"
    ]


def test_a_state_that_can_outlast_its_deadline_is_marked() -> None:
    marked = {each.state for machine in MACHINES for each in deadlines(machine) if each.begins_anew}
    assert marked == {
        *("finalizing", "generating", "speaking", "confirming", "saying_goodbye"),
        *("opening", "reopening"),
    }
    call = Call().finalizing(TurnMode.AUTOMATIC)
    began = call.now
    call.deadline_passes()
    assert (call.state, call.now - began) == ("finalizing", 2000)
    call.deadline_passes()
    assert (call.state, call.now - began) == ("speaking", 4000)


# --- there is a memory with which it is that long ---------------------------------------------------------


def unfinished_with_a_provider_that_decides(context: Context) -> None:
    context.links.ends_turns = True
    context.turns.interim = "I would like to"


def calling(context: Context) -> None:
    record = CallRecord(1, ToolCall("call", "tool", "{}"))
    context.history = (Message(Speaker.ASSISTANT, "", calls=(record,)),)
    context.tools.running = (RunningCall(1, "tool", ToolPolicy("tool").timeout_ms),)
    context.tools.fillers = len(context.policy.tool_fillers)


def nothing(context: Context) -> None:
    """A fresh memory."""


LONGEST: list[tuple[str, Callable[[Context], None]]] = [
    *((state, nothing) for state in ("connecting", "hearing", "keypad", "finalizing", "generating")),
    *((state, nothing) for state in ("speaking", "paused", "confirming", "closing", "saying_goodbye")),
    ("endpointing", unfinished_with_a_provider_that_decides),
    ("speculating", unfinished_with_a_provider_that_decides),
    ("running_tools", calling),
]


@pytest.mark.parametrize(("state", "remembers"), LONGEST, ids=[state for state, _ in LONGEST])
def test_a_deadline_can_be_as_long_as_drawn(state: str, remembers: Callable[[Context], None]) -> None:
    context = Context(DEFAULT)
    remembers(context)
    chart: Conversation = CHARTS.conversation
    chart.seat(context)
    assert chart.deadline_ms(state, 0.0) == longest_ms(state, DEFAULT)


def test_a_model_s_server_can_ask_for_nearly_the_whole_budget_and_no_more() -> None:
    longest = longest_ms("retrying", DEFAULT)
    assert longest == 10_000
    for asked, state in ((longest - 2, "retrying"), (longest, "speaking")):
        call = Call().thinking()
        busy = ProviderFailure(ErrorClass.RATE_LIMIT, "busy", retry_after_ms=round(asked))
        call.handle(facts.GenerationFailed(call.memory.answer.generation, busy))
        assert call.state == state
        [armed] = [each for each in call.last.effects if isinstance(each, do.ArmDeadline)]
        assert state != "retrying" or armed.delay_ms == asked


@pytest.mark.parametrize("asked", [12_000, 15_000, 15_001])
def test_a_provider_can_ask_for_the_whole_budget_of_a_link_and_no_more(asked: int) -> None:
    call = Call()
    busy = ProviderFailure(ErrorClass.RATE_LIMIT, "busy", retry_after_ms=asked)
    call.handle(facts.LinkFailed(Role.STT, 1, busy))
    waits = [each.delay_ms for each in call.last.effects if isinstance(each, do.ArmLinkDeadline)]
    assert waits == ([asked] if asked <= 15_000 else [])


@given(
    st.sampled_from(["resting", "pausing"]),
    st.integers(0, 20),
    st.floats(0, 1),
    st.none() | st.integers(0, 10**7),
)
def test_no_pause_of_a_breaker_is_longer_than_drawn(
    state: str, waits: int, draw: float, asked: int | None
) -> None:
    context = BreakerContext(BreakerPolicy(), waits=waits, draw=draw)
    context.last_failure = ProviderFailure(ErrorClass.RATE_LIMIT, "busy", asked)
    chart = BREAKERS
    chart.seat(context)
    armed, longest = chart.deadline_ms(state, 0.0), BREAKER.longest_ms(state, context.policy)
    assert armed is not None
    assert longest is not None
    assert armed <= longest


BREAKERS = Breaker(BreakerContext(BreakerPolicy()))


# --- and none with which it is longer: any policy, any memory ---------------------------------------------

MS = st.integers(0, 100_000)
TIMES = [
    *("connect_timeout_ms", "endpoint_delay_ms", "unfinished_delay_ms", "complete_delay_ms", "max_turn_ms"),
    *("provider_endpoint_delay_ms", "barge_in_min_ms", "barge_in_patience_ms", "digits_timeout_ms"),
    *("final_transcript_timeout_ms", "first_segment_timeout_ms", "first_token_timeout_ms"),
    *("token_gap_timeout_ms", "answer_timeout_ms", "speech_stall_timeout_ms", "close_timeout_ms"),
    "tool_filler_after_ms",
]


def any_memory(draw: Callable[[Any], Any], policy: ConversationPolicy, at_ms: float) -> Context:
    """A conversation at `at_ms`, with any of what its deadlines depend on. Nothing is later than now."""
    past = st.floats(0, at_ms)
    context = Context(policy)
    context.recording.mode = draw(st.sampled_from(TurnMode))
    context.links.ends_turns = draw(st.booleans())
    context.turns.completeness = draw(st.none() | st.floats(0, 1))
    context.turns.interim = draw(st.sampled_from(["", "I would like to", "Goodbye."]))
    context.turns.times.voice_ended = draw(st.none() | past)
    context.answer.thinking_began = draw(past)
    context.answer.generation_began = draw(past)
    context.answer.alive_at = draw(st.none() | past)
    context.answer.generation_open = draw(st.none() | st.just(1))
    context.answer.said_at = draw(st.none() | past)
    context.tools.asked_at = draw(past)
    context.tools.fillers = draw(st.integers(0, 3))
    if draw(st.booleans()):
        calling(context)
        [call] = context.tools.running
        begun = draw(past)
        context.tools.running = (evolve(call, due_at=begun + ToolPolicy("tool").timeout_ms),)
    return context


@given(st.data())
def test_no_deadline_of_any_memory_under_any_policy_is_longer_than_drawn(data: st.DataObject) -> None:
    times: dict[str, Any] = {name: data.draw(MS) for name in TIMES}
    policy = ConversationPolicy(**times)
    at_ms = data.draw(st.floats(0, 1e7))
    context = any_memory(data.draw, policy, at_ms)
    chart = CHARTS.conversation
    for state, _ in LONGEST:
        chart.seat(context)
        armed, longest = chart.deadline_ms(state, at_ms), longest_ms(state, policy)
        assert armed is not None
        assert longest is not None
        assert armed <= longest + 1e-6, state
