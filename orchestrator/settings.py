"""Settings: everything an operator can choose, read once at the start and never changed.

Three places are read, the first that names a setting wins: the environment, a file `.env` in the working
directory, and a TOML file (`./vantum.toml`, or the one that `VANTUM_CONFIG` names). A setting has one name
everywhere: `LLM_MODEL` in the environment and in `.env`, `llm_model` in TOML and in the program. An empty
value counts as not set.

Units: `_ms` is milliseconds. The numbers come from the reference server where it has the setting.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from attrs import frozen
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from machines.facts import TurnMode

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-4.1-2025-04-14"
"""The reference server's model, used when OpenAI is chosen by a key alone."""
DEEPGRAM_URL = "wss://api.deepgram.com"
DEEPGRAM_MODEL = "nova-2"
"""The reference server's."""
FLUX = "flux"
"""Deepgram's models that hear turns: in the settings they have one name."""
CARTESIA_URL = "https://api.cartesia.ai"
CARTESIA_MODEL = "sonic-3"
CARTESIA_VOICE = "c961b81c-a935-4c17-bfb3-ba2239de8c2f"
"""The reference server's default: Kyle."""

CONFIG_VARIABLE = "VANTUM_CONFIG"
DEFAULT_CONFIG = Path("vantum.toml")
ENV_FILE = Path(".env")


class SettingsError(Exception):
    """The configuration cannot be used. The text is one sentence: the setting, its value, what is allowed."""


@frozen
class LanguageModelEndpoint:
    """A language model server with OpenAI's interface."""

    base_url: str
    model: str
    api_key: SecretStr | None


def _web_address(value: str) -> str:
    TypeAdapter(AnyHttpUrl).validate_python(value)
    return value.rstrip("/")


_VENDOR_SCHEMES = ["wss", "ws", "https", "http"]


def _vendor_address(value: str) -> str:
    TypeAdapter(Annotated[AnyUrl, UrlConstraints(allowed_schemes=_VENDOR_SCHEMES)]).validate_python(value)
    return value.rstrip("/")


def _voice(value: str) -> str:
    return str(UUID(value))


def _key(value: object) -> object:
    """A key as it can be sent in a header: files with secrets tend to end in a newline."""
    if not isinstance(value, str):
        return value
    stripped = value.strip()
    if not (stripped.isascii() and all(character.isprintable() for character in stripped)):
        raise ValueError("not printable")
    return stripped or None


def _models_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "vantum" / "models"


WebAddress = Annotated[str, AfterValidator(_web_address), Field(json_schema_extra={"format": "uri"})]
VendorAddress = Annotated[
    str, AfterValidator(_vendor_address), Field(json_schema_extra={"format": "vendor address"})
]
CartesiaVoiceId = Annotated[str, AfterValidator(_voice), Field(json_schema_extra={"format": "uuid"})]
Key = Annotated[SecretStr | None, BeforeValidator(_key)]
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser())]
Lowercase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
LevelName = BeforeValidator(lambda value: "warning" if value == "warn" else value)


class Listener(BaseModel):
    """Where the server listens and how it logs."""

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all of IPv4"
    )
    port: int = Field(default=3001, ge=0, le=65_535, description="TCP port; 0 lets the system choose one")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], LevelName, Lowercase] = Field(
        default="info", description="Least severe level that is logged; transcripts appear at debug only"
    )
    log_interim_transcripts: bool = Field(
        default=False, description="At debug level, log interim transcripts too, not only final ones"
    )
    log_format: Annotated[Literal["console", "json"], Lowercase] = Field(
        default="console", description="Log lines for people or, as JSON, for machines"
    )


