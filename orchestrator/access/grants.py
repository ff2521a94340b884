"""What a credential allows, and what is kept of keys: the words of this package."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from attrs import Factory, frozen


class Scope(StrEnum):
    """Something that a credential may allow."""

    CALL = "call"
    """Hold conversations, and mint client tokens for them."""
    DIAL = "dial"
    """Make telephone calls."""
    READ = "read"
    """Read what is known of calls."""
    ADMIN = "admin"
    """All of these."""


@frozen
class KeyLimits:
    """How much one key may take. None: no limit of its own."""

    calls_at_once: int | None = None
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None
    dials_per_minute: int | None = None
    micros_per_day: int | None = None
    """Money in a day of UTC, in millionths of a US dollar."""


@frozen
class ApiKey:
    """A key for programs, without its secret. Times are in ms since the epoch."""

    key_id: str
    name: str
    """What people call it. May be empty."""
    shown: str
    """The first characters of the secret, by which people tell keys apart."""
    scopes: frozenset[Scope]
    created_ms: int
    limits: KeyLimits = KeyLimits()
    last_used_ms: int | None = None
    revoked_ms: int | None = None


@frozen
class Terms:
    """What a token fixes for its calls, and a browser may not choose. None: as the settings say."""

    tools: tuple[str, ...] | None = None
    voice: str | None = None
    max_duration_s: float | None = None
    metadata: Mapping[str, Any] = Factory(dict)


@frozen
class Grant:
    """What a credential that was shown allows."""

    account: str
    """Whose share it takes: a key's id, or another name that no key has."""
    scopes: frozenset[Scope]
    limits: KeyLimits = KeyLimits()
    terms: Terms = Terms()

    def allows(self, scope: Scope) -> bool:
        """Whether it allows that."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class KeyBook(Protocol):
    """The keys and the spent tokens of this server, in memory: no method waits for a database.

    What is changed elsewhere, by `vantum keys` for instance, is seen within `REFRESH_S`.
    """

    def find(self, digest: bytes) -> ApiKey | None:
        """The key with that keyed hash; None without one, or if it is revoked. Takes the same time always."""
        ...

    def has_keys(self) -> bool:
        """Whether any key is valid.

        True as long as nobody knows, since the database has not been read yet.
        """
        ...

    def had_keys(self) -> bool:
        """Whether any key was ever made, also one that is revoked. Until then the server serves this machine
        without one: that a key is taken away must not open it again.

        True as long as nobody knows.
        """
        ...

    def used(self, key_id: str, at_ms: int) -> None:
        """Remember when a key was used. Written later, and lost if that fails."""
        ...

    def spend(self, token_id: str, expires_ms: int, uses: int) -> bool:
        """Count one use of a token; False if it has been used `uses` times. Forgotten once it has expired."""
        ...

    def give_back(self, token_id: str, expires_ms: int) -> None:
        """One use that was counted let nobody in: it does not count."""
        ...


REFRESH_S = 2.0
"""A change that another process made to the keys is seen after at most so long."""
