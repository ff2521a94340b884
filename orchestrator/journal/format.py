"""The journal of a call: its records, and how they become bytes and are read again.

The first record is the head, the second what the machines did when the call began; one for each fact and one
for the end follow. Each is framed and written as MessagePack (`frames.py`), so times keep all their bits.
(JSON lines would be as safe, and longer.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio
from attrs import Factory, define, evolve, frozen

from adapters.interfaces import Product
from machines.declarations import Outcome
from machines.effects import CloseConversation
from machines.facts import EndReason, Fact, Role
from machines.policy import ConversationPolicy
from machines.system import Handled, ProviderChain
from orchestrator.journal.directory import JournalError as JournalError
from orchestrator.journal.frames import FORMAT as FORMAT
from orchestrator.journal.frames import LONGEST_RECORD as LONGEST_RECORD
from orchestrator.journal.frames import MAGIC as MAGIC
from orchestrator.journal.frames import SUFFIX as SUFFIX
from orchestrator.journal.frames import framed, plain_in, read_bytes, unreadable, version_of
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
    products: Mapping[Role, tuple[Product, ...]] = Factory(dict)
    """What the providers are in a list of prices, in the same order."""


@frozen
class Head:
    """Everything that a replay needs besides the facts, and what a reader wants to know first."""

    about: About
    policy: ConversationPolicy
    provider_chains: Mapping[Role, ProviderChain]
    at_ms: float
    """When the call began, in the conversation's time."""
    redacted: bool = False
    vantum: str = Factory(lambda: version_of("vantum"))
    statemachine: str = Factory(lambda: version_of("python-statemachine"))


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


@frozen
class Used:
    """What a provider was used for. The machines know nothing of it."""

    role: Role
    provider: int
    """Its place in the order of preference."""
    at_ms: float
    """When it was known, in the conversation's time."""
    amounts: Mapping[str, float]
    """By the name of the unit (`orchestrator/calls/usage.py`)."""
    number: int = 0
    """Of the generation, if it was for one."""
    estimated: bool = False
    """The provider has not said it."""


HandledFact = Handled | Broke
"""What became of a fact."""
Record = Head | HandledFact | Used | End
HEAD = "head"
"""What the plain data of a head begins with."""


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

    def used(self, used: Used) -> None:
        """Keep what a provider was used for."""
        self.keep(used)

    def broke(self, fact: Fact, error: Exception) -> None:
        """Keep a fact that could not be handled: a machine raised `error`."""
        self.keep(Broke.by(fact, error))


# --- records and bytes ------------------------------------------------------------------------------------


def frame(record: Record, redactor: Redactor | None = None) -> bytes:
    """The bytes of a record, as they are added to the file; a head comes with the file's first line."""
    return bytes_of(plain_record(record, redactor))


def plain_record(record: Record, redactor: Redactor | None = None) -> Plain:
    """A record as it is written, as plain data."""
    if redactor is None:
        return _plain(record)
    return redactor.redacted(_plain(evolve(record, redacted=True) if isinstance(record, Head) else record))


def bytes_of(data: Plain) -> bytes:
    """The bytes of what `plain_record` returned."""
    return MAGIC + framed(data) if data[0] == HEAD else framed(data)


def _plain(record: Record) -> Plain:
    match record:
        case Head():
            return [HEAD, FORMAT, plain(record, in_full=True)]
        case Handled():
            return ["fact", plain_handled(record)]
        case Broke(fact=fact, error=error):
            return ["broke", plain_fact(fact), error]
        case Used():
            return ["used", plain(record)]
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
        case ["used", used]:
            return structured(used, Used)
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
    used: tuple[Used, ...]
    """What providers were used for, in order."""
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
    return journal_in(read_bytes(path), path)


def journal_in(data: bytes, path: Path) -> Journal:
    """The journal in `data`, up to the last whole record; error messages name `path`.

    Raises `JournalError` for data that is not a journal, is damaged before its end, or has another format.
    """
    found = plain_in(data, path)
    records = _records(path, found.records)
    if len(records) < 2:
        raise JournalError(f"{path} breaks off before the call begins: there is nothing to replay.")
    head, beginning, *others = records
    end = others[-1] if others and isinstance(others[-1], End) else None
    if end is not None:
        others.pop()
    handled = tuple(each for each in others if isinstance(each, Handled | Broke))
    used = tuple(each for each in others if isinstance(each, Used))
    known = len(handled) + len(used)
    if not isinstance(head, Head) or not isinstance(beginning, Handled) or known < len(others):
        raise JournalError(
            f"{path} is not one journal: its records are in an order that Vantum never writes."
        )
    return Journal(path, head, beginning, handled, used, end, found.torn_bytes)


def _records(path: Path, plain_records: tuple[Plain, ...]) -> list[Record]:
    try:
        return [_record_of(each) for each in plain_records]
    except Exception as error:
        # What a record holds is checked while it is read: whatever is raised, it is not one of ours.
        raise unreadable(path, plain_records, error) from None
