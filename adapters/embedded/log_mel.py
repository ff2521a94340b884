"""Log-mel features of audio, the input of Whisper's network and of networks derived from it.

The features are the loudness of 80 bands of the mel scale in frames of 25 ms, one every 10 ms, at 16 kHz.
Whisper's `log_mel_spectrogram` and the `WhisperFeatureExtractor` of transformers compute the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters.interfaces import LISTENING_RATE

BANDS = 80
HOP = 160
"""Samples from one frame to the next."""
_FRAME = 400
_LEAST_POWER = 1e-10
_DECADES = 8.0
"""Loudness is cut off at so many powers of ten below the loudest band."""

Floats = npt.NDArray[np.float32]


def log_mel(waveform: Floats) -> Floats:
    """The features `[80, n]` of `n * 160` samples, from about -1 to 1. Takes about 5 ms for 8 s.

    Frames are centred on their samples. The first and the last reach beyond the ends, where the waveform is
    mirrored.
    """
    padded = np.pad(waveform, _FRAME // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[:-1:HOP]
    spectrum = np.fft.rfft(frames * _WINDOW)
    power = spectrum.real**2 + spectrum.imag**2
    loudness = np.log10(np.maximum(_FILTERS @ power.T, _LEAST_POWER))
    features: Floats = (np.maximum(loudness, loudness.max() - _DECADES) + 4.0) / 4.0
    return features


def _mel(hertz: float) -> float:
    """Slaney's scale: linear up to 1000 Hz, which is 15 mel, then logarithmic."""
    return 3 * hertz / 200 if hertz < 1000 else float(15 + 27 * np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: float) -> float:
    return 200 * mel / 3 if mel < 15 else float(1000 * 6.4 ** ((mel - 15) / 27))


def _filters() -> Floats:
    """`[80, 201]`: how much each frequency of a spectrum counts in each band, triangles of the same area."""
    frequencies = np.linspace(0, LISTENING_RATE / 2, _FRAME // 2 + 1)
    corners = [_hertz(mel) for mel in np.linspace(0, _mel(LISTENING_RATE / 2), BANDS + 2)]
    triangles = [
        np.interp(frequencies, (low, centre, high), (0, 1, 0)) * 2 / (high - low)
        for low, centre, high in zip(corners, corners[1:], corners[2:], strict=False)
    ]
    return np.array(triangles, np.float32)


_FILTERS = _filters()
_WINDOW = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
