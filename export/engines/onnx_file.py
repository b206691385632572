"""What an ONNX file must not hold: parts in other files, and operators that are none of ONNX's.

ONNX Runtime reads a tensor with external data from any file in the working folder, or from an address in memory. The
file is protobuf; the few fields in which a tensor or a node can lie are followed here, so that the service needs no
package for it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from domain.errors import ArtifactError

_MAX_BYTES = 2_000_000_000  # protobuf's limit
_DEEPEST = 40
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


class _Kind(NamedTuple):
    """A message of onnx.proto: its fields that hold messages in which a tensor or a node can lie."""

    name: str
    messages: dict[int, str]


_KINDS = {
    kind.name: kind
    for kind in (
        _Kind("model", {7: "graph", 20: "training", 25: "function"}),
        _Kind("training", {1: "graph", 2: "graph"}),
        _Kind("function", {7: "node", 11: "attribute"}),
        _Kind("graph", {1: "node", 5: "tensor", 15: "sparse"}),
        _Kind("node", {5: "attribute"}),
        _Kind("attribute", {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}),
        _Kind("sparse", {1: "tensor", 2: "tensor"}),
        _Kind("tensor", {}),
    )
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_OPERATOR, _DOMAIN = 4, 7  # of a node


def read_onnx(file: Path) -> bytes:
    """The content of an ONNX file that needs no other file and no operators of others.

    Raises:
        ArtifactError: if it cannot be read, is too large, no protobuf, has external data, or operators of others.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ArtifactError(f"{file} must be an ONNX file of at most {_MAX_BYTES} bytes; export the model again")
        content = file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} must be a readable file; export the model again ({error.strerror})") from error
    try:
        _check(memoryview(content), "model", 0)
    except ValueError as error:
        raise ArtifactError(f"{file} must be a usable ONNX file; export the model again ({error})") from error
    return content


def _check(message: memoryview, kind: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"it has more than {_DEEPEST} levels")
    for field, wire, value in _fields(message):
        inner = _KINDS[kind].messages.get(field)
        if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != b"\0")):
            raise ValueError("a tensor lies in another file, and each must lie in this one")
        if kind == "node" and field == _DOMAIN and bytes(value).decode("utf-8", "replace") not in _DOMAINS:
            raise ValueError(f"its operators must be of {', '.join(filter(None, _DOMAINS))}, one is of another domain")
        if kind == "node" and field == _OPERATOR and bytes(value) == b"EPContext":
            raise ValueError("an operator stands for another file")
        if inner is not None:
            if wire != _BYTES:
                raise ValueError(f"the field {field} of a {kind} must be a message")
            _check(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and content of each field; of a number the bytes in which it stands."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        begin = at
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            size, begin = _varint(message, at)
            at = begin + size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("it is no protobuf")
        if at > len(message):
            raise ValueError("it ends early")
        yield field, wire, message[begin:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("it ends early")
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at
