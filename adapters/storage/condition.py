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


@define(eq=False)
class Condition:
    """Watches what is asked of a database, and logs when it changes."""

    name: str
    """Of the database, without secrets."""
    _failed: bool = field(default=False, init=False)
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
    def attempt(self) -> Iterator[None]:
        """Something is asked of the database in the block. Its errors come out as they are."""
        attempt, began = object(), trio.current_time()
        self._running_since[attempt] = began
        try:
            yield
        except Exception as error:
            self._fails(error)
            raise
        else:
            self._succeeds(trio.current_time() - began)
        finally:
            del self._running_since[attempt]

    def _fails(self, error: Exception) -> None:
        if not self._failed:
            bug = None if isinstance(error, StorageError) else error
            log.error("the database cannot be used; calls go on", reason=str(error), exc_info=bug)
        self._failed = True

    def _succeeds(self, took_s: float) -> None:
        if self._failed:
            log.info("the database can be used again", database=self.name)
        elif took_s > SLOW_S >= self._took_s:
            log.warning("the database is slow", seconds=round(took_s, 1))
        self._failed, self._took_s = False, took_s
