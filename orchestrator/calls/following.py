"""Makes the rows of calls while their journals are written, and hands them over when the calls end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from attrs import Factory, define

from adapters.logs import library_logger
from adapters.storage.writes import KeepCall
from orchestrator.calls.call_fold import CallFold
from orchestrator.calls.prices import Prices
from orchestrator.journal.records import Plain
from orchestrator.journal.writer import Following

log = library_logger(__name__)

WITHOUT_ROWS = "calls without rows"
"""The name under which calls are counted of which no rows could be made; `vantum index` says why."""


@define(eq=False)
class RowsOfCall:
    """Follows the journal of one call, in the journals' worker thread."""

    path: Path
    counts: Counter[str]
    prices: Prices
    _fold: CallFold = Factory(lambda self: CallFold(self.prices), takes_self=True)
    _failed: bool = False

    def take(self, record: Plain) -> None:
        """Take in a record that is in the file now."""
        if self._failed:
            return
        try:
            self._fold.take(record)
        except Exception as error:
            self._fail(error)

    def over(self) -> KeepCall | None:
        """The rows of what was written; None if nothing was, or no rows can be made of it."""
        if self._failed or not self._fold.begun:
            return None
        try:
            return self._fold.rows()
        except Exception as error:
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        """Rows are a copy: an error in making them must neither end the journal nor the call."""
        self._failed = True
        self.counts[WITHOUT_ROWS] += 1
        log.error("no rows can be made of a call; its journal goes on", file=str(self.path), exc_info=error)


def following(
    keep: Callable[[KeepCall], None], counts: Counter[str], prices: Prices | None = None
) -> Following:
    """Have `keep` be given the rows of each call whose journal is over, with prices."""
    known = prices or Prices()
    return Following(lambda path: RowsOfCall(path, counts, known), keep)
