"""Conformance checks of voice activity."""

from __future__ import annotations

import numpy as np
import trio
from attrs import frozen

from adapters.conformance.checks import Check, checked, must, must_be_audio, must_have_a_name, within
from adapters.interfaces import LISTENING_RATE, Samples, VoiceActivity, VoiceDetector

BLOCKS = (1, 160, 700, 5000)
"""Samples that are given at once, fewer and more than a window."""
CLOSE = 0.02
"""Probabilities that differ by less than this count as equal."""


@frozen(eq=False)
class VadUnderTest:
    """A voice activity model to be checked, and speech."""

    provider: VoiceActivity
    speech: Samples
    """A second or more at 16 kHz, at least half of it words."""
    patience_s: float = 10


async def _probabilities(subject: VadUnderTest, samples: Samples, block: int) -> list[float]:
    """The probabilities of all windows, given block by block. The windows must be the samples."""
    detector = subject.provider.open()
    windows: list[Samples] = []
    probabilities: list[float] = []
    with within(subject.patience_s, "detecting voice"):
        for start in range(0, len(samples), block):
            for window, probability in await detector.detect(samples[start : start + block]):
                windows.append(must_be_audio(window))
                must(0 <= probability <= 1, f"a probability is {probability}, but must be from 0 to 1")
                probabilities.append(float(probability))
    length = round(subject.provider.window_ms * LISTENING_RATE / 1000)
    wrong = [len(window) for window in windows if len(window) != length]
    must(not wrong, f"window_ms says {length} samples, but a window has {wrong[:1]}")
    joined = np.concatenate([np.empty(0, np.int16), *windows])
    must(
        np.array_equal(joined, samples[: len(joined)]) and len(samples) - len(joined) < length,
        f"given {block} samples at a time, the windows are not all that was given, once and in order",
    )
    return probabilities


@checked
async def it_says_what_it_is(subject: VadUnderTest) -> None:
    """It has a name, and says how long its windows are."""
    must_have_a_name(subject.provider)
    window_ms = getattr(subject.provider, "window_ms", None)
    is_length = isinstance(window_ms, int | float) and 1 <= window_ms <= 200
    must(is_length, f"window_ms is {window_ms!r}, but must be a number of ms from 1 to 200")
    must(await subject.provider.open().detect(np.empty(0, np.int16)) == [], "no samples have a window")


@checked
async def nothing_is_lost_or_returned_twice(subject: VadUnderTest) -> None:
    """However the audio is cut, the windows hold all its samples once."""
    for block in BLOCKS:
        await _probabilities(subject, subject.speech[: LISTENING_RATE // 2], block)


@checked
async def how_audio_is_cut_makes_no_difference(subject: VadUnderTest) -> None:
    """However the audio is cut, the probabilities are the same."""
    first, *others = [await _probabilities(subject, subject.speech, block) for block in BLOCKS[1:]]
    for other in others:
        furthest = float(np.max(np.abs(np.subtract(first, other))))
        must(furthest < CLOSE, f"cut in another way, a probability differs by {furthest:.2f}")


@checked
async def speech_is_told_from_silence(subject: VadUnderTest) -> None:
    """With a threshold of one half, speech is voice and silence is not."""
    speech = await _probabilities(subject, subject.speech, 320)
    silence = await _probabilities(subject, np.zeros(LISTENING_RATE, np.int16), 320)
    voiced = sum(probability >= 0.5 for probability in speech) / len(speech)
    must(voiced >= 0.3, f"only {voiced:.0%} of the speech's windows are taken for voice")
    must(max(silence) < 0.5, f"silence is taken for voice, with {max(silence):.2f}")


@checked
async def callers_are_not_mixed_up(subject: VadUnderTest) -> None:
    """Each detector has its own state: beside another one it gives the same as alone."""
    alone = await _probabilities(subject, subject.speech, 320)
    one, other = subject.provider.open(), subject.provider.open()
    beside: list[float] = []
    rest = np.random.default_rng(1).integers(-3000, 3000, 320).astype(np.int16)
    for start in range(0, len(subject.speech), 320):
        beside += [each for _, each in await _detect(one, subject.speech[start : start + 320])]
        await _detect(other, rest)
    same = len(alone) == len(beside) and float(np.max(np.abs(np.subtract(alone, beside)))) < CLOSE
    must(same, "another caller's audio changes the probabilities")
    await trio.lowlevel.checkpoint()


async def _detect(detector: VoiceDetector, samples: Samples) -> list[tuple[Samples, float]]:
    return await detector.detect(samples)


VOICE_ACTIVITY: tuple[Check[VadUnderTest], ...] = (
    it_says_what_it_is,
    nothing_is_lost_or_returned_twice,
    how_audio_is_cut_makes_no_difference,
    speech_is_told_from_silence,
    callers_are_not_mixed_up,
)
