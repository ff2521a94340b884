"""Chooses and opens the providers that the settings ask for: once per process, for all conversations."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
import trio
from pydantic import SecretStr

from adapters.embedded import models
from adapters.interfaces import (
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    ToolSpec,
    TurnModel,
    VoiceActivity,
)
from adapters.link_limit import with_link_limit
from adapters.logs import library_logger
from adapters.openai.chat import OpenAILanguageModel, Rehearsal, http_client
from machines.history import Message, Speaker
from orchestrator.providers.provider_chain import Providers
from orchestrator.settings.providers import Choice, LanguageModelEndpoint
from orchestrator.settings.settings import Settings, SettingsError, shown
from orchestrator.settings.types import FLUX, LOCAL

log = library_logger(__name__)

T = TypeVar("T")

SMOKE_TEST = "smoke-test"
"""The name, in `/health`, of the embedded default model, by which this server should not be judged."""


def brain(settings: Settings) -> str:
    """The name of the preferred language model; `smoke-test` for the embedded default."""
    if settings.llm_choice.first != LOCAL and settings.llm_endpoint is not None:
        return settings.llm_endpoint.model
    return settings.local_llm_path.name if settings.local_llm_path else SMOKE_TEST


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[Providers]:
    """Load the embedded providers and prepare the others; closes all of them when the block is left.

    Raises `ModelsError` if a model file is missing (nothing is ever downloaded here), `SettingsError` if
    TURN_MODEL is not a usable model, and `UnknownSdkError` if the version of a vendor's SDK is not one that
    the adapter knows. No vendor is contacted yet.
    """
    for choice in settings.choices:
        _log_choice(choice)
    async with AsyncExitStack() as stack:
        yield Providers(
            turn_model=await _turn_model(settings),
            stt=tuple([await _speech_to_text(name, settings) for name in settings.stt_choice.names]),
            tts=tuple([await _text_to_speech(name, settings) for name in settings.tts_choice.names]),
            voice_activity=await _timed("voice activity", lambda: _voice_activity(settings)),
            llm=tuple([await _language_model(name, settings, stack) for name in settings.llm_choice.names]),
        )


def _log_choice(choice: Choice) -> None:
    log.info("providers", role=choice.role.value, providers=choice.names)
    for name, setting in choice.lacking.items():
        log.warning("provider left out", role=choice.role.value, provider=name, not_set=setting)


async def _timed(what: str, load: Callable[[], T]) -> T:
    started = time.perf_counter()
    loaded = await trio.to_thread.run_sync(load)
    log.info("provider ready", role=what, seconds=round(time.perf_counter() - started, 2))
    return loaded


# The embedded models' packages are an optional extra, and vendors' SDKs take long to load: each is imported
# only where it is used, in the worker thread.


async def _speech_to_text(name: str, settings: Settings) -> SpeechToText:
    flux = name == FLUX or (name != LOCAL and settings.stt_model == FLUX)
    load = _embedded_speech_to_text if name == LOCAL else _flux if flux else _nova
    provider = await _timed("speech to text", lambda: load(settings))
    is_fallback = name == LOCAL and settings.stt_choice.first != LOCAL
    return with_link_limit(provider, settings.local_max_calls) if is_fallback else provider


def _nova(settings: Settings) -> SpeechToText:
    from adapters.deepgram.nova import DeepgramNova, NovaSettings

    return DeepgramNova(
        _secret(settings.deepgram_api_key),
        base_url=settings.deepgram_base_url,
        settings=NovaSettings(model=settings.stt_model, format=settings.deepgram_format),
    )


def _flux(settings: Settings) -> SpeechToText:
    from adapters.deepgram.flux import DeepgramFlux

    return DeepgramFlux(_secret(settings.deepgram_api_key), base_url=settings.deepgram_base_url)


def _embedded_speech_to_text(settings: Settings) -> SpeechToText:
    from adapters.embedded.moonshine import MoonshineSpeechToText

    directory = settings.local_stt_dir
    if directory is None:
        models.require_intact(settings.local_models_dir, models.SPEECH_TO_TEXT_MODEL)
        directory = settings.local_models_dir / models.SPEECH_TO_TEXT_DIRECTORY
    with _named("local_stt_dir", settings.local_stt_dir, "the directory of a Moonshine model"):
        return MoonshineSpeechToText(directory, settings.local_threads)


async def _text_to_speech(name: str, settings: Settings) -> TextToSpeech:
    load = _embedded_text_to_speech if name == LOCAL else _cartesia
    provider = await _timed("text to speech", lambda: load(settings))
    is_fallback = name == LOCAL and settings.tts_choice.first != LOCAL
    return with_link_limit(provider, settings.local_max_calls) if is_fallback else provider


def _cartesia(settings: Settings) -> TextToSpeech:
    from adapters.cartesia.stream import CartesiaSettings
    from adapters.cartesia.voice import CartesiaTextToSpeech

    return CartesiaTextToSpeech(
        _secret(settings.cartesia_api_key),
        base_url=settings.cartesia_base_url,
        settings=CartesiaSettings(model=settings.tts_model, voice_id=settings.cartesia_voice_id),
    )


def _embedded_text_to_speech(settings: Settings) -> TextToSpeech:
    from adapters.embedded.hibari import HibariTextToSpeech

    with _named("local_tts_model", settings.local_tts_model, "the ONNX file of a Hibari voice"):
        return HibariTextToSpeech(settings.local_tts_model, settings.local_threads)


def _voice_activity(settings: Settings) -> VoiceActivity:
    from adapters.embedded.silero import SileroVoiceActivity

    path = settings.local_vad_path or _fetched(settings, models.VOICE_ACTIVITY_MODEL)
    with _named("local_vad_path", settings.local_vad_path, "the ONNX file of Silero v6"):
        return SileroVoiceActivity(path)


@contextmanager
def _named(setting: str, own: Path | None, what: str) -> Iterator[None]:
    """Name the setting if the model that it chose cannot be used. `own` is its value."""
    try:
        yield
    except models.ModelsError as error:
        if own is None:
            raise
        reason = str(error).removesuffix(".")
        raise SettingsError(
            f"{setting.upper()} is {shown(setting, own)}, but must be {what}: {reason}."
        ) from error


def _fetched(settings: Settings, file: models.ModelFile) -> Path:
    """The path of a file that was fetched, as it was published. Raises `ModelsError`; blocks."""
    models.require_intact(settings.local_models_dir, (file,))
    return settings.local_models_dir / file.path


async def _turn_model(settings: Settings) -> TurnModel | None:
    if (path := settings.turn_model) is None:
        return None
    with _named("turn_model", path, "the ONNX file of a Smart-Turn v3 model"):
        return await _timed("turn model", lambda: _smart_turn(path))


def _smart_turn(path: Path) -> TurnModel:
    from adapters.embedded.smart_turn import SmartTurn

    return SmartTurn(path)


async def _language_model(name: str, settings: Settings, stack: AsyncExitStack) -> LanguageModel:
    endpoint = settings.llm_endpoint
    if name != LOCAL and endpoint is not None:
        return await _remote_language_model(settings, endpoint, stack)
    from adapters.embedded.llm import embedded_language_model

    path = settings.local_llm_path
    if path is None:
        path = await trio.to_thread.run_sync(_fetched, settings, models.LANGUAGE_MODEL)
    started = time.perf_counter()
    with _named("local_llm_path", settings.local_llm_path, "a GGUF file"):
        model = await stack.enter_async_context(
            embedded_language_model(
                path,
                settings.llm_system_prompt,
                parallel=settings.local_max_calls,
                threads=settings.local_threads,
            )
        )
    log.info("provider ready", role="language model", seconds=round(time.perf_counter() - started, 2))
    return model


async def _remote_language_model(
    settings: Settings, endpoint: LanguageModelEndpoint, stack: AsyncExitStack
) -> LanguageModel:
    return remote_language_model(settings, endpoint, await stack.enter_async_context(http_client()))


def remote_language_model(
    settings: Settings, endpoint: LanguageModelEndpoint, http: httpx2.AsyncClient
) -> OpenAILanguageModel:
    """The configured model behind its server. Nothing is asked yet."""
    return OpenAILanguageModel(
        http,
        endpoint.base_url,
        endpoint.model,
        _secret(endpoint.api_key),
        organization=endpoint.organization,
        temperature=settings.llm_temperature,
        max_tokens=settings.llm_max_tokens,
        top_p=settings.llm_top_p,
        frequency_penalty=settings.llm_frequency_penalty,
        presence_penalty=settings.llm_presence_penalty,
        reasoning_effort=settings.llm_reasoning_effort,
        omit=settings.llm_omit,
        rename=dict(pair.split("=") for pair in settings.llm_rename),
        rehearsal=_rehearsal(settings),
        name=endpoint.model,
    )


def _rehearsal(settings: Settings) -> Rehearsal:
    """The first question of a call, with a tool if calls have any."""
    messages = (Message(Speaker.SYSTEM, settings.llm_system_prompt), Message(Speaker.USER, "Hello."))
    return Rehearsal(messages, (_PROBE_TOOL,) if settings.tools else ())


_PROBE_TOOL = ToolSpec(
    "end_call", "Ends the call. Only after a farewell.", {"type": "object", "properties": {}}
)


def _secret(key: SecretStr | None) -> str:
    return key.get_secret_value() if key else ""
