"""Resampling: what it keeps and removes, and that chunking is inaudible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.interfaces import Samples
from orchestrator.audio.resampling import StreamingResampler

RATES = [
    (48_000, 16_000),
    (44_100, 16_000),
    (8000, 16_000),
    (24_000, 48_000),
    (16_000, 8000),
    (22_050, 48_000),
]


def tone(frequency: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> Samples:
    times = np.arange(int(rate * seconds)) / rate
    return np.rint(amplitude * 32_767 * np.sin(2 * np.pi * frequency * times)).astype(np.int16)


def noise(length: int) -> Samples:
    return np.random.default_rng(1).integers(-20_000, 20_000, length, dtype=np.int16)


def level_db(samples: Samples) -> float:
    """Level of the middle of a signal, where the filter has settled, relative to full scale."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    return float(20 * np.log10(max(np.sqrt(np.mean(middle**2)), 1e-9) / 32_768))


def resample(samples: Samples, source: int, target: int, cuts: list[int] | None = None) -> Samples:
    resampler = StreamingResampler(source, target)
    edges = [0, *sorted(cuts or []), len(samples)]
    pieces = [resampler.push(samples[a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*pieces, resampler.flush()])


@pytest.mark.parametrize(("source", "target"), RATES)
@given(cuts=st.lists(st.integers(0, 4000), max_size=60))
def test_chunking_makes_no_difference(source: int, target: int, cuts: list[int]) -> None:
    signal = noise(4000)
    assert np.array_equal(resample(signal, source, target, cuts), resample(signal, source, target))


def test_chunks_of_single_samples_make_no_difference() -> None:
    signal = noise(2000)
    for source, target in RATES:
        one_shot = resample(signal, source, target)
        assert np.array_equal(resample(signal, source, target, list(range(2000))), one_shot)


@given(
    length=st.integers(0, 5000),
    source=st.integers(8000, 48_000),
    target=st.sampled_from([8000, 16_000, 24_000, 44_100, 48_000]),
)
def test_the_total_length_is_exact(length: int, source: int, target: int) -> None:
    assert len(resample(noise(length), source, target)) == round(length * target / source)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_tone_of_one_kilohertz_keeps_its_level(source: int, target: int) -> None:
    signal = tone(1000, source)
    assert level_db(resample(signal, source, target)) == pytest.approx(level_db(signal), abs=0.1)


@pytest.mark.parametrize(
    ("source", "target", "frequency"),
    [(48_000, 16_000, 10_000), (44_100, 16_000, 10_000), (48_000, 8000, 5000)],
)
def test_a_tone_above_the_new_nyquist_frequency_vanishes(source: int, target: int, frequency: int) -> None:
    signal = tone(frequency, source)
    assert level_db(resample(signal, source, target)) < level_db(signal) - 60


def test_resampling_does_not_shift_the_signal() -> None:
    click = np.zeros(48_000, np.int16)
    click[24_000] = 30_000
    assert int(np.argmax(resample(click, 48_000, 16_000))) == 8000


def test_a_signal_at_full_scale_is_clipped_and_never_wraps_around() -> None:
    square = np.where(tone(500, 16_000) >= 0, 32_767, -32_768).astype(np.int16)
    resampled = resample(square, 16_000, 48_000).astype(np.int32)
    assert np.abs(np.diff(resampled)).max() < 40_000
    assert resampled.max() == 32_767


def test_equal_rates_pass_through_untouched() -> None:
    resampler = StreamingResampler(16_000, 16_000)
    signal = noise(500)
    assert resampler.push(signal) is signal
    assert len(resampler.flush()) == 0


def test_little_is_held_back_before_the_flush() -> None:
    for source, target in RATES:
        ready = len(StreamingResampler(source, target).push(noise(source)))
        assert target - ready <= 0.01 * target


def test_a_flushed_resampler_begins_anew() -> None:
    resampler = StreamingResampler(48_000, 16_000)
    signal = noise(4800)
    first = np.concatenate([resampler.push(signal), resampler.flush()])
    assert np.array_equal(np.concatenate([resampler.push(signal), resampler.flush()]), first)
