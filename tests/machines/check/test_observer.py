"""The books of the checker, where two stories would look alike."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.check.observer import Books
from machines.declarations import Outcome, Step


def voiced(books: Books, segment: int) -> Books:
    fact = facts.SegmentVoiced(1, segment, 1000)
    return books.after_fact(Step("conversation", fact, "speaking", "speaking", Outcome.TAKEN, "", ()))


def after(books: Books, *effects: do.Effect) -> Books:
    for effect in effects:
        books = books.after_effect("conversation", effect)
    return books


def test_the_rest_of_a_broken_segment_is_said_instead_of_it() -> None:
    books = after(Books(), do.Speak(1, 0, "One two three."))
    books = after(books, do.RestartSpeech(1, 2), do.Speak(1, 1, "two three."))
    assert books.said == ("One", "two three.")


def test_an_answer_that_repeats_itself_is_not_taken_for_a_broken_segment() -> None:
    books = after(Books(), do.Speak(1, 0, "Yes."), do.Speak(1, 1, "Yes."))
    books = after(voiced(books, 0), do.RestartSpeech(1, 2), do.Speak(1, 1, "Yes."))
    assert books.said == ("Yes.", "Yes.")
