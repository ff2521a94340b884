"""Writes small ONNX files with the inputs and outputs of Smart-Turn v3, byte by byte.

`onnx.proto3` of the ONNX project names the fields whose numbers are used here.
"""

from __future__ import annotations

import numpy as np

FRAMES = 800
FLOAT = 1


def loudness_of_last_second(
    *,
    input_name: str = "input_features",
    shape: tuple[int | str, ...] = ("n", 80, FRAMES),
    outputs: int = 1,
    sigmoid: bool = True,
    bias: float = 0.0,
) -> bytes:
    """A turn model that takes a turn for complete if its last second is loud, compared with the rest.

    Without `sigmoid`, it gives the mean feature of that second plus `bias`, which may be any number.
    """
    weights = np.zeros((FRAMES, 1), np.float32)
    weights[-100:] = 1 / 100
    names = [f"logits{number or ''}" for number in range(outputs)]
    last = "Sigmoid" if sigmoid else "Identity"
    graph = [
        _field(1, _node("ReduceMean", [input_name], "bands", _ints("axes", [1]) + _int("keepdims", 0))),
        _field(1, _node("Gemm", ["bands", "weights", "bias"], "loudness")),
        *(_field(1, _node(last, ["loudness"], name)) for name in names),
        _field(2, "graph"),
        _field(5, _tensor("weights", weights)),
        _field(5, _tensor("bias", np.array([bias], np.float32))),
        _field(11, _value(input_name, shape)),
        *(_field(12, _value(name, ("n", 1))) for name in names),
    ]
    opset = _field(1, "") + _field(2, 13)
    return _field(1, 8) + _field(7, b"".join(graph)) + _field(8, opset)


def _node(operator: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, operator) + attributes


def _ints(name: str, values: list[int]) -> bytes:
    return _field(5, _field(1, name) + b"".join(_field(8, value) for value in values) + _field(20, 7))


def _int(name: str, value: int) -> bytes:
    return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))


def _tensor(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    sizes = b"".join(_field(1, size) for size in values.shape)
    return sizes + _field(2, FLOAT) + _field(8, name) + _field(9, values.tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sizes = b"".join(_field(1, _field(2 if isinstance(size, str) else 1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, sizes)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message: a number, or anything that has a length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth bit set."""
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    return bytes([*content, value])
