"""Client tokens: what is in them comes out again, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import random
import stat
import string
import time
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from orchestrator.access.claims import InvalidToken, TermsBody
from orchestrator.access.client_tokens import ClientTokens, TokenOrder
from orchestrator.access.grants import Scope, Terms
from orchestrator.access.signing_key import FILE_NAME, SigningKey, kept_key
from tests.orchestrator.access.shown import SIGNING, signed

TOKENS = ClientTokens(SigningKey(SIGNING.encode()))
NOW = time.time()
"""When the tokens of this file are made. They are read at the same time, however long other tests took."""


def test_what_a_token_can_fix_can_be_ordered_and_nothing_else() -> None:
    assert {each.name for each in attrs.fields(Terms)} == set(TermsBody.model_fields)


def test_what_is_ordered_is_what_is_granted() -> None:
    order = TokenOrder.model_validate_json(
        '{"expires_in_s": 60, "uses": 3, "scopes": ["call", "read"], "tools": ["end_call"], "voice": "kyle",'
        ' "max_duration_s": 90, "metadata": {"customer": 7}}'
    )
    token, made = TOKENS.mint(order, "key-1", b"\1" * 32, 1000.5)
    read = TOKENS.read(token, 1059.9)
    assert read == made
    assert read.grant.account == "key-1"
    assert read.grant.scopes == {Scope.CALL, Scope.READ}
    assert (read.grant.terms.tools, read.grant.terms.voice) == (("end_call",), "kyle")
    assert (read.grant.terms.max_duration_s, read.grant.terms.metadata) == (90, {"customer": 7})
    assert (read.uses, read.key_digest) == (3, b"\1" * 32)
    with pytest.raises(InvalidToken):
        TOKENS.read(token, 1060)


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_s": 9},
        {"expires_in_s": 7201},
        {"uses": 0},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"agent": "sales"},
        {"metadata": {"long": "x" * 3000}},
        {"max_duration_s": 0},
        {"voice": ""},
    ],
)
def test_an_order_that_is_none(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TokenOrder.model_validate_json(json.dumps(body))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


WRONG = {
    "expired": signed(exp=int(NOW) - 1),
    "not yet valid": signed(nbf=int(NOW) + 100),
    "another issuer": signed(iss="somebody"),
    "another audience": signed(aud="somebody"),
    "no audience": signed(aud=None),
    "no expiry": signed(exp=None),
    "no id": signed(jti=None),
    "no uses": signed(uses=None),
    "an expiry that is no number": signed(exp=None) and signed(exp=float("inf")),
    "another key": signed("x" * 64),
    "another algorithm": signed(algorithm="HS512"),
    "no algorithm": signed(algorithm="none"),
    "no signature": signed().rpartition(".")[0] + ".",
    "another's signature": f"{signed().rpartition('.')[0]}.{signed(jti='two').rpartition('.')[2]}",
    "none in capitals": f"{_part({'alg': 'NoNe', 'typ': 'JWT'})}.{signed().split('.')[1]}.",
    "scopes that are none": signed(scopes=7),
    "terms that are none": signed(terms={"voices": "all"}),
    "a key that is none": signed(key=7),
    "too deep": f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.x",
    "not ASCII": "é.é.é",
    "nothing": "..",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_token_of_ours(what: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.read(WRONG[what], NOW)


def test_a_thousand_wrong_tokens() -> None:
    right, chance = signed(), random.Random(1)
    letters = string.ascii_letters + string.digits + "-_."
    for _ in range(1000):
        at = chance.randrange(len(right) - 2)  # the last letter holds bits that mean nothing
        wrong = right[:at] + chance.choice(letters.replace(right[at], "")) + right[at + 1 :]
        with pytest.raises(InvalidToken):
            TOKENS.read(wrong, NOW)


@given(some.text(), some.text(), some.text())
def test_anything_else_is_no_token(head: str, claims: str, signature: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.read(f"{head}.{claims}.{signature}", NOW)


# --- the key that signs them -------------------------------------------------------------------------------


def test_the_key_is_kept_for_its_user_only(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    first = kept_key(directory)
    assert kept_key(directory) == first
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600
    assert [each.name for each in directory.iterdir()] == [FILE_NAME]
    assert len(first.secret) >= 32
    assert first.secret.hex() not in repr(first)


def test_where_no_key_can_be_kept_tokens_are_valid_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory should be", encoding="ascii")
    one, other = kept_key(tmp_path / "data"), kept_key(tmp_path / "data")
    assert one != other


def test_a_key_file_that_somebody_has_spoiled_is_not_used(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("abc", encoding="ascii")
    assert len(kept_key(tmp_path).secret) >= 32