class LanguageModels(BaseModel):
    """The language model: a server with OpenAI's interface, or the embedded one where nothing is set."""

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
    llm_temperature: float = Field(default=0.7, ge=0, le=2, description="Randomness of the wording")
    llm_max_tokens: int = Field(default=500, ge=1, le=4096, description="Longest answer, in tokens")
    llm_top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling")
    llm_frequency_penalty: float = Field(default=0.0, ge=-2, le=2, description="Discourages repeated words")
    llm_presence_penalty: float = Field(default=0.0, ge=-2, le=2, description="Discourages repeated subjects")
    llm_system_prompt: str = Field(
        default="You are a friendly voice assistant on a phone call. Answer in one to three short sentences. "
        "Use plain words: no lists, no markup, no emoji.",
        min_length=1,
        description="What the model is told before the conversation",
    )
    llm_fallback_tier1: str = Field(
        default="Sorry, I did not get that. Could you say it again?",
        min_length=1,
        description="Spoken when the model failed once",
    )
    llm_fallback_tier2: str = Field(
        default="I am having some technical trouble. Please try that once more.",
        min_length=1,
        description="Spoken when the model failed twice in a row",
    )
    llm_fallback_tier3: str = Field(
        default="I am afraid our connection is not working. Someone will call you back. Goodbye.",
        min_length=1,
        description="Spoken when the model failed three times in a row",
    )
    llm_request_timeout: int = Field(
        default=30_000,
        ge=100,
        le=600_000,
        description="Longest time for one whole answer of the model, in ms",
    )

    @property
    def llm_endpoint(self) -> LanguageModelEndpoint | None:
        """The configured language model server; None means the embedded model."""
        if self.llm_base_url is None:
            key = self.llm_api_key or self.openai_api_key
            return (
                None
                if key is None
                else LanguageModelEndpoint(OPENAI_URL, self.llm_model or OPENAI_MODEL, key)
            )
        key = self.llm_api_key
        if key is None and _is_openai(self.llm_base_url):
            key = self.openai_api_key
        return LanguageModelEndpoint(self.llm_base_url, self.llm_model or OPENAI_MODEL, key)


class CloudProviders(BaseModel):
    """Who listens and who speaks: Deepgram and Cartesia where their keys are set, else the embedded models.

    An address is for another region, a host of one's own, or simulators; the vendor's key is sent there.
    """

    stt_provider: Annotated[Literal["auto", "deepgram", "local"], Lowercase] = Field(
        default="auto",
        description="Who listens; auto is deepgram where DEEPGRAM_API_KEY is set, else the embedded model",
    )
    deepgram_api_key: Key = Field(default=None, description="Key for Deepgram")
    deepgram_base_url: VendorAddress = Field(
        default=DEEPGRAM_URL, description="Deepgram's address, without the path"
    )
    stt_model: str = Field(
        default=DEEPGRAM_MODEL,
        min_length=1,
        description="Deepgram's model: a nova one, or flux (its language follows the caller's)",
    )
    tts_provider: Annotated[Literal["auto", "cartesia", "local"], Lowercase] = Field(
        default="auto",
        description="Who speaks; auto is cartesia where CARTESIA_API_KEY is set, else the embedded voice",
    )
    cartesia_api_key: Key = Field(default=None, description="Key for Cartesia")
    cartesia_base_url: VendorAddress = Field(
        default=CARTESIA_URL, description="Cartesia's address, without the path"
    )
    tts_model: str = Field(default=CARTESIA_MODEL, min_length=1, description="Cartesia's model")
    cartesia_voice_id: CartesiaVoiceId = Field(
        default=CARTESIA_VOICE, description="Cartesia's voice for callers who choose none"
    )

    @property
    def listens(self) -> Literal["deepgram", "local"]:
        """Who listens."""
        if self.stt_provider == "auto":
            return "deepgram" if self.deepgram_api_key else "local"
        return self.stt_provider

    @property
    def speaks(self) -> Literal["cartesia", "local"]:
        """Who speaks."""
        if self.tts_provider == "auto":
            return "cartesia" if self.cartesia_api_key else "local"
        return self.tts_provider


class LocalModels(BaseModel):
    """The embedded speech models, used for each role that nothing else is configured for."""

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
    local_threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads of each embedded model; more than 1 needs that many free cores",
    )
    local_max_calls: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Calls at once where an embedded model listens, thinks or speaks; the next is told: busy",
    )


class Sessions(BaseModel):
    """How many conversations there may be, and for how long."""

    max_sessions: int = Field(default=1000, ge=1, le=100_000, description="Connections at once")
    session_idle_timeout_ms: int = Field(
        default=1_800_000, ge=1000, le=86_400_000, description="A silent session is ended after this, in ms"
    )
    session_max_duration_ms: int = Field(
        default=7_200_000, ge=1000, le=86_400_000, description="Any session is ended after this, in ms"
    )
    shutdown_budget_ms: int = Field(
        default=10_000,
        ge=0,
        le=300_000,
        description="Time for running calls to end when the server stops, in ms",
    )


