"""The doors: decides for each request who asks, and whether that is allowed.

The same sentence is told whatever is wrong with a credential, after the same work as far as secrets are
compared: nobody learns which part was right.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cached_property, partial
from hashlib import blake2b
from typing import NoReturn

from attrs import Factory, define, evolve, frozen

from adapters.logs import library_logger
from orchestrator.access.accounts import ANYBODY, API_TOKEN, OWN_KEY, THIS_MACHINE
from orchestrator.access.claims import InvalidToken, TokenOver, key_id_in
from orchestrator.access.client_tokens import ClientToken, ClientTokens, TokenOrder
from orchestrator.access.credentials import Asked, credential_in
from orchestrator.access.customer_tokens import ClaimNames, CustomerTokens, Issuer
from orchestrator.access.grants import Grant, KeyBook, Scope
from orchestrator.access.limits import CallShare, Limits
from orchestrator.access.memory_book import MemoryKeyBook
from orchestrator.access.origins import Origins
from orchestrator.access.peer_process import HolderOf, PeerProcesses
from orchestrator.access.refusal import Refusal
from orchestrator.access.signing_key import SigningKey, kept_key
from orchestrator.access.stored_book import StoredKeyBook
from orchestrator.access.this_machine import why_from_outside
from orchestrator.addresses import address_of, is_loopback
from orchestrator.clock import epoch_ms
from orchestrator.settings.settings import Settings, SettingsError

log = library_logger(__name__)

NO_KEY = "a key or token is needed, and none that is valid came with the request"
NO_KEYS = (
    "this server has no keys, so it serves its own machine only, and cannot tell that you are on it: "
    "`vantum token` there gives you a token"
)
NOT_ALLOWED = "this key or token does not allow that"
OTHER_ORIGIN = "web pages from there may not use this server: its operator can name them in ALLOWED_ORIGINS"

Digest = Callable[[str], bytes | None]
"""The keyed hash by which a key book finds a key; None for what is no key."""


def plain_digest(secret: str) -> bytes | None:
    """A hash without a key, for a book that holds none."""
    return blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32).digest()


@frozen
class _Found:
    """Whose credential was shown."""

    grant: Grant
    key_digest: bytes | None = None
    """Of a key in the book."""
    token: ClientToken | None = None
    may_mint: bool = True


@define(eq=False, slots=False)
class Doors:
    """Lets in who may, and makes client tokens."""

    settings: Settings
    own_key: str
    """The key in a file that only this server's user can read: allows everything."""
    book: KeyBook = Factory(MemoryKeyBook)
    digest: Digest = plain_digest
    holder_of: HolderOf = Factory(PeerProcesses)
    now_ms: Callable[[], float] = epoch_ms
    limits: Limits = Factory(lambda self: Limits(self.settings), takes_self=True)
    """How much those may take who are let in, and how often somebody may be wrong."""

    def use(self, book: StoredKeyBook) -> None:
        """From now on, the keys of this book are valid."""
        self.book, self.digest = book, book.digest

    # --- who asks -----------------------------------------------------------------------------------------

    async def enter(self, asked: Asked, scope: Scope) -> Grant:
        """What whoever asks may do, which includes `scope`. One use of a client token is spent.

        Raises `Refusal`.
        """
        found = await self._found(asked, scope)
        await self._use(found, asked)
        return found.grant

    async def begin_call(self, asked: Asked) -> tuple[Grant, CallShare]:
        """What whoever asks may do, and a share for one call, which must be released.

        Raises `Refusal`. One use of a client token is spent, which is given back if the call does not begin:
        the token is good for another try. Nobody takes anything of a key's share by one that is spent.
        """
        found = await self._found(asked, Scope.CALL)
        await self._use(found, asked)
        try:
            share = await self.limits.begin(found.grant)
        except BaseException:
            self._give_back(found)
            raise
        share.if_not_begun = partial(self._give_back, found)
        return found.grant, share

    async def _use(self, found: _Found, asked: Asked) -> None:
        """Spend one use of a client token. Raises `Refusal` if none is left."""
        token = found.token
        if token is not None and not self.book.spend(token.token_id, token.expires_s * 1000, token.uses):
            await self._refuse(TokenOver("it was used as often as it may be"), asked)

    def _give_back(self, found: _Found) -> None:
        if found.token is not None:
            self.book.give_back(found.token.token_id, found.token.expires_s * 1000)

    async def minting(self, asked: Asked) -> Callable[[TokenOrder], tuple[str, ClientToken]]:
        """What makes client tokens for whoever has a key. Raises `Refusal`: a token makes no others."""
        found = await self._found(asked, Scope.CALL)
        if not found.may_mint:
            raise Refusal(403, NOT_ALLOWED)
        await self.limits.mint(found.grant)

        def mint(order: TokenOrder) -> tuple[str, ClientToken]:
            if not all(found.grant.allows(scope) for scope in order.scopes):
                raise Refusal(403, NOT_ALLOWED)
            return self._tokens.mint(order, found.grant.account, found.key_digest, self._now_s)

        return mint

    async def _found(self, asked: Asked, scope: Scope) -> _Found:
        if not self.origins.allows(asked.headers):
            log.info("another site's page was refused: see ALLOWED_ORIGINS", host=asked.headers.get("host"))
            raise Refusal(403, OTHER_ORIGIN)
        shown = credential_in(
            asked,
            query_counts=self.settings.token_in_query,
            other_schemes_count=not self.settings.allow_anybody,
        )
        found = await self._without(asked, scope) if shown is None else await self._shown(shown, asked)
        if not found.grant.allows(scope):
            raise Refusal(403, NOT_ALLOWED)
        return found

    async def _shown(self, shown: str, asked: Asked) -> _Found:
        """Whose credential this is.

        Where many wrong ones came from one is let in all the same, as others may be there, and it cannot be
        guessed. API_TOKEN can: it is in the operator's own words.
        """
        try:
            found = await self._holder(shown)
        except InvalidToken as invalid:
            await self._refuse(invalid, asked)
        if found.grant.account == API_TOKEN:
            await self.limits.may_log_in(self._address(asked))
        return found

    async def _refuse(self, invalid: InvalidToken, asked: Asked) -> NoReturn:
        """Refuse a credential, and have whoever guesses wait before the next one."""
        log.debug("a key or token is not valid", why=str(invalid))
        address = self._address(asked)
        await self.limits.may_log_in(address)
        if not isinstance(invalid, TokenOver):
            await self.limits.login_failed(address)
        raise Refusal(401, NO_KEY)

    def _address(self, asked: Asked) -> str:
        peer = asked.peer[0] if asked.peer is not None else None
        return address_of(peer, asked.headers, behind_proxy=self.settings.twilio_trust_proxy)

    async def _without(self, asked: Asked, scope: Scope) -> _Found:
        """Who came without a credential: may talk, and nothing else, where that is allowed."""
        if scope is not Scope.CALL:
            raise Refusal(401, NO_KEY)
        if self.settings.allow_anybody:
            return _Found(Grant(ANYBODY, frozenset({Scope.CALL})))
        if self.has_keys or self.book.had_keys():
            raise Refusal(401, NO_KEY)
        why = await self._why_from_outside(asked)
        if why is not None:
            log.warning("somebody without a key was refused", why=why)
            raise Refusal(401, NO_KEYS)
        return _Found(Grant(THIS_MACHINE, frozenset({Scope.CALL})))

    async def _why_from_outside(self, asked: Asked) -> str | None:
        if self.settings.reachable_from_outside:
            return "the settings say that this server is reached from outside"
        return await why_from_outside(asked, self.holder_of)

    async def is_on_this_machine(self, asked: Asked) -> bool:
        """Whether a program on this machine asks, no web page, and nothing that passes on what others ask."""
        return "origin" not in asked.headers and await self._why_from_outside(asked) is None

    # --- credentials --------------------------------------------------------------------------------------

    async def _holder(self, shown: str) -> _Found:
        """Whose credential this is. Raises `InvalidToken`."""
        return await self._holder_of_token(shown) if shown.count(".") == 2 else self._holder_of_key(shown)

    def _holder_of_key(self, shown: str) -> _Found:
        own = _same(shown, self.own_key)
        api_token = self.settings.api_token
        operators = api_token is not None and _same(shown, api_token.get_secret_value())
        digest = self.digest(shown)
        key = None if digest is None else self.book.find(digest)
        if own:
            return _Found(Grant(OWN_KEY, frozenset({Scope.ADMIN})))
        if operators:
            return _Found(Grant(API_TOKEN, frozenset({Scope.CALL, Scope.DIAL, Scope.READ})))
        if key is None:
            raise InvalidToken("it is no key")
        self.book.used(key.key_id, round(self.now_ms()))
        return _Found(Grant(key.key_id, key.scopes, key.limits), digest)

    async def _holder_of_token(self, shown: str) -> _Found:
        key_id = key_id_in(shown)
        if key_id is not None and key_id == self._tokens.key.key_id:
            return self._holder_of_client_token(shown)
        if key_id is not None and self.customers is not None:
            return _Found(await self.customers.read(shown, self._now_s), may_mint=False)
        # API_TOKEN may look like a token.
        return self._holder_of_key(shown)

    def _holder_of_client_token(self, shown: str) -> _Found:
        token = self._tokens.read(shown, self._now_s)
        grant = token.grant
        if token.key_digest is not None:
            key = self.book.find(token.key_digest)
            if key is None:
                raise TokenOver("the key that made it is revoked")
            grant = evolve(grant, limits=key.limits)
        return _Found(grant, token=token, may_mint=False)

    @property
    def _now_s(self) -> float:
        return self.now_ms() / 1000

    # --- what the settings say ----------------------------------------------------------------------------

    @property
    def has_keys(self) -> bool:
        """Whether anybody can have a valid credential: without that, nobody need reach this server."""
        settings = self.settings
        return settings.api_token is not None or settings.jwt_jwks_url is not None or self.book.has_keys()

    @cached_property
    def origins(self) -> Origins:
        """The web pages that may ask."""
        url = self.settings.twilio_public_url
        return Origins.of(self.settings.allowed_origins.split(), [url] if url else [])

    @cached_property
    def _tokens(self) -> ClientTokens:
        """Made at the first token: a server that sees none keeps no key."""
        chosen = self.settings.client_token_key
        if chosen is not None:
            return ClientTokens(SigningKey(chosen.get_secret_value().encode()))
        return ClientTokens(kept_key(self.settings.data_dir))

    @cached_property
    def customers(self) -> CustomerTokens | None:
        """Reads the tokens of the operator's own login; None without one."""
        settings = self.settings
        if settings.jwt_jwks_url is None:
            return None
        names = ClaimNames(settings.jwt_account_claim, settings.jwt_scope_claim, settings.jwt_terms_claim)
        return CustomerTokens(
            Issuer(
                settings.jwt_jwks_url,
                settings.jwt_issuer or "",
                settings.jwt_audience or "",
                settings.jwt_algorithms,
                names,
            )
        )

    def check_reach(self, addresses: list[str]) -> None:
        """Raise `SettingsError` if others could reach the server at these addresses, and nobody has a key."""
        reached = [each for each in addresses if not is_loopback(each)]
        if reached and not self.has_keys and not self.settings.allow_anybody:
            raise SettingsError(
                f"HOST is {self.settings.host!r}, where others can reach this server, but nobody has a key: "
                "make one with `vantum keys create`, or set API_TOKEN, or ALLOW_ANYBODY=true where something "
                "else asks who they are."
            )
        if self.settings.api_token is not None:
            log.info(
                "API_TOKEN is one key for everything: `vantum keys create` makes keys for each of its users"
            )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())
