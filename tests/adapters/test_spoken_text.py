"""Markup and Markdown are removed from a text before it is spoken."""

from __future__ import annotations

import pytest

from adapters.spoken_text import spoken_text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello there.", "Hello there."),
        ("First.||BREAK||Second.", "First. Second."),
        ('<emotion value="happy"/>Great to hear!', "Great to hear!"),
        ("Wait <break time='1s'/> for it.", "Wait for it."),
        ("All good <emot", "All good"),
        ("If 3 < 5 and 7 > 2, fine.", "If 3 < 5 and 7 > 2, fine."),
        ("**Bold**, *slanted* and `code`.", "Bold, slanted and code."),
        ("# Title\n- one\n- two", "Title\none\ntwo"),
        ("See [our page](https://example.com/x).", "See our page."),
        ("The snake_case name.", "The snake_case name."),
        ("2 * 3", "2 3"),
        ("...", ""),
        ("🙂", ""),
        ("", ""),
    ],
)
def test_marks_are_not_spoken(text: str, spoken: str) -> None:
    assert spoken_text(text) == spoken
