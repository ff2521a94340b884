"""The journal of a call: its records, and the format of the file that they are written to and read from.

A journal is an append-only file: a line that says what it is, then records. The first record is the head, the
second what the machines did when the call began; one for each fact and one for the end follow. Each record is
framed by its length and a CRC-32 of length and content. The content is MessagePack, so times keep all their
bits. A record that a crash has torn is recognised whatever the crash left of it, and everything before it can
be read. Bytes that are not a record are damage if a whole record follows them: a crash only tears the end.
(JSON lines would be as safe, and longer.)
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import trio
from attrs import Factory, define, evolve, frozen

from adapters.neutral import neutral
from machines.declarations import Outcome
from machines.effects import CloseConversation
from machines.facts import EndReason, Fact, Role
from machines.policy import ConversationPolicy
from machines.system import Handled, ProviderChain
from orchestrator.journal.directory import JournalError as JournalError
from orchestrator.journal.records import (
    Plain,
    RecordError,
    fact_of,
    handled_of,
    plain,
    plain_fact,
    plain_handled,
    structured,
)
from orchestrator.journal.redaction import Redactor

FORMAT = 2
"""Grows whenever names of facts, effects or policies change, so that older journals cannot be read."""
READERS = {1: "0.1.0"}
"""The last version of Vantum that reads each older format."""
LONGEST_RECORD = 64 << 20
"""Bytes. The longest have the whole history in them, which is a few MB."""
LARGEST_FILE = 1 << 30
"""Bytes. An hour's call has about ten million."""
_LONGEST_REASON = 300
"""Characters of what was not understood in a record."""
SUFFIX = ".journal"
MAGIC = b"Vantum journal\n"
_FRAME = struct.Struct("<II")
"""Length of the content in bytes, and the checksum."""
_MOST_SUMMED = 256 << 20
"""Bytes of which checksums are made in search of a record, besides those of the file."""
_FIRST_BYTES = range(0x91, 0xA0)
"""What the content of a record begins with: in MessagePack, an array of 1 to 15 values."""


@frozen
class About:
    """What a call is, besides what the machines know of it."""

    session_id: str
    dialect: str
    began_at: float
    """Ms since the Unix epoch."""
    providers: Mapping[Role, tuple[str, ...]]
    """By name, in order of preference."""
    metadata: str = ""
    """What the token of the call says about it, as JSON; empty: nothing."""


@cache
def _version(package: str) -> str:
    """The version of an installed package; read from its files once."""
    return version(package)


@frozen
class Head:
    """Everything that a replay needs besides the facts, and what a reader wants to know first."""

    about: About
    policy: ConversationPolicy
    provider_chains: Mapping[Role, ProviderChain]
    at_ms: float
    """When the call began, in the conversation's time."""
    redacted: bool = False
    vantum: str = Factory(lambda: _version("vantum"))
    statemachine: str = Factory(lambda: _version("python-statemachine"))


@frozen
class Broke:
    """A fact that made a machine raise, and what it raised."""

    fact: Fact
    error: str

    @classmethod
    def by(cls, fact: Fact, error: Exception) -> Broke:
        """The record of an exception."""
        return cls(fact, f"{type(error).__name__}: {error}")


@frozen
class End:
    """The call is over. `lost` counts the last records, which there was no room for."""

    lost: int = 0


HandledFact = Handled | Broke
"""What became of a fact."""
Record = Head | HandledFact | End


# --- while a call runs ------------------------------------------------------------------------------------


async def _at_once() -> None:
    """For records that are kept in memory: they are written as soon as they are kept."""
    await trio.lowlevel.checkpoint()


@define(eq=False)
class CallJournal:
    """The journal of a running call, as the call sees it. `keep` takes each record; it must not block."""

    about: About
    keep: Callable[[Record], None]
    written: Callable[[], Awaitable[None]] = _at_once
    """Returns when every record that was kept so far is in the file, or has been given up."""

    def begin(
        self, policy: ConversationPolicy, provider_chains: Mapping[Role, ProviderChain], at_ms: float
    ) -> None:
        """Keep the head: the machines are about to start."""
        self.keep(Head(self.about, policy, provider_chains, at_ms))

    def add(self, handled: Handled) -> None:
        """Keep what a fact led to."""
        self.keep(handled)

    def broke(self, fact: Fact, error: Exception) -> None:
        """Keep a fact that could not be handled: a machine raised `error`."""
        self.keep(Broke.by(fact, error))


# --- records and bytes ------------------------------------------------------------------------------------


