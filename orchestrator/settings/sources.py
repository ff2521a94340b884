"""Reads the settings from environment, `.env` and TOML, and words the errors for those that cannot be used.

Three places are read, and the first that names a setting wins: the environment, a file `.env` in the working
directory, and a TOML file (`./vantum.toml`, or the one that `VANTUM_CONFIG` names). A setting has one name
everywhere: `LLM_MODEL` in the environment and in `.env`, `llm_model` in TOML and in the program. An empty
value counts as not set.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from adapters import cartesia, deepgram
from orchestrator.settings.settings import Settings, SettingsError, shown
from orchestrator.settings.types import AUTO, LEAST_BUDGET, MOST_BUDGET, TOOLS, VENDOR_SCHEMES

CONFIG_VARIABLE = "VANTUM_CONFIG"
DEFAULT_CONFIG = Path("vantum.toml")
ENV_FILE = Path(".env")


class _ReadSettings(Settings, BaseSettings):
    """The settings as pydantic reads them from the sources."""

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
    """For each setting that was found somewhere, where, in words: `{"port": "the environment"}`."""
    given = {name: value for name, value in (chosen or {}).items() if value is not None}
    origins = dict.fromkeys(given, "the command line")
    for origin, source in _sources(_ReadSettings).items():
        for name in source():
            origins.setdefault(name, origin)
    return origins


def _sources(settings: type[BaseSettings]) -> dict[str, PydanticBaseSettingsSource]:
    """The sources, most important first. In all but the TOML file there may be names of other programs."""
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
    """One error of pydantic's as a sentence of ours, without the full stop."""
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    name = str(detail["loc"][0])
    place = f" (from {origins[name]})" if name in origins else ""
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
        return f"{name}{place} is not a setting" + (f"; the nearest is {near[0]}" if near else "")
    return f"{name.upper()}{place} is {shown(name, detail['input'])}, but must be {allowed(name)}"


def allowed(name: str) -> str:
    """What a setting may be, in words, derived from its declaration."""
    schema = Settings.model_json_schema()
    kind: dict[str, Any] = schema["properties"][name]
    kind = {**kind, **kind.get("anyOf", [{}])[0]}
    if "$ref" in kind:
        kind = schema["$defs"][kind["$ref"].rpartition("/")[2]]
    if "names" in kind:
        return f"{AUTO}, or one or more of {', '.join(kind['names'])}, each once, divided by commas"
    if "enum" in kind:
        return "one of " + ", ".join(kind["enum"])
    if kind["type"] == "boolean":
        return "true or false"
    if kind.get("format") == "budget":
        return f"0, or a whole number from {LEAST_BUDGET} to {MOST_BUDGET}"
    if kind["type"] in ("integer", "number"):
        noun = "a whole number" if kind["type"] == "integer" else "a number"
        low = f"from {kind['minimum']:g}" if "minimum" in kind else f"above {kind['exclusiveMinimum']:g}, up"
        return f"{noun} {low} to {kind['maximum']:.10g}"
    return {
        "password": "a key of printable ASCII characters",
        "uri": "an address that starts with http:// or https://, such as http://localhost:11434/v1",
        "vendor address": f"an address that starts with {_schemes()}, such as {deepgram.BASE_URL}",
        "uuid": f"the id of a voice of Cartesia's, such as {cartesia.DEFAULT_VOICE_ID}",
        "language": "a language's code, such as en-US, or multi",
        "tools": f"none, or one or more of {', '.join(TOOLS)}, each once, divided by commas",
        "phrases": "words or phrases divided by commas, such as uh-huh,I see",
        "twilio account": "the SID of an account of Twilio's: AC and 32 hexadecimal digits",
        "phone number": "a telephone number in E.164 form, such as +15005550006",
        "header": "text of printable ASCII characters",
        "path": "a path",
    }.get(kind.get("format", ""), "text that is not empty")


def _schemes() -> str:
    addresses = [f"{scheme}://" for scheme in VENDOR_SCHEMES]
    return f"{', '.join(addresses[:-1])} or {addresses[-1]}"
