"""Types of settings: how a value is read, and, in the JSON schema, what is allowed.

Each validator raises `ValueError` for a value that is not allowed; `setting_errors.py` writes the sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    AnyUrl,
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    UrlConstraints,
)

DEEPGRAM, OPENAI, CARTESIA = "deepgram", "openai", "cartesia"
"""Providers, as lists of providers name them."""
FLUX = "flux"
"""Deepgram's models that detect turns; in the settings they share one name."""
LOCAL = "local"
"""The embedded model of a role, in a list of providers."""
AUTO = "auto"
"""A list of providers that depends on which keys are set."""
VENDOR_SCHEMES = ["wss", "ws", "https", "http"]
_DIALLED = r"^\+[1-9][0-9]{4,14}$"
E164 = (
    "a telephone number in E.164 form: + and the country's code, without 00, (0) and extension, such as"
    " +15005550006"
)
"""What a telephone number must be, in words."""
LEAST_BUDGET, MOST_BUDGET = 100, 1_000_000
"""Tokens."""


# --- addresses and names ----------------------------------------------------------------------------------


def _web_address(value: str) -> str:
    TypeAdapter(AnyHttpUrl).validate_python(value)
    return value.rstrip("/")


def _vendor_address(value: str) -> str:
    TypeAdapter(Annotated[AnyUrl, UrlConstraints(allowed_schemes=VENDOR_SCHEMES)]).validate_python(value)
    return value.rstrip("/")


def _as_dialled(value: object) -> object:
    """A telephone number without what only people read: blanks, brackets, dots, dashes, invisible characters.

    What is not a number then, or would be dialled wrongly, such as `(0)`, stays as it is.
    """
    if not isinstance(value, str) or "(0)" in value:
        return value
    shown = unicodedata.normalize("NFKC", value)
    plain = "".join(each for each in shown if not _only_read(each)).removeprefix("tel:")
    return plain if re.fullmatch(_DIALLED, plain) else value


def _only_read(character: str) -> bool:
    separates = unicodedata.category(character) in ("Cf", "Pd") or character in "().-/\N{MINUS SIGN}"
    return separates or character.isspace()


def _voice(value: str) -> str:
    return str(UUID(value))


WebAddress = Annotated[str, AfterValidator(_web_address), Field(json_schema_extra={"format": "uri"})]
VendorAddress = Annotated[
    str, AfterValidator(_vendor_address), Field(json_schema_extra={"format": "vendor address"})
]
CartesiaVoiceId = Annotated[str, AfterValidator(_voice), Field(json_schema_extra={"format": "uuid"})]
LANGUAGE = r"^(multi|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)$"
Language = Annotated[str, Field(pattern=LANGUAGE, json_schema_extra={"format": "language"})]
TwilioAccount = Annotated[
    str, Field(pattern=r"^AC[0-9a-fA-F]{32}$", json_schema_extra={"format": "twilio account"})
]
PhoneNumber = Annotated[
    str,
    BeforeValidator(_as_dialled),
    Field(pattern=_DIALLED, json_schema_extra={"format": "phone number"}),
]


def _prefixes(value: object) -> object:
    """How numbers begin, from a text divided by commas, or from a list; none at all is allowed."""
    parts = _phrases(value)
    prefixes = tuple(re.sub(r"[\s().-]", "", part) for part in parts) if isinstance(parts, tuple) else None
    if prefixes is None or not all(re.fullmatch(r"\+([1-9][0-9]{0,14})?", prefix) for prefix in prefixes):
        raise ValueError("no prefixes")
    return prefixes


DialPrefixes = Annotated[
    tuple[str, ...], BeforeValidator(_prefixes), Field(json_schema_extra={"format": "dial prefixes"})
]
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser())]
Lowercase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
LevelName = BeforeValidator(lambda value: "warning" if value == "warn" else value)


# --- keys -------------------------------------------------------------------------------------------------


