"""A high pass for the embedded models: takes out everything below 60 Hz, where there is no voice.

A microphone with a constant offset, or beside a transformer, is not noticed by voice activity detection, and
becomes other words.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from adapters.interfaces import LISTENING_RATE

_CORNER_HZ = 60
BLOCK = 512
"""Samples that are computed at once; with many more, powers would lose precision."""

Floats = npt.NDArray[np.float32]


@functools.cache
def _response(rate: int) -> tuple[float, npt.NDArray[np.float64]]:
    """What of the output is left after a sample, and after each of a block."""
    kept = 1 / (1 + 2 * math.pi * _CORNER_HZ / rate)
    return kept, np.power(kept, np.arange(1, BLOCK + 1), dtype=np.float64)


def high_pass(
    samples: npt.NDArray[np.generic],
    last_in: npt.NDArray[np.float64],
    last_out: npt.NDArray[np.float64],
    rate: int,
) -> npt.NDArray[np.float64]:
    """Filter the next samples of several streams, `[streams, samples]`, each behind the last ones in and out.

    There may be `BLOCK` samples at once.
    """
    kept, decay = _response(rate)
    wide = samples.astype(np.float64)
    steps = np.empty_like(wide)
    steps[:, 0] = wide[:, 0] - last_in
    np.subtract(wide[:, 1:], wide[:, :-1], out=steps[:, 1:])
    decay = decay[: samples.shape[1]]
    filtered: npt.NDArray[np.float64] = decay * (
        last_out[:, None] + np.cumsum(steps * (kept / decay), axis=1)
    )
    return filtered


class HighPass:
    """One stream of audio at `LISTENING_RATE` through a filter of one pole."""

    def __init__(self) -> None:
        self._last_in: float | None = None
        self._last_out = 0.0

    def push(self, samples: npt.NDArray[np.generic]) -> Floats:
        """The next samples, filtered. The first ones do not jump, whatever the offset is."""
        passed = np.empty(len(samples), np.float32)
        for start in range(0, len(samples), BLOCK):
            passed[start : start + BLOCK] = self._pass(samples[start : start + BLOCK])
        return passed

    def _pass(self, samples: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        before = float(samples[0]) if self._last_in is None else self._last_in
        passed: npt.NDArray[np.float64]
        (passed,) = high_pass(samples[None], np.array([before]), np.array([self._last_out]), LISTENING_RATE)
        self._last_in, self._last_out = float(samples[-1]), float(passed[-1])
        return passed
