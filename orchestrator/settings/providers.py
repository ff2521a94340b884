"""Settings of the providers: speech to text, language model, text to speech, and the embedded models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from attrs import frozen
from pydantic import AnyHttpUrl, BaseModel, BeforeValidator, Field, SecretStr

from adapters import cartesia, deepgram, openai
from machines.facts import Role
from orchestrator.settings.policy import DEFAULTS
from orchestrator.settings.processors import calls_that_fit
from orchestrator.settings.types import (
    AUTO,
    CARTESIA,
    DEEPGRAM,
    FLUX,
    LOCAL,
    OPENAI,
    CartesiaVoiceId,
    Key,
    Language,
    LlmProviders,
    Lowercase,
    Organization,
    ParameterNames,
    Renamings,
    SttProviders,
    TokenBudget,
    TtsProviders,
    UserPath,
    VendorAddress,
    WebAddress,
)

MOST_LOCAL_CALLS = 64


def _calls_that_fit(wanted: object) -> object:
    return min(calls_that_fit(), MOST_LOCAL_CALLS) if wanted == AUTO else wanted


@frozen
class LanguageModelEndpoint:
    """A language model server with OpenAI's interface."""

    base_url: str
    model: str
    api_key: SecretStr | None
    organization: str | None


@frozen
class Choice:
    """The providers of a role, in order of preference."""

    role: Role
    wanted: tuple[str, ...]
    """The providers that the settings name."""
    lacking: Mapping[str, str]
    """The providers among them that cannot be used, each with the setting that it lacks."""
    automatic: bool
    """Whether the list is `auto`, so that the keys decided."""
    reason: str
    """Why these providers, in words."""

    @property
    def setting(self) -> str:
        """The setting that lists the providers of the role."""
        return _setting(self.role)

    @property
    def names(self) -> tuple[str, ...]:
        """The providers that can be used. Never empty in settings that were loaded."""
        return tuple(name for name in self.wanted if name not in self.lacking)

    @property
    def first(self) -> str:
        """The provider of a call as long as it does not fail."""
        return self.names[0]


def _choice(role: Role, wanted: tuple[str, ...], cloud: str, lacks: Mapping[str, str], reason: str) -> Choice:
    """The choice for a role. `reason` says why the keys decide so if the list is `auto`."""
    if wanted == (AUTO,):
        return Choice(role, (LOCAL if cloud in lacks else cloud,), {}, True, reason)
    lacking = {name: lacks[name] for name in wanted if name in lacks}
    return Choice(role, wanted, lacking, False, f"{_setting(role)} says so")


def _setting(role: Role) -> str:
    """The setting that lists a role's providers."""
    return f"{role.value}_providers".upper()


def _is_set(setting: str, value: object) -> str:
    return f"{setting} is set" if value else f"{setting} is not set"


