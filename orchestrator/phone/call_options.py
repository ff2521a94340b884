"""What one telephone call may want otherwise than the settings say: language, voice, prompt, texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from attrs import evolve
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from machines.policy import ConversationPolicy
from orchestrator.settings.types import Language

MAX_PROMPT = 32_768
"""Characters."""
_POLICY_TEXTS = ("greeting", "system_prompt", "reprompt", "idle_goodbye")
"""Options that the policy of a conversation has by the same names."""
_FORMS = {
    "to": "a telephone number in E.164 form, such as +15005550006",
    "language": "a language's code, such as en-US",
}
"""What a field must be, where that can be said better than by a pattern."""


class OptionError(ValueError):
    """An option of a call cannot be used; the message says which, and why."""


Text = Annotated[str, Field(max_length=MAX_PROMPT)]
Words = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]


class CallOptions(BaseModel):
    """The options of a call; None means what the settings say."""

    model_config = ConfigDict(frozen=True, strict=True)

    language: Language | None = None
    voice: Annotated[str, Field(max_length=200)] | None = None
    """In the terms of the text-to-speech provider."""
    greeting: Text | None = None
    """Said first; an empty one lets the other side begin."""
    system_prompt: Text | None = None
    reprompt: Text | None = None
    """Said after a turn with voice and without words; an empty one leaves it unsaid."""
    idle_nudge_1: Words | None = None
    """Said to a caller who is quiet, where `IDLE_NUDGE_MS` is set,"""
    idle_nudge_2: Words | None = None
    """and who stays so,"""
    idle_goodbye: Words | None = None
    """and before hanging up."""

    def over(self, others: CallOptions) -> CallOptions:
        """These options, and those of `others` where these say nothing."""
        return others.model_copy(update=self.model_dump(exclude_none=True))

    def applied_to(self, policy: ConversationPolicy) -> ConversationPolicy:
        """The policy of a call with these options."""
        texts = self.model_dump(include=set(_POLICY_TEXTS), exclude_none=True)
        wanted = (self.idle_nudge_1, self.idle_nudge_2)
        nudges = tuple(
            usual if own is None else own for own, usual in zip(wanted, policy.nudges, strict=True)
        )
        return evolve(policy, **texts, nudges=nudges)


def read_options(given: Mapping[str, str]) -> CallOptions:
    """The options among `given`; what is no option there is left alone. Raises `OptionError`."""
    try:
        return CallOptions.model_validate(dict(given))
    except ValidationError as error:
        raise OptionError(complaints(error)) from None


def complaints(error: ValidationError) -> str:
    """What is wrong with which field, in a line."""
    return "; ".join(map(_complaint, error.errors(include_url=False, include_input=False)))


def _complaint(detail: ErrorDetails) -> str:
    name = ".".join(map(str, detail["loc"]))
    if name in _FORMS:
        return f"{name} must be {_FORMS[name]}"
    return f"{name}: {detail['msg']}" if name else detail["msg"]
