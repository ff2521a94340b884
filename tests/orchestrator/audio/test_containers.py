"""Audio in file formats: WAV headers are skipped, other formats are named and not read."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from orchestrator.audio.containers import Header, NeedMoreError, UnreadableAudioError, read_header

PCM = np.random.default_rng(1).integers(-3000, 3000, 4000, np.int16).tobytes()


def wav(rate: int = 24_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(PCM)
    return file.getvalue()


def test_bare_samples_have_no_header() -> None:
    assert read_header(PCM, first=True) is None
    assert read_header(b"", first=True) is None
    assert read_header(b"R", first=True) is None


def test_the_header_of_a_wav_file_is_read_wherever_it_stands() -> None:
    for first in (True, False):
        assert read_header(wav(), first=first) == Header(44, 24_000)


def test_other_parts_of_a_wav_file_before_its_samples_are_skipped() -> None:
    whole = wav(16_000)
    listed = b"LIST" + (5).to_bytes(4, "little") + b"hello\0"
    header = read_header(whole[:36] + listed + whole[36:], first=True)
    assert header == Header(44 + len(listed), 16_000)


@pytest.mark.parametrize("length", [4, 11, 12, 20, 40, 43])
def test_a_wav_header_may_come_in_pieces(length: int) -> None:
    with pytest.raises(NeedMoreError):
        read_header(wav()[:length], first=True)


def test_a_wav_header_of_many_parts_is_not_waited_for() -> None:
    """Each piece of it would have all parts gone through again."""
    whole = wav()[:12] + (b"junk" + bytes(4)) * 1000
    with pytest.raises(UnreadableAudioError, match="without samples"):
        read_header(whole, first=True)


MP3 = b"\xff\xfb\x90\x00" + bytes(413)


@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (b"OggS\0\2" + bytes(50), "Ogg"),
        (b"\x1aE\xdf\xa3" + bytes(50), "WebM"),
        (b"ID3\4" + bytes(50), "MP3"),
        (MP3 * 2, "MP3"),
        (b"fLaC" + bytes(50), "FLAC"),
        (b"\0\0\0\x20ftypM4A " + bytes(50), "MP4"),
        (wav(channels=2), "16-bit PCM in 2 channels"),
        (wav(width=1), "8-bit PCM in 1 channel,"),
        (wav()[:20] + b"\3\0" + wav()[22:34] + b"\x20\0" + wav()[36:], "32-bit floats"),
    ],
)
def test_other_formats_are_named(audio: bytes, named: str) -> None:
    with pytest.raises(UnreadableAudioError, match=named):
        read_header(audio, first=True)


def test_a_sample_that_looks_like_the_beginning_of_mp3_is_a_sample() -> None:
    assert read_header(b"\xff\xfb\x90\x00" + PCM, first=True) is None


def test_in_the_middle_of_a_recording_no_other_format_begins() -> None:
    assert read_header(b"ID3\4" + PCM, first=False) is None
