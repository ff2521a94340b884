"""Reads a stream of PCM bytes that is cut anywhere, also in the middle of a sample."""

from __future__ import annotations

import numpy as np

from adapters.interfaces import Samples


class PcmReader:
    """One stream of signed 16-bit little-endian PCM, mono.

    Whoever sends audio in chunks may cut it anywhere. Half a sample at the end of a chunk is kept for the
    next chunk: without it, every later sample would be read one byte off, which is noise.
    """

    def __init__(self) -> None:
        self._half = b""

    def push(self, pcm: bytes) -> Samples:
        """The samples that are complete with these bytes."""
        pcm = self._half + pcm
        whole = len(pcm) // 2 * 2
        self._half = pcm[whole:]
        return np.frombuffer(pcm[:whole], "<i2").astype(np.int16)

    def begin_anew(self) -> None:
        """What follows is another stream: half a sample that is left does not belong to it."""
        self._half = b""
