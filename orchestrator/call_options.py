"""What one telephone call may want otherwise than the settings say: language, voice, first words, prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import asdict, evolve, field, frozen
from attrs.validators import max_len, optional

from machines.policy import ConversationPolicy

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MAX_PROMPT = 32_768
"""Characters."""


class OptionError(ValueError):
    """An option of a call cannot be used; the message says which, and what it may be."""


def _language(options: CallOptions, attribute: object, value: str | None) -> None:
    del options, attribute
    if value is not None and not LANGUAGE.fullmatch(value):
        raise OptionError(f"language is {value[:40]!r}, but must be a language's code, such as en-US")


@frozen
class CallOptions:
    """The options of a call; None means what the settings say."""

    language: str | None = field(default=None, validator=_language)
    voice: str | None = field(default=None, validator=optional(max_len(200)))
    """In the terms of the text-to-speech provider."""
    greeting: str | None = field(default=None, validator=optional(max_len(MAX_PROMPT)))
    """Said first; an empty one lets the other side begin."""
    system_prompt: str | None = field(default=None, validator=optional(max_len(MAX_PROMPT)))

    def over(self, others: CallOptions) -> CallOptions:
        """These options, and those of `others` where these say nothing."""
        return evolve(others, **{name: value for name, value in asdict(self).items() if value is not None})

    def applied_to(self, policy: ConversationPolicy) -> ConversationPolicy:
        """The policy of a call with these options."""
        return evolve(
            policy,
            greeting=policy.greeting if self.greeting is None else self.greeting,
            system_prompt=policy.system_prompt if self.system_prompt is None else self.system_prompt,
        )


OPTION_NAMES = tuple(asdict(CallOptions()))


def read_options(given: Mapping[str, object]) -> CallOptions:
    """The options among `given`; what is no option there is left alone.

    Raises `OptionError`.
    """
    options = {name: given[name] for name in OPTION_NAMES if given.get(name) is not None}
    for name, value in options.items():
        if not isinstance(value, str):
            raise OptionError(f"{name} must be a text")
    try:
        return CallOptions(**options)  # type: ignore[arg-type]
    except OptionError:
        raise
    except ValueError as error:
        raise OptionError(f"an option is too long: {error}") from None
