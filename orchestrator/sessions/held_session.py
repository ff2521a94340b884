"""What all sessions have in common: what the server lends to them and keeps of them, and how one is held."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol

import trio
import uuid_utils
from attrs import frozen

from machines.declarations import Outcome
from machines.facts import EndReason, Role
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.conversation.caller import Caller
from orchestrator.conversation.conversation import converse
from orchestrator.conversation.inbox import Inbox
from orchestrator.journal.format import About
from orchestrator.journal.writer import Journals
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.sessions.call_socket import CallSocket, TakeFrame
from orchestrator.tools.tool import Tool
from orchestrator.tools.tool_runner import ToolRunner


class SessionState(enum.Enum):
    """The reference server's session states, as `/health` counts them."""

    IDLE = "idle"
    """Connected; nothing recorded yet."""
    ACTIVE = "active"
    """Recording."""
    ENDED = "ended"
    """The recording ended; the conversation goes on."""


@frozen
class Means:
    """What the server lends to each of its conversations."""

    providers: Providers
    charts: Charts | None = None
    watch: ProviderWatch | None = None
    journals: Journals | None = None

    def names(self) -> dict[Role, list[str]]:
        """The providers' names, in order of preference."""
        return {role: [each.name for each in self.providers.of(role)] for role in Role}


class ServedSession(Protocol):
    """A session as the server sees it."""

    session_id: str
    started_at: float
    state: SessionState
    counts: Counter[str]
    """What happened that an operator may want to know: malformed messages, refused facts, dropped bytes."""

    @property
    def kind(self) -> str:
        """What is spoken over its socket, in a word."""
        ...

    async def run(self, means: Means) -> None:
        """Hold the conversation until it ends."""
        ...

    def hang_up(self, reason: EndReason) -> None:
        """End it from outside."""
        ...


async def hold(
    session: ServedSession,
    caller: Caller,
    socket: CallSocket,
    take: TakeFrame,
    audio: CallerAudio,
    inbox: Inbox,
    policy: ConversationPolicy,
    tools: Sequence[Tool],
    means: Means,
) -> None:
    """Converse over a socket until the conversation ends; leaves nothing behind but its closed stream.

    `take` gets the messages that come over it; `tools` are those that the model may call.
    """
    names = {role: tuple(found) for role, found in means.names().items()}
    about = About(session.session_id, session.kind, epoch_ms(), names)

    def observe(handled: Handled) -> None:
        for step in handled.steps:
            if step.outcome is not Outcome.TAKEN:
                session.counts[f"{step.outcome.value} facts"] += 1

    with means.journals.of_call(about) if means.journals is not None else nullcontext() as journal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.run, take)
            await converse(
                caller,
                audio,
                inbox,
                means.providers,
                policy,
                observe,
                means.charts,
                means.watch,
                journal=journal,
                tools=ToolRunner(tools, session.session_id),
            )
            nursery.cancel_scope.cancel()


def new_id() -> str:
    """A UUIDv7 in lower case."""
    return str(uuid_utils.uuid7())


def epoch_ms() -> float:
    """Ms since the Unix epoch, for timestamps on the wire."""
    return time.time() * 1000
