"""Language tags."""

from __future__ import annotations

import pytest

from machines.language.tags import primary_language


@pytest.mark.parametrize(
    ("tag", "language"), [("en-US", "en"), ("EN_us", "en"), ("de", "de"), ("zh-Hant-TW", "zh"), ("", "")]
)
def test_the_language_of_a_tag_is_its_first_part_in_lower_case(tag: str, language: str) -> None:
    assert primary_language(tag) == language
