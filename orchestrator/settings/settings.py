"""Settings: everything an operator can choose, read once at the start and never changed.

Units: `_ms` is milliseconds. The numbers come from the reference server where it has the setting. What sets a
field of the conversation policy has that field's default (`DEFAULTS`), so that hosts and the server agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from adapters import twilio
from adapters.neutral import without_passwords
from machines.facts import TurnMode
from orchestrator.addresses import is_loopback
from orchestrator.settings.access import LEAST_KEY, Access
from orchestrator.settings.admission import CallAdmission
from orchestrator.settings.limits import Limiting
from orchestrator.settings.phone import Telephone
from orchestrator.settings.policy import DEFAULTS
from orchestrator.settings.providers import (
    Choice,
    CloudProviders,
    LanguageModels,
    LocalModels,
    is_openai,
)
from orchestrator.settings.storage import Storing
from orchestrator.settings.types import (
    DEEPGRAM,
    FLUX,
    LOCAL,
    TRANSFER_CALL,
    LevelName,
    Lowercase,
    Phrases,
    ToolNames,
)


class SettingsError(Exception):
    """The configuration cannot be used. The text is one sentence: the setting, its value, what is allowed."""


class Listener(BaseModel):
    """Where the server listens and how it logs."""

    host: str = Field(
        default="localhost",
        min_length=1,
        description="Address to listen on; localhost is 127.0.0.1 and ::1, 0.0.0.0 all of IPv4",
    )
    port: int = Field(default=3001, ge=0, le=65_535, description="TCP port; 0 lets the system choose one")
    base_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a proxy serves this server and which it passes on, such as /agent",
    )
    page_embedded_by: str = Field(
        default="",
        pattern=r"^(self|https?://[A-Za-z0-9.-]+(:[0-9]+)?)?( (self|https?://[A-Za-z0-9.-]+(:[0-9]+)?))*$",
        json_schema_extra={"format": "origins"},
        description="Origins of pages that may show ours in a frame, divided by blanks; self: our own",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], LevelName, Lowercase] = Field(
        default="info", description="Least severe level that is logged; transcripts appear at debug only"
    )
    log_interim_transcripts: bool = Field(
        default=False, description="At debug level, log interim transcripts too, not only final ones"
    )
    log_format: Annotated[Literal["console", "json"], Lowercase] = Field(
        default="console", description="Log lines for people or, as JSON, for machines"
    )


class Sessions(BaseModel):
    """How many conversations there may be, and for how long."""

    max_sessions: int = Field(default=1000, ge=1, le=100_000, description="Connections at once")
    max_sessions_per_address: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Connections at once from one address that are calls, telephones not counted",
    )
    max_connections_per_address: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Connections at once from one address, of any kind; by default 256, or, from this machine"
        " or network, where a proxy may be, half of all",
    )
    session_begin_timeout_ms: int = Field(
        default=60_000,
        ge=1000,
        le=86_400_000,
        description="A client that sends no audio and starts no recording is disconnected after this, in ms",
    )
    session_idle_timeout_ms: int = Field(
        default=1_800_000, ge=1000, le=86_400_000, description="A silent session is ended after this, in ms"
    )
    session_max_duration_ms: int = Field(
        default=7_200_000, ge=1000, le=86_400_000, description="Any session is ended after this, in ms"
    )
    # Less than the 10 s after which `docker stop` kills.
    shutdown_budget_ms: int = Field(
        default=8_000,
        ge=0,
        le=300_000,
        description="Time for running calls to end when the server stops, in ms",
    )
    shutdown_goodbye: str = Field(
        default="I have to end this call now. Please call again in a moment. Goodbye.",
        description="Said to running calls when the server stops; empty: they are hung up on",
    )


class TurnTaking(BaseModel):
    """When the caller's turn is over, and what counts as an interruption."""

    turn_mode: Annotated[TurnMode, Lowercase] = Field(
        default=TurnMode.AUTOMATIC,
        description="Who ends the caller's turn where a vantum.v2 client does not say; legacy clients do",
    )
    vad_silence_threshold_ms: int = Field(
        default=int(DEFAULTS.endpoint_delay_ms),
        ge=100,
        le=5000,
        description="Silence after which the caller's turn is over, in ms",
    )
    barge_in: bool = Field(
        default=DEFAULTS.barge_in,
        description="The caller's voice interrupts an answer; if not, it is answered afterwards",
    )
    barge_in_thinking: bool = Field(
        default=DEFAULTS.barge_in_thinking,
        description="And an answer that is still being prepared; if not, it comes first",
    )
    barge_in_greeting: bool = Field(default=DEFAULTS.barge_in_greeting, description="And the greeting")
    barge_in_min_ms: int = Field(
        default=int(DEFAULTS.barge_in_min_ms),
        ge=0,
        le=5000,
        description="Speech over an answer, which is paused meanwhile, that may be an interruption, in ms",
    )
    barge_in_min_words: int = Field(
        default=DEFAULTS.barge_in_min_words,
        ge=0,
        le=10,
        description="Words that make it one, echo and backchannels not counted; 0: speech alone does",
    )
    backchannels: Phrases = Field(
        default=DEFAULTS.backchannels,
        description="Words that do not interrupt, except at the very end of an answer; divided by commas",
    )
    least_confidence: float = Field(
        default=DEFAULTS.least_confidence,
        ge=0,
        le=1,
        description="Automatic turns: confidence from which words of a clear voice count; 0: all",
    )
    sure_confidence: float = Field(
        default=DEFAULTS.sure_confidence,
        ge=0,
        le=1,
        description="Automatic turns: confidence from which words of other sounds count",
    )
    unfinished_delay_ms: int = Field(
        default=int(DEFAULTS.unfinished_delay_ms),
        ge=0,
        le=10_000,
        description="Further silence that is needed if the words so far sound unfinished, in ms",
    )
    llm_anticipations: int = Field(
        default=DEFAULTS.speculations,
        ge=0,
        le=10,
        description="Requests to the model in each turn before its end, when the caller pauses",
    )
    tts_anticipation: bool = Field(
        default=DEFAULTS.speculative_speech,
        description="The first words of such an answer are synthesized before the end of the turn, too",
    )
    greeting: str = Field(
        default=DEFAULTS.greeting, description="Said as soon as a call is connected; empty: nothing"
    )
    reprompt: str = Field(
        default=DEFAULTS.reprompt,
        description="Said after speech in which no words were found; empty: nothing",
    )
    idle_nudge_ms: int = Field(
        default=int(DEFAULTS.idle_after_ms),
        ge=0,
        le=3_600_000,
        description="A quiet caller in automatic turns is spoken to after this, in ms; 0: never",
    )
    idle_nudge_1: str = Field(default=DEFAULTS.nudges[0], min_length=1, description="Said then")
    idle_nudge_2: str = Field(default=DEFAULTS.nudges[1], min_length=1, description="Said the next time")
    idle_goodbye: str = Field(
        default=DEFAULTS.idle_goodbye,
        min_length=1,
        description="Said the third time, before the call is ended",
    )


