"""The rules of RFC 6455 for the headers of frames: what breaks them, and the close code that says so.

Pure. `websockets` knows most of them, too, but only when the whole frame has come.
"""

from __future__ import annotations

Complaint = tuple[int, str]
"""A close code and a reason."""
Sizes = tuple[int, int]
"""The bytes of a frame's header and of its payload."""

PROTOCOL_ERROR = 1002

CONTROL = 0x08
FINAL = 0x80
MASKED = 0x80
MASK_BYTES = 4
_RESERVED = 0x70
_KIND = 0x0F
_KINDS = (0, 1, 2, 8, 9, 10)
_LENGTH = 0x7F
_LONGEST_CONTROL = 125
_LONG = {126: 2, 127: 8}
"""The bytes of lengths that do not fit into the second byte of a frame."""
_SHORTEST = {126: 126, 127: 65_536}
"""The least length that may be written so."""
_LONGEST = 2**63 - 1


def sizes_of(data: bytes | bytearray) -> Sizes | None:
    """The sizes of the frame that begins here; None if the header is not here."""
    if len(data) < 2:
        return None
    short = data[1] & _LENGTH
    more = _LONG.get(short, 0)
    if len(data) < 2 + more:
        return None
    payload_bytes = int.from_bytes(data[2 : 2 + more], "big") if more else short
    return 2 + more + (MASK_BYTES if data[1] & MASKED else 0), payload_bytes


def wrong_in_header(
    data: bytes | bytearray, sizes: Sizes | None, *, within_message: bool
) -> Complaint | None:
    """What is wrong with the frame that begins here, as far as its header has come. It has these sizes."""
    reason = _wrong_kind(data[0], within_message=within_message) if data else None
    if reason is None and len(data) >= 2:
        reason = _wrong_length(data, sizes)
    return None if reason is None else (PROTOCOL_ERROR, reason)


def _wrong_kind(first: int, *, within_message: bool) -> str | None:
    kind = first & _KIND
    if first & _RESERVED:
        return "a reserved bit is set, and no extension is in use"
    if kind not in _KINDS:
        return f"frames of the kind {kind} are reserved"
    if kind & CONTROL:
        return None if first & FINAL else "a control frame in pieces"
    if within_message == (kind == 0):
        return None
    return "a message within another" if within_message else "the middle of a message that has not begun"


def _wrong_length(data: bytes | bytearray, sizes: Sizes | None) -> str | None:
    short = data[1] & _LENGTH
    if not data[1] & MASKED:
        return "a client's frames must be masked"
    if data[0] & CONTROL and short > _LONGEST_CONTROL:
        return f"a control frame may have {_LONGEST_CONTROL} bytes"
    if sizes is not None and short in _LONG and not _SHORTEST[short] <= sizes[1] <= _LONGEST:
        return "a frame's length must be written as RFC 6455 says"
    return None
