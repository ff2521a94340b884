"""Records of what the simulated vendors received, for tests and for users who check their client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from adapters.simulators.faults import FaultKind
from adapters.tasks import Signal


@define(eq=False)
class Exchange:
    """One request, or one WebSocket with all its messages."""

    route: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names are in lower case. Of `authorization` only the scheme is kept, not the key."""
    body: Any = None
    """The parsed JSON of a request."""
    faults: tuple[FaultKind, ...] = ()
    messages: list[dict[str, Any]] = field(factory=list)
    """The JSON messages that were received, in order."""
    audio_bytes: int = 0
    sent: int = 0
    """The number of messages that were sent."""
    refused: int | None = None
    """The HTTP status, if the request was refused."""
    closed: bool = False

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        """The messages whose `type` is one of these."""
        return [message for message in self.messages if message.get("type") in types]


@define(eq=False)
class SpeechContext:
    """One context of the simulated Cartesia."""

    id: str
    transcript: str = ""
    flushes: int = 0
    cancelled: bool = False
    finished: bool = False
    """Whether its `done` was sent."""


@define
class Records:
    """Everything that was received, in order."""

    requests: list[Exchange] = field(factory=list)
    contexts: dict[str, SpeechContext] = field(factory=dict)
    open_sockets: int = 0
    accepted_sockets: int = 0
    _changed: Signal = field(factory=Signal, init=False)

    def change(self) -> None:
        """Wake those who wait. To be called after every change."""
        self._changed.wake_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition is true; it is checked after every change."""
        while not condition():
            await self._changed.wait()

    def at(self, route: str) -> list[Exchange]:
        """The exchanges of a route, or of all routes of a vendor."""
        return [one for one in self.requests if route in (one.route, one.route.partition(".")[0])]

    @property
    def open_contexts(self) -> list[SpeechContext]:
        """Contexts that were neither cancelled nor finished."""
        return [one for one in self.contexts.values() if not (one.cancelled or one.finished)]
