"""What speculative answers cost: how many were asked for, and how many of them were of use."""

from __future__ import annotations

from collections import Counter

from machines import effects as do
from machines.declarations import Step

ASKED = "speculative answers"
USED = "speculative answers used"
"""The others were paid for and dropped."""
PREPARED = "speech in advance"
"""First segments that were synthesized before it was known whether they would be said."""


def speculation_counts(step: Step) -> Counter[str]:
    """What one step adds to the counts of its call."""
    kinds = {type(effect) for effect in step.effects}
    asked, told = do.StartGeneration in kinds, do.NotifyAnswerStarted in kinds
    counts: Counter[str] = Counter()
    if asked and not told and step.target == "speculating":
        counts[ASKED] = 1
    if told and not asked and step.source in ("speculating", "finalizing"):
        counts[USED] = 1
    if do.PrepareSpeech in kinds:
        counts[PREPARED] = 1
    return counts
