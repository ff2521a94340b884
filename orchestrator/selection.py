"""Chooses and opens the providers that the settings ask for: one set a process, shared by all its calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import structlog
import trio
from pydantic import SecretStr

from adapters import models
from adapters.interfaces import LanguageModel, SpeechToText, TextToSpeech, VoiceActivity
from adapters.openai_chat import OpenAILanguageModel, http_client
from orchestrator.providers import Providers
from orchestrator.settings import FLUX, LanguageModelEndpoint, Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

SMOKE_TEST = "smoke-test"
"""How `/health` names a brain that nobody should judge this server by."""


def brain(settings: Settings) -> str:
    """Which language model the settings choose: `smoke-test` for the embedded default, else its name."""
    if settings.llm_endpoint is not None:
        return settings.llm_endpoint.model
    return settings.local_llm_path.name if settings.local_llm_path else SMOKE_TEST


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[Providers]:
    """Load what is embedded and prepare what is not; closes everything when the block is left.

    Raises `ModelsError` when a model file is missing (nothing is ever downloaded here), and `UnknownSdkError`
    when a vendor's SDK is another one than the adapter knows. No vendor is asked for anything yet.
    """
    async with AsyncExitStack() as stack:
        log.info("preparing the providers", stt=settings.listens, tts=settings.speaks, llm=brain(settings))
        yield Providers(
            stt=await _timed("speech to text", lambda: _speech_to_text(settings)),
            tts=await _timed("text to speech", lambda: _text_to_speech(settings)),
            voice_activity=await _timed("voice activity", lambda: _voice_activity(settings)),
            llm=await _language_model(settings, stack),
        )


async def _timed(what: str, load: Callable[[], T]) -> T:
    started = time.perf_counter()
    loaded = await trio.to_thread.run_sync(load)
    log.info("provider ready", role=what, seconds=round(time.perf_counter() - started, 2))
    return loaded


# The embedded models' packages are an extra, and vendors' SDKs take long to load: each is imported only where
# it is used, in the worker thread.


def _speech_to_text(settings: Settings) -> SpeechToText:
    if settings.listens == "local":
        return _embedded_speech_to_text(settings)
    return _flux(settings) if settings.stt_model == FLUX else _nova(settings)


def _nova(settings: Settings) -> SpeechToText:
    from adapters.deepgram_nova import DeepgramNova, NovaSettings

    return DeepgramNova(
        _secret(settings.deepgram_api_key),
        base_url=settings.deepgram_base_url,
        settings=NovaSettings(model=settings.stt_model),
    )


def _flux(settings: Settings) -> SpeechToText:
    from adapters.deepgram_flux import DeepgramFlux, FluxSettings

    # Turns are ended by our own voice activity, so nobody would act upon an eager end of turn.
    return DeepgramFlux(
        _secret(settings.deepgram_api_key),
        base_url=settings.deepgram_base_url,
        settings=FluxSettings(eager_eot_threshold=None),
    )


def _embedded_speech_to_text(settings: Settings) -> SpeechToText:
    from adapters.moonshine import MoonshineSpeechToText

    directory = settings.local_stt_dir or settings.local_models_dir / models.SPEECH_TO_TEXT_DIRECTORY
    return MoonshineSpeechToText(directory, settings.local_threads)


def _text_to_speech(settings: Settings) -> TextToSpeech:
    return _embedded_text_to_speech(settings) if settings.speaks == "local" else _cartesia(settings)


def _cartesia(settings: Settings) -> TextToSpeech:
    from adapters.cartesia_voice import CartesiaSettings, CartesiaTextToSpeech

    return CartesiaTextToSpeech(
        _secret(settings.cartesia_api_key),
        base_url=settings.cartesia_base_url,
        settings=CartesiaSettings(model=settings.tts_model, voice_id=settings.cartesia_voice_id),
    )


def _embedded_text_to_speech(settings: Settings) -> TextToSpeech:
    from adapters.hibari_voice import HibariTextToSpeech

    return HibariTextToSpeech(settings.local_tts_model, settings.local_threads)


def _voice_activity(settings: Settings) -> VoiceActivity:
    from adapters.silero import SileroVoiceActivity

    path = settings.local_vad_path or settings.local_models_dir / models.VOICE_ACTIVITY_MODEL.path
    return SileroVoiceActivity(path)


async def _language_model(settings: Settings, stack: AsyncExitStack) -> LanguageModel:
    endpoint = settings.llm_endpoint
    if endpoint is not None:
        return await _remote_language_model(settings, endpoint, stack)
    from adapters.embedded_llm import embedded_language_model

    path = settings.local_llm_path or settings.local_models_dir / models.LANGUAGE_MODEL.path
    started = time.perf_counter()
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
    http = await stack.enter_async_context(http_client())
    return OpenAILanguageModel(
        http,
        endpoint.base_url,
        endpoint.model,
        _secret(endpoint.api_key),
        temperature=settings.llm_temperature,
        max_tokens=settings.llm_max_tokens,
        top_p=settings.llm_top_p,
        frequency_penalty=settings.llm_frequency_penalty,
        presence_penalty=settings.llm_presence_penalty,
        name=endpoint.model,
    )


def _secret(key: SecretStr | None) -> str:
    return key.get_secret_value() if key else ""
