"""Walks that offer at once what others offer one by one: what `vantum check --thorough` adds.

The exhaustive walks are kept short by what each leaves out (`PLAN`). These are too long to be made whole, and
go through the combinations at random, the invariants held at each fact.
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
from machines.check.walk import SHORT, TOOLED, Report, Walk
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
    max_host_utterances=1,
    tools=TOOLED.tools,
    max_tool_steps=2,
    tool_fillers=TOOLED.tool_fillers,
)
"""A policy that asks for all there is, where the caller may interrupt everything, with words."""
UNINTERRUPTED = attrs.evolve(FULL, barge_in=False)
HALF = attrs.evolve(
    FULL, barge_in_thinking=False, barge_in_greeting=False, hand_over=True, tools_in_parallel=False
)
"""Some of what is said can be interrupted, a person takes over from a model that keeps failing, and calls of
tools are run one after the other."""
LEAVES_OUT = (
    "Most combinations: it goes through them at random. The link machines, whose news are made up. Voice"
    " that interrupts without words. More than one turn, text or request waiting, more than two segments to"
    " an answer, and than two calls of tools; longer budgets; a provider of speech to text that ends turns"
    " by itself."
)


def thorough(most_facts: int, draw: Callable[[int], int]) -> tuple[Planned, ...]:
    """The walks to be made, each of about so many facts; `draw` gives a number below another, by chance."""
    policies = (
        ("interruptible", "everything at once, at random, where answers can be interrupted", FULL),
        ("uninterrupted", "the same where they cannot", UNINTERRUPTED),
        ("half", "the same where some can", HALF),
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
    """Links that are lost in the middle of a call are told apart, too."""
    return conversation_key(system, observed), system.conversation.context.links.up
