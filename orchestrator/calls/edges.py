"""How often each transition was taken, hour by hour, and how long the machine had been where it came from."""

from __future__ import annotations

import math
from collections import defaultdict

from attrs import Factory, define, field

from adapters.storage.writes import Edge, Edges
from machines.declarations import Outcome
from orchestrator.calls.steps import PlainStep
from orchestrator.calls.values import whole_ms

HOUR_MS = 3_600_000
STAYED = -1
"""The bucket of transitions that do not leave their state."""
LAST_BUCKET = 60
"""From twelve days on."""
_TAKEN = Outcome.TAKEN.value


def bucket_of(ms: float) -> int:
    """The bucket of a duration: 0 below a millisecond, then two for each doubling.

    So the durations of one bucket differ by at most 42 %, and buckets of many calls, hours and servers can be
    added.
    """
    return 0 if ms < 1 else min(LAST_BUCKET, 1 + math.floor(2 * math.log2(ms)))


def least_ms(bucket: int) -> float:
    """The shortest duration of a bucket, in ms."""
    return 0.0 if bucket <= 0 else 2 ** ((bucket - 1) / 2)


@define
class EdgeCounts:
    """Counts the transitions of one call."""

    vantum: str
    policy: str
    began_at: float
    """When the conversation's time was 0, in ms since the epoch."""
    began_ms: float
    """When the call began, in the conversation's time."""
    _since: dict[str, float] = Factory(dict)
    """By machine, when it came to the state that it is in."""
    _sums: dict[Edge, list[int]] = field(factory=lambda: defaultdict(lambda: [0, 0]))

    def take(self, step: PlainStep) -> None:
        """Count a step, if it is a transition."""
        if step.outcome != _TAKEN:
            return
        bucket, dwell_ms = STAYED, 0
        if step.source != step.target:
            stayed_ms = max(0.0, step.at_ms - self._since.get(step.machine, self.began_ms))
            bucket, dwell_ms = bucket_of(stayed_ms), whole_ms(stayed_ms)
            self._since[step.machine] = step.at_ms
        hour_ms = math.floor((self.began_at + step.at_ms) / HOUR_MS) * HOUR_MS
        key = (
            hour_ms,
            self.vantum,
            self.policy,
            step.machine,
            step.source,
            step.event,
            step.target,
            bucket,
        )
        sums = self._sums[key]
        sums[0] += 1
        sums[1] += dwell_ms

    def counted(self) -> Edges:
        """How often, and how long in all, so far."""
        return {edge: (count, dwell_ms) for edge, (count, dwell_ms) in self._sums.items()}
