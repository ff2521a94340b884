"""Benchmark of the machines: CPU time for each fact of a typical turn, and memory for each conversation.

Run by `make bench`. No sockets, no models, no threads.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable

from machines import facts
from machines.facts import Fact, Role, TurnMode
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem

TURNS = 300
CONVERSATIONS = 100


def turn(system: ConversationSystem) -> list[Callable[[], Fact]]:
    """The facts of one turn: speech, transcript, an answer of three segments, playback."""
    context = system.conversation.context

    def deadline() -> Fact:
        return facts.DeadlinePassed(context.deadline_armed or 0)

    def final() -> Fact:
        return facts.TranscriptFinal(context.turns.awaited or 0, "What time is it?", 0.9)

    def segment(number: int) -> Callable[[], Fact]:
        return lambda: facts.SegmentReady(context.answer.generation, number, "It is noon.")

    def voiced(number: int) -> Callable[[], Fact]:
        return lambda: facts.SegmentVoiced(context.answer.generation, number, 900.0)

    return [
        facts.SpeechStarted,
        lambda: facts.TranscriptInterim(context.turns.current, "What time", 0.5),
        lambda: facts.SpeechStopped(900.0),
        deadline,
        final,
        segment(0),
        lambda: facts.PlaybackAt(context.answer.generation, 0.0, playing=True),
        voiced(0),
        segment(1),
        voiced(1),
        segment(2),
        lambda: facts.GenerationFinished(context.answer.generation),
        voiced(2),
        lambda: facts.PlaybackFinished(context.answer.generation),
    ]


def listening(charts: Charts) -> ConversationSystem:
    """A conversation in LISTENING, in automatic mode."""
    system = ConversationSystem(ConversationPolicy(system_prompt="You are brief."), charts)
    system.start(0)
    for role in Role:
        system.handle(facts.LinkOpened(role, 1))
    system.handle(facts.RecordingStarted(TurnMode.AUTOMATIC))
    return system


def main() -> None:
    """Measure and print."""
    charts = Charts()
    system = listening(charts)
    steps = turn(system)
    by_fact: dict[str, list[float]] = {}
    started = time.process_time()
    for _ in range(TURNS):
        for make in steps:
            fact = make()
            before = time.perf_counter_ns()
            system.handle(fact)
            by_fact.setdefault(fact.name, []).append((time.perf_counter_ns() - before) / 1000)
    seconds = time.process_time() - started
    for name, times in sorted(by_fact.items()):
        print(f"  {name:22} {statistics.median(times):6.0f} µs")
    print(f"  a whole turn           {seconds / TURNS * 1e6:6.0f} µs of CPU, {len(steps)} facts")

    gc.collect()
    tracemalloc.start()
    kept = [listening(charts) for _ in range(CONVERSATIONS)]
    print(f"  a conversation         {tracemalloc.get_traced_memory()[0] / CONVERSATIONS / 1024:6.0f} KiB")
    tracemalloc.stop()
    del kept


if __name__ == "__main__":
    main()
