"""Errors of settings: one sentence each, with the setting, its value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters import cartesia, deepgram
from orchestrator.settings.settings import Settings, shown
from orchestrator.settings.storage import LEAST_PEPPER
from orchestrator.settings.types import AUTO, E164, LEAST_BUDGET, MOST_BUDGET, TOOLS, VENDOR_SCHEMES


@frozen
class Origin:
    """Where the value of a setting was found."""

    place: str
    """In words: `the environment`, `.env, line 7`."""
    name: str
    """Of the setting, as it is written there."""


def sentences_of(error: ValidationError, origins: Mapping[str, Origin]) -> str:
    """All that is wrong, in one line; `origins` says where the values come from."""
    return "; ".join(_sentence(detail, origins) for detail in error.errors(include_url=False)) + "."


def _sentence(detail: ErrorDetails, origins: Mapping[str, Origin]) -> str:
    """One error of pydantic's as a sentence of ours, without the full stop."""
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    setting = str(detail["loc"][0])
    origin = origins.get(setting)
    place = f" (from {origin.place})" if origin else ""
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(setting.lower(), Settings.model_fields, n=1)
        return f"{setting}{place} is not a setting" + (f"; the nearest is {near[0]}" if near else "")
    name = origin.name if origin else setting.upper()
    return f"{name}{place} is {shown(setting, detail['input'])}, but must be {allowed(setting)}"


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
        "parameters": "names of parameters divided by commas, such as temperature,top_p",
        "renamings": "pairs of names divided by commas, such as max_tokens=max_completion_tokens",
        "twilio account": "the SID of an account of Twilio's: AC and 32 hexadecimal digits",
        "phone number": E164,
        "dial prefixes": "how numbers begin, each + and digits, divided by commas, such as +44,+1212; +: all",
        "algorithms": f"one or more of {', '.join(kind.get('known', ()))}, divided by commas",
        "database": "the address of a database: postgresql://HOST/NAME or sqlite:///PATH",
        "pepper": f"a secret of {LEAST_PEPPER} or more printable ASCII characters",
        "header": "text of printable ASCII characters",
        "path": "a path",
        "origins": "origins of pages divided by blanks, such as https://www.example.com",
    }.get(kind.get("format", ""), "text that is not empty")


def _schemes() -> str:
    addresses = [f"{scheme}://" for scheme in VENDOR_SCHEMES]
    return f"{', '.join(addresses[:-1])} or {addresses[-1]}"
