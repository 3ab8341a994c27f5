"""Tensors of the Open Inference Protocol: JSON, and the binary tensor extension, alone or mixed.

A body is a JSON header and, when the header's length is given beside it, the bytes of the binary tensors after it, in
the order in which the header names them. Numbers are little-endian and row-major; an element of a BYTES tensor is its
length in four bytes and then its UTF-8.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from graphspec import FeedError, Problem, UnsupportedError, ValueInfo, dtypes
from graphspec_server import wire_v2
from graphspec_server._json import array_json, read_json, write_json
from graphspec_server._text import kind_of, nearest
from graphspec_server.codec import array_of_bytes, decode_tensor, little_endian_bytes
from graphspec_server.errors import RequestError
from graphspec_server.wire import parse

_BY_DATATYPE = {row.datatype: row for row in dtypes.DTYPES if row.datatype}
_LENGTH = struct.Struct("<I")
_SHARED_MEMORY = "shared_memory_region"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """An inference request, its tensors still as they came.

    Attributes:
        message: The JSON header.
        pieces: The bytes of each binary input, by its place among the inputs.
    """

    message: wire_v2.InferRequest
    pieces: Mapping[int, bytes]

    def binary(self, output: wire_v2.RequestedOutput | None) -> bool:
        """Whether an output is wanted as bytes."""
        usual = _flag(self.message.parameters, "binary_data_output", False, "/parameters")
        return usual if output is None else _flag(output.parameters, "binary_data", usual, "/outputs")


def datatype_of(info: ValueInfo) -> str:
    """The protocol's name of a value's type; our own for a type that it does not know."""
    row = dtypes.BY_NAME.get(info.dtype or "")
    return (row.datatype if row is not None else None) or info.dtype or "UNKNOWN"


def shape_of(info: ValueInfo) -> list[int]:
    """A value's shape; -1 for each size that only a run fixes."""
    return [-1] if info.shape is None else [d if isinstance(d, int) else -1 for d in info.shape]


def read_request(body: bytes, header_length: str | None) -> Request:
    """The request that a body holds.

    Args:
        body: The body, decompressed.
        header_length: What ``Inference-Header-Content-Length`` says; without it the whole body is JSON.

    Raises:
        RequestError: It is not JSON, not a request, or its lengths contradict one another.
    """
    end = len(body) if header_length is None else _header_end(header_length, len(body))
    message = parse(wire_v2.InferRequest, _json(body[:end]))
    pieces, start = {}, end
    for index, tensor in enumerate(message.inputs):
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            continue
        path = f"/inputs/{index}/parameters/binary_data_size"
        if type(size) is not int or size < 0:
            _refuse(
                "binary-size", "The size of a binary tensor is a whole number from 0 on.", path, found=kind_of(size)
            )
        if header_length is None and size:  # some clients leave the header out where no bytes follow
            reason = "A binary tensor needs the header Inference-Header-Content-Length."
            _refuse("binary-size", reason, path, "the length of the JSON in bytes", "no such header")
        if start + size > len(body):
            reason = f"The body ends before the data of {tensor.name!r} does."
            _refuse("binary-size", reason, path, f"{size} bytes", f"{len(body) - start} bytes")
        pieces[index] = body[start : start + size]
        start += size
    if start != len(body):
        reason = "The body is longer than its header and its binary tensors together."
        _refuse("binary-size", reason, "", f"{start} bytes", f"{len(body)} bytes")
    return Request(message, pieces)


def decode_inputs(request: Request, known: Mapping[str, ValueInfo]) -> dict[str, np.ndarray]:
    """The inputs as arrays, by name.

    Args:
        request: The request.
        known: What the model takes.

    Raises:
        FeedError: Inputs are unknown, given twice, or do not fit what they say of themselves; all are reported.
    """
    arrays: dict[str, np.ndarray] = {}
    problems: list[Problem] = []
    for index, tensor in enumerate(request.message.inputs):
        path = f"/inputs/{index}"
        try:
            if tensor.name in arrays:
                _mismatch("duplicate-feed", f"The input {tensor.name!r} is given twice.")
            if tensor.name not in known:
                hint = nearest(tensor.name, known)
                _mismatch("unknown-name", f"The model has no input {tensor.name!r}.", hint=hint)
            arrays[tensor.name] = _decode(tensor, request.pieces.get(index), known[tensor.name])
        except FeedError as error:
            problems += [dataclasses.replace(problem, path=path + problem.path) for problem in error.problems]
    if problems:
        raise FeedError(problems=problems)
    return arrays


