"""The journal of a call: its records, and the bytes they are kept as.

A journal is a file that is only ever added to: a line that says what it is, then records. The first record is
the head, the second what the machines did when the call began, then comes one for each fact, and one for the
end. Each is framed by its length and a CRC-32 of length and content, which is MessagePack: times keep all
their bits, and a record that a crash has torn is recognised whatever the tear left. (JSON lines would be as
safe, and longer.) Everything up to the torn record can be read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import trio
from attrs import Factory, define, evolve, frozen

from machines.declarations import Outcome
from machines.effects import CloseConversation
from machines.facts import EndReason, Fact, Role
from machines.policy import ConversationPolicy
from machines.system import Handled, ProviderChain
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

FORMAT = 1
SUFFIX = ".journal"
MAGIC = b"Vantum journal\n"
_FRAME = struct.Struct("<II")
"""Length of the content in bytes, and the checksum."""


class JournalError(Exception):
    """A journal cannot be read. The text is one sentence."""


@frozen
class About:
    """What a call is, beside what the machines know of it."""

    session_id: str
    dialect: str
    began_at: float
    """Ms since the Unix epoch."""
    providers: Mapping[Role, tuple[str, ...]]
    """By name, in order of preference."""


@cache
def _version(package: str) -> str:
    """Of an installed package; read from its files once."""
    return version(package)


@frozen
class Head:
    """Everything that a replay needs beside the facts, and what a reader wants to know first."""

    about: About
    policy: ConversationPolicy
    line_ups: Mapping[Role, ProviderChain]
    at_ms: float
    """The beginning, in the conversation's time."""
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
    """The call is over. `lost` counts the records that there was no room for: none follows a lost one."""

    lost: int = 0


Record = Head | Handled | Broke | End


# --- while a call runs ------------------------------------------------------------------------------------


async def _at_once() -> None:
    """Whoever keeps records where nothing can be lost has written them."""
    await trio.lowlevel.checkpoint()


@define(eq=False)
class CallJournal:
    """The journal of a running call, as the call sees it: `keep` takes each record and must not block."""

    about: About
    keep: Callable[[Record], None]
    written: Callable[[], Awaitable[None]] = _at_once
    """Returns when every record that was kept so far is in the file, or never will be."""

    def begin(self, policy: ConversationPolicy, line_ups: Mapping[Role, ProviderChain], at_ms: float) -> None:
        """The machines are about to start."""
        self.keep(Head(self.about, policy, line_ups, at_ms))

    def add(self, handled: Handled) -> None:
        """A fact was handled."""
        self.keep(handled)

    def broke(self, fact: Fact, error: Exception) -> None:
        """A fact could not be handled: a machine raised `error`."""
        self.keep(Broke.by(fact, error))


# --- records and bytes ------------------------------------------------------------------------------------


def frame(record: Record, redactor: Redactor | None = None) -> bytes:
    """A record as it is added to the file; a head is preceded by what makes the file a journal."""
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
    raise RecordError(f"{data!r} is no record")


# --- reading ----------------------------------------------------------------------------------------------


@frozen
class Journal:
    """A journal as it was read."""

    path: Path
    head: Head
    beginning: Handled
    moments: tuple[Handled | Broke, ...]
    """What each fact led to, in order."""
    end: End | None
    """None if nobody lived to write it."""
    torn_bytes: int
    """At the end of the file, of a record that is not whole."""

    @property
    def ended(self) -> EndReason | None:
        """Why the call ended; None if the journal does not say."""
        for moment in (self.beginning, *self.moments):
            if isinstance(moment, Handled):
                for effect in moment.effects:
                    if isinstance(effect, CloseConversation):
                        return effect.reason
        return None

    @property
    def last_ms(self) -> float:
        """The conversation's time at the last fact."""
        return fact_in(self.moments[-1]).at_ms if self.moments else self.head.at_ms

    @property
    def transitions(self) -> int:
        """How many all machines took, those that stay where they are included."""
        handled = [each for each in (self.beginning, *self.moments) if isinstance(each, Handled)]
        return sum(step.outcome is Outcome.TAKEN for each in handled for step in each.steps)


def fact_in(moment: Handled | Broke) -> Fact:
    """The fact from outside that led to all of it."""
    return moment.fact if isinstance(moment, Broke) else moment.steps[0].fact


def read_journal(path: Path) -> Journal:
    """Read a journal, up to the last whole record.

    Raises `JournalError` for a file that cannot be read, is no journal, or is one of another format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}.") from None
    return journal_in(data, path)


def journal_in(data: bytes, path: Path) -> Journal:
    """The same from bytes; `path` names where they are from.

    Raises `JournalError` for what is no journal, or is one of another format.
    """
    if not data.startswith(MAGIC[: len(data)]):
        raise JournalError(f"{path} is not a journal of Vantum.")
    contents = list(_contents(data))
    read = len(MAGIC) + sum(_FRAME.size + len(content) for content in contents)
    records = _records(path, contents)
    if len(records) < 2:
        raise JournalError(f"{path} breaks off before the call begins: there is nothing to replay.")
    head, beginning, *others = records
    end = others[-1] if others and isinstance(others[-1], End) else None
    if end is not None:
        others.pop()
    moments = [each for each in others if isinstance(each, Handled | Broke)]
    if not isinstance(head, Head) or not isinstance(beginning, Handled) or len(moments) < len(others):
        raise JournalError(f"{path} is not one journal: its records are in no order that Vantum writes.")
    return Journal(path, head, beginning, tuple(moments), end, max(0, len(data) - read))


def _contents(data: bytes) -> Iterator[bytes]:
    """The contents of the whole frames, up to the first that is not."""
    place = len(MAGIC)
    while len(data) - place >= _FRAME.size:
        length, checksum = _FRAME.unpack_from(data, place)
        place += _FRAME.size
        content = data[place : place + length]
        if len(content) < length or _checksum(content) != checksum:
            return
        yield content
        place += length


def _records(path: Path, contents: list[bytes]) -> list[Record]:
    plain_records = [msgpack.unpackb(content, unicode_errors="surrogatepass") for content in contents]
    match plain_records[:1]:
        case [["head", int(number), *_]] if number != FORMAT:
            raise JournalError(f"{path} has format {number}; this version of Vantum reads format {FORMAT}.")
    try:
        return [_record_of(each) for each in plain_records]
    except RecordError as error:
        raise JournalError(f"{path} was written by another version of Vantum: {error}.") from None
