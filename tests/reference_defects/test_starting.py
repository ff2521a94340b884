"""30: what is required of the settings before a server accepts its first call."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from adapters.embedded.models import ModelsError
from orchestrator.providers.selection import open_providers
from orchestrator.settings.settings import SettingsError
from orchestrator.settings.sources import load_settings

KEYS = ("DEEPGRAM_API_KEY", "CARTESIA_API_KEY", "OPENAI_API_KEY", "LLM_API_KEY", "LLM_BASE_URL")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key in the environment or in a file of the current directory."""
    monkeypatch.chdir(tmp_path)
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


@pytest.mark.parametrize(
    ("role", "cloud", "key"),
    [
        ("stt", "deepgram", "DEEPGRAM_API_KEY"),
        ("llm", "openai", "OPENAI_API_KEY"),
        ("tts", "cartesia", "CARTESIA_API_KEY"),
    ],
)
async def test_30_a_provider_without_its_key_is_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str, cloud: str, key: str
) -> None:
    monkeypatch.setenv(f"{role}_providers".upper(), f"{cloud},local")
    settings = load_settings(local_models_dir=tmp_path)
    (choice,) = (each for each in settings.choices if each.role.value == role)
    assert choice.names == ("local",)
    with structlog.testing.capture_logs() as logs, pytest.raises(ModelsError):
        async with open_providers(settings):
            raise AssertionError("there are no model files here")
    (told,) = (entry for entry in logs if entry["event"] == "provider left out")
    assert (told["log_level"], told["role"], told["provider"]) == ("warning", role, cloud)
    assert key in told["not_set"]


@pytest.mark.parametrize(("role", "cloud"), [("stt", "deepgram"), ("llm", "openai"), ("tts", "cartesia")])
def test_30_a_role_that_is_left_without_a_provider_stops_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, role: str, cloud: str
) -> None:
    setting = f"{role}_providers".upper()
    monkeypatch.setenv(setting, cloud)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert setting in str(refused.value)
    assert "_API_KEY" in str(refused.value)
    assert "\n" not in str(refused.value)
