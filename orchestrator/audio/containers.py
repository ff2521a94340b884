"""Finds audio that is in a file format, where bare PCM was expected.

Browsers' `MediaRecorder` sends WebM or Ogg, many libraries send WAV files. Read as PCM they are noise, of
which speech to text makes words. Pure.
"""

from __future__ import annotations

import struct

from attrs import frozen

_LONGEST_HEADER = 64 * 1024
"""Bytes. A WAV file whose samples have not begun by then is not read."""
_MOST_PARTS = 64
"""Of such a header. They are gone through each time that more of it has come."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_MAGIC = {
    b"OggS": "Ogg (Opus or Vorbis)",
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b"caff": "CAF",
}
_MP3_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_RATES = (44_100, 48_000, 32_000)


class UnreadableAudioError(Exception):
    """The bytes are not PCM of 16 bits, and are not read. The message says what they are."""


class NeedMoreError(Exception):
    """More bytes are needed."""


@frozen
class Header:
    """That of a WAV file of 16-bit PCM, mono."""

    length: int
    """Bytes before the first sample."""
    rate: int
    """Hz."""


def read_header(audio: bytes, *, first: bool) -> Header | None:
    """The header that `audio` begins with; None if it begins with bare samples.

    `first`: it is the first audio of a recording. Later, only WAV headers are looked for, as some clients
    send each chunk as a file; the marks of other formats are so short that samples may be the same by chance.
    Raises `UnreadableAudioError` for all other formats, and `NeedMoreError` if a WAV header is not complete.
    """
    if audio[:4] == b"RIFF" and (len(audio) < 12 or audio[8:12] == b"WAVE"):
        return _read_wav(audio)
    if not first:
        return None
    found = next((name for magic, name in _MAGIC.items() if audio.startswith(magic)), None)
    found = found or ("MP4" if audio[4:8] == b"ftyp" else "MP3" if _is_mp3(audio) else None)
    if found is not None:
        raise UnreadableAudioError(f"the audio is {found}, but must be 16-bit PCM without a container")
    return None


def _read_wav(audio: bytes) -> Header:
    at, rate, parts = 12, 0, 0
    while at + 8 <= len(audio) and parts < _MOST_PARTS:
        parts += 1
        kind, size = audio[at : at + 4], struct.unpack_from("<I", audio, at + 4)[0]
        at += 8
        if kind == b"data" and rate:
            return Header(at, rate)
        if kind == b"fmt ":
            if at + 16 > len(audio):
                break
            rate = _rate_of(audio[at : at + 16])
        at += size + size % 2
    if max(len(audio), at) > _LONGEST_HEADER or parts == _MOST_PARTS:
        raise UnreadableAudioError("the audio is a WAV file without samples")
    raise NeedMoreError


def _rate_of(description: bytes) -> int:
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", description)
    if kind not in (_PCM, _EXTENSIBLE) or bits != 16 or channels != 1:
        what = "floats" if kind == _FLOAT else f"format {kind}"
        raise UnreadableAudioError(
            f"the audio is a WAV file of {bits}-bit {'PCM' if kind == _PCM else what} in {channels} channel"
            f"{'s' if channels != 1 else ''}, but must be 16-bit PCM in one channel"
        )
    return int(rate)


def _is_mp3(audio: bytes) -> bool:
    """Whether two frames of MPEG-1 layer 3 follow each other: one alone may be a sample of PCM."""
    length = _mp3_frame_length(audio)
    return length is not None and _mp3_frame_length(audio[length:]) is not None


def _mp3_frame_length(audio: bytes) -> int | None:
    if len(audio) < 4 or audio[0] != 0xFF or audio[1] & 0xFE != 0xFA:
        return None
    bitrate, rate = audio[2] >> 4, audio[2] >> 2 & 3
    if bitrate in (0, 15) or rate == 3:
        return None
    return 144_000 * _MP3_KBPS[bitrate] // _MP3_RATES[rate] + (audio[2] >> 1 & 1)
