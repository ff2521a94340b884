"""What a policy's field cannot be is told in one sentence when the policy is made."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from machines.checked_fields import check_fields
from machines.policy import ConversationPolicy, FallbackTexts, LinkPolicy
from machines.tools import ToolPolicy


@pytest.mark.parametrize(
    ("kind", "fields", "error", "told"),
    [
        (
            ConversationPolicy,
            {"greeting": 5},
            TypeError,
            "greeting of ConversationPolicy is 5, but must be a text",
        ),
        (
            ConversationPolicy,
            {"endpoint_delay_ms": -3},
            ValueError,
            "endpoint_delay_ms of ConversationPolicy is -3, but must be a number, 0 or more, and finite",
        ),
        (
            ConversationPolicy,
            {"endpoint_delay_ms": math.nan},
            ValueError,
            "endpoint_delay_ms of ConversationPolicy is nan, but must be a number, 0 or more, and finite",
        ),
        (
            ConversationPolicy,
            {"max_queue": 0},
            ValueError,
            "max_queue of ConversationPolicy is 0, but must be a whole number, 1 or more, and finite",
        ),
        *(
            (
                ConversationPolicy,
                {name: 2},
                ValueError,
                f"{name} of ConversationPolicy is 2, but must be a number, from 0 to 1",
            )
            for name in ("least_confidence", "sure_confidence", "clear_voice")
        ),
        (
            ConversationPolicy,
            {"max_history": 2.5},
            TypeError,
            "max_history of ConversationPolicy is 2.5, but must be a whole number",
        ),
        (
            ConversationPolicy,
            {"barge_in": "no"},
            TypeError,
            "barge_in of ConversationPolicy is 'no', but must be True or False",
        ),
        (
            ConversationPolicy,
            {"nudges": "Hello?"},
            TypeError,
            "nudges of ConversationPolicy is 'Hello?', but must be a tuple, each item of it a text",
        ),
        (
            ConversationPolicy,
            {"llm_retry_delays_ms": (0, -1)},
            ValueError,
            "llm_retry_delays_ms of ConversationPolicy is (0, -1), but must be a tuple, each item "
            "of it a number, 0 or more, and finite",
        ),
        (
            ConversationPolicy,
            {"fallback": "Sorry."},
            TypeError,
            "fallback of ConversationPolicy is 'Sorry.', but must be an object of FallbackTexts",
        ),
        (
            ConversationPolicy,
            {"digits_words": "I pressed {keys}."},
            ValueError,
            "digits_words of ConversationPolicy is 'I pressed {keys}.', but must be a text with {} where "
            "the keys go, and no other braces",
        ),
        (
            ConversationPolicy,
            {"digits_terminator": "##"},
            ValueError,
            "digits_terminator of ConversationPolicy is '##', but must be one key or empty",
        ),
        (FallbackTexts, {"third": None}, TypeError, "third of FallbackTexts is None, but must be a text"),
        (
            LinkPolicy,
            {"budget_ms": True},
            TypeError,
            "budget_ms of LinkPolicy is True, but must be a number",
        ),
        (
            ToolPolicy,
            {"name": "look", "on_interruption": "finish"},
            TypeError,
            "on_interruption of ToolPolicy is 'finish', but must be one of OnInterruption.CANCEL, "
            "OnInterruption.FINISH, OnInterruption.BLOCK",
        ),
    ],
)
def test_what_a_field_cannot_be_is_told_in_one_sentence(
    kind: Any, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        kind(**fields)
    assert str(caught.value) == told


@pytest.mark.parametrize("kind", [ConversationPolicy, FallbackTexts, LinkPolicy])
def test_every_field_is_checked(kind: Any) -> None:
    """Whatever a field is declared as, an object that is nothing of the kind is refused, by its name."""
    for field in attrs.fields(kind):
        with pytest.raises(TypeError, match=f"^{field.name} of {kind.__name__} is <object"):
            kind(**{field.name: object()})


def test_whole_numbers_are_numbers_and_changed_policies_are_checked_too() -> None:
    greeting: Any = {"greeting": 5}
    assert ConversationPolicy(endpoint_delay_ms=500, llm_retry_delays_ms=(0, 1.5)) is not None
    with pytest.raises(TypeError):
        attrs.evolve(ConversationPolicy(), **greeting)
    check_fields(ConversationPolicy())
