"""Random walks over all facts together, and a fault that only they can find."""

from __future__ import annotations

from random import Random

import pytest

from machines import facts
from machines.check.report import Planned, Visited, violations
from machines.check.thorough import thorough
from machines.conversation.machine import Conversation

pytestmark = pytest.mark.slow

FACTS = 15_000
WALKS = thorough(FACTS, Random(3).randrange)


@pytest.fixture
def a_voice_that_fails_while_a_turn_waits_is_not_coped_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed a fault that needs a voice that recovers, which the walk of queues leaves out."""
    patched = Conversation.tts_worth_retrying

    def tts_worth_retrying(self: Conversation, fact: facts.Fact) -> bool:
        passing = isinstance(fact, facts.SynthesisFailed) and fact.failure.error_class.retryable
        if passing and (self.context.turns.queue or self.context.turns.queued):
            raise ValueError("nobody thought of it")
        return patched(self, fact)

    monkeypatch.setattr(Conversation, "tts_worth_retrying", tts_worth_retrying)


@pytest.mark.parametrize("planned", WALKS, ids=lambda planned: str(planned.name))
def test_nothing_is_found_wrong(planned: Planned) -> None:
    one = planned.run()
    assert violations([one]) == ()
    assert FACTS <= one.report.facts < FACTS + 200
    assert len(one.report.taken) > 100


@pytest.mark.usefixtures("a_voice_that_fails_while_a_turn_waits_is_not_coped_with")
def test_a_fault_in_a_combination_is_found_with_a_way_that_can_be_read() -> None:
    # Draws of its own, so that the result does not depend on which other tests ran before.
    (walk,) = (each for each in thorough(FACTS, Random(8).randrange) if each.name == "uninterrupted")
    one = walk.run(stop_at_violation=True)
    assert any("no_fact_raises: SynthesisFailed(" in each for each in violations([one]))
    assert max(len(each.trace) for each in one.report.violations) <= 62


def test_the_same_draws_go_the_same_way() -> None:
    def walked() -> Visited:
        return thorough(2_000, Random(5).randrange)[0].run()

    assert walked().report == walked().report
