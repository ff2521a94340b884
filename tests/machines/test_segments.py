"""Cutting generated text into speakable segments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.segments import BREAK, MAX_SEGMENT, Segment, Segmenter, clean


def segments(text: str, size: int = 3) -> list[str]:
    """All segments of `text` when it arrives in pieces of `size` characters."""
    segmenter = Segmenter()
    found: list[str] = []
    for start in range(0, len(text), size):
        found += spoken(segmenter.push(text[start : start + size]))
    return found + spoken(segmenter.finish())


def spoken(found: list[Segment]) -> list[str]:
    """What is spoken of segments."""
    return [segment.text for segment in found]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Dr. Smith is in. Sit down.", ["Dr. Smith is in.", "Sit down."]),
        ("It costs 3.50 euros. Fine.", ["It costs 3.50 euros.", "Fine."]),
        ("We open at 9 a.m. on Monday. Bye.", ["We open at 9 a.m. on Monday.", "Bye."]),
        ("We open at 9 a.m. Come in.", ["We open at 9 a.m.", "Come in."]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", "Yes."]),
        ('"Stop!" he said. I did.', ['"Stop!"', "he said.", "I did."]),
        ("First part||BREAK||second part", ["First part", "second part"]),
        ("Well... maybe. Or not.", ["Well...", "maybe.", "Or not."]),
        ("<emotion value='happy'/>Hi **there**.", ["Hi there."]),
        ("...  ***  ", []),
        ("", []),
    ],
)
def test_text_is_cut_at_sentences_however_it_arrives(text: str, expected: list[str], size: int) -> None:
    assert segments(text, size) == expected


def test_only_the_first_segment_may_end_at_a_clause() -> None:
    text = "Well, that is a really good question, and I think, after all, it is seven. Now, then, so, yes."

    assert segments(text) == [
        "Well, that is a really good question,",
        "and I think, after all, it is seven.",
        "Now, then, so, yes.",
    ]


def test_a_sentence_is_given_before_the_next_one_is_complete() -> None:
    segmenter = Segmenter()

    assert spoken(segmenter.push("It is noon. And ")) == ["It is noon."]


def test_speech_markup_is_kept_beside_the_words_and_other_markup_is_not() -> None:
    segmenter = Segmenter()
    text = '<emotion value="glad"/>**Hello** <b>there</b>. Bye.'

    assert [*segmenter.push(text), *segmenter.finish()] == [
        Segment("Hello there.", '<emotion value="glad"/> Hello there.'),
        Segment("Bye."),
    ]


@pytest.mark.parametrize("half", ["|", "||", "||B", "||BRE", "||BREAK", "||BREAK||"])
def test_half_a_break_marker_is_never_spoken(half: str) -> None:
    assert segments(f"Hello there {half}") == ["Hello there"]


@given(st.text(alphabet="ab1 .,!?|BREAK<>*\n\"'", max_size=900), st.integers(1, 50))
def test_nothing_is_lost_or_said_twice_and_segments_are_bounded(text: str, size: int) -> None:
    found = segments(text, size)

    # Only the soundless pieces between segments may be missing.
    whole = re.sub(r"\|\|?(B(R(E(AK?)?)?)?)?\s*$", "", text.replace(BREAK, " "))
    sounds = [letter for letter in clean(whole) if letter.isalnum()]
    assert [letter for segment in found for letter in segment if letter.isalnum()] == sounds or "<" in text
    assert all(len(segment) <= MAX_SEGMENT for segment in found)
