"""The MessagePack codec, and bounds on what a peer can have us decode."""

import math
from itertools import starmap

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import MAX_MESSAGE_BYTES, Envelope, MalformedMessage, pack, unpack
from protocol.codec import MAX_CONTAINERS, MAX_ITEMS, MAX_STRING_BYTES
from tests.protocol.frames import NOW, raw

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (1_763_856_000_123, "cb4279aae02a47b000"),
        (NOW, "cb4279aae02a47b000"),
        (2**32 - 1, "ceffffffff"),
        (2**32, "cb41f0000000000000"),
        (-(2**31), "d280000000"),
        (-(2**31) - 1, "cbc1e0000000200000"),
        (48000, "cdbb80"),
        (True, "c3"),
        (None, "c0"),
        (b"\1\2", "c4020102"),
        ((1, 2), "920102"),
    ],
)
def test_a_value_has_its_bytes(value: object, packed: str) -> None:
    assert pack(value).hex() == packed


def test_audio_is_binary_whatever_its_length() -> None:
    assert pack(bytes(255))[:2] == b"\xc4\xff"
    assert pack(bytes(8192))[:3] == b"\xc5\x20\x00"
    assert pack(bytes(65536))[:5] == b"\xc6\x00\x01\x00\x00"


def _kinds(frame: bytes) -> set[int]:
    """The first byte of every value in a frame."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(frame)
    kinds: set[int] = set()
    _walk(unpacker, frame, kinds)
    return kinds


def _walk(unpacker: msgpack.Unpacker, frame: bytes, kinds: set[int]) -> None:
    first = frame[unpacker.tell()]
    kinds.add(first)
    if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
        for _ in range(2 * unpacker.read_map_header()):
            _walk(unpacker, frame, kinds)
    elif 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
        for _ in range(unpacker.read_array_header()):
            _walk(unpacker, frame, kinds)
    else:
        unpacker.skip()


@settings(max_examples=100, deadline=None)
@given(values)
def test_no_64_bit_integer_and_no_extension_is_ever_sent(value: object) -> None:
    assert not _kinds(pack(value)) & {0xCF, 0xD3, 0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8}


@settings(max_examples=100, deadline=None)
@given(values)
def test_what_is_sent_is_read_again(value: object) -> None:
    try:
        back = unpack(pack(value))
    except MalformedMessage as error:
        assert "more than" in str(error)
        return
    assert _alike(back, value)


def _alike(back: object, value: object) -> bool:
    """Whether two values are equal; integers above 2^53 lose precision on purpose."""
    match value:
        case list():
            return isinstance(back, list) and all(starmap(_alike, zip(back, value, strict=True)))
        case dict():
            return isinstance(back, dict) and all(_alike(back[key], value[key]) for key in value)
        case int() if not isinstance(value, bool):
            return back == value or back == float(value)
        case float() if math.isnan(value):
            return isinstance(back, float) and math.isnan(back)
        case _:
            return back == value and type(back) is type(value)


def test_a_lone_surrogate_from_a_model_does_not_break_the_message() -> None:
    assert unpack(pack("a\ud83db")) == "a?b"


def test_a_value_without_a_wire_form_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cannot be put on the wire: a set"):
        pack({"payload": {1, 2}})


def test_undefined_is_absent_everywhere() -> None:
    assert unpack(bytes.fromhex("d40000")) is None
    assert unpack(bytes.fromhex("de0001a161d40000")) == {"a": None}


def test_the_map_headers_of_msgpackr_are_read() -> None:
    assert unpack(bytes.fromhex("de0000")) == {}
    assert unpack(bytes.fromhex("de0001a161cb41f0000000000000")) == {"a": 2.0**32}


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", "Unpack failed"),
        (b"\xc1", "FormatError"),
        (b"\x81\xa1a", "incomplete"),
        (b"\x80\x80", "extra data"),
        (b"\xa2\xff\xfe", "utf-8"),
        (b"\x81\x01\x02", "not allowed for map key"),
        (b"\x81\x90\x02", "not allowed for map key"),
        (b"\xdd\xff\xff\xff\xff", "exceeds max_array_len"),
        (b"\xdf\xff\xff\xff\xff", "exceeds max_map_len"),
        (b"\xc6\x7f\xff\xff\xff", "incomplete"),
        (b"\xc6" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + bytes(MAX_MESSAGE_BYTES + 1), "max_bin_len"),
        (raw(msgpack.ExtType(5, bytes(MAX_STRING_BYTES + 1))), "exceeds max_ext_len"),
        (b"\x91" * 5000, "StackError"),
        (raw([{}] * (MAX_CONTAINERS + 1)), f"more than {MAX_CONTAINERS} arrays and maps"),
        (raw([0] * (MAX_ITEMS + 1)), "exceeds max_array_len"),
        (raw("x" * (MAX_STRING_BYTES + 1)), "exceeds max_str_len"),
    ],
)
def test_a_frame_that_is_not_messagepack_or_too_much_is_malformed(packed: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        unpack(packed)


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_arbitrary_bytes_decode_or_are_malformed(packed: bytes) -> None:
    try:
        unpack(packed)
    except MalformedMessage as error:
        assert str(error)


def test_an_envelope_keeps_what_it_carries() -> None:
    envelope = Envelope("audio.error.invalid_format", "e", "s", {"a": 1}, "audio.input.start")
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


def test_header_fields_that_are_not_known_are_left_out() -> None:
    assert unpack(Envelope("x.y", None, None, {}).to_bytes()) == {"eventType": "x.y", "payload": {}}