class Deadlines(BaseModel):
    """How long the conversation waits for each thing before it does something else."""

    connect_timeout_ms: int = Field(
        default=int(DEFAULTS.connect_timeout_ms),
        ge=100,
        le=60_000,
        description="All providers are connected within this, in ms",
    )
    final_transcript_timeout_ms: int = Field(
        default=int(DEFAULTS.final_transcript_timeout_ms),
        ge=100,
        le=60_000,
        description="End of turn to final transcript, in ms",
    )
    first_segment_timeout_ms: int = Field(
        default=int(DEFAULTS.first_segment_timeout_ms),
        ge=100,
        le=60_000,
        description="Question to first speakable text of the answer, in ms",
    )
    speech_stall_timeout_ms: int = Field(
        default=int(DEFAULTS.speech_stall_timeout_ms),
        ge=1000,
        le=60_000,
        description="Longest wait for the next audio of an answer, in ms",
    )
    close_timeout_ms: int = Field(
        default=int(DEFAULTS.close_timeout_ms),
        ge=0,
        le=60_000,
        description="Closing everything at the end of a conversation, in ms",
    )
    max_turn_ms: int = Field(
        default=int(DEFAULTS.max_turn_ms),
        ge=1000,
        le=600_000,
        description="Longest turn of the caller, in ms",
    )


