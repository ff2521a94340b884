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
_BLOCK = 512
"""Samples that are computed at once; with many more, powers would lose precision."""

Floats = npt.NDArray[np.float32]


@functools.cache
def _response(rate: int) -> tuple[float, npt.NDArray[np.float64]]:
    """What of the output is left after a sample, and after each of a block."""
    kept = 1 / (1 + 2 * math.pi * _CORNER_HZ / rate)
    return kept, np.power(kept, np.arange(1, _BLOCK + 1), dtype=np.float64)


class HighPass:
    """One stream of audio, at `rate` Hz, through a filter of one pole."""

    def __init__(self, rate: int = LISTENING_RATE) -> None:
        self._kept, self._decay = _response(rate)
        self._last_in: float | None = None
        self._last_out = 0.0

    def push(self, samples: npt.NDArray[np.generic]) -> Floats:
        """The next samples, filtered. The first ones do not jump, whatever the offset is."""
        passed = np.empty(len(samples), np.float32)
        for start in range(0, len(samples), _BLOCK):
            passed[start : start + _BLOCK] = self._pass(samples[start : start + _BLOCK].astype(np.float64))
        return passed

    def _pass(self, samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        before = samples[0] if self._last_in is None else self._last_in
        steps = np.diff(samples, prepend=before)
        decay = self._decay[: len(samples)]
        passed = decay * (self._last_out + np.cumsum(steps * self._kept / decay))
        self._last_in, self._last_out = float(samples[-1]), float(passed[-1])
        result: npt.NDArray[np.float64] = passed
        return result
