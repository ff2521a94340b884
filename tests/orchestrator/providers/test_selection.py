"""Which providers the settings choose."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.embedded.models import VOICE_ACTIVITY_MODEL, ModelsError
from adapters.openai import DEFAULT_MODEL
from adapters.simulators import Simulators, simulators
from machines.facts import Fact, Role, TranscriptFinal
from machines.history import Message, Speaker
from orchestrator.providers.selection import SMOKE_TEST, brain, open_providers
from orchestrator.settings.settings import Settings, SettingsError
from tests.adapters.embedded.onnx_files import loudness_of_last_second


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(), SMOKE_TEST),
        (Settings(local_llm_path=Path("/models/better.gguf")), "better.gguf"),
        (Settings(llm_base_url="http://localhost:11434/v1", llm_model="gemma"), "gemma"),
        (Settings(openai_api_key=SecretStr("x")), DEFAULT_MODEL),
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
@pytest.mark.slow
@pytest.mark.parametrize("setting", ["local_stt_dir", "local_llm_path", "local_tts_model", "local_vad_path"])
async def test_a_model_of_ones_own_that_cannot_be_used_is_named_with_its_setting(
    setting: str, tmp_path: Path
) -> None:
    path = tmp_path if setting == "local_stt_dir" else tmp_path / "own.bin"
    for name in ("own.bin", "tokenizer.bin", "encoder_model.ort", "decoder_model_merged.ort"):
        (tmp_path / name).write_bytes(b"\x01a" * 1000)
    with pytest.raises(SettingsError, match=rf"{setting.upper()} is '{path}', but must be .*\.$"):
        async with open_providers(Settings.model_validate({setting: path})):
            pass


@pytest.mark.models
async def test_without_keys_everything_is_embedded() -> None:
    async with open_providers(Settings()) as providers:
        assert [[each.name for each in providers.of(role)] for role in Role] == [
            ["moonshine"],
            ["embedded"],
            ["hibari"],
        ]
        assert providers.voice_activity.window_ms > 0
        await providers.llm[0].check()


@pytest.mark.models
async def test_a_language_model_server_is_used_where_one_is_named() -> None:
    settings = Settings(llm_base_url="http://127.0.0.1:9/v1", llm_model="gemma")
    async with open_providers(settings) as providers:
        assert [model.name for model in providers.llm] == ["gemma"]


# --- vendors ----------------------------------------------------------------------------------------------


def at(running: Simulators, tmp_path: Path, **chosen: object) -> Settings:
    """Settings with all three vendors simulated, and no embedded model's file but the voice activity's."""
    return Settings.model_validate(
        {
            "deepgram_api_key": "d-key",
            "deepgram_base_url": running.deepgram_url,
            "cartesia_api_key": "c-key",
            "cartesia_base_url": running.cartesia_url,
            "llm_base_url": running.openai_url,
            "llm_model": "gpt-4.1",
            "llm_api_key": "o-key",
            "local_models_dir": tmp_path,
            "local_vad_path": Settings().local_models_dir / VOICE_ACTIVITY_MODEL.path,
            **chosen,
        }
    )


@pytest.mark.models
async def test_with_all_keys_only_the_voice_activity_needs_a_model_file(tmp_path: Path) -> None:
    async with (
        simulators(keys=("d-key", "o-key", "c-key")) as running,
        open_providers(at(running, tmp_path)) as providers,
    ):
        assert isinstance(providers.stt[0], DeepgramNova)
        assert [[each.name for each in providers.of(role)] for role in Role] == [
            ["deepgram"],
            ["gpt-4.1"],
            ["cartesia"],
        ]
        assert running.requests == []


@pytest.mark.models
async def test_every_provider_that_is_named_and_has_its_key_is_opened_in_order(tmp_path: Path) -> None:
    async with simulators() as running:
        settings = at(
            running,
            tmp_path,
            stt_providers="flux,deepgram",
            llm_providers=["openai"],
            tts_providers="cartesia,local",
            cartesia_api_key=None,
        )
        async with open_providers(settings) as providers:
            assert [type(each) for each in providers.stt] == [DeepgramFlux, DeepgramNova]
            assert [each.name for each in providers.tts] == ["hibari"]


@pytest.mark.models
@pytest.mark.parametrize(("model", "route"), [("nova-3", "deepgram.v1"), ("flux", "deepgram.v2")])
async def test_the_chosen_model_listens_at_the_chosen_address(tmp_path: Path, model: str, route: str) -> None:
    facts: list[Fact] = []
    async with simulators(keys=("d-key", "o-key", "c-key")) as running:
        async with open_providers(at(running, tmp_path, stt_model=model)) as providers:
            assert isinstance(providers.stt[0], DeepgramFlux) == (model == "flux")
            async with providers.stt[0].open(facts.append, "en-US") as transcriber:
                transcriber.finalize(1)
        await running.all_closed()
    assert facts == [TranscriptFinal(1, "")]
    (asked,) = running.requests
    assert asked.route == route
    assert asked.query["model"][0].startswith(model)


@pytest.mark.models
async def test_the_chosen_voice_and_models_speak_and_answer(tmp_path: Path) -> None:
    voice = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
    async with simulators(keys=("d-key", "o-key", "c-key")) as running:
        settings = at(running, tmp_path, tts_model="sonic-2", cartesia_voice_id=voice)
        async with open_providers(settings) as providers:
            async with providers.llm[0].generate([Message(Speaker.USER, "Hello.")]) as pieces:
                answer = "".join([piece async for piece in pieces if isinstance(piece, str)])
            async with providers.tts[0].open("en-US") as spoken, spoken.speak(16_000, None) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                heard = [piece async for piece in stream]
        await running.all_closed()
    assert answer.startswith("Hello!")
    assert len(heard) > 1
    (socket,) = running.records.at("cartesia")
    assert {message["model_id"] for message in socket.messages} == {"sonic-2"}
    assert {message["voice"]["id"] for message in socket.messages} == {voice}


@pytest.mark.models
async def test_the_voice_activity_of_a_cloud_call_still_needs_its_file(tmp_path: Path) -> None:
    async with simulators() as running:
        settings = at(running, tmp_path, local_vad_path=None)
        with pytest.raises(ModelsError, match=VOICE_ACTIVITY_MODEL.path):
            async with open_providers(settings):
                pass


# --- the turn model ---------------------------------------------------------------------------------------


@pytest.mark.models
async def test_there_is_a_turn_model_only_where_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "turn.onnx"
    path.write_bytes(loudness_of_last_second())
    async with simulators() as running:
        async with open_providers(at(running, tmp_path)) as providers:
            assert providers.turn_model is None
        async with open_providers(at(running, tmp_path, turn_model=path)) as providers:
            assert providers.turn_model is not None
            assert providers.turn_model.name == "smart-turn-v3"
            silence = np.zeros(16_000, np.int16)
            assert 0 <= await providers.turn_model.completeness(silence) <= 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such file."),
        (b"no model", "it is not an ONNX model ("),
        (loudness_of_last_second(input_name="audio"), "it takes audio ['n', 80, 800] tensor(float), not "),
    ],
    ids=["missing", "no model", "another model"],
)
async def test_a_turn_model_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "turn.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        async with open_providers(Settings(turn_model=path)):
            pass
    assert str(caught.value).startswith(
        f"TURN_MODEL is '{path}', but must be the ONNX file of a Smart-Turn v3 model: {reason}"
    )
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
