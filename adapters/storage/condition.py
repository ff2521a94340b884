"""How a database does, as `/health` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import trio
from attrs import define, field

from adapters.logs import library_logger
from adapters.storage.errors import StorageError

log = library_logger(__name__)

SLOW_S = 1.0
"""What takes longer is slow: a batch takes a hundredth of that."""
STUCK_S = 15.0
"""What takes longer is not expected to end: longer than every wait that has an end of its own."""


class State(StrEnum):
    """How a database does."""

    OK = "ok"
    SLOW = "slow"
    UNAVAILABLE = "unavailable"


class Asked(StrEnum):
    """What is asked of a database. One whose disk is full can be read, and one that is locked by others."""

    READING = "reading"
    WRITING = "writing"


@define(eq=False)
class Condition:
    """Watches what is asked of a database, and logs when it changes."""

    name: str
    """Of the database, without secrets."""
    _failed: set[Asked] = field(factory=set, init=False)
    """What does not succeed now."""
    _took_s: float = field(default=0.0, init=False)
    """The last one that succeeded."""
    _running_since: dict[object, float] = field(factory=dict, init=False)

    @property
    def state(self) -> State:
        """How it does now."""
        now = trio.current_time()
        longest = max((now - since for since in self._running_since.values()), default=0.0)
        if self._failed or longest > STUCK_S:
            return State.UNAVAILABLE
        return State.SLOW if max(longest, self._took_s) > SLOW_S else State.OK

    @contextmanager
    def attempt(self, asked: Asked) -> Iterator[None]:
        """This is asked of the database in the block. Its errors come out as they are."""
        attempt, began = object(), trio.current_time()
        self._running_since[attempt] = began
        try:
            yield
        except Exception as error:
            self._fails(asked, error)
            raise
        else:
            self._succeeds(asked, trio.current_time() - began)
        finally:
            del self._running_since[attempt]

    def _fails(self, asked: Asked, error: Exception) -> None:
        if not self._failed:
            bug = None if isinstance(error, StorageError) else error
            log.error("the database cannot be used; calls go on", reason=str(error), exc_info=bug)
        self._failed.add(asked)

    def _succeeds(self, asked: Asked, took_s: float) -> None:
        had_failed = bool(self._failed)
        # What can be written can be read.
        self._failed -= {asked, Asked.READING}
        if had_failed and not self._failed:
            log.info("the database can be used again", database=self.name)
        elif not had_failed and took_s > SLOW_S >= self._took_s:
            log.warning("the database is slow", seconds=round(took_s, 1))
        self._took_s = took_s