class Tools(BaseModel):
    """What the language model can do besides speaking."""

    tools: ToolNames = Field(
        default=(), description="Built-in tools that the language model may call, divided by commas"
    )


class Settings(
    Listener,
    LanguageModels,
    CloudProviders,
    LocalModels,
    Sessions,
    CallAdmission,
    TurnTaking,
    Deadlines,
    Tools,
    Telephone,
    Limiting,
    Access,
    Storing,
):
    """All settings, checked and frozen. `sources.load_settings` reads them from their sources.

    Raises `SettingsError` for a value that is not allowed, and for what is not a setting.

    ```python
    try:
        Settings(port=70_000)
    except SettingsError as error:
        assert str(error) == "PORT is 70000, but must be a whole number from 0 to 65535."
    ```
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _the_language_model_is_whole(self) -> Self:
        if self.llm_base_url and not self.llm_model and not is_openai(self.llm_base_url):
            raise ValueError(
                f"LLM_BASE_URL is {shown('llm_base_url', self.llm_base_url)}, but LLM_MODEL is not set: "
                "it must name a model of that server"
            )
        if self.llm_model and self.llm_endpoint is None and self.llm_choice.automatic:
            raise ValueError(
                f"LLM_MODEL is {self.llm_model!r}, but nothing says where to find it: "
                "set LLM_BASE_URL, LLM_API_KEY or OPENAI_API_KEY too"
            )
        return self

    @model_validator(mode="after")
    def _deepgrams_model_is_one(self) -> Self:
        if self.stt_model != FLUX and self.stt_model.lower().startswith(FLUX):
            raise ValueError(
                f"STT_MODEL is {self.stt_model!r}, but must be {FLUX!r}, since the caller's language "
                "decides which of Deepgram's flux models listens"
            )
        if self.stt_model == FLUX and {DEEPGRAM, FLUX} <= set(self.stt_providers):
            raise ValueError(
                f"STT_PROVIDERS is {shown('stt_providers', self.stt_providers)}, but with STT_MODEL "
                f"{FLUX!r} deepgram and flux are the same: leave one out, or set a nova model"
            )
        return self

    @model_validator(mode="after")
    def _the_telephone_is_whole(self) -> Self:
        for name, other in (
            ("twilio_account_sid", "twilio_auth_token"),
            ("twilio_auth_token", "twilio_account_sid"),
            ("twilio_from_number", "twilio_account_sid"),
            ("twilio_transfer_to", "twilio_account_sid"),
        ):
            if getattr(self, name) is not None and getattr(self, other) is None:
                value = shown(name, getattr(self, name))
                raise ValueError(
                    f"{name.upper()} is {value}, but {other.upper()} is not set: calls need both"
                )
        url = self.twilio_public_url or ""
        if url.startswith("http://") and self.twilio_base_url == twilio.BASE_URL:
            raise ValueError(
                f"TWILIO_PUBLIC_URL is {url!r}, but must begin with https://: Twilio opens media streams by"
                " TLS only"
            )
        return self

    @model_validator(mode="after")
    def _tools_are_possible(self) -> Self:
        if TRANSFER_CALL in self.tools and self.twilio_transfer_to is None:
            raise ValueError(
                f"TOOLS is {shown('tools', self.tools)}, but TWILIO_TRANSFER_TO is not set: "
                f"{TRANSFER_CALL} needs somebody to transfer to"
            )
        return self

    @model_validator(mode="after")
    def _callers_can_be_transferred(self) -> Self:
        to = self.twilio_transfer_to
        if to is not None and self.dial_allow and not to.startswith(self.dial_allow):
            raise ValueError(
                f"TWILIO_TRANSFER_TO is {shown('twilio_transfer_to', to)}, but DIAL_ALLOW is "
                f"{shown('dial_allow', self.dial_allow)}, which does not allow it: add {to} to DIAL_ALLOW"
            )
        return self

    @model_validator(mode="after")
    def _access_is_whole(self) -> Self:
        key = self.client_token_key
        if key is not None and len(key.get_secret_value()) < LEAST_KEY:
            raise ValueError(
                f"CLIENT_TOKEN_KEY is (a secret), but must have {LEAST_KEY} characters or more, which nobody "
                "can guess"
            )
        if self.jwt_jwks_url is not None:
            for name in ("jwt_issuer", "jwt_audience"):
                if getattr(self, name) is None:
                    raise ValueError(
                        f"JWT_JWKS_URL is {shown('jwt_jwks_url', self.jwt_jwks_url)}, but {name.upper()} is"
                        " not set: tokens of other issuers, or for others, must not be taken"
                    )
            parts = urlsplit(self.jwt_jwks_url)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise ValueError(
                    f"JWT_JWKS_URL is {shown('jwt_jwks_url', self.jwt_jwks_url)}, but must begin with https://:"
                    " whoever changes the keys on their way is let in"
                )
        return self

    @model_validator(mode="after")
    def _every_role_has_a_provider(self) -> Self:
        for choice in self.choices:
            if not choice.names:
                name = choice.setting.lower()
                keys = " and ".join(dict.fromkeys(choice.lacking.values()))
                raise ValueError(
                    f"{choice.setting} is {shown(name, choice.wanted)}, but {keys} is not set: "
                    f"set it, or add {LOCAL} to {choice.setting}"
                )
        return self

    # The last of the validators, so that it is around all others.
    @model_validator(mode="wrap")
    @classmethod
    def _told_in_one_sentence(
        cls, given: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        try:
            return check(given)
        except ValidationError as error:
            # Imported here, since it knows all settings.
            from orchestrator.settings.setting_errors import sentences_of

            raise SettingsError(sentences_of(error, info.context or {})) from None

    @property
    def choices(self) -> tuple[Choice, Choice, Choice]:
        """The providers of speech to text, language model and text to speech."""
        return self.stt_choice, self.llm_choice, self.tts_choice

    @property
    def embedded(self) -> bool:
        """Whether an embedded model is the first choice of a role (other than voice activity, which always
        is)."""
        return any(choice.first == LOCAL for choice in self.choices)

    @property
    def reachable_from_outside(self) -> bool:
        """Whether requests from outside are known to reach this server, perhaps over a proxy or tunnel."""
        with_twilio = self.twilio_account_sid is not None and not is_loopback(
            urlsplit(self.twilio_base_url).hostname or ""
        )
        return (
            with_twilio
            or self.twilio_public_url is not None
            or self.twilio_trust_proxy
            or bool(self.base_path)
        )

    @property
    def capacity(self) -> int:
        """Conversations at once. An embedded model that is the first choice of a role lowers the bound."""
        return min(self.max_sessions, self.local_max_calls) if self.embedded else self.max_sessions


def shown(name: str, value: object) -> str:
    """A setting's value as it may be printed, without secrets and passwords inside addresses."""
    if is_secret(name):
        return "(a secret)"
    plain = value.value if isinstance(value, TurnMode) else str(value) if isinstance(value, Path) else value
    if isinstance(plain, list | tuple):
        plain = ",".join(map(str, plain))
    return without_passwords(repr(plain))


def is_secret(name: str) -> bool:
    """Whether the setting's value may never be printed."""
    return _holds_secrets(Settings.model_fields[name].annotation)


def _holds_secrets(annotation: object) -> bool:
    return annotation is SecretStr or any(_holds_secrets(each) for each in get_args(annotation))
