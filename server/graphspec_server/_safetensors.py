"""The safetensors form: tensors in bulk, the rest of a message as JSON in the header's metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import safetensors

from graphspec import FeedError, dtypes
from graphspec_server._json import read_json
from graphspec_server._text import pointer
from graphspec_server.codec import array_of_bytes, little_endian_bytes
from graphspec_server.errors import RequestError

_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8e4m3fn": "F8_E4M3",
    "float8e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
_DTYPES = {code: name for name, code in _NAMES.items()}
_GROUPS = ("feeds", "parameters", "cotangents", "tangents")


def read_safetensors(body: bytes) -> dict[str, Any]:
    """A request in this form as the JSON form has it, with arrays in place of tensors.

    Raises:
        RequestError: It is not safetensors, or names tensors or metadata that requests do not have.
    """
    try:
        tensors = safetensors.deserialize(body)  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise RequestError("The body is not safetensors.", code="invalid-safetensors", found=str(error)) from None
    request = _request(body)
    for name, tensor in tensors:
        group, _, key = name.partition("/")
        if group not in _GROUPS or not key:
            raise RequestError("A tensor has no place.", expected=f"{' or '.join(_GROUPS)}, /, a name", found=name)
        members = request.setdefault(group, {})
        if not isinstance(members, dict) or key in members:
            raise RequestError("A tensor is given twice.", code="duplicate-feed", path=pointer(group, key))
        members[key] = _array(tensor, pointer(group, key))
    return request


def write_safetensors(groups: Mapping[str, Mapping[str, np.ndarray]]) -> bytes:
    """Arrays by group and name as safetensors; each tensor is called ``group/name``.

    Raises:
        FeedError: The form does not know an array's type.
    """
    header: dict[str, Any] = {}
    pieces, offset = [], 0
    for group, arrays in groups.items():
        for name, array in arrays.items():
            dtype = dtypes.of(array.dtype).name if isinstance(array, np.ndarray) else "sequence"
            if dtype not in _NAMES:
                raise FeedError(f"safetensors cannot hold {name!r}, whose type is {dtype}.", code="encoding")
            data = little_endian_bytes(array)
            ends = [offset, offset + len(data)]
            header[f"{group}/{name}"] = {"dtype": _NAMES[dtype], "shape": array.shape, "data_offsets": ends}
            pieces.append(data)
            offset += len(data)
    head = orjson.dumps(header)
    head += b" " * (-len(head) % 8)  # the data starts aligned
    return b"".join([len(head).to_bytes(8, "little"), head, *pieces])


def _request(body: bytes) -> dict[str, Any]:
    """The JSON beside the tensors; the header was found whole already."""
    length = int.from_bytes(body[:8], "little")
    metadata = read_json(body[8 : 8 + length]).get("__metadata__", {})
    request = read_json(metadata.get("request", "{}"))
    if not isinstance(request, dict):
        raise RequestError("The metadata's 'request' is no object.", path="/__metadata__/request")
    return request


def _array(tensor: Mapping[str, Any], path: str) -> np.ndarray:
    if tensor["dtype"] not in _DTYPES:
        raise FeedError("The tensor's type is none of ONNX's.", path=path, found=tensor["dtype"])
    shape = tuple(tensor["shape"])
    if math.prod(shape) == 0 and max(shape) >= 2**31:
        raise FeedError("The shape is larger than any array can be.", path=path)
    return array_of_bytes(bytes(tensor["data"]), dtypes.of(_DTYPES[tensor["dtype"]]), shape)
