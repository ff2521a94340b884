"""The part that all simulated vendors share: their common state, and messages that are sent after a delay."""

from __future__ import annotations

import json
import math
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import trio
from attrs import frozen

from adapters.simulators.dialects import SttDialect, TtsDialect
from adapters.simulators.faults import MALFORMED_MESSAGE, UNKNOWN_MESSAGE, Fault
from adapters.simulators.openai_dialects import Dialect
from adapters.simulators.phone_dialects import TWILIO, PhoneDialect
from adapters.simulators.records import Exchange, Records
from adapters.simulators.script import Latencies, Script
from adapters.simulators.speech import Voice
from adapters.simulators.wire import Outlet, WebSocketWire, Wire


@frozen
class World:
    """The state that all simulated vendors share."""

    seed: int
    script: Script
    latencies: Latencies
    voice: Voice
    records: Records
    keys: frozenset[str] | None
    """The keys that are accepted; None: every key that is not empty."""
    llm: Dialect
    """How the language model's server differs from OpenAI."""
    stt_dialect: SttDialect = SttDialect.PLAIN
    tts_dialect: TtsDialect = TtsDialect.PLAIN
    phone_dialect: PhoneDialect = TWILIO


@frozen
class Session:
    """One request, or one WebSocket, from when it was accepted."""

    world: World
    exchange: Exchange
    faults: tuple[Fault, ...]
    randomness: random.Random
    """Seeded with the route and the number of the connection."""

    def outlet(self, wire: Wire, *, events: bool = False) -> Outlet:
        """Where its messages are sent. With `events`, each is an event of a server-sent event stream."""
        unknown, malformed = json.dumps(dict(UNKNOWN_MESSAGE)), MALFORMED_MESSAGE
        if events:
            unknown, malformed = f"data: {unknown}\n\n", f"data: {malformed}\n\n"
        return Outlet(wire, self.faults, unknown, malformed)

    def id(self) -> str:
        """A UUID that depends only on the seed."""
        digits = f"{self.randomness.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class Sender:
    """Sends messages in the order of `say`, each after a delay of its own."""

    def __init__(self, session: Session, outlet: Outlet) -> None:
        self._session = session
        self._outlet = outlet
        self._add, self._due = trio.open_memory_channel[tuple[float, dict[str, Any] | Ending]](math.inf)

    def say(self, message: Mapping[str, Any], delay: float = 0.0) -> None:
        """Send the message after `delay` seconds, but not before the messages before it."""
        self._add.send_nowait((trio.current_time() + delay, dict(message)))

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after all messages were sent."""
        self._add.send_nowait((trio.current_time(), Ending(code, reason)))

    async def run(self, wire: Wire) -> None:
        """Send the messages. Raises `HangupError` when the connection is closed."""
        await self._outlet.before_any()
        async for due, message in self._due:
            await trio.sleep_until(max(due, trio.current_time()))
            if isinstance(message, Ending):
                await self._outlet.release()
                await wire.close(message.code, message.reason)
            else:
                await self._outlet.send(json.dumps(message))
                self._session.exchange.sent += 1
                self._session.world.records.change()


@frozen
class Ending:
    """The vendor closes the connection."""

    code: int
    reason: str


async def incoming(session: Session, wire: WebSocketWire) -> AsyncIterator[dict[str, Any] | bytes | str]:
    """The client's messages, which are recorded: JSON objects parsed, audio as bytes, all else as text.

    Raises `HangupError`.
    """
    async for message in wire.messages():
        parsed: dict[str, Any] | bytes | str = message
        if isinstance(message, bytes):
            session.exchange.audio_bytes += len(message)
        else:
            parsed = _json_object(message)
            if isinstance(parsed, dict):
                session.exchange.messages.append(parsed)
        session.world.records.change()
        yield parsed


def _json_object(text: str) -> dict[str, Any] | str:
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, dict) else text
