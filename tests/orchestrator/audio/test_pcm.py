"""PCM bytes and WAV files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from orchestrator.audio.pcm import pcm_from_bytes, pcm_to_bytes, read_wav, write_wav


def test_pcm_bytes_are_little_endian_and_survive_a_round_trip() -> None:
    samples, dropped = pcm_from_bytes(b"\x01\x00\xff\xff\x00\x80")
    assert samples.tolist() == [1, -1, -32_768]
    assert not dropped
    assert pcm_to_bytes(samples) == b"\x01\x00\xff\xff\x00\x80"


def test_half_a_sample_at_the_end_is_dropped_and_reported() -> None:
    samples, dropped = pcm_from_bytes(b"\x01\x00\x02")
    assert samples.tolist() == [1]
    assert dropped
    assert pcm_from_bytes(b"")[1] is False


def test_wav_files_survive_a_round_trip(tmp_path: Path) -> None:
    signal = np.random.default_rng(1).integers(-20_000, 20_000, 1000, dtype=np.int16)
    write_wav(tmp_path / "a.wav", signal, 22_050)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert np.array_equal(samples, signal)
    assert rate == 22_050


def write_raw_wav(path: Path, width: int, channels: int, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(width)
        file.setnchannels(channels)
        file.setframerate(16_000)
        file.writeframes(pcm)
    return path


def test_stereo_is_mixed_to_mono(tmp_path: Path) -> None:
    stereo = np.array([[100, 300], [-32_768, -32_768]], np.int16)
    samples, _ = read_wav(write_raw_wav(tmp_path / "s.wav", 2, 2, stereo.tobytes()))
    assert samples.tolist() == [200, -32_768]


def test_other_sample_widths_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"w\.wav has 24 bits a sample"):
        read_wav(write_raw_wav(tmp_path / "w.wav", 3, 1, b"\0" * 6))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wave file at all"])
def test_a_file_that_is_no_wav_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"n\.wav is not a PCM WAV file"):
        read_wav(tmp_path / "n.wav")
