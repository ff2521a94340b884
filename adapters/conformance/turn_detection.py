"""Conformance checks of turn models (turn detection)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import trio
from attrs import frozen

from adapters.conformance.checks import Check, checked, must, must_have_a_name, within
from adapters.interfaces import LISTENING_RATE, TURN_MODEL_MS, Samples, TurnModel

LENGTHS_MS = (20, 500, 3000, TURN_MODEL_MS, 2 * TURN_MODEL_MS)
"""Lengths of turns up to their pause."""
CLOSE = 0.02
"""Probabilities that differ by less than this count as equal."""
SOON_S = 0.001
"""A time after which every model is still working."""


@frozen(eq=False)
class TurnModelUnderTest:
    """A turn model to be checked."""

    provider: TurnModel
    patience_s: float = 10


def _turns() -> Iterator[Samples]:
    """Noise as loud as speech, and silence. The same every time."""
    noise = np.random.default_rng(1)
    for ms in LENGTHS_MS:
        count = ms * LISTENING_RATE // 1000
        yield noise.integers(-5000, 5000, count).astype(np.int16)
        yield np.zeros(count, np.int16)


async def _completeness(subject: TurnModelUnderTest, samples: Samples) -> float:
    with within(subject.patience_s, f"a turn of {len(samples) * 1000 // LISTENING_RATE} ms"):
        found = await subject.provider.completeness(samples)
    must(0 <= found <= 1, f"a probability is {found}, but must be from 0 to 1")
    return float(found)


@checked
async def it_says_what_it_is(subject: TurnModelUnderTest) -> None:
    """It has a name."""
    must_have_a_name(subject.provider)
    await trio.lowlevel.checkpoint()


@checked
async def turns_of_every_length_have_a_probability(subject: TurnModelUnderTest) -> None:
    """Also very short turns, and turns of which only the end is used."""
    for samples in _turns():
        await _completeness(subject, samples)


@checked
async def callers_are_not_mixed_up(subject: TurnModelUnderTest) -> None:
    """Several turns at once get the same probabilities as alone."""
    turns = list(_turns())
    alone = [await _completeness(subject, samples) for samples in turns]
    beside = [0.0] * len(turns)

    async def ask(number: int) -> None:
        beside[number] = await _completeness(subject, turns[number])

    async with trio.open_nursery() as nursery:
        for number in range(len(turns)):
            nursery.start_soon(ask, number)
    furthest = float(np.max(np.abs(np.subtract(alone, beside))))
    must(furthest < CLOSE, f"beside other callers' turns, a probability differs by {furthest:.2f}")


@checked
async def it_can_be_left(subject: TurnModelUnderTest) -> None:
    """A score can be cancelled, when the caller goes on, and the next one is given."""
    samples = list(_turns())[-2]
    for after_s in (0, SOON_S):
        with within(subject.patience_s, "a cancelled question"), trio.move_on_after(after_s):
            await subject.provider.completeness(samples)
        await _completeness(subject, samples)


TURN_MODEL: tuple[Check[TurnModelUnderTest], ...] = (
    it_says_what_it_is,
    turns_of_every_length_have_a_probability,
    callers_are_not_mixed_up,
    it_can_be_left,
)