class TurnTaking(BaseModel):
    """When the caller's turn is over, and what counts as an interruption."""

    turn_mode: Annotated[TurnMode, Lowercase] = Field(
        default=TurnMode.AUTOMATIC,
        description="Who ends the caller's turn where a vantum.v2 client does not say; legacy clients do",
    )
    vad_silence_threshold_ms: int = Field(
        default=500, ge=100, le=5000, description="Silence after which the caller's turn is over, in ms"
    )
    barge_in_min_ms: int = Field(
        default=200, ge=0, le=5000, description="Speech over an answer that counts as an interruption, in ms"
    )


class Deadlines(BaseModel):
    """How long each thing that is waited for may take before the conversation does something else."""

    connect_timeout_ms: int = Field(
        default=5000, ge=100, le=60_000, description="All providers are connected within this, in ms"
    )
    final_transcript_timeout_ms: int = Field(
        default=4000, ge=100, le=60_000, description="End of turn to final transcript, in ms"
    )
    first_segment_timeout_ms: int = Field(
        default=10_000, ge=100, le=60_000, description="Question to first speakable text of the answer, in ms"
    )
    speech_stall_timeout_ms: int = Field(
        default=5000, ge=100, le=60_000, description="Longest wait for the next audio of an answer, in ms"
    )
    close_timeout_ms: int = Field(
        default=2000, ge=0, le=60_000, description="Closing everything at the end of a conversation, in ms"
    )
    max_turn_ms: int = Field(
        default=60_000, ge=1000, le=600_000, description="Longest turn of the caller, in ms"
    )


class Settings(Listener, LanguageModels, CloudProviders, LocalModels, Sessions, TurnTaking, Deadlines):
    """All settings, checked and frozen. It knows no source; `load_settings` reads those."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _the_language_model_is_whole(self) -> Self:
        if self.llm_base_url and not self.llm_model and not _is_openai(self.llm_base_url):
            raise ValueError(
                f"LLM_BASE_URL is {shown('llm_base_url', self.llm_base_url)}, but LLM_MODEL is not set: "
                "it must name a model of that server"
            )
        if self.llm_model and self.llm_endpoint is None:
            raise ValueError(
                f"LLM_MODEL is {self.llm_model!r}, but nothing says where to find it: "
                "set LLM_BASE_URL, LLM_API_KEY or OPENAI_API_KEY too"
            )
        return self

    @model_validator(mode="after")
    def _chosen_vendors_can_be_used(self) -> Self:
        if self.listens == "deepgram" and not self.deepgram_api_key:
            raise ValueError(_lacks("stt_provider", "deepgram", "deepgram_api_key"))
        if self.speaks == "cartesia" and not self.cartesia_api_key:
            raise ValueError(_lacks("tts_provider", "cartesia", "cartesia_api_key"))
        if self.stt_model != FLUX and self.stt_model.lower().startswith(FLUX):
            raise ValueError(
                f"STT_MODEL is {self.stt_model!r}, but must be {FLUX!r}, since the caller's language "
                "decides which of Deepgram's flux models listens"
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether an embedded model listens, thinks or speaks. Voice activity is embedded always."""
        return self.listens == "local" or self.speaks == "local" or self.llm_endpoint is None


GROUPS: tuple[type[BaseModel], ...] = (
    Listener,
    LanguageModels,
    CloudProviders,
    LocalModels,
    Sessions,
    TurnTaking,
    Deadlines,
)


