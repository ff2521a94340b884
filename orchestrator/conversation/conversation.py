"""The main loop of one conversation: facts go from the inbox to the machines, effects to the performer.

One call of `converse` is one conversation: when it returns, no task, link or socket of it is left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from random import Random

import trio
from attrs import evolve

from adapters.logs import library_logger
from machines.declarations import Outcome, Step
from machines.facts import Fact, Role
from machines.history import Message
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem, Handled, ProviderChain
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.clock import now_ms
from orchestrator.conversation.armed_deadlines import ArmedDeadlines
from orchestrator.conversation.caller import Caller
from orchestrator.conversation.inbox import Inbox
from orchestrator.conversation.performer import Performer
from orchestrator.journal.format import CallJournal
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.tools.tool_runner import ToolRunner

log = library_logger(__name__)

Observe = Callable[[Handled], None]
"""Called with every handled fact, before its effects are performed. Must not block."""


async def converse(
    caller: Caller,
    audio: CallerAudio,
    inbox: Inbox,
    providers: Providers,
    policy: ConversationPolicy,
    observe: Observe,
    charts: Charts | None = None,
    watch: ProviderWatch | None = None,
    random: Random | None = None,
    journal: CallJournal | None = None,
    tools: ToolRunner | None = None,
) -> tuple[Message, ...]:
    """Run a conversation from INITIALIZING to the end of ENDING. Returns its history, as it was heard.

    Args:
        caller: where notifications and audio for the caller go.
        audio: the queue of the caller's audio.
        inbox: the queue of facts, which the caller's side fills, too; closed when the conversation is over.
        providers: speech to text, language model and text to speech.
        policy: deadlines and texts. Its `tools` are replaced by those of `tools`.
        observe: called with every handled fact.
        charts: shared by the conversations of this thread; by default, new ones are made (10 ms, 0.6 MB).
        watch: knows which providers work, and is told what happens to them; by default, nothing is known.
        random: draws the jitter of retries; by default, one that is not seeded.
        journal: records what a replay needs.
        tools: the tools that the model may call; by default, none.
    """
    tools = tools or ToolRunner()
    policy = evolve(policy, tools=tools.policies, language=policy.language or caller.language)
    chains = _provider_chains(providers, watch)
    system = ConversationSystem(policy, charts, chains)
    draw = (random or Random()).random
    deadlines = ArmedDeadlines(draw)
    try:
        with watch.listening(inbox.put) if watch is not None else nullcontext():
            async with trio.open_nursery() as nursery:
                performer = Performer(
                    nursery, caller, audio, providers, deadlines, inbox.put, watch, draw, tools, journal
                )
                began_ms = now_ms()
                if journal is not None:
                    journal.begin(policy, chains, began_ms)
                handled = system.start(began_ms)
                while True:
                    for step in handled.steps:
                        _log_step(step)
                    observe(handled)
                    if journal is not None:
                        journal.add(handled)
                    for effect in handled.effects:
                        performer.perform(effect)
                    if system.ended:
                        break
                    handled = _handle(system, await _next_fact(inbox, deadlines), journal)
                nursery.cancel_scope.cancel()
    finally:
        inbox.close()
    return system.conversation.context.history


def _provider_chains(providers: Providers, watch: ProviderWatch | None) -> dict[Role, ProviderChain]:
    """For each role, how many providers there are and which of them are down, as the conversation begins."""
    return {
        role: ProviderChain(len(providers.of(role)), watch.down(role) if watch is not None else frozenset())
        for role in Role
    }


def _handle(system: ConversationSystem, fact: Fact, journal: CallJournal | None) -> Handled:
    try:
        return system.handle(fact)
    except Exception as error:
        if journal is not None:
            journal.broke(fact, error)
        raise


async def _next_fact(inbox: Inbox, deadlines: ArmedDeadlines) -> Fact:
    """The next fact: from the inbox, or of a deadline that passed before it."""
    while True:
        with trio.move_on_at(deadlines.next_at()):
            return await inbox.take(before=deadlines.next_at() * 1000)
        passed = deadlines.take_passed()
        if passed is not None:
            return passed


def _log_step(step: Step) -> None:
    match step.outcome:
        case Outcome.TAKEN:
            log.debug(
                "transition",
                machine=step.machine,
                fact=step.fact.name,
                source=step.source,
                target=step.target,
            )
        case Outcome.UNDECLARED:
            log.error("undeclared fact", machine=step.machine, fact=step.fact.name, state=step.source)
        case Outcome.IGNORED | Outcome.REFUSED:
            log.debug(
                step.outcome.value,
                machine=step.machine,
                fact=step.fact.name,
                state=step.source,
                reason=step.reason,
            )
