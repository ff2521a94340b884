"""The MessagePack codec, as the reference's clients (msgpackr) need it: bytes to maps and back.

Three things differ from plain MessagePack. JavaScript decodes 64-bit integers to BigInt, which its JSON
cannot print, so integers that do not fit 32 bits are sent as floats. msgpackr sends `undefined` as extension
type 0, which becomes None here, like null. And the size of what a client can have us decode is bounded.
"""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from protocol.errors import MalformedMessage, describe

MAX_MESSAGE_BYTES = 1024 * 1024
"""One WebSocket message: ten seconds of audio at the highest rate. The transport closes with 1009 if one is
longer. (The reference's limit is ten times this; its client sends a quarter of a second at once.)"""

MAX_STRING_BYTES = 256 * 1024
"""Much longer than any text in a call."""

MAX_ITEMS = 1024
"""The longest array or map."""

MAX_CONTAINERS = 64
"""The most arrays and maps in one message. Without this bound, 1 MiB of empty maps decodes to 70 MB."""

_LEAST_INTEGER = -(2**31)
_GREATEST_INTEGER = 2**32 - 1

_EXTENSION_UNDEFINED = 0


def pack(value: object) -> bytes:
    """Encode maps, lists, strings, bytes, numbers, booleans and None, never with 64-bit integers.

    A lone surrogate, which may be in a language model's JSON, has no UTF-8 form and becomes a question mark.
    """
    packed: bytes = msgpack.packb(_without_wide_integers(value), use_bin_type=True, unicode_errors="replace")
    return packed


def _without_wide_integers(value: object) -> object:
    match value:
        case bool() | str() | bytes() | float() | None:
            return value
        case int():
            return value if _LEAST_INTEGER <= value <= _GREATEST_INTEGER else float(value)
        case dict():
            return {key: _without_wide_integers(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_wide_integers(item) for item in value]
        case _:
            raise TypeError(f"cannot be put on the wire: {describe(value)}")


def unpack(frame: bytes) -> object:
    """Decode one MessagePack value that fills the frame. Raises `MalformedMessage`."""
    try:
        return msgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=True,
            ext_hook=_extension,
            object_hook=(count := _ContainerCount()),
            list_hook=count,
            max_str_len=MAX_STRING_BYTES,
            max_bin_len=MAX_MESSAGE_BYTES,
            max_ext_len=MAX_STRING_BYTES,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise MalformedMessage(f"the frame of {len(frame)} bytes is not MessagePack: {reason}") from error


class _ContainerCount:
    """Counts the arrays and maps of one message while it is decoded, so that decoding can end early."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, container: Any) -> Any:
        self.count += 1
        if self.count > MAX_CONTAINERS:
            raise MalformedMessage(f"the message holds more than {MAX_CONTAINERS} arrays and maps")
        return container


def _extension(code: int, data: bytes) -> object:
    """`undefined` becomes None. Any other extension is unknown, and fails when the field is validated."""
    return None if code == _EXTENSION_UNDEFINED else msgpack.ExtType(code, data)
