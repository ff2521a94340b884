"""Text as it is spoken: without the Markdown and speech markup that language models put in."""

from __future__ import annotations

import re

from machines.language.markup.reader import tokens_of
from machines.language.markup.texts import said


def spoken_text(text: str, keep: re.Pattern[str] | None = None) -> str:
    """What is said of a text, as `machines/language/markup/` reads it; empty if nothing is left to say.

    Tags of speech markup that `keep` matches stay, for a voice that knows them.
    """
    return said(tokens_of(text), keep)
