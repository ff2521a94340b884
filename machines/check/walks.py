"""The walks that are made: bounded models of a call, each with its policy and the facts that can happen."""

from __future__ import annotations

import attrs

from machines.check.abstraction import conversation_key, link_key
from machines.check.enabled_facts import (
    answer_enabled_facts,
    blocking_enabled_facts,
    filler_enabled_facts,
    host_enabled_facts,
    language_enabled_facts,
    link_enabled_facts,
    one_link_enabled_facts,
    queue_enabled_facts,
    tool_enabled_facts,
    turn_enabled_facts,
)
from machines.check.invariants import INVARIANTS, Invariant
from machines.check.walk import Report, Walk
from machines.facts import Role
from machines.policy import ConversationPolicy, LinkPolicy
from machines.system import ProviderChain
from machines.tools import OnInterruption, ToolPolicy

SHORT = ConversationPolicy(
    system_prompt="Be brief.",
    llm_retry_delays_ms=(100,),
    voice_retries=1,
    max_queue=1,
    max_history=2,
    reprompt="What did you say?",
    nudges=(),
    barge_in_min_words=0,
    barge_in_false_alarms=1_000_000,
    speculations=1,
    max_host_utterances=0,
    most_digits=3,
    thinking_filler="",
    link=LinkPolicy(retry_delays_ms=(100,), budget_ms=100),
)
"""A policy with the smallest budgets that lose no case: one retry, one exchange of history."""
IDLE = attrs.evolve(SHORT, idle_after_ms=1000, reprompt="", speculative_speech=True)
"""A policy that says goodbye to a quiet caller."""
QUEUEING = attrs.evolve(
    SHORT,
    greeting="Good day.",
    idle_after_ms=1000,
    nudges=("Hello?",),
    barge_in=False,
    voice_retries=0,
)
"""A policy whose answers cannot be interrupted by voice: what the caller says meanwhile waits."""
HOSTED = attrs.evolve(
    QUEUEING,
    nudges=(),
    idle_after_ms=0,
    reprompt="",
    speculations=2,
    barge_in=True,
    barge_in_min_words=1,
    barge_in_false_alarms=1,
    barge_in_thinking=False,
    barge_in_greeting=False,
    max_host_utterances=1,
)
"""A policy with a host, where only some answers can be interrupted."""
TOOLED = attrs.evolve(
    SHORT,
    llm_retry_delays_ms=(),
    voice_retries=0,
    reprompt="",
    tools=(
        ToolPolicy("look"),
        ToolPolicy("search", on_interruption=OnInterruption.CANCEL),
        ToolPolicy("book", on_interruption=OnInterruption.BLOCK),
        ToolPolicy("note", reply=False),
    ),
    max_tool_steps=2,
    tool_fillers=("One step.",),
    max_host_utterances=1,
)
"""A policy with tools that run in parallel."""
PATIENT = ConversationPolicy(link=LinkPolicy(budget_ms=500))
"""A policy with the whole retry schedule of a link, without the slow retries."""


def walk_answers(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
) -> Report:
    """The conversation machine, whose links come and go, with a caller who ends turns by hand."""
    policy = attrs.evolve(SHORT, tools=(ToolPolicy("look"),), tool_fillers=())
    return Walk(answer_enabled_facts, conversation_key, policy, invariants, stop_at_violation).run()


def walk_turns(invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False) -> Report:
    """The conversation machine, with a caller whose voice ends turns, and answers of one segment."""
    return Walk(turn_enabled_facts, conversation_key, IDLE, invariants, stop_at_violation).run()


def walk_queue(invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False) -> Report:
    """The conversation machine, where voice cannot interrupt answers, and turns wait instead."""
    return Walk(queue_enabled_facts, conversation_key, QUEUEING, invariants, stop_at_violation).run()


def walk_host(invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False) -> Report:
    """The conversation machine, where only some answers can be interrupted, and a host wants texts said."""
    return Walk(host_enabled_facts, conversation_key, HOSTED, invariants, stop_at_violation).run()


def walk_tools(invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False) -> Report:
    """The conversation machine, where the model calls tools, and the caller can go on meanwhile."""
    return Walk(tool_enabled_facts, conversation_key, TOOLED, invariants, stop_at_violation).run()


def walk_blocking(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
) -> Report:
    """The conversation machine, where voice does not interrupt a tool call, and turns wait meanwhile."""
    policy = attrs.evolve(TOOLED, max_tool_steps=1, max_history_tokens=1)
    return Walk(blocking_enabled_facts, conversation_key, policy, invariants, stop_at_violation).run()


def walk_language(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
) -> Report:
    """The conversation machine, whose caller's language changes in every state."""
    policy = attrs.evolve(SHORT, tools=(ToolPolicy("look"),), tool_fillers=())
    return Walk(language_enabled_facts, conversation_key, policy, invariants, stop_at_violation).run()


def walk_fillers(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
) -> Report:
    """The conversation machine, where a filler is said while the model thinks."""
    policy = attrs.evolve(SHORT, thinking_filler="One moment.", reprompt="")
    return Walk(filler_enabled_facts, conversation_key, policy, invariants, stop_at_violation).run()


def walk_links(invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False) -> Report:
    """All machines of a call together, while it comes up and goes down, with one retry for each link."""
    return Walk(link_enabled_facts, link_key, SHORT, invariants, stop_at_violation).run()


def walk_one_link(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False, providers: int = 1
) -> Report:
    """One link with its whole retry schedule, while the other links never answer."""
    provider_chains = {Role.STT: ProviderChain(providers)}
    return Walk(
        one_link_enabled_facts, link_key, PATIENT, invariants, stop_at_violation, provider_chains
    ).run()


def walk_known_down(
    invariants: tuple[Invariant, ...] = INVARIANTS, *, stop_at_violation: bool = False
) -> Report:
    """A call that begins while the only provider of a role is known to be down."""
    provider_chains = {Role.STT: ProviderChain(1, frozenset({0}))}
    return Walk(one_link_enabled_facts, link_key, SHORT, invariants, stop_at_violation, provider_chains).run()
