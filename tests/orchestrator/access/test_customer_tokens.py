"""Tokens of a customer's own login, by the keys that its issuer publishes; the issuer is simulated."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import jwt
import pytest
import trio
import trio.testing
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm
from trio.testing import MockClock

from orchestrator.access.claims import InvalidToken
from orchestrator.access.customer_tokens import CACHE_S, COOLDOWN_S, ClaimNames, CustomerTokens, Issuer
from orchestrator.access.grants import Scope
from orchestrator.access.refusal import Refusal
from tests.orchestrator.access.shown import JWKS_URL, LOGIN, LoginServer, login_token

ISSUER = Issuer(
    JWKS_URL, LOGIN["jwt_issuer"], LOGIN["jwt_audience"], claims=ClaimNames("sub", "scope", "voice_terms")
)


def tokens_of(login: LoginServer) -> CustomerTokens:
    return CustomerTokens(ISSUER, login.client())


async def test_a_token_grants_what_its_claims_say() -> None:
    token = login_token(scope="openid call read admin", voice_terms={"voice": "kyle", "max_duration_s": 60})
    grant = await tokens_of(LoginServer("k1")).read(token, time.time())
    assert grant.account == "jwt:ann"
    assert grant.scopes == {Scope.CALL, Scope.READ}, "nobody becomes an administrator by a login"
    assert (grant.terms.voice, grant.terms.max_duration_s) == ("kyle", 60)


async def test_without_a_claim_for_scopes_a_login_may_call() -> None:
    tokens = CustomerTokens(Issuer(JWKS_URL, ISSUER.issuer, ISSUER.audience), LoginServer("k1").client())
    grant = await tokens.read(login_token(scope="admin dial"), time.time())
    assert grant.scopes == {Scope.CALL}


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://other.example"},
    "another audience": {"aud": "mail"},
    "no audience": {"aud": None},
    "no expiry": {"exp": None},
    "expired": {"exp": int(time.time()) - 40},
    "nobody's": {"sub": None},
    "another's key under a known name": {"key": "stolen", "kid": "k1"},
    "an unknown key": {"key": "k2"},
    "terms that nobody keeps to": {"voice_terms": {"agent": "sales"}},
    "scopes that are none": {"scope": 7},
    "an end that no clock reaches": {"exp": 10**400},
    "a beginning that no clock reaches": {"nbf": 10**400},
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_not_taken(what: str) -> None:
    with pytest.raises(InvalidToken):
        await tokens_of(LoginServer("k1")).read(login_token(**WRONG[what]), time.time())


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_the_algorithm_is_never_the_tokens_choice(algorithm: str) -> None:
    """With HS256, a public key would be the secret, and everybody has it."""
    claims = {"iss": ISSUER.issuer, "aud": ISSUER.audience, "sub": "eve", "exp": time.time() + 600}
    secret = "x" * 40 if algorithm == "HS256" else ""
    token = jwt.encode(claims, secret, algorithm, headers={"kid": "k1"})
    with pytest.raises(InvalidToken):
        await tokens_of(LoginServer("k1")).read(token, time.time())


# --- fetching the keys -------------------------------------------------------------------------------------


async def test_invented_names_of_keys_ask_the_issuer_once_in_a_cooldown(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")
    tokens = tokens_of(login)
    for number in range(1000):
        with pytest.raises(InvalidToken):
            await tokens.read(login_token("eve", kid=f"k{number + 2}"), time.time())
    assert login.asked == 1
    await tokens.read(login_token(), time.time())
    assert login.asked == 1


async def test_a_new_key_is_found_after_the_cooldown(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")
    tokens = tokens_of(login)
    await tokens.read(login_token(), time.time())
    login.published = LoginServer("k2").published
    with pytest.raises(InvalidToken):
        await tokens.read(login_token("k2"), time.time())
    await trio.sleep(COOLDOWN_S)
    assert (await tokens.read(login_token("k2"), time.time())).account == "jwt:ann"
    assert login.asked == 2


async def test_a_key_that_is_taken_back_is_valid_no_longer_than_the_cache(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")
    tokens = tokens_of(login)
    await tokens.read(login_token(), time.time())
    login.published = LoginServer("k2").published
    await trio.sleep(CACHE_S)
    with pytest.raises(InvalidToken):
        await tokens.read(login_token(), time.time())


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
async def test_a_key_need_not_say_for_which_algorithm_it_is(
    algorithm: str, autojump_clock: MockClock
) -> None:
    private = generate_private_key(65537, 2048)
    login = LoginServer("k1")
    login.published["keys"].append({**RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "r"})
    claims = {"iss": ISSUER.issuer, "aud": ISSUER.audience, "sub": "ann", "exp": time.time() + 600}
    token = jwt.encode(claims, private, algorithm, headers={"kid": "r"})
    allowing = evolve(ISSUER, algorithms=("ES256", algorithm))
    assert (await CustomerTokens(allowing, login.client()).read(token, time.time())).account == "jwt:ann"
    with pytest.raises(InvalidToken):
        await CustomerTokens(evolve(ISSUER, algorithms=("ES256", "RS384")), login.client()).read(
            token, time.time()
        )


DEEP = b"[" * 100_000


@pytest.mark.parametrize("published", [[], {}, {"keys": 7}, "text", DEEP])
async def test_an_issuer_that_publishes_no_keys_is_not_the_callers_fault(
    published: Any, autojump_clock: MockClock
) -> None:
    login = LoginServer("k1")
    login.published = published
    with pytest.raises(Refusal) as refused:
        await tokens_of(login).read(login_token(), time.time())
    assert (refused.value.status, refused.value.retry_after_s) == (503, COOLDOWN_S)


async def test_keys_that_are_known_outlive_an_issuer_that_fails(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")
    tokens = tokens_of(login)
    await tokens.read(login_token(), time.time())
    login.status = 500
    await trio.sleep(CACHE_S)
    assert (await tokens.read(login_token(), time.time())).account == "jwt:ann"
    assert login.asked == 2


async def test_an_issuer_that_does_not_answer_is_not_waited_for(autojump_clock: MockClock) -> None:
    async def silent(request: httpx2.Request) -> httpx2.Response:
        await trio.sleep_forever()
        raise AssertionError

    tokens = CustomerTokens(ISSUER, httpx2.AsyncClient(transport=httpx2.MockTransport(silent)))
    with pytest.raises(Refusal):
        await tokens.read(login_token(), time.time())


async def test_who_has_a_known_key_does_not_wait_for_who_invents_names(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")

    async def slow(request: httpx2.Request) -> httpx2.Response:
        await trio.sleep(4)
        return httpx2.Response(200, json=login.published)

    tokens = CustomerTokens(ISSUER, httpx2.AsyncClient(transport=httpx2.MockTransport(slow)))
    await tokens.read(login_token(), time.time())
    for stale_s in (COOLDOWN_S, CACHE_S):
        await trio.sleep(stale_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_invents_a_name, tokens)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            assert (await tokens.read(login_token(), time.time())).account == "jwt:ann"
            assert trio.current_time() == began


async def _invents_a_name(tokens: CustomerTokens) -> None:
    with pytest.raises(InvalidToken):
        await tokens.read(login_token("eve", kid="k2"), time.time())


async def test_keys_that_cannot_be_used_are_left_out(autojump_clock: MockClock) -> None:
    login = LoginServer("k1")
    odd = [
        7,
        {},
        {"kty": "oct", "k": "eHg", "kid": "k3"},
        {"kty": "EC", "kid": "k4"},
        {"kty": "odd", "kid": "k5"},
        {**login.published["keys"][0], "kid": "k6", "alg": "none"},
        {**login.published["keys"][0], "kid": "k7", "alg": ["ES256"]},
        {**login.published["keys"][0], "kid": {"k": 8}},
    ]
    login.published = {"keys": [*odd, *login.published["keys"]]}
    assert (await tokens_of(login).read(login_token(), time.time())).account == "jwt:ann"
