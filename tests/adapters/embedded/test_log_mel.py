"""Log-mel features, compared with a slow implementation of their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adapters.embedded.log_mel import BANDS, Floats, log_mel


def slow_log_mel(waveform: Floats) -> list[list[float]]:
    """The definition: a Fourier sum for each frequency of each frame, and triangles around each band."""
    powers = _powers(waveform)
    loudness = [[_loudness(power, band) for power in powers] for band in range(BANDS)]
    loudest = max(map(max, loudness))
    return [[(max(value, loudest - 8) + 4) / 4 for value in row] for row in loudness]


def _powers(waveform: Floats) -> list[list[float]]:
    frames = range(len(waveform) // 160)
    return [[_power(waveform, 160 * frame - 200, frequency) for frequency in range(201)] for frame in frames]


def _power(waveform: Floats, start: int, frequency: int) -> float:
    n = np.arange(400)
    around = np.abs(start + n)  # mirrored at the beginning
    end = len(waveform) - 1
    samples = waveform[end - np.abs(end - around)].astype(np.float64)  # and at the end
    window = np.sin(math.pi * n / 400) ** 2
    angle = 2 * math.pi * frequency * n / 400
    real, imaginary = (samples * window * np.cos(angle)).sum(), (samples * window * np.sin(angle)).sum()
    return float(real**2 + imaginary**2)


def _loudness(power: list[float], band: int) -> float:
    low, centre, high = (_edge(number) for number in (band, band + 1, band + 2))
    total = 0.0
    for number, value in enumerate(power):
        hertz = 40 * number
        height = min((hertz - low) / (centre - low), (high - hertz) / (high - centre))
        total += max(height, 0.0) * value * 2 / (high - low)
    return math.log10(max(total, 1e-10))


def _edge(number: int) -> float:
    """In Hz: up to 1000 Hz 15 mel of 66.7 Hz each, above it 27 mel for each factor of 6.4."""
    mel = number * (15 + 27 * math.log(8) / math.log(6.4)) / (BANDS + 1)
    return mel * 200 / 3 if mel <= 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


def noise(count: int, loudness: float = 1.0) -> Floats:
    return (np.random.default_rng(7).standard_normal(count) * loudness).astype(np.float32)


def tone(count: int, hertz: float) -> Floats:
    return np.sin(2 * np.pi * hertz * np.arange(count) / 16_000).astype(np.float32)


@pytest.mark.parametrize(
    "waveform",
    [
        noise(1600),
        noise(480, 1e-3),
        tone(800, 440),
        tone(800, 7960),
        np.concatenate([np.zeros(960, np.float32), noise(640)]),
    ],
    ids=["noise", "quiet noise", "low tone", "high tone", "noise after silence"],
)
def test_features_are_those_of_the_definition(waveform: Floats) -> None:
    features = log_mel(waveform)
    assert features.dtype == np.float32
    assert features.shape == (BANDS, len(waveform) // 160)
    assert np.allclose(features, slow_log_mel(waveform), atol=1e-4)


def test_silence_has_the_lowest_features() -> None:
    assert np.allclose(log_mel(np.zeros(1600, np.float32)), (math.log10(1e-10) + 4) / 4)


def test_a_tone_is_loud_in_its_own_band_only() -> None:
    features = log_mel(tone(16_000, 1000))
    centre = next(band for band in range(BANDS) if _edge(band + 1) >= 1000)
    assert abs(int(features[:, 50].argmax()) - centre) <= 1
    assert features[:, 50].max() - features[70, 50] > 1