def frame(record: Record, redactor: Redactor | None = None) -> bytes:
    """The bytes of a record, as they are added to the file; a head comes with the file's first line."""
    if redactor is not None and isinstance(record, Head):
        record = evolve(record, redacted=True)
    data = _plain(record)
    if redactor is not None:
        data = redactor.redacted(data)
    content: bytes = msgpack.packb(data, unicode_errors="surrogatepass")
    framed = _FRAME.pack(len(content), _checksum(content)) + content
    return MAGIC + framed if isinstance(record, Head) else framed


def _checksum(content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(len(content).to_bytes(4, "little")))


def _plain(record: Record) -> Plain:
    match record:
        case Head():
            return ["head", FORMAT, plain(record, in_full=True)]
        case Handled():
            return ["fact", plain_handled(record)]
        case Broke(fact=fact, error=error):
            return ["broke", plain_fact(fact), error]
        case End(lost=lost):
            return ["end", lost]


def _record_of(data: Plain) -> Record:
    match data:
        case ["head", int(), head]:
            return structured(head, Head)
        case ["fact", handled]:
            return handled_of(handled)
        case ["broke", fact, str(error)]:
            return Broke(fact_of(fact), error)
        case ["end", int(lost)]:
            return End(lost)
    raise RecordError(f"{data!r} is not a record")


# --- reading ----------------------------------------------------------------------------------------------


@frozen
class Journal:
    """A journal as it was read."""

    path: Path
    head: Head
    beginning: Handled
    handled: tuple[HandledFact, ...]
    """What each fact led to, in order."""
    end: End | None
    """None if the process ended before it was written."""
    torn_bytes: int
    """Bytes of a record at the end of the file that is not whole."""

    @property
    def ended(self) -> EndReason | None:
        """Why the call ended; None if the journal does not say."""
        for each in (self.beginning, *self.handled):
            if isinstance(each, Handled):
                for effect in each.effects:
                    if isinstance(effect, CloseConversation):
                        return effect.reason
        return None

    @property
    def last_ms(self) -> float:
        """The time of the last fact, in the conversation's time."""
        return fact_in(self.handled[-1]).at_ms if self.handled else self.head.at_ms

    @property
    def transitions(self) -> int:
        """The number of transitions of all machines, those to the same state included."""
        everything = [each for each in (self.beginning, *self.handled) if isinstance(each, Handled)]
        return sum(step.outcome is Outcome.TAKEN for each in everything for step in each.steps)


def fact_in(handled: HandledFact) -> Fact:
    """The fact that the machines were given."""
    return handled.fact if isinstance(handled, Broke) else handled.steps[0].fact


def read_journal(path: Path) -> Journal:
    """Read a journal, up to the last whole record.

    Raises `JournalError` for a file that cannot be read, is not a journal, is damaged before its end, or has
    another format.
    """
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            # Reading from a device or a pipe may never end.
            raise JournalError(f"{path} is no file, so it is no journal.")
        if found.st_size > LARGEST_FILE:
            raise JournalError(f"{path} is larger than a journal can be ({LARGEST_FILE:,} bytes).")
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}.") from None
    return journal_in(data, path)


def journal_in(data: bytes, path: Path) -> Journal:
    """The journal in `data`, up to the last whole record; error messages name `path`.

    Raises `JournalError` for data that is not a journal, is damaged before its end, or has another format.
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
    records = _records(path, contents)
    if len(records) < 2:
        raise JournalError(f"{path} breaks off before the call begins: there is nothing to replay.")
    head, beginning, *others = records
    end = others[-1] if others and isinstance(others[-1], End) else None
    if end is not None:
        others.pop()
    handled = [each for each in others if isinstance(each, Handled | Broke)]
    if not isinstance(head, Head) or not isinstance(beginning, Handled) or len(handled) < len(others):
        raise JournalError(
            f"{path} is not one journal: its records are in an order that Vantum never writes."
        )
    return Journal(path, head, beginning, tuple(handled), end, max(0, len(data) - read))


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


def _records(path: Path, contents: list[bytes]) -> list[Record]:
    plain_records = [_unpacked(path, number, content) for number, content in enumerate(contents, 1)]
    match plain_records[:1]:
        case [["head", int(number), *_]] if number != FORMAT:
            reader = f", which Vantum {READERS[number]} reads" if number in READERS else ""
            raise JournalError(
                f"{path} has format {number}{reader}; this version of Vantum reads format {FORMAT}."
            )
    try:
        return [_record_of(each) for each in plain_records]
    except Exception as error:
        # What a record holds is checked while it is read: whatever is raised, it is not one of ours.
        reason = neutral(str(error) or type(error).__name__)[:_LONGEST_REASON]
        raise JournalError(
            f"{path} was written by Vantum {_writer(plain_records[0])},"
            f" and Vantum {_version('vantum')} cannot read it: {reason}."
        ) from None


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