class LanguageModels(BaseModel):
    """The language model: a server with OpenAI's interface, or the embedded one if nothing is set."""

    llm_providers: LlmProviders = Field(
        default=(AUTO,),
        description="Language models, in order of preference: openai (the server below), local; auto is "
        "openai where LLM_BASE_URL or a key is set, else the embedded model",
    )
    llm_base_url: WebAddress | None = Field(
        default=None,
        description="A server with OpenAI's interface, up to and including its /v1; needs LLM_MODEL",
    )
    llm_model: str | None = Field(
        default=None, min_length=1, description="Model name, as that server knows it"
    )
    llm_api_key: Key = Field(default=None, description="Key for that server, or for OpenAI")
    openai_api_key: Key = Field(
        default=None, description="Key for OpenAI; never sent to another server than OpenAI's"
    )
    openai_organization: Organization = Field(
        default=None, description="OpenAI's organization that requests are counted for; sent to OpenAI only"
    )
    llm_temperature: float = Field(default=0.7, ge=0, le=2, description="Randomness of the wording")
    llm_max_tokens: int = Field(default=500, ge=1, le=4096, description="Longest answer, in tokens")
    llm_top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling")
    llm_frequency_penalty: float = Field(default=0.0, ge=-2, le=2, description="Discourages repeated words")
    llm_presence_penalty: float = Field(default=0.0, ge=-2, le=2, description="Discourages repeated subjects")
    llm_reasoning_effort: Annotated[Literal["none", "minimal", "low", "medium", "high"] | None, Lowercase] = (
        Field(
            default=None,
            description="How long a model that thinks may think; unset: as its server decides",
        )
    )
    llm_omit: ParameterNames = Field(
        default=(),
        description="Parameters that are never sent, divided by commas, like temperature,max_tokens; what a "
        "server refuses is found out without it",
    )
    llm_rename: Renamings = Field(
        default=(),
        description="Parameters that are sent under other names, like max_tokens=max_completion_tokens",
    )
    llm_system_prompt: str = Field(
        default=DEFAULTS.system_prompt,
        min_length=1,
        description="What the model is told before the conversation",
    )
    llm_max_messages: int = Field(
        default=DEFAULTS.max_history,
        ge=2,
        le=1000,
        description="Newest messages that the model is reminded of",
    )
    llm_max_context_tokens: TokenBudget = Field(
        default=DEFAULTS.max_history_tokens,
        description="Longest conversation that the model is reminded of, in tokens; 0 for any",
    )
    llm_max_queue_size: int = Field(
        default=DEFAULTS.max_queue,
        ge=1,
        le=100,
        description="Turns that may wait for an answer before the oldest are joined",
    )
    llm_max_retries: int = Field(
        default=len(DEFAULTS.llm_retry_delays_ms),
        ge=0,
        le=6,
        description="Further requests for an answer that failed before its first word",
    )
    llm_request_timeout: int = Field(
        default=int(DEFAULTS.answer_timeout_ms),
        ge=100,
        le=600_000,
        description="Longest time for one whole answer of the model, in ms",
    )
    first_token_timeout_ms: int = Field(
        default=int(DEFAULTS.first_token_timeout_ms),
        ge=100,
        le=60_000,
        description="Request to the model's first token, in ms",
    )
    token_gap_timeout_ms: int = Field(
        default=int(DEFAULTS.token_gap_timeout_ms),
        ge=100,
        le=60_000,
        description="Longest gap between two tokens of an answer, in ms",
    )
    llm_thinking_filler: str = Field(
        default=DEFAULTS.thinking_filler,
        description="Spoken before the first words of a model that thinks for long; empty: nothing",
    )
    llm_thinking_filler_after_ms: int = Field(
        default=int(DEFAULTS.thinking_filler_after_ms),
        ge=0,
        le=60_000,
        description="After so much silence it is spoken, in ms; 0: never",
    )
    llm_fallback_tier1: str = Field(
        default=DEFAULTS.fallback.first,
        min_length=1,
        description="Spoken when the model failed once",
    )
    llm_fallback_tier2: str = Field(
        default=DEFAULTS.fallback.second,
        min_length=1,
        description="Spoken when the model failed twice in a row",
    )
    llm_fallback_tier3: str = Field(
        default=DEFAULTS.fallback.third,
        min_length=1,
        description="Spoken when the model failed three times in a row",
    )
    llm_fallback_refused: str = Field(
        default=DEFAULTS.fallback.refused,
        min_length=1,
        description="Spoken when a filter of the model's server refused what the caller said",
    )
    llm_fallback_limit: str = Field(
        default=DEFAULTS.fallback.unanswered,
        min_length=1,
        description="Spoken when the model spent LLM_MAX_TOKENS on thinking",
    )
    llm_fallback_tier3_then: Annotated[Literal["end", "hand_over"], Lowercase] = Field(
        default="hand_over" if DEFAULTS.hand_over else "end",
        description="What follows it: the call ends, or is handed over to a person",
    )

    @property
    def llm_endpoint(self) -> LanguageModelEndpoint | None:
        """The configured language model server; None where there is none."""
        base_url = self.llm_base_url or openai.BASE_URL
        at_openai = is_openai(base_url)
        key = self.llm_api_key or (self.openai_api_key if at_openai else None)
        if key is None and self.llm_base_url is None:
            return None
        organization = self.openai_organization if at_openai else None
        return LanguageModelEndpoint(base_url, self.llm_model or openai.DEFAULT_MODEL, key, organization)

    @property
    def llm_choice(self) -> Choice:
        """The language models of a call."""
        if self.llm_endpoint:
            return _choice(Role.LLM, self.llm_providers, OPENAI, {}, "LLM_BASE_URL or a key is set")
        lacks = {OPENAI: "OPENAI_API_KEY"}
        return _choice(Role.LLM, self.llm_providers, OPENAI, lacks, "neither LLM_BASE_URL nor a key is set")


