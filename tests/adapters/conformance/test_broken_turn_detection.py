"""The conformance kit detects faults of turn models."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import NotConformant, TurnModelUnderTest
from adapters.interfaces import Samples, TurnModel
from tests.adapters.conformance.subjects import named


class FaultyTurnModel:
    """A turn model with a fault."""

    name = "broken turn model"

    async def completeness(self, samples: Samples) -> float:
        await trio.sleep(0.01)
        return 0.9 if np.abs(samples.astype(int)).max(initial=0) > 500 else 0.1


class Percent(FaultyTurnModel):
    async def completeness(self, samples: Samples) -> float:
        return 100 * await super().completeness(samples)


class Demanding(FaultyTurnModel):
    async def completeness(self, samples: Samples) -> float:
        if len(samples) < 1600:
            raise ValueError("too short")
        return await super().completeness(samples)


class Absentminded(FaultyTurnModel):
    """Gives the score of the turn that it was given last."""

    newest = 0.0

    async def completeness(self, samples: Samples) -> float:
        self.newest = await super().completeness(samples)
        await trio.sleep(0.01)
        return self.newest


class Jammed(FaultyTurnModel):
    """Cannot score any more after a score was cancelled."""

    def __init__(self) -> None:
        self.free = trio.CapacityLimiter(1)

    async def completeness(self, samples: Samples) -> float:
        question = object()
        await self.free.acquire_on_behalf_of(question)
        found = await super().completeness(samples)
        self.free.release_on_behalf_of(question)
        return found


BROKEN: list[tuple[str, TurnModel, str]] = [
    ("turns_of_every_length_have_a_probability", Percent(), "must be from 0 to 1"),
    ("turns_of_every_length_have_a_probability", Demanding(), "raised ValueError: too short"),
    ("callers_are_not_mixed_up", Absentminded(), "a probability differs by 0.80"),
    ("it_can_be_left", Jammed(), "took longer than 10 s"),
]


@pytest.mark.parametrize("check", conformance.TURN_MODEL)
async def test_the_turn_model_whose_faults_are_tested_conforms_without_them(
    check: conformance.Check[TurnModelUnderTest], autojump_clock: MockClock
) -> None:
    await check(TurnModelUnderTest(FaultyTurnModel()))


@pytest.mark.parametrize(("check", "broken", "complaint"), BROKEN)
async def test_a_broken_turn_model_is_found(
    check: str, broken: TurnModel, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.TURN_MODEL, check)(TurnModelUnderTest(broken))
