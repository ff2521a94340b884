"""Which providers the settings choose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.models import ModelsError
from orchestrator.selection import SMOKE_TEST, brain, open_providers
from orchestrator.settings import OPENAI_MODEL, Settings


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(), SMOKE_TEST),
        (Settings(local_llm_path=Path("/models/better.gguf")), "better.gguf"),
        (Settings(llm_base_url="http://localhost:11434/v1", llm_model="gemma"), "gemma"),
        (Settings(openai_api_key=SecretStr("x")), OPENAI_MODEL),
    ],
    ids=["nothing", "another file", "another server", "a key"],
)
def test_health_names_the_brain(settings: Settings, name: str) -> None:
    assert brain(settings) == name


async def test_a_missing_model_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"moonshine|vantum models fetch"):
        async with open_providers(Settings(local_models_dir=tmp_path)):
            pass
    assert not any(os.scandir(tmp_path))


@pytest.mark.models
async def test_without_keys_everything_is_embedded() -> None:
    async with open_providers(Settings()) as providers:
        assert providers.stt.name
        assert providers.tts.name
        assert providers.voice_activity.window_ms > 0
        await providers.llm.check()


@pytest.mark.models
async def test_a_language_model_server_is_used_where_one_is_named() -> None:
    settings = Settings(llm_base_url="http://127.0.0.1:9/v1", llm_model="gemma")
    async with open_providers(settings) as providers:
        assert providers.llm.name == "gemma"
