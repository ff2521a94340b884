"""Why an answer ended, in the words of servers with OpenAI's interface. They spell them in many ways."""

from __future__ import annotations

import re

_LIMIT = frozenset(
    "length lengthlimit maxlength maxtokens maxoutputtokens modellength modelcontextwindowexceeded contextlength"
    " contextlengthexceeded truncated incomplete".split()
)
_FILTERED = frozenset(
    "contentfilter contentfiltered safety recitation sensitive prohibitedcontent blocklist spii imagesafety"
    " guardrail guardrailintervened moderation blocked".split()
)
_REFUSED = frozenset(("refusal", "refused"))
_CALLS = frozenset(("toolcalls", "toolcall", "tooluse", "functioncall", "functioncalls"))
_BROKE_OFF = frozenset(
    "error servererror internalerror networkerror insufficientsystemresource timeout timedout overloaded abort"
    " aborted cancelled canceled failed interrupted preempted evicted eviction malformedresponse".split()
)
_MALFORMED = "malformedfunctioncall"
_SPELLING = re.compile(r"[^a-z]+")
_PREFIX = "finishreason"


def _plain(reason: str) -> str:
    """The reason without capitals, blanks, and marks between its words."""
    return _SPELLING.sub("", reason[:100].lower()).removeprefix(_PREFIX)


def at_limit(reason: str) -> bool:
    """The answer was as long as answers may be."""
    return _plain(reason) in _LIMIT


def filtered(reason: str) -> bool:
    """A content filter withheld the answer, or what was left of it."""
    return _plain(reason) in _FILTERED


def refused(reason: str) -> bool:
    """The model, or a filter before it, did not want to answer. What it said instead is the answer."""
    return _plain(reason) in _REFUSED


def broke_off(reason: str) -> bool:
    """The server could not go on."""
    plain = _plain(reason)
    return plain in _BROKE_OFF or _MALFORMED in plain


def cut_off(reason: str) -> bool:
    """The model had not finished."""
    return at_limit(reason) or filtered(reason)


def calls(reason: str) -> bool:
    """The model waits for the results of its calls."""
    return _plain(reason) in _CALLS
