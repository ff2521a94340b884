"""Markup and Markdown are removed from a text before it is spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("# Title\n- one\n- two", "Title one two"),
        ("See [our page](https://example.com/x).", "See our page."),
        ("The snake_case name.", "The snake_case name."),
        ("2 * 3", "2 × 3"),
        ("if a<b then stop", "if a<b then stop"),
        ("Great! 👍🏽 See you 👨‍👩‍👧 soon 1️⃣.", "Great! See you soon 1."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b 1, 2"),
        ("It is so [1].【4†source】", "It is so."),
        ("Open Settings → Network -> Wi-Fi.", "Open Settings, Network, Wi-Fi."),
        ("From A→B to **C** ⇒ *D*", "From A, B to C, D"),
        ("→ next", "next"),
        ("It goes ->", "It goes"),
        ("...", ""),
        ("🙂", ""),
        ("", ""),
    ],
)
def test_marks_are_not_spoken(text: str, spoken: str) -> None:
    assert spoken_text(text) == spoken


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "Hello",
                    "a_b",
                    "3",
                    "C#",
                    "john_smith@example.com",
                    "https://a.b/c_d?e=1",
                    "您好",
                    "हैं",
                    "👍🏽",
                ),
                *(
                    " ",
                    " ",
                    ".",
                    ",",
                    "\n",
                    "*",
                    "**",
                    "_",
                    "`",
                    "~~",
                    "- ",
                    "> ",
                    "# ",
                    "1. ",
                    "<b>",
                    "</b>",
                ),
                *(" < ", " > ", "[1]", "[a](b)", "【4†s】", "||BREAK||", "(", ")", '"', "!", "1️⃣", "$$"),
            ]
        ),
        max_size=20,
    ).map("".join)
)
def test_words_that_are_shown_are_said(text: str) -> None:
    once = f"So {spoken_text(text)}".rstrip()  # what only counts at a line's start is seen once
    # Marks that only look like a pair once others are gone may be lost, words may not.
    assert _letters(spoken_text(once)) == _letters(once)


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())
