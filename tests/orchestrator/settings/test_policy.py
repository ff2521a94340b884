"""Every setting of a conversation has one default, and sets one field of the policy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import orchestrator.settings
from machines.policy import ConversationPolicy, FallbackTexts
from orchestrator.settings.policy import FALLBACK_TEXTS, POLICY_FIELDS, policy_of
from orchestrator.settings.settings import Settings

WITHOUT_A_SETTING = {
    "language": "the caller states it, or STT_LANGUAGE",
    "tools": "the tools that are offered say it themselves",
    "fallback": "its fields have settings",
    "link": "follows CONNECT_TIMEOUT_MS",
    **dict.fromkeys(
        ("complete_delay_ms", "clear_voice", "provider_endpoint_delay_ms"),
        "depends on the models more than on the operator",
    ),
    **dict.fromkeys(
        ("max_host_utterances", "barge_in_patience_ms", "barge_in_false_alarms", "backchannel_end_ms"),
        "for hosts",
    ),
    **dict.fromkeys(("voice_retries", "most_digits", "digits_words"), "for hosts"),
    **dict.fromkeys(
        ("tools_in_parallel", "tool_not_called", "max_tool_steps", "tool_filler_after_ms", "tool_fillers"),
        "for hosts",
    ),
}
OTHERS: dict[str, Any] = {
    "llm_fallback_tier3_then": "hand_over",
    "dtmf_terminator": "none",
    "llm_max_context_tokens": 4000,
    "backchannels": "aha",
}
SET = {**POLICY_FIELDS, **{setting: f"fallback.{field}" for setting, field in FALLBACK_TEXTS.items()}}


def test_a_conversation_without_settings_has_the_defaults_of_the_server() -> None:
    assert policy_of(Settings()) == ConversationPolicy()


def test_every_field_of_the_policy_has_a_setting_or_a_reason() -> None:
    fields = {field.name for field in attrs.fields(ConversationPolicy)}
    assert set(POLICY_FIELDS.values()) | set(WITHOUT_A_SETTING) == fields
    assert not set(POLICY_FIELDS.values()) & set(WITHOUT_A_SETTING)
    texts = {field.name for field in attrs.fields(FallbackTexts)}
    assert set(FALLBACK_TEXTS.values()) | {"unsayable"} == texts


@pytest.mark.parametrize(("setting", "field"), SET.items())
def test_a_setting_changes_its_field_and_nothing_else(setting: str, field: str) -> None:
    default = getattr(Settings(), setting)
    changed = policy_of(Settings(**{setting: OTHERS.get(setting, another(default))}))
    allowed = {field, "link.attempt_timeout_ms"} if setting == "connect_timeout_ms" else {field}
    assert set(differences(ConversationPolicy(), changed)) == allowed


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2
    return value + 1 if isinstance(value, int) else f"{value}, or so"


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    for field in attrs.fields(type(one)):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if attrs.has(type(before)):
            yield from differences(before, after, f"{path}{field.name}.")
        elif before != after:
            yield path + field.name


def test_no_default_of_the_policy_is_written_a_second_time() -> None:
    """Whoever changes one in `machines/policy.py` changes it for the server, too."""
    written = {}
    for file in Path(orchestrator.settings.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id in SET
            ):
                assert isinstance(node.value, ast.Call)
                (default,) = (each.value for each in node.value.keywords if each.arg == "default")
                written[node.target.id] = ast.unparse(default)
    assert set(written) == set(SET)
    twice = {name for name, default in written.items() if "DEFAULTS." not in default}
    # Its type is one of three keys, which a field of type `str` is not; the first test compares the two.
    assert twice == {"dtmf_terminator"}
