"""Per-call overrides of the settings: language, voice, prompt and texts of one telephone call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from attrs import evolve
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from machines.policy import ConversationPolicy
from orchestrator.settings.types import E164, Language

MAX_PROMPT = 32_768
"""Characters."""
_POLICY_TEXTS = ("greeting", "system_prompt", "reprompt", "idle_goodbye")
"""Options with the same names as in a conversation's policy."""
_FORMS = {
    "to": E164,
    "language": "a language's code, such as en-US",
}
"""What a field must be, in words that say more than its pattern."""


class OptionError(ValueError):
    """An option of a call cannot be used. The message says which one and why."""


Text = Annotated[str, Field(max_length=MAX_PROMPT)]
Words = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]


class CallOptions(BaseModel):
    """The options of a call. None means as in the settings."""

    model_config = ConfigDict(frozen=True, strict=True)

    language: Language | None = None
    voice: Annotated[str, Field(max_length=200)] | None = None
    """The synthesized voice, in the terms of the text-to-speech provider."""
    greeting: Text | None = None
    """Said first. An empty one lets the other side begin."""
    system_prompt: Text | None = None
    reprompt: Text | None = None
    """Said after a turn with voice but without words. An empty one means that nothing is said."""
    idle_nudge_1: Words | None = None
    """Said first to a caller who is quiet, if `IDLE_NUDGE_MS` is set."""
    idle_nudge_2: Words | None = None
    """Said next to one who remains quiet."""
    idle_goodbye: Words | None = None
    """Said before hanging up on one who remains quiet."""

    def over(self, others: CallOptions) -> CallOptions:
        """These options, completed by those of `others`."""
        return others.model_copy(update=self.model_dump(exclude_none=True))

    def applied_to(self, policy: ConversationPolicy) -> ConversationPolicy:
        """The policy of a call with these options."""
        texts = self.model_dump(include=set(_POLICY_TEXTS), exclude_none=True)
        own_nudges = (self.idle_nudge_1, self.idle_nudge_2)
        nudges = tuple(
            usual if own is None else own for own, usual in zip(own_nudges, policy.nudges, strict=True)
        )
        return evolve(policy, **texts, nudges=nudges)


def read_options(given: Mapping[str, str]) -> CallOptions:
    """The options among `given`; other keys are ignored. Raises `OptionError`."""
    try:
        return CallOptions.model_validate(dict(given))
    except ValidationError as error:
        raise OptionError(complaints(error)) from None


def complaints(error: ValidationError) -> str:
    """What is wrong with each field, in one line."""
    return "; ".join(map(_complaint, error.errors(include_url=False, include_input=False)))


def _complaint(detail: ErrorDetails) -> str:
    name = ".".join(map(str, detail["loc"]))
    if name in _FORMS:
        return f"{name} must be {_FORMS[name]}"
    return f"{name}: {detail['msg']}" if name else detail["msg"]
