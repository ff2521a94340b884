"""Text that callers, models, vendors, journals or files wrote, made fit to be shown: the one place for it.

`neutral` is for terminals, logs and diagrams: what is left cannot move the cursor, hide or reorder what
stands there, or begin a line of its own. `without_passwords` is for addresses.
"""

from __future__ import annotations

import re

PASSWORD_MASK = "(a secret)"

_ORDERS = (
    "\x00-\x1f\x7f-\x9f"  # control characters: ANSI sequences begin with one
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029"  # ends of lines
    "\ufeff\ufff9-\ufffb\ud800-\udfff"  # marks that are shown nowhere, halves of characters
)
_ANY = re.compile(f"[{_ORDERS}]")
_WITHIN_LINES = re.compile(f"(?![\n\t])[{_ORDERS}]")

_USERINFO = re.compile(r"(?P<before>//(?:[^\s/?#\"'<>@:]*:)?)[^\s/?#\"'<>]+(?=@)")
"""Up to the last @ before the path: passwords that hold one are not always written as %40."""
_KEY_IN_QUERY = re.compile(
    r"(?i)(?P<before>[?&;](?:[\w-]*[_-])?(?:api_?key|key|token|secret|password|passwd|pwd|auth|signature|sig)=)"
    r"[^\s&;#\"'<>]+"
)


def neutral(text: str, *, lines: bool = False) -> str:
    """The text without anything that orders its reader about: such characters are written as `\\x1b`.

    With `lines`, it may have several lines and tabs.
    """
    return (_WITHIN_LINES if lines else _ANY).sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {10: "\\n", 13: "\\r", 9: "\\t"}.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def without_passwords(text: str) -> str:
    """The text with passwords and keys in its addresses replaced: `//user:password@`, `?key=`."""
    text = _USERINFO.sub(lambda found: found["before"] + PASSWORD_MASK, text)
    return _KEY_IN_QUERY.sub(lambda found: found["before"] + PASSWORD_MASK, text)