class CloudProviders(BaseModel):
    """Speech to text and text to speech: Deepgram and Cartesia if their keys are set, else embedded models.

    An address is for another region, a host of one's own, or simulators; the vendor's key is sent there.
    """

    stt_providers: SttProviders = Field(
        default=(AUTO,),
        description="Speech to text, in order of preference: deepgram, flux (of Deepgram's, too), local; "
        "auto is deepgram where DEEPGRAM_API_KEY is set, else the embedded model",
    )
    deepgram_api_key: Key = Field(default=None, description="Key for Deepgram")
    deepgram_base_url: VendorAddress = Field(
        default=deepgram.BASE_URL, description="Deepgram's address, without the path"
    )
    stt_model: str = Field(
        default=deepgram.DEFAULT_MODEL,
        min_length=1,
        description="Model of the provider deepgram: a nova one, or flux (its language follows the caller's)",
    )
    deepgram_format: Annotated[Literal["numerals", "smart", "words"], Lowercase] = Field(
        default="numerals",
        description="How Nova writes numbers: as numerals; smart, with dates and amounts, too, and later; "
        "or in words",
    )
    stt_language: Language = Field(
        default="en-US",
        description="Language of callers who state none, also for the voice; multi: callers mix languages",
    )
    stt_fallback: str = Field(
        default=DEFAULTS.fallback.unheard,
        min_length=1,
        description="Spoken when the caller was not understood for technical reasons",
    )
    tts_providers: TtsProviders = Field(
        default=(AUTO,),
        description="Text to speech, in order of preference: cartesia, local; auto is cartesia where "
        "CARTESIA_API_KEY is set, else the embedded voice",
    )
    cartesia_api_key: Key = Field(default=None, description="Key for Cartesia")
    cartesia_base_url: VendorAddress = Field(
        default=cartesia.BASE_URL, description="Cartesia's address, without the path"
    )
    tts_model: str = Field(default=cartesia.DEFAULT_MODEL, min_length=1, description="Cartesia's model")
    cartesia_voice_id: CartesiaVoiceId = Field(
        default=cartesia.DEFAULT_VOICE_ID, description="Cartesia's voice for callers who choose none"
    )

    @property
    def stt_choice(self) -> Choice:
        """Speech to text of a call."""
        lacks = {} if self.deepgram_api_key else dict.fromkeys((DEEPGRAM, FLUX), "DEEPGRAM_API_KEY")
        reason = _is_set("DEEPGRAM_API_KEY", self.deepgram_api_key)
        return _choice(Role.STT, self.stt_providers, DEEPGRAM, lacks, reason)

    @property
    def tts_choice(self) -> Choice:
        """Text to speech of a call."""
        lacks = {} if self.cartesia_api_key else {CARTESIA: "CARTESIA_API_KEY"}
        reason = _is_set("CARTESIA_API_KEY", self.cartesia_api_key)
        return _choice(Role.TTS, self.tts_providers, CARTESIA, lacks, reason)


def _models_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "vantum" / "models"


class LocalModels(BaseModel):
    """The embedded models, used for each role that names `local` or has nothing else configured."""

    local_models_dir: UserPath = Field(
        default_factory=_models_directory, description="Folder that `vantum models fetch` fills"
    )
    local_stt_dir: UserPath | None = Field(
        default=None, description="Folder of another Moonshine speech-to-text model"
    )
    local_llm_path: UserPath | None = Field(default=None, description="GGUF file of another language model")
    local_tts_model: UserPath | None = Field(default=None, description="ONNX file of another hibari voice")
    local_vad_path: UserPath | None = Field(
        default=None, description="ONNX file of another Silero voice activity model"
    )
    turn_model: UserPath | None = Field(
        default=None,
        description="ONNX file of a Smart-Turn v3 model, which hears whether a caller who pauses has "
        "finished; unset: voice activity and the words so far decide",
    )
    local_threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads of each embedded model; more than 1 needs that many free cores",
    )
    local_max_calls: Annotated[int, BeforeValidator(_calls_that_fit)] = Field(
        default=AUTO,
        validate_default=True,
        ge=1,
        le=MOST_LOCAL_CALLS,
        description="Calls at once that an embedded model serves; where one is a role's first choice, calls "
        "that the server takes; auto: three for every two processors",
    )


def is_openai(address: str) -> bool:
    """Whether an address is on OpenAI's own host."""
    return AnyHttpUrl(address).host == AnyHttpUrl(openai.BASE_URL).host
