"""MessagePack as the reference's clients (msgpackr) need it: bytes to maps and back.

Three things differ from plain MessagePack. JavaScript decodes 64-bit integers to BigInt, which its JSON
cannot print, so none are ever sent: what does not fit 32 bits goes as a float. msgpackr sends `undefined` as
extension type 0, which here is None, as null is. And what a client can make us build is bounded.
"""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from protocol.errors import MalformedMessage, describe

MAX_MESSAGE_BYTES = 10 * 1024 * 1024
"""The reference's limit on one WebSocket message; the transport closes with 1009 beyond it."""

MAX_STRING_BYTES = 256 * 1024
"""No text of a call comes near it."""

MAX_ITEMS = 1024
"""The longest array or map."""

MAX_CONTAINERS = 64
"""Arrays and maps in one message. Without this bound, 10 MiB of empty maps decode to about 700 MB."""

_LEAST_INTEGER = -(2**31)
_GREATEST_INTEGER = 2**32 - 1

_EXTENSION_UNDEFINED = 0


def pack(value: object) -> bytes:
    """Encode maps, lists, strings, bytes, numbers, booleans and None; never as a 64-bit integer.

    A lone surrogate, which a language model's JSON may hold, has no UTF-8 form and becomes a question mark.
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
    """Counts the finished arrays and maps of one message, so that decoding ends early."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, container: Any) -> Any:
        self.count += 1
        if self.count > MAX_CONTAINERS:
            raise MalformedMessage(f"the message holds more than {MAX_CONTAINERS} arrays and maps")
        return container


def _extension(code: int, data: bytes) -> object:
    """`undefined` is absent; any other extension is nothing we know, and fails where it is looked at."""
    return None if code == _EXTENSION_UNDEFINED else msgpack.ExtType(code, data)
