"""The driver: it is synchronous and pure, and a step is taken as a whole or not at all."""

from __future__ import annotations

from typing import ClassVar

import pytest
from attrs import Factory, define
from statemachine import State

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.conversation.machine import Conversation
from machines.declarations import Ignored, Outcome, ignored, stay
from machines.driver import Chart, Driver
from machines.effects import Effect
from machines.failover_and_retries import LinkContext
from machines.link import Link
from machines.policy import ConversationPolicy, LinkPolicy
from machines.system import ConversationSystem
from tests.machines.calls import AUTOMATIC, HUNG_UP, POLICY, START, STOP


@define
class Memory:
    """The smallest memory of a chart."""

    state: object = None
    effects: list[Effect] = Factory(list)
    deadline_number: int = 0
    deadline_armed: int | None = None


class Lamp(Chart[Memory]):
    """On and off; breaking it is an error, and some pairs are not declared."""

    off = State(initial=True)
    on = State()
    hung_up = off.to(on, on=["ask"]) | on.to(off)
    speech_started = off.to(on, on=["ask", "break_down"])
    speech_stopped = stay(on, cond="never")
    link_up = on.to(off)
    IGNORED: ClassVar[tuple[Ignored, ...]] = ignored("link_up", (off,), because="it is off")

    def ask(self) -> None:
        self.context.effects.append(do.AbandonConversation())

    def break_down(self) -> None:
        raise RuntimeError("broken")

    def never(self) -> bool:
        return False


class Sleeper(Chart[Memory]):
    """A chart with a coroutine, which would need an event loop."""

    off = State(initial=True)
    on = State()
    hung_up = off.to(on, on=["wait"]) | on.to(off)

    async def wait(self) -> None:
        """Never called."""


def lamp() -> Driver[Memory]:
    return Driver("lamp", Lamp(Memory()), Memory(), do.ArmDeadline, do.DisarmDeadline)


def test_every_machine_runs_on_the_synchronous_engine() -> None:
    for chart in (
        Conversation(Context(ConversationPolicy())),
        Link(LinkContext(facts.Role.STT, LinkPolicy())),
    ):
        assert type(chart._engine).__name__ == "SyncEngine"


def test_a_chart_with_a_coroutine_is_not_driven() -> None:
    with pytest.raises(TypeError, match="Sleeper has a coroutine callback"):
        Sleeper(Memory())


def test_what_became_of_a_fact_is_said() -> None:
    driver = lamp()
    up = facts.LinkUp(facts.Role.STT)
    assert (driver.handle(up).outcome, driver.handle(up).reason) == (Outcome.IGNORED, "it is off")
    assert driver.handle(HUNG_UP).outcome is Outcome.TAKEN
    assert driver.handle(up).outcome is Outcome.TAKEN


def test_a_pair_that_nobody_declared_is_reported() -> None:
    driver = lamp()
    driver.handle(HUNG_UP)
    step = driver.handle(facts.SpeechStopped(100))
    assert (step.outcome, step.reason) == (Outcome.UNDECLARED, "speech_stopped is not declared in on")


def test_an_error_leaves_the_state_as_it_was_and_no_effects_behind() -> None:
    driver = lamp()
    with pytest.raises(RuntimeError, match="broken"):
        driver.handle(facts.SpeechStarted())
    assert driver.state == "off"
    assert driver.handle(HUNG_UP).effects == (do.AbandonConversation(),)


def test_the_same_facts_give_the_same_steps() -> None:
    story = [
        facts.RecordingStarted(AUTOMATIC, START, at_ms=1),
        *(facts.LinkOpened(role, 1, at_ms=2) for role in facts.Role),
        facts.SpeechStarted(at_ms=3),
        facts.RecordingStopped(STOP, at_ms=4),
        facts.TranscriptFinal(1, "hello", at_ms=5),
        facts.SegmentReady(1, 0, "Yes indeed.", at_ms=6),
        facts.PlaybackAt(1, 0, playing=True, at_ms=7),
        facts.SpeechStarted(at_ms=300),
        facts.InterruptRequested(at_ms=400),
        facts.HungUp(facts.EndReason.IDLE, at_ms=500),
    ]
    told = []
    for _ in range(2):
        system = ConversationSystem(POLICY)
        told.append([system.start(0), *(system.handle(fact) for fact in story)])
    assert told[0] == told[1]
