"""How requests to one model at one address must differ, as learnt from its refusals. Kept for the process.

A refusal teaches something only if it names a part of the refused request. The request is then repeated
without that part, or with that part in another form.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any

from attrs import Factory, evolve, frozen

from adapters.openai.errors import LIMIT_REACHED, error_fields, words_of
from adapters.openai.messages import Form

_STATUSES = frozenset((400, 404, 415, 422, 500, 501))
"""Statuses with which servers refuse a request for its form. 500: the model's template failed."""
OPTIONAL = (
    "stream_options",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "temperature",
    "reasoning_effort",
    "tool_choice",
    "max_tokens",
    "max_completion_tokens",
)
"""Parameters that a request can do without. If a refusal names several, the first of this list is dropped."""
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_TOOLS_REFUSED = re.compile(
    r"(?:does not|doesn't|not) support (?:\w+ ){0,2}(?:tools?|function)|tools? (?:\w+ ){0,2}not supported"
    r"|support tool use|--enable-auto-tool-choice|role:? ['\"`]?tool|function calling is not",
    re.IGNORECASE,
)
_SYSTEM_REFUSED = re.compile(
    r"system(?: \w+){0,2} (?:is |are )?not supported|(?:not|n't) support (?:\w+ ){0,2}system"
    r"|roles must alternate|only user and assistant roles|developer instruction is not enabled",
    re.IGNORECASE,
)
_STREAM_REFUSED = re.compile(
    r"verified to stream|stream(?:ing)? (?:\w+ ){0,3}(?:not supported|unsupported|disabled)"
    r"|(?:does not|doesn't|not) support (?:\w+ ){0,2}stream(?!_options)",
    re.IGNORECASE,
)
_CONTENT_REFUSED = re.compile(r"content.{0,60}(?:<?nil>?|null|none|missing|required|string)", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"additional propert|extra (?:fields?|inputs?|keys?)|unknown (?:fields?|param|arg|key|prop)"
    r"|unrecogni[sz]ed|unexpected (?:keyword|field|param|arg|key|prop)",
    re.IGNORECASE,
)
_REASONING_WANTED = re.compile(r"reasoning_content.{0,80}(?:passed back|missing|required)", re.IGNORECASE)


class Ends(enum.Enum):
    """What is known of what comes after the reason for which an answer ends."""

    UNKNOWN = "unknown"
    OPEN = "open"
    """Nothing, and the response stays open."""
    EARLY = "early"
    """More of the answer: the reason stands in every chunk, or before a call."""


@frozen
class Dialect:
    """How to ask this model at this address."""

    form: Form = Factory(Form)
    left_out: frozenset[str] = frozenset()
    """Parameters that are not sent."""
    renamed: Mapping[str, str] = Factory(dict)
    begins_in_thought: bool = False
    """The model's template opens a thought, so the answer begins inside one."""
    streams: bool = True
    """Answers are asked for piece by piece."""
    ends: Ends = Ends.UNKNOWN
    says_no_end: bool = False
    """The end of a response is the end of its answer, since the server says no other."""

    def parameters(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that are sent, under the names that the server wants."""
        return {
            self.renamed.get(name, name): value for name, value in wanted.items() if name not in self.left_out
        }


@frozen
class Amendment:
    """A dialect changed after a refusal, and what was learnt, in words."""

    dialect: Dialect
    learnt: str


def amend(dialect: Dialect, request: Mapping[str, Any], status: int, body: object) -> Amendment | None:
    """The dialect after a refusal of `request`; None if the refusal teaches nothing.

    `request` holds the fields of the request, with `messages`.
    """
    if status not in _STATUSES:
        return None
    fields = error_fields(body)
    said = words_of(fields)
    if LIMIT_REACHED in said:
        return None
    return (
        _in_stream(dialect, said, _named(fields))
        or _in_form(dialect, request, said)
        or _in_parameters(dialect, request, said, _named(fields))
        or _in_content(dialect, request, said)
        or _in_anything(dialect, request, said)
    )


def _in_stream(dialect: Dialect, said: str, named: frozenset[str]) -> Amendment | None:
    """OpenAI streams some models for organizations only whose identity it has verified."""
    if not dialect.streams or not ("stream" in named or _STREAM_REFUSED.search(said)):
        return None
    return Amendment(evolve(dialect, streams=False), "refuses to stream: answers come as a whole, and late")


def _in_form(dialect: Dialect, request: Mapping[str, Any], said: str) -> Amendment | None:
    form, messages = dialect.form, request["messages"]
    with_calls = [message for message in messages if "tool_calls" in message]
    if _REASONING_WANTED.search(said) and with_calls and not form.reasoning_with_calls:
        wanted = evolve(form, reasoning_with_calls=True)
        return Amendment(evolve(dialect, form=wanted), "wants to see again what it thought before a call")
    if _TOOLS_REFUSED.search(said) and form.tools and ("tools" in request or with_calls):
        return Amendment(evolve(dialect, form=evolve(form, tools=False)), "takes no tools: none are offered")
    has_system = any(message["role"] == "system" for message in messages)
    if _SYSTEM_REFUSED.search(said) and has_system and not form.system_as_user:
        folded = evolve(form, system_as_user=True)
        return Amendment(
            evolve(dialect, form=folded), "takes no system message: it is put before the user's first words"
        )
    return None


def _in_content(dialect: Dialect, request: Mapping[str, Any], said: str) -> Amendment | None:
    empty = any("content" not in message for message in request["messages"])
    if not (_CONTENT_REFUSED.search(said) and empty):
        return None
    form = evolve(dialect.form, content_with_calls=True)
    return Amendment(evolve(dialect, form=form), "wants a text beside calls: an empty one is sent")


def _in_parameters(
    dialect: Dialect, request: Mapping[str, Any], said: str, named: frozenset[str]
) -> Amendment | None:
    held = [name for name in OPTIONAL if name in request]
    refused = [name for name in held if name in named] or [
        name for name in held if re.search(rf"(?<![\w-]){name}(?![\w-])", said)
    ]
    if not refused:
        return None
    name = refused[0]
    other = _RENAMED.get(name)
    originally = next((own for own, sent in dialect.renamed.items() if sent == name), name)
    if other and other in said and originally not in dialect.renamed:
        renamed = {**dialect.renamed, originally: other}
        return Amendment(evolve(dialect, renamed=renamed), f"wants {name} to be called {other}")
    left_out = dialect.left_out | {originally}
    return Amendment(evolve(dialect, left_out=left_out), f"refuses {name}: it is not sent")


def _in_anything(dialect: Dialect, request: Mapping[str, Any], said: str) -> Amendment | None:
    """A refusal of something that the server does not know, without its name: the least known is left out."""
    if "stream_options" not in request or not _UNKNOWN.search(said):
        return None
    left_out = dialect.left_out | {"stream_options"}
    return Amendment(evolve(dialect, left_out=left_out), "refuses a field: stream_options is not sent")


def _named(fields: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that a refusal names in its `param` or `loc` fields."""
    named = {str(fields["param"])} if fields.get("param") else set()
    detail = fields.get("detail")
    for each in detail if isinstance(detail, list) else []:
        location = each.get("loc") if isinstance(each, Mapping) else None
        named |= {str(part) for part in location} if isinstance(location, list) else set()
    return frozenset(named)
