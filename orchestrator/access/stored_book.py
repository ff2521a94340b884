"""The key book of a server: in memory, read from the database at the start and then again and again.

If the database cannot be read, what it said last holds. As long as it has said nothing, nobody has a valid
key, and there may be some.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from attrs import Factory, asdict, define, field

from adapters.logs import library_logger
from adapters.storage.condition import State
from adapters.storage.errors import StorageError, UnavailableError
from adapters.storage.store import Store
from adapters.storage.writes import Forget, Put, Raise
from adapters.tasks import running
from orchestrator.access.grants import REFRESH_S, ApiKey
from orchestrator.access.keys import Pepper
from orchestrator.access.memory_book import GRACE_MS, MemoryKeyBook, Now, Spent
from orchestrator.access.pepper import read_pepper
from orchestrator.clock import epoch_ms
from orchestrator.settings.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from orchestrator.access.key_rows import Rows

log = library_logger(__name__)

EVERY_S = REFRESH_S / 2
"""A change is seen after this and the time that reading takes."""
FORGET_EVERY_S = 60.0
"""Expired tokens are deleted so often."""


@define(eq=False)
class StoredKeyBook:
    """As `KeyBook`. `run` must run beside, after `load`."""

    settings: Settings
    store: Store
    now_ms: Now = epoch_ms
    _memory: MemoryKeyBook = Factory(lambda self: MemoryKeyBook(now_ms=self.now_ms), takes_self=True)
    _known: bool = field(default=False, init=False)
    """What the database holds has been read, or there is none."""
    _rows: Rows | None = field(default=None, init=False)
    """What it held when it was read last; None if there was none."""
    _pepper: Pepper | None = field(default=None, init=False)
    _written_ms: dict[str, int] = field(factory=dict, init=False)
    """When each key was used, as far as that has been handed to the writer."""

    # --- what is asked of it ------------------------------------------------------------------------------

    def digest(self, secret: str) -> bytes | None:
        """The keyed hash by which `find` knows a secret; None for what is none, or if nobody has one."""
        return None if self._pepper is None else self._pepper.digest(secret)

    def find(self, digest: bytes) -> ApiKey | None:
        """As `KeyBook.find`."""
        return self._memory.find(digest)

    def has_keys(self) -> bool:
        """As `KeyBook.has_keys`."""
        return not self._known or self._memory.has_keys()

    def had_keys(self) -> bool:
        """As `KeyBook.had_keys`."""
        return not self._known or self._memory.had_keys()

    def used(self, key_id: str, at_ms: int) -> None:
        """As `KeyBook.used`."""
        self._memory.used(key_id, at_ms)

    def spend(self, token_id: str, expires_ms: int, uses: int) -> bool:
        """As `KeyBook.spend`."""
        spent = self._memory.spent.spend(token_id, expires_ms, uses)
        self._write(spent)
        return spent is not None

    def give_back(self, token_id: str, expires_ms: int) -> None:
        """As `KeyBook.give_back`."""
        self._write(self._memory.spent.give_back(token_id, expires_ms))

    def _write(self, spent: Spent | None) -> None:
        if spent is not None:
            self.store.writer.put(Put("used_tokens", asdict(spent)))

    # --- what goes on beside ------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read everything for the first time. A database that does not answer is tried again by `run`.

        Raises `UnusableError` for one that is damaged, and `PepperError`.
        """
        try:
            await self._read()
        except UnavailableError:
            return  # logged by the store; until it answers, `has_keys` says that there may be some

    async def run(self) -> None:
        """Keep up with the database, and have it keep up."""
        forgotten_at = trio.current_time()
        while True:
            await trio.sleep(EVERY_S)
            try:
                await self._read()
            except StorageError:
                pass  # logged by the store, once
            except Exception as error:
                # Of a row that somebody changed by hand, for instance. No call must end because of it.
                log.exception("keys cannot be read", exc_info=error)
            self.write_uses()
            if trio.current_time() - forgotten_at >= FORGET_EVERY_S:
                forgotten_at = trio.current_time()
                self.forget_tokens()

    async def _read(self) -> None:
        found = await self.store.read(_everything if not self._known else _keys_only)
        if found is None:
            self._known = True
            return
        rows, spent = found
        if rows != self._rows:
            await trio.to_thread.run_sync(self._take, rows)
        self._memory.spent.take_over(spent)
        self._known = True

    def _take(self, rows: Rows) -> None:
        """Know the keys of these rows. In a worker thread: a file is read, and there may be many keys."""
        from orchestrator.access.key_rows import kept_keys

        # The first key's pepper was made with it, perhaps just now.
        self._pepper = read_pepper(self.settings)
        mark = self._pepper.mark if self._pepper else ""
        kept = kept_keys(rows)
        foreign = [each.key.key_id for each in kept if each.pepper != mark and each.key.revoked_ms is None]
        if foreign:
            log.error(
                "keys cannot be used here: they were made with another pepper; set KEY_PEPPER to the "
                "same text on all servers, or to what key-pepper in the other DATA_DIR holds",
                keys=foreign,
            )
        self._memory.keys = {each.digest: each.key for each in kept}
        self._rows = rows

    def write_uses(self) -> None:
        """Have it written when keys were used."""
        if self.store.condition.state is State.UNAVAILABLE:
            return  # later: only the last use of each counts, and they must not push out others' rows
        uses = self._memory.last_used_ms
        for key_id, at_ms in uses.items():
            if at_ms != self._written_ms.get(key_id):
                self._written_ms[key_id] = at_ms
                self.store.writer.put(Raise("api_keys", key_id, "last_used_ms", at_ms))

    def forget_tokens(self) -> None:
        """Have those deleted that nobody would take any more."""
        if self.store.is_open and self.store.condition.state is not State.UNAVAILABLE:
            self.store.writer.put(Forget("used_tokens", "expires_ms", round(self.now_ms()) - GRACE_MS))


def _everything(connection: Connection) -> tuple[Rows, list[Spent]]:
    from orchestrator.access.key_rows import lasting_rows, spent_tokens

    return lasting_rows(connection), spent_tokens(connection)


def _keys_only(connection: Connection) -> tuple[Rows, list[Spent]]:
    from orchestrator.access.key_rows import lasting_rows

    return lasting_rows(connection), []


@asynccontextmanager
async def open_key_book(settings: Settings, store: Store) -> AsyncIterator[StoredKeyBook]:
    """The key book of a server, for as long as the block runs.

    Raises `UnusableError` if the database is damaged, and `PepperError`.
    """
    book = StoredKeyBook(settings, store)
    await book.load()
    try:
        async with running(book.run):
            yield book
    finally:
        book.write_uses()
