"""The µ-law tables give the same as ITU's formula."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters.mulaw import SILENCE, from_mulaw, to_mulaw

SAMPLES = st.integers(-32_768, 32_767)


def compressed(sample: int) -> int:
    """`ulaw_compress` of ITU-T G.191 (2023), one sample."""
    absolute = ((~sample >> 2) + 33) if sample < 0 else ((sample >> 2) + 33)
    absolute = min(absolute, 0x1FFF)
    segment, rest = 1, absolute >> 6
    while rest:
        segment += 1
        rest >>= 1
    high = 8 - segment
    low = 0x0F - (absolute >> segment & 0x0F)
    code = high << 4 | low
    return code | 0x80 if sample >= 0 else code


def expanded(code: int) -> int:
    """`ulaw_expand` of ITU-T G.191 (2023), one byte."""
    sign = -1 if code < 0x80 else 1
    mantissa = ~code & 0xFF
    exponent, step = mantissa >> 4 & 7, mantissa & 0x0F
    return sign * (((0x84 | step << 3) << exponent) - 0x84)


@given(st.lists(SAMPLES))
def test_every_sample_is_compressed_as_the_standard_says(samples: list[int]) -> None:
    assert to_mulaw(np.array(samples, np.int16)) == bytes(map(compressed, samples))


def test_every_byte_is_expanded_as_the_standard_says() -> None:
    assert from_mulaw(bytes(range(256))).tolist() == [expanded(code) for code in range(256)]


def test_all_65536_samples_at_once() -> None:
    samples = np.arange(-32_768, 32_768).astype(np.int16)
    assert to_mulaw(samples) == bytes(compressed(int(sample)) for sample in samples)


@given(SAMPLES)
def test_companding_changes_audio_only_a_little(sample: int) -> None:
    heard = int(from_mulaw(to_mulaw(np.array([sample], np.int16)))[0])
    assert abs(heard - sample) <= max(8, abs(sample) * 0.04)


def test_silence_is_silence() -> None:
    assert to_mulaw(np.zeros(3, np.int16)) == SILENCE * 3
    assert from_mulaw(SILENCE).tolist() == [0]
