"""Random walks over the facts of all other walks together: what `vantum check --thorough` adds.

Each exhaustive walk is kept short by what it leaves out (`PLAN`). The random walks are too long to be made
whole: they visit combinations at random, and check the invariants at each fact.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import attrs

from machines.check.abstraction import conversation_key
from machines.check.enabled_facts import all_enabled_facts
from machines.check.invariants import INVARIANTS, Invariant
from machines.check.observer import ObservedState
from machines.check.report import Planned
from machines.check.search_order import AtRandom
from machines.check.walk import Report, Walk
from machines.check.walks import SHORT, TOOLED
from machines.policy import ConversationPolicy
from machines.system import ConversationSystem

FULL = attrs.evolve(
    SHORT,
    greeting="Good day.",
    idle_after_ms=1000,
    nudges=("Hello?",),
    barge_in_min_words=1,
    barge_in_false_alarms=1,
    speculations=2,
    speculative_speech=True,
    max_host_utterances=1,
    tools=TOOLED.tools,
    max_tool_steps=2,
    tool_fillers=TOOLED.tool_fillers,
)
"""A policy with everything in it. The caller may interrupt every answer, by words."""
UNINTERRUPTED = attrs.evolve(FULL, barge_in=False)
HALF = attrs.evolve(
    FULL, barge_in_thinking=False, barge_in_greeting=False, hand_over=True, tools_in_parallel=False
)
"""Only some answers can be interrupted, a person takes over from a model that keeps failing, and tool calls
run one after the other."""
LEAVES_OUT = (
    "Most combinations: they are drawn at random. The link machines: their facts for the conversation are"
    " made up. Voice that interrupts without words. More than one turn, text or request waiting, more than"
    " two segments in an answer, more than two tool calls; longer budgets; a speech-to-text provider that"
    " ends turns by itself."
)


def thorough(most_facts: int, draw: Callable[[int], int]) -> tuple[Planned, ...]:
    """The random walks, each of about `most_facts` facts. `draw` gives a random number below its argument."""
    policies = (
        ("interruptible", "all facts together, at random, where answers can be interrupted", FULL),
        (
            "uninterrupted",
            "all facts together, at random, where answers cannot be interrupted",
            UNINTERRUPTED,
        ),
        ("half", "all facts together, at random, where some answers can be interrupted", HALF),
    )
    return tuple(
        Planned(name, subject, LEAVES_OUT, partial(_walk, AtRandom(draw, most_facts), policy))
        for name, subject, policy in policies
    )


def _walk(
    order: AtRandom,
    policy: ConversationPolicy,
    invariants: tuple[Invariant, ...] = INVARIANTS,
    *,
    stop_at_violation: bool = False,
) -> Report:
    return Walk(all_enabled_facts, _key, policy, invariants, stop_at_violation, order=order).run()


def _key(system: ConversationSystem, observed: ObservedState) -> Hashable:
    """The key with the links: configurations with different links are different."""
    return conversation_key(system, observed), system.conversation.context.links.up
