"""Keys and spent tokens in memory: a key book without a database, and the memory of the one that has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush

from attrs import Factory, define, evolve, field, frozen

from adapters.logs import library_logger
from orchestrator.access.grants import ApiKey
from orchestrator.clock import epoch_ms

log = library_logger(__name__)

MOST_SPENT = 500_000
"""Tokens that are remembered as spent: of ten minutes each, those of 800 calls a second."""
GRACE_MS = 60_000
"""Whoever verifies a token allows for clocks that differ: so long after its end it is still remembered."""

Now = Callable[[], float]
"""Ms since the epoch."""


@frozen
class Spent:
    """How often a token was used."""

    token_id: str
    expires_ms: int
    uses: int


@define(eq=False)
class SpentTokens:
    """Tokens that were used, until they have expired."""

    now_ms: Now = epoch_ms
    most: int = MOST_SPENT
    _uses: dict[str, int] = field(factory=dict, init=False)
    _ending: list[tuple[int, str]] = field(factory=list, init=False)
    """The same tokens by the time at which they expire: a heap."""

    def spend(self, token_id: str, expires_ms: int, uses: int) -> Spent | None:
        """Count one use. None if it was used `uses` times, or if no more tokens can be remembered."""
        self._forget()
        so_far = self._uses.get(token_id, 0)
        if so_far >= uses:
            return None
        if token_id not in self._uses and len(self._uses) >= self.most:
            log.error("a token is refused: too many are in use at once", most=self.most)
            return None
        self._remember(token_id, expires_ms, so_far + 1)
        return Spent(token_id, expires_ms, so_far + 1)

    def give_back(self, token_id: str, expires_ms: int) -> Spent | None:
        """Count one use less. None if none is remembered."""
        so_far = self._uses.get(token_id, 0)
        if so_far == 0:
            return None
        self._uses[token_id] = so_far - 1
        return Spent(token_id, expires_ms, so_far - 1)

    def take_over(self, kept: Iterable[Spent]) -> None:
        """Add what was kept by an earlier process. The same tokens may have been used since."""
        for each in kept:
            self._remember(each.token_id, each.expires_ms, max(each.uses, self._uses.get(each.token_id, 0)))
        self._forget()

    def __len__(self) -> int:
        return len(self._uses)

    def _remember(self, token_id: str, expires_ms: int, uses: int) -> None:
        if token_id not in self._uses:
            heappush(self._ending, (expires_ms, token_id))
        self._uses[token_id] = uses

    def _forget(self) -> None:
        while self._ending and self._ending[0][0] + GRACE_MS <= self.now_ms():
            del self._uses[heappop(self._ending)[1]]


@define(eq=False)
class MemoryKeyBook:
    """As `KeyBook`. What it knows is gone with the process."""

    keys: Mapping[bytes, ApiKey] = Factory(dict)
    """By their keyed hashes; revoked ones, too."""
    now_ms: Now = epoch_ms
    spent: SpentTokens = Factory(lambda self: SpentTokens(self.now_ms), takes_self=True)
    last_used_ms: dict[str, int] = field(factory=dict, init=False)
    """Of keys that were used, by their ids."""

    def find(self, digest: bytes) -> ApiKey | None:
        """As `KeyBook.find`. How long a look into a dict takes depends on the hash, which nobody can choose
        who does not know the pepper."""
        found = self.keys.get(digest)
        if found is None or found.revoked_ms is not None:
            return None
        return evolve(found, last_used_ms=self.last_used_ms.get(found.key_id, found.last_used_ms))

    def has_keys(self) -> bool:
        """As `KeyBook.has_keys`."""
        return any(key.revoked_ms is None for key in self.keys.values())

    def had_keys(self) -> bool:
        """As `KeyBook.had_keys`."""
        return bool(self.keys)

    def used(self, key_id: str, at_ms: int) -> None:
        """As `KeyBook.used`."""
        self.last_used_ms[key_id] = max(at_ms, self.last_used_ms.get(key_id, 0))

    def spend(self, token_id: str, expires_ms: int, uses: int) -> bool:
        """As `KeyBook.spend`."""
        return self.spent.spend(token_id, expires_ms, uses) is not None

    def give_back(self, token_id: str, expires_ms: int) -> None:
        """As `KeyBook.give_back`."""
        self.spent.give_back(token_id, expires_ms)
