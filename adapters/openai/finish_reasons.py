"""Why an answer ended, in the words of servers with OpenAI's interface. They spell them in many ways."""

from __future__ import annotations

import re

_LIMIT = re.compile(
    r"(?:max|model)?(?:output)?(?:tokens|length)|lengthlimit|truncated|incomplete"
    r"|contextlength(?:exceeded)?|modelcontextwindowexceeded"
)
_FILTERED = re.compile(
    r"contentfilter(?:ed)?|(?:image)?safety|recitation|sensitive|prohibitedcontent|blocklist|blocked|spii"
    r"|guardrail(?:intervened)?|moderation"
)
_REFUSED = re.compile(r"refusal|refused")
_CALLS = re.compile(r"(?:tool|function)(?:calls?|use)")
_BROKE_OFF = re.compile(
    r"(?:server|internal|network)?error|insufficientsystemresource|time(?:d)?out|overloaded|abort(?:ed)?"
    r"|cancell?ed|failed|interrupted|preempted|evict(?:ed|ion)|malformedresponse|.*malformedfunctioncall.*"
)
_SPELLING = re.compile(r"[^a-z]+")
_PREFIX = "finishreason"


def _is(kind: re.Pattern[str], reason: str) -> bool:
    """Whether the reason is one of these, without capitals, blanks, and marks between its words."""
    return kind.fullmatch(_SPELLING.sub("", reason[:100].lower()).removeprefix(_PREFIX)) is not None


def at_limit(reason: str) -> bool:
    """The answer was as long as answers may be."""
    return _is(_LIMIT, reason)


def filtered(reason: str) -> bool:
    """A content filter withheld the answer, or what was left of it."""
    return _is(_FILTERED, reason)


def refused(reason: str) -> bool:
    """The model, or a filter before it, did not want to answer. What it said instead is the answer."""
    return _is(_REFUSED, reason)


def broke_off(reason: str) -> bool:
    """The server could not go on."""
    return _is(_BROKE_OFF, reason)


def cut_off(reason: str) -> bool:
    """The model had not finished."""
    return at_limit(reason) or filtered(reason)


def calls(reason: str) -> bool:
    """The model waits for the results of its calls."""
    return _is(_CALLS, reason)
