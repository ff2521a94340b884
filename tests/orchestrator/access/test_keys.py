"""Secrets of keys: their form, typing errors, and the hash under which they are kept."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.access.keys import Pepper, has_form, new_key_id, new_secret, shown_of

BASE62 = string.digits + string.ascii_letters


def test_a_secret_has_a_form_that_scanners_know() -> None:
    secrets = {new_secret() for _ in range(200)}
    assert len(secrets) == 200
    assert all(re.fullmatch(r"vsk_[0-9A-Za-z]{33}", secret) and has_form(secret) for secret in secrets)


@given(st.integers(0, 36), st.sampled_from(BASE62))
def test_one_wrong_character_is_a_typing_error(place: int, character: str) -> None:
    secret = new_secret()
    typed = secret[:place] + character + secret[place + 1 :]
    assert has_form(typed) == (typed == secret)


@given(st.integers(4, 35))
def test_two_characters_in_the_wrong_order_are_a_typing_error(place: int) -> None:
    secret = new_secret()
    typed = secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]
    assert has_form(typed) == (typed == secret)


@given(st.text())
def test_other_texts_are_no_secrets(text: str) -> None:
    assert not has_form(text)
    assert not has_form(f"vsk_{text}")
    assert not has_form(new_secret() + text + "x")


@pytest.mark.parametrize(
    "text",
    ["", "vsk_", f" {new_secret()}", new_secret().upper(), new_secret()[4:]],
    ids=["nothing", "the prefix", "after a blank", "in capitals", "without the prefix"],
)
def test_half_a_secret_is_none(text: str) -> None:
    assert not has_form(text)


def test_a_hash_depends_on_the_secret_and_on_the_pepper() -> None:
    one, other = new_secret(), new_secret()
    pepper, another = Pepper.of("salt and pepper"), Pepper.of("paprika")
    digests = {pepper.digest(one), pepper.digest(other), another.digest(one), another.digest(other)}
    assert len(digests) == 4
    assert pepper.digest(one) == Pepper.of("salt and pepper").digest(one)
    assert pepper.mark != another.mark


def test_what_is_no_secret_has_no_hash() -> None:
    assert Pepper.of("pepper").digest("vsk_typo") is None


def test_a_pepper_does_not_show_itself() -> None:
    assert repr(Pepper.of("pepper")) == "Pepper()"


def test_of_a_secret_little_is_shown() -> None:
    secret = new_secret()
    assert shown_of(secret) == secret[:10]


def test_ids_can_be_read_aloud() -> None:
    assert re.fullmatch(r"key_[0-9a-hjkmnp-tv-z]{12}", new_key_id())
