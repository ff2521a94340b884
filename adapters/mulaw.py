"""G.711 µ-law, the audio format of telephone lines: one byte a sample, converted by tables.

Companding of ITU-T G.711 on 16-bit samples, as G.191's `ulaw_compress` and `ulaw_expand` do it: 14 bits
count, in eight segments of sixteen steps each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters.interfaces import Samples

_BIAS = 0x84
_LOUDEST = 0x7F7B
"""Louder samples are clipped to this."""

SILENCE = b"\xff"
"""One sample of silence."""


def _decoding_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = (((step << 3) + _BIAS) << segment) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _encoding_table() -> npt.NDArray[np.uint8]:
    """The µ-law byte for each sample; the index is the sample's bits as an unsigned number."""
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # G.191 drops the two lowest bits of negative samples by their complement, not by rounding towards zero.
    magnitude = np.minimum(np.where(sample < 0, (~sample >> 2 << 2), sample >> 2 << 2), _LOUDEST & ~3) + _BIAS
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    step = magnitude >> (segment + 3) & 0x0F
    code = np.where(sample < 0, 0x80, 0) | segment << 4 | step
    table: npt.NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return table


_DECODED = _decoding_table()
_ENCODED = _encoding_table()


def from_mulaw(data: bytes) -> Samples:
    """The samples in µ-law bytes."""
    samples: Samples = _DECODED.take(np.frombuffer(data, np.uint8))
    return samples


def to_mulaw(samples: Samples) -> bytes:
    """Samples as µ-law bytes; the largest 16-bit values are clipped to the range of µ-law."""
    return _ENCODED.take(samples.astype(np.int16, copy=False).view(np.uint16)).tobytes()
