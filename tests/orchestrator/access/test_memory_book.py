"""A key book in memory: keys, and how often tokens were used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.access.grants import ApiKey, KeyBook, Scope
from orchestrator.access.memory_book import GRACE_MS, MemoryKeyBook, Spent, SpentTokens


def key(name: str, revoked_ms: int | None = None) -> ApiKey:
    return ApiKey(name, "", "vsk_123456", frozenset({Scope.CALL}), 1, revoked_ms=revoked_ms)


def test_a_book_without_keys_finds_none() -> None:
    book: KeyBook = MemoryKeyBook()
    assert not book.has_keys()
    assert book.find(b"digest") is None


def test_a_revoked_key_is_as_if_it_were_not_there() -> None:
    book = MemoryKeyBook({b"1": key("one"), b"2": key("two", revoked_ms=5)})
    assert book.find(b"1") == key("one")
    assert book.find(b"2") is None
    assert book.has_keys()
    assert not MemoryKeyBook({b"2": key("two", revoked_ms=5)}).has_keys()


def test_that_there_was_a_key_is_not_forgotten_when_it_is_revoked() -> None:
    assert not MemoryKeyBook().had_keys()
    assert MemoryKeyBook({b"2": key("two", revoked_ms=5)}).had_keys()


def test_a_key_knows_when_it_was_used_last() -> None:
    book = MemoryKeyBook({b"1": key("one")})
    for at_ms in (30, 20):
        book.used("one", at_ms)
    found = book.find(b"1")
    assert found is not None
    assert found.last_used_ms == 30


def test_a_token_can_be_used_as_often_as_it_says() -> None:
    book = MemoryKeyBook(now_ms=lambda: 0)
    assert [book.spend("t", 1000, 2) for _ in range(4)] == [True, True, False, False]
    assert book.spend("another", 1000, 1)


def test_a_use_that_is_given_back_does_not_count() -> None:
    book = MemoryKeyBook(now_ms=lambda: 0)
    book.give_back("never used", 1000)
    assert book.spend("t", 1000, 1)
    book.give_back("t", 1000)
    book.give_back("t", 1000)
    assert [book.spend("t", 1000, 1) for _ in range(2)] == [True, False]


def test_a_token_is_remembered_until_nobody_takes_it_any_more() -> None:
    now_ms = 0
    spent = SpentTokens(lambda: now_ms)
    assert spent.spend("t", 1000, 1)
    now_ms = 1000 + GRACE_MS - 1
    assert spent.spend("t", 1000, 1) is None
    now_ms += 1
    assert spent.spend("another", 10**6, 1)
    assert len(spent) == 1


def test_when_no_more_can_be_remembered_new_tokens_are_refused() -> None:
    now_ms = 0
    spent = SpentTokens(lambda: now_ms, most=2)
    assert all(spent.spend(name, 1000, 5) for name in ("a", "b", "a"))
    assert spent.spend("c", 1000, 5) is None
    now_ms = 1000 + GRACE_MS
    assert spent.spend("c", 10**6, 5)


def test_what_was_kept_counts_as_well_as_what_was_used_since() -> None:
    spent = SpentTokens(lambda: 0)
    spent.spend("both", 1000, 9)
    spent.spend("both", 1000, 9)
    spent.take_over([Spent("both", 1000, 1), Spent("kept", 1000, 1), Spent("over", -GRACE_MS, 1)])
    assert spent.spend("both", 1000, 9) == Spent("both", 1000, 3)
    assert spent.spend("kept", 1000, 1) is None
    assert len(spent) == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 200_000))))
def test_however_tokens_are_used_none_is_used_too_often(uses: list[tuple[str, int, int]]) -> None:
    now_ms = 0
    spent = SpentTokens(lambda: now_ms)
    ends = {"a": 50_000, "b": 100_000, "c": 150_000}
    count = dict.fromkeys(ends, 0)
    for name, most, at_ms in sorted(uses, key=lambda each: each[2]):
        now_ms = at_ms
        if at_ms < ends[name] + GRACE_MS and spent.spend(name, ends[name], most):
            count[name] += 1
            assert count[name] <= most
