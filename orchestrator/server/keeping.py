"""What a server keeps of its calls: where, and that calls go on where that is impossible."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.logs import library_logger
from adapters.storage.store import Store
from orchestrator.calls.following import following
from orchestrator.calls.prices import Prices, PricesError
from orchestrator.journal.directory import check_directory, obstacle
from orchestrator.journal.writer import Journals, open_journals
from orchestrator.settings.settings import Settings, SettingsError, shown

log = library_logger(__name__)


def usable_directory(settings: Settings) -> Path | None:
    """Where `vantum serve` keeps journals; None if nothing is kept. It blocks.

    Raises `JournalError` if they cannot be written where somebody wants them. Where nobody asked for them,
    calls go on without.
    """
    if settings.asked_journals is not None:
        check_directory(settings.asked_journals)
        return settings.asked_journals
    if not settings.keep_calls:
        return None
    reason = obstacle(settings.journals_at)
    if reason is None:
        return settings.journals_at
    log.warning("nothing is kept of calls: set DATA_DIR, or KEEP_CALLS to false", reason=reason)
    return None


def known_prices(settings: Settings) -> Prices:
    """The prices of what calls use. It blocks. Raises `SettingsError` for a file that has none."""
    try:
        return Prices.of(settings.prices_file)
    except PricesError as error:
        told = shown("prices_file", settings.prices_file)
        raise SettingsError(f"PRICES_FILE is {told}, but must be a list of prices: {error}.") from None


@asynccontextmanager
async def keeping(
    settings: Settings,
    directory: Path | None,
    store: Store | None,
    counts: Counter[str],
    prices: Prices | None = None,
) -> AsyncIterator[Journals | None]:
    """Keep journals of the calls within the block, and rows of them if there is a database."""
    if directory is None:
        yield None
        return
    redacted = settings.journal_transcripts == "redacted"
    rows = following(store.writer.put, counts, prices) if store is not None else None
    async with open_journals(directory, redacted=redacted, counts=counts, following=rows) as journals:
        yield journals
