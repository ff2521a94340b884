"""Faults of simulated vendors as data: what goes wrong when, from a scenario file or at random from a seed.

A scenario is a TOML or JSON file: `[[fault]]` tables with the fields of `Fault`, and optionally `[random]`
with the fields of `RandomFaults`, and `llm_dialect`, `stt_dialect` and `tts_dialect`, which say how vendors
deviate. In this example the first two connections to Deepgram are refused, and every WebSocket of Cartesia
stalls after its third message:

    [[fault]]
    kind = "status"
    at = "deepgram"
    status = 429
    retry_after = 2
    times = 2

    [[fault]]
    kind = "stall"
    at = "cartesia"
    after = 3
    times = 0
"""

from __future__ import annotations

import enum
import json
import random
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cattrs
from attrs import Factory, define, field, frozen

from adapters.simulators.dialects import SttDialect, TtsDialect


class FaultKind(enum.Enum):
    """What goes wrong. Messages are those that the vendor sends: frames, or events of a streamed answer."""

    REFUSE = "refuse"
    """The connection is reset instead of answered."""
    STATUS = "status"
    """The request is refused with `status`, and with `retry_after` if given."""
    SLOW_ACCEPT = "slow_accept"
    """The request is answered, but only after `seconds`."""
    STALL = "stall"
    """After `after` messages nothing more is sent. Messages are still read, and pings answered."""
    HALF_OPEN = "half_open"
    """After `after` messages nothing more is sent, and nothing is read."""
    RESET = "reset"
    """After `after` messages the connection is reset."""
    CLOSE = "close"
    """After `after` messages the connection is closed: a WebSocket with `code` and `reason`."""
    DRIP = "drip"
    """From message `after` on, `size` bytes are sent at a time, with `seconds` in between."""
    REORDER = "reorder"
    """A message is delayed until after the next one."""
    DUPLICATE = "duplicate"
    """A message is sent twice."""
    TRUNCATE = "truncate"
    """Only the first half of a message is sent, as if it were whole."""
    MALFORMED = "malformed"
    """Something that is not JSON is sent before a message."""
    UNKNOWN = "unknown"
    """A well-formed message of a type that no client knows is sent before a message."""
    LATE_AUDIO = "late_audio"
    """Cartesia: audio of a cancelled context goes on coming."""


class ScenarioError(Exception):
    """A scenario file cannot be used. The message says why."""


@frozen
class Fault:
    """One thing that goes wrong."""

    kind: FaultKind
    at: str = "*"
    """A route like `deepgram.v1`, a vendor like `deepgram`, or `*` for all."""
    skip: int = 0
    """The number of connections (for HTTP: requests) before the first fault."""
    times: int = 1
    """The number of connections with the fault after that; 0: all."""
    after: int = 0
    """The number of messages before the first fault."""
    count: int = 1
    """The number of messages with the fault (reorder, duplicate, truncate, malformed, unknown); 0: all."""
    seconds: float = 1.0
    status: int = 503
    retry_after: float | None = None
    """Seconds."""
    code: int = 1011
    reason: str = ""
    size: int = 16

    def concerns(self, route: str) -> bool:
        """Whether the fault is for connections of this route."""
        return self.at in ("*", route, route.partition(".")[0])

    def strikes(self, message: int) -> bool:
        """Whether the message with this number, from 0, has the fault."""
        return message >= self.after and (self.count == 0 or message < self.after + self.count)


@frozen
class RandomFaults:
    """Faults that are drawn at random for each connection."""

    chance: float = 0.0
    """The probability that a connection has a fault, from 0 to 1."""
    kinds: tuple[FaultKind, ...] = tuple(FaultKind)
    most_messages: int = 10
    """`after` is drawn from 0 to this."""


@frozen
class Scenario:
    """All planned and random faults."""

    fault: tuple[Fault, ...] = ()
    random: RandomFaults = RandomFaults()
    llm_dialect: str = "openai"
    """How the language model's server differs from OpenAI: a name of `openai_dialects.DIALECTS`."""
    stt_dialect: SttDialect = SttDialect.PLAIN
    """How Deepgram deviates from its documents."""
    tts_dialect: TtsDialect = TtsDialect.PLAIN
    """How Cartesia does."""

    @classmethod
    def read(cls, path: Path) -> Scenario:
        """Read a scenario file, TOML or (`.json`) JSON. Raises `ScenarioError`."""
        try:
            text = path.read_text("utf-8")
            content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise ScenarioError(f"{path} cannot be read: {error}") from None
        return cls.of(content, str(path))

    @classmethod
    def of(cls, content: object, origin: str = "the scenario") -> Scenario:
        """The scenario with the content of a file. Raises `ScenarioError`."""
        converter = cattrs.Converter(forbid_extra_keys=True)
        try:
            return converter.structure(content, cls)
        except (cattrs.BaseValidationError, ValueError, TypeError, KeyError) as error:
            reasons = cattrs.transform_error(error, path="scenario") if isinstance(error, Exception) else []
            raise ScenarioError(f"{origin}: {'; '.join(reasons) or error}") from None


@define
class FaultPlan:
    """Assigns faults to connections, in the order in which they come."""

    faults: list[Fault] = field(factory=list)
    random: RandomFaults = RandomFaults()
    seed: int = 0
    _seen: Counter[str] = Factory(Counter)
    """The number of connections so far, by route."""
    _met: list[int] = field(init=False, factory=list)
    """For each fault, the number of connections so far that it was for."""

    @classmethod
    def of(cls, scenario: Scenario, seed: int) -> FaultPlan:
        return cls(list(scenario.fault), scenario.random, seed)

    def add(self, *faults: Fault) -> None:
        """Add faults for connections to come."""
        self.faults.extend(faults)

    def next_connection(self, route: str) -> tuple[Fault, ...]:
        """The faults of the next connection of this route."""
        self._seen[route] += 1
        self._met.extend([0] * (len(self.faults) - len(self._met)))
        struck = []
        for index, fault in enumerate(self.faults):
            if not fault.concerns(route):
                continue
            self._met[index] += 1
            past = self._met[index] - 1 - fault.skip
            if past >= 0 and (fault.times == 0 or past < fault.times):
                struck.append(fault)
        return (*struck, *self._drawn(route, self._seen[route]))

    def _drawn(self, route: str, number: int) -> Sequence[Fault]:
        draw = random.Random(f"{self.seed} {route} {number}")
        if draw.random() >= self.random.chance or not self.random.kinds:
            return ()
        kind = draw.choice(self.random.kinds)
        after = 0 if kind in _AT_THE_DOOR else draw.randint(0, self.random.most_messages)
        status = draw.choice(_STATUSES)
        retry_after = float(draw.randint(1, 5)) if status == 429 else None
        return (Fault(kind, route, after=after, status=status, retry_after=retry_after),)


_AT_THE_DOOR = (FaultKind.REFUSE, FaultKind.STATUS, FaultKind.SLOW_ACCEPT)
_STATUSES = (401, 403, 429, 500, 503)

UNKNOWN_MESSAGE: Mapping[str, str] = {"type": "FromTheFuture", "content": "nobody knows me"}
MALFORMED_MESSAGE = '{"type": "Results", "chan'
