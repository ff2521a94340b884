"""A stream of PCM bytes that is cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters.pcm_reader import PcmReader


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=30))
def test_any_cutting_of_a_stream_gives_the_samples_of_the_whole(pcm: bytes, cuts: list[int]) -> None:
    reader = PcmReader()
    edges = sorted({0, len(pcm), *(cut for cut in cuts if cut < len(pcm))})
    read = [sample for start, end in pairwise(edges) for sample in reader.push(pcm[start:end]).tolist()]
    assert read == np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").tolist()


def test_another_stream_begins_with_a_whole_sample() -> None:
    reader = PcmReader()
    reader.push(b"\x01\x00\x02")
    reader.begin_anew()
    assert reader.push(b"\x03\x00").tolist() == [3]
