"""What the check's observer takes a repeated segment for."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.check.observer import ObservedState
from machines.declarations import Outcome, Step


def voiced(observed: ObservedState, segment: int) -> ObservedState:
    fact = facts.SegmentVoiced(1, segment, 1000)
    return observed.after_fact(Step("conversation", fact, "speaking", "speaking", Outcome.TAKEN, "", ()))


def after(observed: ObservedState, *effects: do.Effect) -> ObservedState:
    for effect in effects:
        observed = observed.after_effect("conversation", effect)
    return observed


def test_the_rest_of_a_broken_segment_is_said_instead_of_it() -> None:
    observed = after(ObservedState(), do.Speak(1, 0, "One two three."))
    observed = after(observed, do.RestartSpeech(1, 2), do.Speak(1, 1, "two three."))
    assert observed.said == ("One", "two three.")


def test_an_answer_that_repeats_itself_is_not_mistaken_for_a_broken_segment() -> None:
    observed = after(ObservedState(), do.Speak(1, 0, "Yes."), do.Speak(1, 1, "Yes."))
    observed = after(voiced(observed, 0), do.RestartSpeech(1, 2), do.Speak(1, 1, "Yes."))
    assert observed.said == ("Yes.", "Yes.")