def header_value(value: object) -> object:
    """Text that can be sent in a header, stripped: files with secrets tend to end in a newline."""
    if not isinstance(value, str):
        return value
    stripped = value.strip()
    if not (stripped.isascii() and all(character.isprintable() for character in stripped)):
        raise ValueError("not printable")
    return stripped or None


Key = Annotated[SecretStr | None, BeforeValidator(header_value)]
Organization = Annotated[
    str | None, BeforeValidator(header_value), Field(json_schema_extra={"format": "header"})
]


# --- lists of providers -----------------------------------------------------------------------------------


def _provider_names(known: tuple[str, ...]) -> Callable[[object], object]:
    def read(value: object) -> object:
        """Names from a text divided by commas, or from a list, in lower case."""
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise ValueError("neither text nor a list of texts")
        names = tuple(name.strip().lower() for name in value)
        if names != (AUTO,) and not (names and set(names) <= set(known) and len(set(names)) == len(names)):
            raise ValueError("unknown or doubled")
        return names

    return read


def _names(*known: str) -> tuple[Any, ...]:
    return (
        BeforeValidator(_provider_names(known)),
        Field(json_schema_extra={"names": list(known)}),
    )


SttProviders = Annotated[tuple[str, ...], *_names(DEEPGRAM, FLUX, LOCAL)]
LlmProviders = Annotated[tuple[str, ...], *_names(OPENAI, LOCAL)]
TtsProviders = Annotated[tuple[str, ...], *_names(CARTESIA, LOCAL)]


# --- tools ------------------------------------------------------------------------------------------------

TRANSFER_CALL = "transfer_call"
"""The built-in tool that needs somebody to transfer to."""
TOOLS = ("end_call", TRANSFER_CALL, "send_digits")
"""The built-in tools (`tools/builtin_tools.py`, which a program that only reads settings need not load)."""


def _tool_names(value: object) -> object:
    """Names from a text divided by commas, or from a list; none at all is allowed."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("neither text nor a list of texts")
    names = tuple(name.strip().lower() for name in value if name.strip())
    if not set(names) <= set(TOOLS) or len(set(names)) < len(names):
        raise ValueError("unknown or doubled")
    return names


ToolNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_tool_names),
    Field(json_schema_extra={"format": "tools"}),
]


# --- what is asked of a language model -------------------------------------------------------------------


def _parameter_names(value: object) -> object:
    """Names from a text divided by commas, or from a list; none at all is allowed."""
    names = _phrases(value)
    if not isinstance(names, tuple) or not all(re.fullmatch(r"\w+", name) for name in names):
        raise ValueError("no names of parameters")
    return names


def _renamings(value: object) -> object:
    """`old=new` from a text divided by commas, or from a list; none at all is allowed."""
    pairs = _phrases(value)
    if not isinstance(pairs, tuple) or not all(re.fullmatch(r"\w+ *= *\w+", pair) for pair in pairs):
        raise ValueError("no pairs of names")
    return tuple(pair.replace(" ", "") for pair in pairs)


ParameterNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_parameter_names),
    Field(json_schema_extra={"format": "parameters"}),
]
Renamings = Annotated[
    tuple[str, ...], BeforeValidator(_renamings), Field(json_schema_extra={"format": "renamings"})
]


# --- phrases ----------------------------------------------------------------------------------------------


def _phrases(value: object) -> object:
    """Phrases from a text divided by commas, or from a list; none at all is allowed."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(phrase, str) for phrase in value):
        raise ValueError("neither text nor a list of texts")
    return tuple(phrase.strip() for phrase in value if phrase.strip())


Phrases = Annotated[
    tuple[str, ...],
    BeforeValidator(_phrases),
    Field(json_schema_extra={"format": "phrases"}),
]


# --- budgets ----------------------------------------------------------------------------------------------


def _budget(value: int) -> int:
    if value != 0 and not LEAST_BUDGET <= value <= MOST_BUDGET:
        raise ValueError("out of range")
    return value


TokenBudget = Annotated[int, AfterValidator(_budget), Field(json_schema_extra={"format": "budget"})]
"""0 means no bound."""
