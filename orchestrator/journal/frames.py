"""The bytes of a journal's file: frames, each with one record as plain data.

An append-only file begins with a line that says what it is. Each frame has its length, a CRC-32 of length and
content, and the content, which is MessagePack. A frame that a crash has torn is recognised whatever the crash
left of it, and everything before it can be read. Bytes that are not a frame are damage if a whole one follows
them: a crash only tears the end.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
from attrs import frozen

from adapters.neutral import neutral
from orchestrator.journal.directory import JournalError
from orchestrator.journal.records import Plain

FORMAT = 2
"""Grows whenever names of facts, effects or policies change, so that older journals cannot be read."""
READERS = {1: "0.1.0"}
"""The last version of Vantum that reads each older format."""
LONGEST_RECORD = 64 << 20
"""Bytes. The longest have the whole history in them, which is a few MB."""
LARGEST_FILE = 1 << 30
"""Bytes. An hour's call has about ten million."""
SUFFIX = ".journal"
MAGIC = b"Vantum journal\n"
_LONGEST_REASON = 300
"""Characters of what was not understood in a record."""
_FRAME = struct.Struct("<II")
"""Length of the content in bytes, and the checksum."""
_MOST_SUMMED = 256 << 20
"""Bytes of which checksums are made in search of a record, besides those of the file."""
_FIRST_BYTES = range(0x91, 0xA0)
"""What the content of a record begins with: in MessagePack, an array of 1 to 15 values."""


@cache
def version_of(package: str) -> str:
    """The version of an installed package; read from its files once."""
    return version(package)


def framed(data: Plain) -> bytes:
    """The frame of a record."""
    content: bytes = msgpack.packb(data, unicode_errors="surrogatepass")
    return _FRAME.pack(len(content), _checksum(content)) + content


def _checksum(content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(len(content).to_bytes(4, "little")))


# --- reading ----------------------------------------------------------------------------------------------


@frozen
class PlainJournal:
    """The records of a journal as plain data, of this version's format: at least its head and beginning."""

    records: tuple[Plain, ...]
    torn_bytes: int
    """Bytes of a frame at the end of the file that is not whole."""


def read_plain(path: Path) -> PlainJournal:
    """Read a journal, up to the last whole record. Raises `JournalError`, as `plain_in`, or if that fails."""
    return plain_in(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """All bytes of a journal's file. Raises `JournalError` if it cannot be read, or can be no journal."""
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            # Reading from a device or a pipe may never end.
            raise JournalError(f"{path} is no file, so it is no journal.")
        if found.st_size > LARGEST_FILE:
            raise JournalError(f"{path} is larger than a journal can be ({LARGEST_FILE:,} bytes).")
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}.") from None


def plain_in(data: bytes, path: Path) -> PlainJournal:
    """The records in `data`, up to the last whole one; error messages name `path`.

    Raises `JournalError` for data that is not a journal, is damaged before its end, breaks off before the
    call begins, or has another format.
    """
    if not data.startswith(MAGIC[: len(data)]):
        raise JournalError(f"{path} is not a journal of Vantum.")
    contents = list(_contents(data))
    read = len(MAGIC) + sum(_FRAME.size + len(content) for content in contents)
    if (whole := _next_whole(data, read)) is not None:
        raise JournalError(
            f"{path} is damaged at byte {read}, before record {len(contents) + 1} of the call: "
            f"a whole record follows at byte {whole}, so a crash did not cause this."
        )
    records = tuple(_unpacked(path, number, content) for number, content in enumerate(contents, 1))
    _check_format(path, records)
    return PlainJournal(records, max(0, len(data) - read))


def unreadable(path: Path, records: tuple[Plain, ...], error: Exception) -> JournalError:
    """The error for a journal with a record that this version does not understand."""
    reason = neutral(str(error) or type(error).__name__)[:_LONGEST_REASON]
    return JournalError(
        f"{path} was written by Vantum {_writer(records[0])},"
        f" and Vantum {version_of('vantum')} cannot read it: {reason}."
    )


def _contents(data: bytes) -> Iterator[bytes]:
    """The contents of the frames, up to the first that is not whole."""
    place = len(MAGIC)
    while (content := _content_at(data, place)) is not None:
        yield content
        place += _FRAME.size + len(content)


def _content_at(data: bytes, place: int) -> bytes | None:
    """The content of the frame that begins at `place`; None if there is no whole one."""
    if len(data) - place < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack_from(data, place)
    start = place + _FRAME.size
    if length > LONGEST_RECORD or len(data) - start < length:
        return None
    content = data[start : start + length]
    return content if _checksum(content) == checksum else None


def _next_whole(data: bytes, place: int) -> int | None:
    """Where the first whole record after `place` begins; None if there is none.

    A file can be made such that every byte seems to begin a record, so that this would take for ever. Then
    the place is given where it gets too much.
    """
    summed = 0
    for at in range(place + 1, len(data) - _FRAME.size):
        # Almost all places are left out by their first byte, so that no checksum is made there.
        if data[at + _FRAME.size] not in _FIRST_BYTES:
            continue
        if _content_at(data, at) is not None:
            return at
        length = _FRAME.unpack_from(data, at)[0]
        summed += length if length <= min(LONGEST_RECORD, len(data) - at) else 0
        if summed > _MOST_SUMMED + len(data):
            return at
    return None


def _check_format(path: Path, records: tuple[Plain, ...]) -> None:
    match records[:1]:
        case [["head", int(number), *_]] if number != FORMAT:
            reader = f", which Vantum {READERS[number]} reads" if number in READERS else ""
            raise JournalError(
                f"{path} has format {number}{reader}; this version of Vantum reads format {FORMAT}."
            )


def _unpacked(path: Path, number: int, content: bytes) -> Plain:
    try:
        return msgpack.unpackb(content, unicode_errors="surrogatepass")
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException):
        raise JournalError(
            f"{path} is damaged: record {number} has the right checksum, and is not MessagePack."
        ) from None


def _writer(head: Plain) -> str:
    """The version that wrote a journal, as its head says."""
    match head:
        case ["head", _, {"vantum": str(version)}]:
            return neutral(version)[:40]
    return "of an unknown version"