class _ReadSettings(Settings, BaseSettings):
    """The settings as the sources give them."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, *_sources(settings_cls).values())


def load_settings(**chosen: Any) -> Settings:
    """The settings of this process; `chosen` ones (from the command line) win over every source.

    Raises `SettingsError` for a setting that cannot be used.
    """
    try:
        read = _ReadSettings(**{name: value for name, value in chosen.items() if value is not None})
        return Settings(**dict(read))
    except ValidationError as error:
        origins = setting_origins(chosen)
        sentences = [_sentence(detail, origins) for detail in error.errors(include_url=False)]
        raise SettingsError("; ".join(sentences) + ".") from None


def setting_origins(chosen: dict[str, Any] | None = None) -> dict[str, str]:
    """Where each setting that is not a default was found, as words: `{"port": "the environment"}`."""
    given = {name: value for name, value in (chosen or {}).items() if value is not None}
    origins = dict.fromkeys(given, "the command line")
    for origin, source in _sources(_ReadSettings).items():
        for name in source():
            origins.setdefault(name, origin)
    return origins


def _sources(settings: type[BaseSettings]) -> dict[str, PydanticBaseSettingsSource]:
    """What is read, most important first. Only the TOML file is ours alone: others may hold other names."""
    config = _config_file()
    try:
        return {
            "the environment": EnvSettingsSource(settings),
            str(ENV_FILE): DotEnvSettingsSource(
                settings, env_file=ENV_FILE, env_file_encoding="utf-8", dotenv_filtering="only_existing"
            ),
            str(config): TomlConfigSettingsSource(settings, toml_file=config),
        }
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config} must be a TOML file, but cannot be read as one: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE} or {config} must be a readable text file, but: {error}.") from None


def _config_file() -> Path:
    named = os.environ.get(CONFIG_VARIABLE)
    if not named:
        return DEFAULT_CONFIG
    path = Path(named).expanduser()
    if not path.is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} is {named!r}, but must name a TOML file that exists.")
    return path


def _sentence(detail: ErrorDetails, origins: dict[str, str]) -> str:
    """One pydantic complaint in our words, without the full stop."""
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    name = str(detail["loc"][0])
    place = f" (from {origins[name]})" if name in origins else ""
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
        return f"{name}{place} is not a setting" + (f"; the nearest is {near[0]}" if near else "")
    return f"{name.upper()}{place} is {shown(name, detail['input'])}, but must be {allowed(name)}"


def shown(name: str, value: object) -> str:
    """A setting's value as it may be printed: never a secret, nor a password inside an address."""
    if is_secret(name):
        return "(a secret)"
    plain = value.value if isinstance(value, TurnMode) else str(value) if isinstance(value, Path) else value
    return without_password(repr(plain))


def without_password(address: str) -> str:
    """An address as it may be printed."""
    return re.sub(r"//[^/@]*@", "//(a secret)@", address)


def is_secret(name: str) -> bool:
    """Whether the setting's value may never be printed."""
    return SecretStr in getattr(Settings.model_fields[name].annotation, "__args__", ())


def allowed(name: str) -> str:
    """What a setting may be, in words, out of its own declaration."""
    schema = Settings.model_json_schema()
    kind: dict[str, Any] = schema["properties"][name]
    kind = {**kind, **kind.get("anyOf", [{}])[0]}
    if "$ref" in kind:
        kind = schema["$defs"][kind["$ref"].rpartition("/")[2]]
    if "enum" in kind:
        return "one of " + ", ".join(kind["enum"])
    if kind["type"] == "boolean":
        return "true or false"
    if kind["type"] in ("integer", "number"):
        noun = "a whole number" if kind["type"] == "integer" else "a number"
        low = f"from {kind['minimum']:g}" if "minimum" in kind else f"above {kind['exclusiveMinimum']:g}, up"
        return f"{noun} {low} to {kind['maximum']:.10g}"
    return {
        "password": "a key of printable ASCII characters",
        "uri": "an address that starts with http:// or https://, such as http://localhost:11434/v1",
        "vendor address": f"an address that starts with {_listed(_VENDOR_SCHEMES)}, such as {DEEPGRAM_URL}",
        "uuid": f"the id of a voice of Cartesia's, such as {CARTESIA_VOICE}",
        "path": "a path",
    }.get(kind.get("format", ""), "text that is not empty")


def _listed(schemes: list[str]) -> str:
    addresses = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(addresses[:-1])} or {addresses[-1]}"


def _lacks(role: str, vendor: str, key: str) -> str:
    return (
        f"{role.upper()} is {vendor!r}, but {key.upper()} is not set: set it, or choose auto or local "
        f"as {role.upper()}"
    )


def _is_openai(address: str) -> bool:
    return AnyHttpUrl(address).host == AnyHttpUrl(OPENAI_URL).host
