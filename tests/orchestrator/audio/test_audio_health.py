"""Audio that cannot be understood is noticed, its likely cause is said, and each once; other audio is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from adapters.interfaces import Samples
from orchestrator.audio.audio_health import Ailment, AudioHealth, Finding

RATE = 16_000
CHUNK_S = 0.1
Signal = npt.NDArray[np.float64]


def speech(seconds: float, rate: int, level: float = 0.2) -> Signal:
    """Something that rises and falls as speech does, from -1 to 1."""
    time = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 150 * time) + 0.5 * np.sin(2 * np.pi * 730 * time)
    noise = np.random.default_rng(1).normal(size=len(time)) * 0.02
    signal: Signal = (tone * np.abs(np.sin(2 * np.pi * 1.5 * time)) + noise) * level
    return signal


def pcm(signal: Signal) -> Samples:
    whole: Samples = (np.clip(signal, -1, 1) * 32_767).astype(np.int16)
    return whole


def found(samples: Samples, pace: float = 1.0, rate: int = RATE, jitter: float = 0.0) -> list[Ailment]:
    """What is found in these samples, which come `pace` times as fast as their rate says."""
    return [each.ailment for each in findings(samples, pace, rate, jitter)]


def findings(samples: Samples, pace: float, rate: int = RATE, jitter: float = 0.0) -> list[Finding]:
    health, random = AudioHealth(), np.random.default_rng(1)
    size = int(rate * pace * CHUNK_S)
    told: list[Finding] = []
    for number, start in enumerate(range(0, len(samples), size)):
        at_s = number * CHUNK_S + random.uniform(0, jitter)
        told += health.take(samples[start : start + size], rate, at_s)
    return told


@pytest.mark.parametrize("level", [0.001, 0.02, 0.2, 0.6])
def test_speech_is_well_at_any_level(level: float) -> None:
    assert found(pcm(speech(30, RATE, level)), jitter=0.08) == []


def test_silence_with_some_noise_is_well() -> None:
    assert found(np.random.default_rng(1).integers(-2, 3, 20 * RATE, np.int16)) == []


@pytest.mark.parametrize("level", [0.01, 0.1, 0.9])
@pytest.mark.parametrize("shift", [0, 1])
def test_floats_are_told_from_samples(level: float, shift: int) -> None:
    halves = speech(20, RATE, level).astype("<f4").view("<i2")[shift:]
    assert found(halves, pace=2) == [Ailment.FLOATS]


def test_two_channels_are_told_from_twice_the_rate() -> None:
    one = speech(20, RATE)
    for other in (one, one * 0.9, one * 0.2, one * 0):
        assert found(pcm(np.stack([one, other], axis=1).ravel()), pace=2) == [Ailment.STEREO]
    assert found(pcm(speech(20, 2 * RATE)), pace=2) == [Ailment.RATE]


@pytest.mark.parametrize(
    ("said", "actual"),
    [(16_000, 48_000), (16_000, 44_100), (24_000, 48_000), (8_000, 16_000), (16_000, 22_050)],
)
def test_the_rate_that_it_seems_to_have_is_named(said: int, actual: int) -> None:
    told = findings(pcm(speech(20, actual)), actual / said, said, jitter=0.02)
    assert [each.ailment for each in told] == [Ailment.RATE]
    assert f"at {actual} Hz, but {said} Hz was said" in told[0].sentence


@pytest.mark.parametrize("pace", [0.33, 0.5, 0.92, 1.1])
def test_a_client_that_is_late_or_catches_up_has_no_wrong_rate(pace: float) -> None:
    """Seen on a busy machine: 0.92 is 22,050 Hz by 24,000 Hz."""
    assert found(pcm(speech(20, 24_000)), pace, 24_000) == []


def test_a_file_that_is_sent_at_once_has_no_wrong_rate() -> None:
    assert found(pcm(speech(60, RATE)), pace=600) == []
    assert found(np.zeros(60 * RATE, np.int16), pace=600) == []


def test_a_caller_whose_audio_comes_with_gaps_has_no_wrong_rate() -> None:
    health, told = AudioHealth(), list[Finding]()
    for number in range(400):
        at_s = number * CHUNK_S + number // 17 * 0.9
        told += health.take(pcm(speech(CHUNK_S, RATE)), RATE, at_s)
    assert told == []


def test_a_dead_microphone_and_one_that_is_too_loud_are_told() -> None:
    assert found(np.zeros(20 * RATE, np.int16)) == [Ailment.SILENT]
    assert found(pcm(speech(20, RATE, 3))) == [Ailment.CLIPPED]


def test_a_muted_microphone_is_not_dead() -> None:
    health = AudioHealth()
    for number in range(400):
        if number % 50 == 0:
            health.pause()
        assert health.take(np.zeros(int(CHUNK_S * RATE), np.int16), RATE, number * CHUNK_S) == []


def test_a_microphone_that_is_muted_after_words_is_not_dead() -> None:
    assert found(np.concatenate([pcm(speech(3, RATE)), np.zeros(60 * RATE, np.int16)])) == []


def test_what_was_told_is_not_told_again() -> None:
    quiet = (np.zeros(20 * RATE, np.int16), pcm(speech(20, RATE)))
    assert found(np.concatenate([*quiet, *quiet])) == [Ailment.SILENT]
