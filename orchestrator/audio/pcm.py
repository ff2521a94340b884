"""PCM bytes and WAV files, from and to samples.

Audio is `Samples` throughout: one-dimensional `int16`, mono. PCM bytes are the same, little-endian.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from adapters.interfaces import Samples


def pcm_from_bytes(pcm: bytes) -> tuple[Samples, bool]:
    """The samples in little-endian PCM bytes, and whether half a sample at the end was dropped."""
    whole = len(pcm) // 2 * 2
    return np.frombuffer(pcm[:whole], "<i2").astype(np.int16), whole != len(pcm)


def pcm_to_bytes(samples: Samples) -> bytes:
    """The samples as little-endian PCM bytes."""
    return samples.astype("<i2").tobytes()


def read_wav(path: Path) -> tuple[Samples, int]:
    """The samples of a 16-bit WAV file and its rate in Hz. Several channels are mixed to one.

    Raises `ValueError`, with the path, for any other file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            pcm = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is not a PCM WAV file: {error or 'it ends too early'}") from None
    if width != 2:
        raise ValueError(f"{path} has {8 * width} bits a sample; only 16-bit WAV files can be read")
    samples, _ = pcm_from_bytes(pcm)
    if channels > 1:
        frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
        samples = np.rint(frames.mean(axis=1)).astype(np.int16)
    return samples, rate


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write samples at `rate` Hz as a 16-bit mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm_to_bytes(samples))
