"""Error messages of the OpenAI adapter hold no keys."""

from __future__ import annotations

import pytest

from adapters.openai.errors import error_body


@pytest.mark.parametrize("said", ["bad key my-secret", "Bearer my-secret", "sk-proj-abcdefghij was refused"])
def test_keys_are_removed_from_the_messages_of_servers(said: str) -> None:
    message = error_body("llm", {"message": said}, "my-secret").failure.message
    assert "my-secret" not in message
    assert "abcdefghij" not in message
    assert "(key)" in message


def test_long_messages_are_cut_and_put_on_one_line() -> None:
    message = error_body("llm", {"message": "word\n" * 1000}, "").failure.message
    assert "\n" not in message
    assert len(message) < 250
