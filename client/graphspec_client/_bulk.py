"""The safetensors form: many bytes as they are, and the rest of a request as JSON in the header's metadata.

Eight bytes say how long the header is; the header is JSON and says of each tensor its dtype, shape and place; then come
the tensors, little-endian and row-major.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphspec_client._codec import Array
from graphspec_client._dtypes import numpy_dtype, wire_name
from graphspec_client._exceptions import CodecError

SAFETENSORS = "application/vnd.safetensors"

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8e4m3fn": "F8_E4M3",
    "float8e5m2": "F8_E5M2", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint64": "U64",
    "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
_NAMES = {code: name for name, code in _CODES.items()}


def holds(value: Any) -> bool:
    """Whether the form has a place for the value: an array of a type that it knows."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind in "USTO":
        return False
    return wire_name(value.dtype) in _CODES


def pack(request: bytes, tensors: Mapping[str, Mapping[str, Array]]) -> bytes:
    """A request with tensors by group and name."""
    header: dict[str, Any] = {"__metadata__": {"request": request.decode()}}
    pieces: list[bytes] = []
    offset = 0
    for group, arrays in tensors.items():
        for name, array in arrays.items():
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            ends = [offset, offset + len(data)]
            code = _CODES[wire_name(array.dtype)]
            header[f"{group}/{name}"] = {"dtype": code, "shape": list(array.shape), "data_offsets": ends}
            pieces.append(data)
            offset += len(data)
    head = json.dumps(header, ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *pieces])


def unpack(content: bytes) -> dict[str, dict[str, Array]]:
    """The tensors of an answer by group and name.

    Raises:
        CodecError: It is not this form, or its parts contradict one another.
    """
    length = int.from_bytes(content[:8], "little")
    groups: dict[str, dict[str, Array]] = {}
    try:
        header = json.loads(content[8 : 8 + length])
        for path, info in header.items():
            if path != "__metadata__":
                group, _, name = path.partition("/")
                groups.setdefault(group, {})[name] = _array(info, memoryview(content)[8 + length :])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodecError(f"Not safetensors: {type(error).__name__}: {error}") from None
    return groups


def _array(info: Mapping[str, Any], data: memoryview) -> Array:
    dtype = numpy_dtype(_NAMES[info["dtype"]])
    start, end = info["data_offsets"]
    shape = tuple(info["shape"])
    if not 0 <= start <= end <= len(data) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{end - start} bytes for shape {shape}")
    return np.frombuffer(data[start:end], dtype.newbyteorder("<")).astype(dtype).reshape(shape)
