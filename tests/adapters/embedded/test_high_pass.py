"""The high pass takes out offsets and leaves voice; however the stream is cut, it is the same."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.embedded.high_pass import HighPass
from adapters.interfaces import LISTENING_RATE


def tone(hz: float) -> np.ndarray:
    return (np.sin(2 * np.pi * hz * np.arange(LISTENING_RATE) / LISTENING_RATE) * 8000).astype(np.int16)


def level(samples: np.ndarray) -> float:
    """Without the first tenth of a second, in which the filter settles."""
    return float(samples[LISTENING_RATE // 10 :].std())


def test_an_offset_is_gone_from_the_first_sample_on() -> None:
    assert np.abs(HighPass().push(np.full(2000, 20_000, np.int16))).max() < 1


@pytest.mark.parametrize(
    ("hz", "least", "most"), [(10, 0, 0.2), (60, 0.65, 0.75), (200, 0.94, 1), (3000, 0.98, 1)]
)
def test_what_is_below_voice_is_taken_out_and_voice_is_not(hz: float, least: float, most: float) -> None:
    kept = level(HighPass().push(tone(hz))) / level(tone(hz))
    assert least <= kept <= most


@pytest.mark.parametrize("size", [1, 77, 512, 4000])
def test_the_result_does_not_depend_on_the_cutting(size: int) -> None:
    samples = np.random.default_rng(1).integers(-9000, 9000, 4000, np.int16)
    cut = HighPass()
    pieces = [cut.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    assert np.concatenate(pieces) == pytest.approx(HighPass().push(samples), abs=0.01)


def test_nothing_is_nothing() -> None:
    assert len(HighPass().push(np.empty(0, np.int16))) == 0
