"""What these tests share: whole turns and interruptions, and what was heard of the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache

from machines.check.table_driver import run_by_tables
from machines.facts import TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem, Handled
from machines.tools import CallRecord
from orchestrator.journal.format import End, Head, Record, Used
from orchestrator.simulation import (
    Answer,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)

STORY = "This is the first sentence of a story. It goes on for quite a while. Nobody listens to its end."
SEGMENTS = (
    "This is the first sentence of a story.",
    "It goes on for quite a while.",
    "Nobody listens to its end.",
)
MS_PER_CHARACTER = 60

Act = Callable[[SimulatedCall], Awaitable[object]]


def storyteller(first: Answer | None = None, speaking: Synthesis | None = None) -> SimulatedProviders:
    """A script whose first answer is a story. The others are short."""
    return SimulatedProviders(
        llm=SimulatedLanguageModel(script(first or Answer(STORY), then=Answer())),
        tts=SimulatedTextToSpeech(script(speaking or Synthesis(), then=Synthesis())),
    )


async def ask(call: SimulatedCall) -> None:
    """A turn by hand."""
    await call.take_turn("hello")


async def ask_by_voice(call: SimulatedCall) -> None:
    """A turn whose end is left to voice activity."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.say("hello")
    await call.keep_quiet(200)


async def press_stop(call: SimulatedCall) -> None:
    """The caller interrupts by other means than voice."""
    await call.interrupt()


async def press_record(call: SimulatedCall) -> None:
    """The caller begins another recording."""
    await call.start_recording()


async def speak_up(call: SimulatedCall) -> None:
    """The caller says something over the answer, and goes on until there is silence."""
    await call.say("please stop")


INSTANT = ConversationPolicy(barge_in_min_ms=0)


def history(call: SimulatedCall) -> list[tuple[Speaker, str]]:
    """What the model was told last, without the system message."""
    messages = call.providers.llm.requests[-1]
    return [(each.speaker, each.text) for each in messages if each.speaker is not Speaker.SYSTEM]


def remembered(call: SimulatedCall) -> list[Message]:
    """The answers that the model was told of last."""
    return [each for each in call.providers.llm.requests[-1] if each.speaker is Speaker.ASSISTANT]


def word_ends(*segments: str) -> list[tuple[str, float]]:
    """The words of an answer as the simulated voice speaks them, with their ends in ms."""
    ends, start = [], 0.0
    for segment in segments:
        at = start
        for word in segment.split():
            at += MS_PER_CHARACTER * len(word + " ")
            ends.append((word, min(at, start + MS_PER_CHARACTER * len(segment))))
        start += MS_PER_CHARACTER * len(segment)
    return ends


def heard_words(heard_ms: float, *segments: str) -> str:
    """The words that were heard to their end."""
    return " ".join(word for word, end in word_ends(*segments) if end <= heard_ms + 1e-6)


def told_calls(call: SimulatedCall) -> list[CallRecord]:
    """The calls of tools that the model was told of last."""
    return [record for message in remembered(call) for record in message.calls]


def final_history(call: SimulatedCall) -> tuple[Message, ...]:
    """The history of a call that is over: its facts go through the machines once more."""
    head, *others = call.records
    assert isinstance(head, Head)
    system = ConversationSystem(head.policy, _tables(), head.provider_chains)
    system.start(head.at_ms)
    for each in handled_in(others[1:]):
        system.handle(each.steps[0].fact)
    return system.conversation.context.history


def handled_in(records: Sequence[Record]) -> list[Handled]:
    """The facts among the records of a call that is over, which also say what was used."""
    assert all(isinstance(each, Handled | Used | End) for each in records)
    return [each for each in records if isinstance(each, Handled)]


@cache
def _tables() -> Charts:
    charts = Charts()
    run_by_tables(charts.conversation)
    run_by_tables(charts.link)
    return charts
