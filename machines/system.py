"""The conversation machine and its link machines together: one call as a pure object.

The machines are coupled by facts only. A link machine tells the conversation that a role came up or went
down. The conversation releases a link, has it replaced, or returns it to a provider that recovered. All of
this happens within the step that caused it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial

from attrs import frozen

from machines import facts
from machines.conversation.context import Context
from machines.conversation.machine import Conversation
from machines.declarations import Step
from machines.driver import Driver
from machines.effects import (
    ArmDeadline,
    ArmLinkDeadline,
    DisarmDeadline,
    DisarmLinkDeadline,
    Effect,
    FinalizeTurn,
    ReleaseLink,
    RenewLink,
    ReplaceLink,
    ReturnLink,
    Speak,
    StartGeneration,
)
from machines.facts import Fact, Role
from machines.failover_and_retries import LinkContext
from machines.link import Link
from machines.policy import ConversationPolicy, LinkPolicy


@frozen
class ProviderChain:
    """The providers of a role, when a call begins."""

    providers: int = 1
    """How many providers there are, in order of preference."""
    known_down: frozenset[int] = frozenset()
    """The providers that the process knows to be down, by their places in that order."""


NEED_STT = (facts.RecordingStarted, facts.SpeechStarted)
"""After these facts the caller's words are to be understood."""
ALONE = ProviderChain()


@frozen
class Handled:
    """What one fact led to: the steps of all machines in order, and the effects to perform, in order."""

    steps: tuple[Step, ...]
    effects: tuple[Effect, ...]


class Charts:
    """The charts that the conversations of one thread share. Not for use by several threads."""

    def __init__(self) -> None:
        self.conversation = Conversation(Context(ConversationPolicy()))
        self.link = Link(LinkContext(Role.STT, LinkPolicy()))


class ConversationSystem:
    """All machines of one call. `start` it once, then `handle` every fact in the order of the inbox.

    `charts` may be shared with other conversations of the same thread. Without it, the system makes its own.
    A role that is not in `provider_chains` has one provider.
    """

    def __init__(
        self,
        policy: ConversationPolicy,
        charts: Charts | None = None,
        provider_chains: Mapping[Role, ProviderChain] | None = None,
    ) -> None:
        charts = charts or Charts()
        ups = provider_chains or {}
        self.conversation: Driver[Context] = Driver(
            "conversation", charts.conversation, Context(policy), ArmDeadline, DisarmDeadline
        )
        self.links: dict[Role, Driver[LinkContext]] = {
            role: Driver(
                f"{role.value} link",
                charts.link,
                LinkContext(
                    role, policy.link, ups.get(role, ALONE).providers, ups.get(role, ALONE).known_down
                ),
                partial(ArmLinkDeadline, role),
                partial(DisarmLinkDeadline, role),
            )
            for role in Role
        }

    @property
    def ended(self) -> bool:
        """Whether the conversation is over, and everything of it is closed or abandoned."""
        return self.conversation.state == "ended"

    def start(self, at_ms: float) -> Handled:
        """Begin the call: open the link of every role."""
        effects = list(self.conversation.start(at_ms))
        steps: list[Step] = []
        for role in Role:
            self._settle(facts.LinkWanted(role, at_ms=at_ms), steps, effects)
        return Handled(tuple(steps), tuple(effects))

    def handle(self, fact: Fact) -> Handled:
        """Take one fact in. Pure: the same facts in the same order give the same steps and effects."""
        steps: list[Step] = []
        effects: list[Effect] = []
        self._settle(fact, steps, effects)
        return Handled(tuple(steps), tuple(effects))

    def _settle(self, fact: Fact, steps: list[Step], effects: list[Effect]) -> None:
        """Handle `fact` and what the machines tell each other because of it."""
        pending = deque([fact])
        while pending:
            current = pending.popleft()
            driver = self._addressee(current)
            step = driver.handle(current)
            steps.append(step)
            for role in _needed(step):
                if self.links[role].state == "dormant":
                    pending.append(facts.LinkNeeded(role, at_ms=current.at_ms))
            for effect in step.effects:
                link_fact = _to_link(effect, current.at_ms)
                if link_fact is None:
                    effects.append(effect)
                else:
                    pending.append(link_fact)
            pending.extend(self._facts_for_conversation(driver))

    def _addressee(self, fact: Fact) -> Driver[Context] | Driver[LinkContext]:
        match fact:
            case (
                facts.LinkWanted(role=role)
                | facts.LinkReleased(role=role)
                | facts.LinkOpened(role=role)
                | facts.LinkFailed(role=role)
                | facts.LinkDeadlinePassed(role=role)
                | facts.LinkReplacementWanted(role=role)
                | facts.LinkReturnWanted(role=role)
                | facts.LinkRenewalWanted(role=role)
                | facts.LinkNeeded(role=role)
                | facts.ProviderDown(role=role)
                | facts.ProviderRecovered(role=role)
            ):
                return self.links[role]
        return self.conversation

    def _facts_for_conversation(self, driver: Driver[Context] | Driver[LinkContext]) -> list[Fact]:
        """The facts that a link machine has for the conversation. Each is returned once."""
        context = driver.context
        if not isinstance(context, LinkContext):
            return []
        found, context.for_conversation = context.for_conversation, []
        return found


def _needed(step: Step) -> tuple[Role, ...]:
    """The roles whose links are about to be used: if one is idle, it is opened again."""
    stt = isinstance(step.fact, NEED_STT) or any(isinstance(each, FinalizeTurn) for each in step.effects)
    tts = any(isinstance(each, StartGeneration | Speak) for each in step.effects)
    return tuple(role for role, needed in ((Role.STT, stt), (Role.TTS, tts)) if needed)


def _to_link(effect: Effect, at_ms: float) -> Fact | None:
    """The fact that an effect is for a link machine; None for an effect that is to be performed."""
    match effect:
        case ReleaseLink(role=role):
            return facts.LinkReleased(role, at_ms=at_ms)
        case ReplaceLink(role=role, failure=failure, attempt=attempt):
            return facts.LinkReplacementWanted(role, failure, attempt, at_ms=at_ms)
        case RenewLink(role=role, unable=unable):
            return facts.LinkRenewalWanted(role, unable, at_ms=at_ms)
        case ReturnLink(role=role, provider=provider):
            return facts.LinkReturnWanted(role, provider, at_ms=at_ms)
    return None
