"""The conformance kit detects faults of voice activity."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import NotConformant
from adapters.interfaces import (
    Samples,
    VoiceActivity,
    VoiceDetector,
)
from tests.adapters.conformance.subjects import (
    named,
    vad_subject,
)


class Detector:
    """Voice activity with a fault. It is its own detector."""

    name = "broken voice activity"
    window_ms = 32.0

    def __init__(self) -> None:
        self.kept = np.empty(0, np.int16)

    def open(self) -> VoiceDetector:
        return type(self)()

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        await trio.lowlevel.checkpoint()
        audio = np.concatenate([self.kept, samples])
        whole = len(audio) // 512 * 512
        self.kept = audio[whole:]
        return [(window, self.probability(window)) for window in audio[:whole].reshape(-1, 512)]

    def probability(self, window: Samples) -> float:
        return 0.9 if np.abs(window).max() > 500 else 0.1


class Forgetful(Detector):
    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        found = await super().detect(samples)
        self.kept = self.kept[:0]
        return found


class Shared(Detector):
    def open(self) -> VoiceDetector:
        return self


class Percent(Detector):
    def probability(self, window: Samples) -> float:
        return 100 * super().probability(window)


class Nervous(Detector):
    def probability(self, window: Samples) -> float:
        return 0.9


class Inattentive(Detector):
    def probability(self, window: Samples) -> float:
        return 0.1


class Mislabelled(Detector):
    window_ms = 30.0


class Moody(Detector):
    """Its probabilities depend on how much it is given at once."""

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        found = await super().detect(samples)
        return [(window, probability / (1 + (len(samples) > 1000))) for window, probability in found]


BROKEN_NOTICING: list[tuple[str, VoiceActivity, str]] = [
    ("nothing_is_lost_or_returned_twice", Forgetful(), "the windows are not all that was given"),
    ("nothing_is_lost_or_returned_twice", Percent(), "must be from 0 to 1"),
    ("nothing_is_lost_or_returned_twice", Mislabelled(), "window_ms says 480 samples, but a window has"),
    ("how_audio_is_cut_makes_no_difference", Moody(), "cut in another way"),
    ("speech_is_told_from_silence", Nervous(), "silence is taken for voice, with 0.90"),
    ("speech_is_told_from_silence", Inattentive(), "only 0% of the speech's windows"),
    ("callers_are_not_mixed_up", Shared(), "another caller's audio"),
]


@pytest.mark.parametrize(("check", "broken", "complaint"), BROKEN_NOTICING)
async def test_broken_voice_activity_is_found(
    check: str, broken: VoiceActivity, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.VOICE_ACTIVITY, check)(vad_subject(broken))
