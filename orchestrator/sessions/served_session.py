"""The interface of the server's sessions (WebSocket client or telephone), and how one is run."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence, Set
from contextlib import nullcontext
from typing import Protocol

import trio
from attrs import frozen

from machines.admission import Extra
from machines.declarations import Outcome
from machines.facts import EndReason, Role, SayRequested
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.clock import epoch_ms
from orchestrator.conversation.caller import Caller
from orchestrator.conversation.conversation import converse
from orchestrator.conversation.inbox import Inbox
from orchestrator.conversation.speculation_counts import speculation_counts
from orchestrator.journal.format import About
from orchestrator.journal.writer import Journals
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.sessions.call_socket import CallSocket, TakeFrame
from orchestrator.tools.tool import Tool
from orchestrator.tools.tool_runner import ToolRunner
from protocol import Payload


class SessionState(enum.Enum):
    """The session states of the reference server, by which `/health` counts sessions."""

    IDLE = "idle"
    """Connected; no recording yet."""
    ACTIVE = "active"
    """A recording goes on."""
    ENDED = "ended"
    """The recording ended; the conversation goes on."""


@frozen
class SharedResources:
    """What all sessions of a server share."""

    providers: Providers
    charts: Charts | None = None
    watch: ProviderWatch | None = None
    journals: Journals | None = None
    left_out: Set[Extra] = frozenset()
    """What clients are not sent now, since the server has too much to do. It changes while calls run."""

    def names(self) -> dict[Role, list[str]]:
        """The providers' names by role, in order of preference."""
        return {role: [each.name for each in self.providers.of(role)] for role in Role}


class ServedSession(Protocol):
    """A session, as the server sees it."""

    session_id: str
    started_at: float
    state: SessionState
    counts: Counter[str]
    """Counts for the operator: malformed messages, refused facts, dropped bytes and the like."""

    @property
    def begun(self) -> bool:
        """Whether the peer does anything but hold the line."""
        ...

    def give_up(self, why: str) -> None:
        """End a session that has not begun: somebody else needs the line."""
        ...

    @property
    def kind(self) -> str:
        """The protocol on its socket, in one word; also in the journal."""
        ...

    async def run(self, resources: SharedResources) -> None:
        """Run the conversation until it ends."""
        ...

    def say_goodbye(self, goodbye: SayRequested, why: Payload) -> None:
        """End the conversation with last words, once what is being said and answered is over. The client is
        told `why`."""
        ...

    def hang_up(self, reason: EndReason) -> None:
        """End the conversation from outside, at once."""
        ...


async def run_conversation(
    session: ServedSession,
    caller: Caller,
    socket: CallSocket,
    take: TakeFrame,
    audio: CallerAudio,
    inbox: Inbox,
    policy: ConversationPolicy,
    tools: Sequence[Tool],
    resources: SharedResources,
    metadata: str = "",
) -> None:
    """Run a session's conversation over its socket until it ends. Leaves only the closed socket behind.

    `take` handles the messages that come over the socket. `tools` are those that the model may call.
    `metadata` is what the journal says of the call, as JSON.
    """
    names = {role: tuple(found) for role, found in resources.names().items()}
    products = resources.providers.products()
    about = About(session.session_id, session.kind, epoch_ms(), names, metadata, products)

    def observe(handled: Handled) -> None:
        for step in handled.steps:
            if step.outcome is not Outcome.TAKEN:
                session.counts[f"{step.outcome.value} facts"] += 1
            session.counts.update(speculation_counts(step))

    with resources.journals.of_call(about) if resources.journals else nullcontext() as journal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.run, take)
            await converse(
                caller,
                audio,
                inbox,
                resources.providers,
                policy,
                observe,
                resources.charts,
                resources.watch,
                journal=journal,
                tools=ToolRunner(tools, session.session_id),
            )
            nursery.cancel_scope.cancel()
