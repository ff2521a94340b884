"""A key book without a database: for servers that have no keys, and count spent tokens all the same."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from attrs import Factory, define, evolve, field

from orchestrator.access.grants import ApiKey
from orchestrator.clock import epoch_ms


@define(eq=False)
class MemoryKeyBook:
    """As `KeyBook`. What it knows is gone with the process."""

    keys: dict[bytes, ApiKey] = Factory(dict)
    """By their digests."""
    now_ms: Callable[[], float] = epoch_ms
    _spent: dict[str, int] = field(factory=dict, init=False)
    """How often each token was used."""
    _ending: list[tuple[int, str]] = field(factory=list, init=False)
    """The same tokens by the time at which they expire: a heap."""

    def find(self, digest: bytes) -> ApiKey | None:
        """As `KeyBook.find`."""
        found = self.keys.get(digest)
        return found if found is not None and found.revoked_ms is None else None

    def has_keys(self) -> bool:
        """As `KeyBook.has_keys`."""
        return any(key.revoked_ms is None for key in self.keys.values())

    def used(self, key_id: str, at_ms: int) -> None:
        """As `KeyBook.used`."""
        for digest, key in self.keys.items():
            if key.key_id == key_id:
                self.keys[digest] = evolve(key, last_used_ms=at_ms)

    def spend(self, token_id: str, expires_ms: int, uses: int) -> bool:
        """As `KeyBook.spend`."""
        self._forget()
        spent = self._spent.get(token_id, 0)
        if spent >= uses:
            return False
        if spent == 0:
            heappush(self._ending, (expires_ms, token_id))
        self._spent[token_id] = spent + 1
        return True

    def _forget(self) -> None:
        while self._ending and self._ending[0][0] <= self.now_ms():
            del self._spent[heappop(self._ending)[1]]
