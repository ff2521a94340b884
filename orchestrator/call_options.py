"""What one telephone call may want otherwise than the settings say: language, voice, prompt, texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import asdict, evolve, field, frozen
from attrs.validators import and_, max_len, min_len, optional

from machines.policy import ConversationPolicy

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MAX_PROMPT = 32_768
"""Characters."""
POLICY_TEXTS = ("greeting", "system_prompt", "reprompt", "idle_goodbye")
"""Options that the policy of a conversation has by the same names."""


class OptionError(ValueError):
    """An option of a call cannot be used; the message says which, and what it may be."""


def _language(options: CallOptions, attribute: object, value: str | None) -> None:
    del options, attribute
    if value is not None and not LANGUAGE.fullmatch(value):
        raise OptionError(f"language is {value[:40]!r}, but must be a language's code, such as en-US")


_TEXT = optional(max_len(MAX_PROMPT))
_WORDS = optional(and_(min_len(1), max_len(MAX_PROMPT)))


@frozen
class CallOptions:
    """The options of a call; None means what the settings say."""

    language: str | None = field(default=None, validator=_language)
    voice: str | None = field(default=None, validator=optional(max_len(200)))
    """In the terms of the text-to-speech provider."""
    greeting: str | None = field(default=None, validator=_TEXT)
    """Said first; an empty one lets the other side begin."""
    system_prompt: str | None = field(default=None, validator=_TEXT)
    reprompt: str | None = field(default=None, validator=_TEXT)
    """Said after a turn with voice and without words; an empty one leaves it unsaid."""
    idle_nudge_1: str | None = field(default=None, validator=_WORDS)
    """Said to a caller who is quiet, where `IDLE_NUDGE_MS` is set,"""
    idle_nudge_2: str | None = field(default=None, validator=_WORDS)
    """and who stays so,"""
    idle_goodbye: str | None = field(default=None, validator=_WORDS)
    """and before hanging up."""

    def over(self, others: CallOptions) -> CallOptions:
        """These options, and those of `others` where these say nothing."""
        return evolve(others, **{name: value for name, value in asdict(self).items() if value is not None})

    def applied_to(self, policy: ConversationPolicy) -> ConversationPolicy:
        """The policy of a call with these options."""
        texts = {name: getattr(self, name) for name in POLICY_TEXTS if getattr(self, name) is not None}
        wanted = (self.idle_nudge_1, self.idle_nudge_2)
        nudges = tuple(
            usual if own is None else own for own, usual in zip(wanted, policy.nudges, strict=True)
        )
        return evolve(policy, **texts, nudges=nudges)


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
        raise OptionError(f"an option is too short or too long: {error}") from None
