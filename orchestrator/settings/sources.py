"""Reads the settings from environment, `.env` and TOML, and says what is odd about these.

Three places are read, and the first that names a setting wins: the environment, a file `.env` in the working
directory, and a TOML file (`./vantum.toml`, or the one that `VANTUM_CONFIG` names). In the environment and in
`.env` a setting is called `VANTUM_LLM_MODEL` or in short `LLM_MODEL`; the first wins. In TOML and in the
program it is `llm_model`. An empty value in the environment or in `.env` counts as not set.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from orchestrator.settings.dotenv import DotEnv, read_dotenv
from orchestrator.settings.names import (
    CONFIG_VARIABLE,
    IMPLAUSIBLE,
    PREFIX,
    is_foreign,
    is_plausible,
    stray_names,
)
from orchestrator.settings.setting_errors import Origin
from orchestrator.settings.settings import Settings, SettingsError, shown

DEFAULT_CONFIG = Path("vantum.toml")
ENV_FILE = Path(".env")
ENVIRONMENT = "the environment"

log = logging.getLogger(__name__)


@frozen
class Found:
    """The value of a setting, and where it was found."""

    value: Any
    origin: Origin


def load_settings(**chosen: Any) -> Settings:
    """The settings of this process; `chosen` ones (from the command line) win over every source.

    What is odd about the sources is logged as warnings. Raises `SettingsError` for a setting that cannot be
    used.
    """
    found = _found(chosen)
    for doubt in source_doubts():
        log.warning(doubt)
    origins = {name: each.origin for name, each in found.items()}
    return Settings.model_validate({name: each.value for name, each in found.items()}, context=origins)


def setting_origins(chosen: dict[str, Any] | None = None) -> dict[str, str]:
    """For each setting that was found somewhere, where, in words: `{"port": "the environment"}`."""
    return {name: each.origin.place for name, each in _found(chosen or {}).items()}


def source_doubts() -> tuple[str, ...]:
    """What is odd about the environment and `.env`, in sentences; none of it hinders the start."""
    dotenv = _dotenv()
    return (
        *(f"{ENV_FILE}, line {number}, is not NAME=value and is left out." for number in dotenv.broken),
        *_doubts(_named(dotenv)),
        *_doubts(_environment()),
        *_implausible(_environment()),
    )


# --- the sources ------------------------------------------------------------------------------------------


def _found(chosen: Mapping[str, Any]) -> dict[str, Found]:
    """All settings that are named anywhere. In all sources but TOML there may be names of other programs."""
    given = {
        name: Found(value, Origin("the command line", name.upper()))
        for name, value in chosen.items()
        if value is not None
    }
    environment = _of_settings(_environment(), in_environment=True)
    return {**_toml(), **_of_settings(_named(_dotenv())), **environment, **given}


def _environment() -> dict[str, Found]:
    return {name: Found(value, Origin(ENVIRONMENT, name)) for name, value in os.environ.items()}


def _dotenv() -> DotEnv:
    try:
        return read_dotenv(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE} must be a readable text file, but: {error}.") from None


def _named(dotenv: DotEnv) -> dict[str, Found]:
    return {
        name: Found(line.value, Origin(f"{ENV_FILE}, line {line.number}", name))
        for name, line in dotenv.names.items()
    }


def _toml() -> dict[str, Found]:
    config = _config_file()
    try:
        values = tomllib.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config} must be a TOML file, but cannot be read as one: {error}.") from None
    except RecursionError:
        raise SettingsError(
            f"{config} must be a TOML file, but cannot be read as one: it is too deep."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config} must be a readable text file, but: {error}.") from None
    return {name: Found(value, Origin(str(config), name.upper())) for name, value in values.items()}


def _config_file() -> Path:
    named = os.environ.get(CONFIG_VARIABLE)
    if not named:
        return DEFAULT_CONFIG
    path = Path(named).expanduser()
    if not path.is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} is {named!r}, but must name a TOML file that exists.")
    return path


# --- names ------------------------------------------------------------------------------------------------


def _of_settings(names: Mapping[str, Found], *, in_environment: bool = False) -> dict[str, Found]:
    """The settings among the names of a source."""
    found: dict[str, Found] = {}
    for setting in Settings.model_fields:
        long, short = _pair(names, setting)
        if long is not None:
            found[setting] = long
        elif short is not None and (not in_environment or is_plausible(setting, short.value)):
            found[setting] = short
    return found


def _pair(names: Mapping[str, Found], setting: str) -> tuple[Found | None, Found | None]:
    """What a source says under the long and under the short name of a setting. Capitals do not matter."""
    upper = setting.upper()
    long, short = (_said(names, PREFIX + upper), _said(names, upper))
    return (None if long is not None and is_foreign(PREFIX + upper, long.value) else long), short


def _said(names: Mapping[str, Found], name: str) -> Found | None:
    said = names.get(name) or names.get(name.lower())
    return said if said is not None and said.value else None


def _doubts(names: Mapping[str, Found]) -> Iterator[str]:
    """Two names of one setting that say different things, and names that are probably misspelled."""
    for setting in Settings.model_fields:
        long, short = _pair(names, setting)
        if long is None or short is None or not is_plausible(setting, short.value):
            continue
        if long.value != short.value:
            yield (
                f"{long.origin.name} (from {long.origin.place}) is {shown(setting, long.value)}; "
                f"{short.origin.name}, which says something else, is left out."
            )
    ours = {name for name, found in names.items() if not is_foreign(name.upper(), found.value)}
    for name, near in stray_names(sorted(ours), Settings.model_fields).items():
        nearest = f"; the nearest is {near}" if near else ""
        yield f"{name} (from {names[name].origin.place}) is not a setting and is left out{nearest}."


def _implausible(environment: Mapping[str, Found]) -> Iterator[str]:
    for setting in Settings.model_fields:
        long, short = _pair(environment, setting)
        if long is None and short is not None and not is_plausible(setting, short.value):
            name = short.origin.name
            yield (
                f"{name} (from {ENVIRONMENT}) is {shown(setting, short.value)}, which {IMPLAUSIBLE[setting]} "
                f"and is left out; if it is meant for Vantum, call it {PREFIX}{setting.upper()}."
            )
