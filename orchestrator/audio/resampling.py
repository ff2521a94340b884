"""Streaming sample rate conversion."""

from __future__ import annotations

import numpy as np
import samplerate  # type: ignore[import-not-found]

from adapters.interfaces import Samples

_FULL_SCALE = 32_768.0
_FLUSH_MS = 20
"""Length of the silence that pushes out the filter's tail (8 ms at 8 kHz, shorter at higher rates)."""


class StreamingResampler:
    """Converts one stream of audio from one rate to another, chunk by chunk.

    Anti-aliased (libsamplerate's `sinc_fastest`, stop band -97 dB), without phase shift. The output does not
    depend on how the input is cut into chunks. The last few milliseconds come out with `flush`: then exactly
    `round(samples in * target / source)` samples have come out, and a new stream begins.

    Making one takes 0.2 ms, a 20 ms chunk 0.1 ms. It keeps the interpreter's lock: threads gain nothing.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates in Hz."""
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._ratio = target_rate / source_rate
        self._converter = (
            None if source_rate == target_rate else samplerate.Resampler("sinc_fastest", channels=1)
        )
        self._samples_in = 0
        self._samples_out = 0

    def push(self, samples: Samples) -> Samples:
        """Convert the next samples: source rate in, target rate out."""
        if self._converter is None:
            return samples
        self._samples_in += len(samples)
        return self._cut_to_due(self._convert(samples))

    def flush(self) -> Samples:
        """End the stream and return the rest of it at the target rate."""
        if self._converter is None:
            return np.empty(0, np.int16)
        silence = np.zeros(self.source_rate * _FLUSH_MS // 1000, np.int16)
        tail = [np.empty(0, np.int16)]
        missing = self._due() - self._samples_out
        while missing > 0:
            piece = self._cut_to_due(self._convert(silence))
            tail.append(piece)
            missing -= len(piece)
        self._converter.reset()
        self._samples_in = self._samples_out = 0
        return np.concatenate(tail)

    def _convert(self, samples: Samples) -> Samples:
        assert self._converter is not None
        floats = np.asarray(self._converter.process(samples.astype(np.float32) / _FULL_SCALE, self._ratio))
        return np.clip(np.rint(floats * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)

    def _cut_to_due(self, samples: Samples) -> Samples:
        samples = samples[: self._due() - self._samples_out]
        self._samples_out += len(samples)
        return samples

    def _due(self) -> int:
        """Samples that should have come out by now."""
        return round(self._samples_in * self.target_rate / self.source_rate)