def write_answer(head: Mapping[str, Any], outputs: Sequence[tuple[str, Any, bool]]) -> tuple[bytes, int | None]:
    """The body of an answer.

    Args:
        head: What stands beside the outputs.
        outputs: Name, array, and whether it is wanted as bytes; in the order of the answer.

    Returns:
        The body, and the length of its JSON when there is more than that.

    Raises:
        UnsupportedError: An output has no form in this protocol, or none in JSON.
    """
    described, pieces = [], []
    for name, array, binary in outputs:
        row = dtypes.of(array.dtype) if isinstance(array, np.ndarray) else None
        if row is None or row.datatype is None:
            found = "no tensor" if row is None else row.name
            raise UnsupportedError(
                f"The output {name!r} has no form in this protocol.", code="no-datatype", found=found,
                hint="Ask for the others alone, or use Cast in the graph.",
            )  # fmt: skip
        entry: dict[str, Any] = {"name": name, "datatype": row.datatype, "shape": list(array.shape)}
        if binary:
            data = _bytes_data(array) if row.name == "string" else little_endian_bytes(array)
            entry["parameters"] = {"binary_data_size": len(data)}
            pieces.append(data)
        else:
            entry["data"] = _json_data(name, array, row)
        described.append(entry)
    text = write_json({**head, "outputs": described})
    return b"".join([text, *pieces]), len(text) if any(binary for *_, binary in outputs) else None


def _header_end(text: str, size: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or not 0 < int(text) <= size:
        reason = "Inference-Header-Content-Length is not the length of the JSON at the start of the body."
        _refuse("header-length", reason, "", f"1 to {size}", text)
    return int(text)


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = read_json(data)
    except RequestError as error:
        if any(token in data for token in (b"NaN", b"Infinity")):
            reason = "The JSON is none: it may hold a NaN or an infinity, which JSON cannot."
            _refuse("invalid-json", reason, "", hint="Send the tensor as binary data.")
        raise error
    if not isinstance(value, dict):
        _refuse("invalid-request", "The request is no object.", "", "object", kind_of(value))
    return value


def _decode(tensor: wire_v2.InputTensor, data: bytes | None, info: ValueInfo) -> np.ndarray:
    if _SHARED_MEMORY in tensor.parameters:
        _mismatch("shared-memory", "Shared memory is not served here; send the data.", path="/parameters")
    expected = datatype_of(info)
    row = _BY_DATATYPE.get(tensor.datatype)
    if row is None or (expected in _BY_DATATYPE and row.datatype != expected):
        reason = f"The input {tensor.name!r} has another datatype."
        _mismatch("datatype", reason, path="/datatype", expected=expected, found=tensor.datatype)
    shape = tensor.shape
    if len(shape) > 64 or any(not 0 <= d < 2**63 for d in shape):
        _mismatch("shape", "The shape is not one.", path="/shape", expected="at most 64 whole numbers from 0 on")
    if info.shape is not None:
        fits = len(shape) == len(info.shape) and all(
            not isinstance(wanted, int) or wanted == size for wanted, size in zip(info.shape, shape, strict=True)
        )
        if not fits:
            reason = f"The input {tensor.name!r} has another shape."
            _mismatch("shape", reason, path="/shape", expected=str(shape_of(info)), found=str(shape))
    if (data is None) == (tensor.data is None):
        found = "both" if data is not None else "neither"
        _mismatch("tensor-form", "A tensor has its values in one place.", expected="data or binary data", found=found)
    if data is None:
        return decode_tensor({"dtype": row.name, "shape": shape, "data": tensor.data})
    return _of_bytes_data(data, shape) if row.name == "string" else array_of_bytes(data, row, tuple(shape))


def _of_bytes_data(data: bytes, shape: list[int]) -> np.ndarray:
    elements: list[str] = []
    start = 0
    while start < len(data):
        begin = start + _LENGTH.size
        # A length that is cut short reads as one that goes beyond the end.
        length = _LENGTH.unpack_from(data, start)[0] if begin <= len(data) else len(data)
        start = begin + length
        if start > len(data):
            _mismatch("data-length", f"Element {len(elements)} ends after the data.")
        try:
            elements.append(data[begin:start].decode())
        except UnicodeDecodeError:
            _mismatch("data-value", f"Element {len(elements)} is not UTF-8.")
    if len(elements) != math.prod(shape):
        reason = "The data has another number of elements."
        _mismatch("data-length", reason, expected=str(math.prod(shape)), found=str(len(elements)))
    return decode_tensor({"dtype": "string", "shape": shape, "data": elements})


def _bytes_data(array: np.ndarray) -> bytes:
    elements = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1).tolist()]
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def _json_data(name: str, array: np.ndarray, row: Any) -> Any:
    flat = array.reshape(-1)
    if row.name == "string":
        return flat.tolist()
    if row.is_float and not np.isfinite(flat).all():
        raise UnsupportedError(
            f"The output {name!r} holds a NaN or an infinity, which JSON cannot.", code="non-finite",
            hint="Ask for it as binary data: parameters {\"binary_data\": true}.",
        )  # fmt: skip
    return array_json(flat)


def _flag(parameters: Mapping[str, Any], name: str, usual: bool, path: str) -> bool:
    value = parameters.get(name, usual)
    if not isinstance(value, bool):
        _refuse("invalid-field", f"The parameter {name!r} is true or false.", path, "boolean", kind_of(value))
    return value


def _refuse(
    code: str, message: str, path: str, expected: str | None = None, found: str | None = None, hint: str | None = None
) -> NoReturn:
    raise RequestError(message, code=code, path=path, expected=expected, found=found, hint=hint)


def _mismatch(
    code: str,
    message: str,
    path: str = "",
    expected: str | None = None,
    found: str | None = None,
    hint: str | None = None,
) -> NoReturn:
    raise FeedError(message, code=code, path=path, expected=expected, found=found, hint=hint)
