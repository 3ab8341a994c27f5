"""Tensor data between JSON and protobuf: exact, or refused."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from graphspec import dtypes
from graphspec.interchange.findings import Findings, describe

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

#: Tensors of up to this many elements are written as lists, for people to read; larger ones as base64.
READABLE = 64

_NUMERIC = {
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), "float"),
    **dict.fromkeys(("int2", "int4", "int8", "int16", "int32", "int64"), "int"),
    **dict.fromkeys(("uint2", "uint4", "uint8", "uint16", "uint32", "uint64"), "int"),
    "bool": "bool",
}
_WORDS = {
    "float": 'a number, "NaN", "Infinity" or "-Infinity"',
    "int": "an integer",
    "bool": "true or false",
    "string": "a string",
}


def raw_bytes(tensor: onnx.TensorProto) -> bytes:
    """The tensor's elements as ``raw_data`` holds them, whichever field they are in."""
    if tensor.HasField("raw_data"):
        return tensor.raw_data
    return ir.serde.TensorProtoTensor(tensor).tobytes()


def byte_length(dtype: dtypes.DType, shape: Sequence[int]) -> int:
    """The length of ``raw_data`` for a shape; sub-byte elements are packed."""
    return (math.prod(shape) * dtype.bits + 7) // 8


def encode_data(tensor: onnx.TensorProto) -> dict[str, Any]:
    """``dtype``, ``shape`` and the elements: a list where that is exact and short, base64 otherwise."""
    row = dtypes.BY_ONNX[tensor.data_type]
    shape = list(tensor.dims)
    head: dict[str, Any] = {"dtype": row.name, "shape": shape}
    if row.name == "string":
        return {**head, "data": _nest([encode_string(item) for item in tensor.string_data], shape)}
    raw = raw_bytes(tensor)
    if row.name in _NUMERIC and math.prod(shape) <= READABLE:
        flat = _decimals(row, raw, shape)
        if flat is not None:
            return {**head, "data": _nest(flat, shape)}
    return {**head, "base64": base64.b64encode(raw).decode("ascii")}


def _decimals(row: dtypes.DType, raw: bytes, shape: list[int]) -> list[Any] | None:
    """The elements as JSON scalars, or ``None`` if reading them back would not give the same bytes."""
    proto = onnx.TensorProto(data_type=int(row.onnx), dims=[math.prod(shape)], raw_data=raw)
    array = ir.serde.TensorProtoTensor(proto).numpy()
    if _NUMERIC[row.name] == "float":
        flat: list[Any] = [encode_float(item) for item in array]
    else:
        flat = [item.item() if isinstance(item, np.generic) else int(item) for item in array]
        if _NUMERIC[row.name] == "int":
            flat = [int(item) for item in flat]
    again = _to_raw(row, flat, "", Findings(), str)
    return flat if again == raw else None


def encode_float(number: Any) -> float | str | dict[str, str]:
    """A NumPy float as JSON: the shortest decimal that reads back as the same float of its type."""
    value = float(number)
    if math.isnan(value):
        plain = type(number)(math.nan).tobytes() == number.tobytes()
        return "NaN" if plain else {"base64": base64.b64encode(number.tobytes()).decode("ascii")}
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    shortest = float(str(number))
    with np.errstate(over="ignore"):
        return shortest if type(number)(shortest) == number else value


def encode_string(data: bytes) -> str | dict[str, str]:
    """UTF-8 bytes as a string, any others as base64."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _nest(flat: list[Any], shape: list[int]) -> Any:
    """Nested lists of a flat list; one flat empty list for every shape without elements."""
    if not flat:
        return []
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat if shape else flat[0]


def decode_base64(text: Any, path: str, findings: Findings) -> bytes | None:
    """The bytes of a base64 string, or ``None`` and a problem."""
    if not isinstance(text, str):
        findings.kind(path, "a base64 string", text)
        return None
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
    except (binascii.Error, UnicodeEncodeError) as error:
        findings.add(
            "bad-base64",
            "The text is not base64.",
            path,
            expected="base64 of RFC 4648, padded, on one line",
            found=f"{describe(text)}: {error}",
        )
        return None


def decode_string(value: Any, path: str, findings: Findings, expected: str = "a string") -> bytes | None:
    """The bytes of a JSON string or of ``{"base64": ...}``, or ``None`` and a problem."""
    if isinstance(value, dict) and list(value) == ["base64"]:
        return decode_base64(value["base64"], f"{path}/base64", findings)
    if not isinstance(value, str):
        findings.kind(path, expected, value)
        return None
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        message = "The string holds half of a surrogate pair."
        findings.add("bad-encoding", message, path, expected="Unicode text", found=describe(value))
        return None


def decode_float(value: Any, path: str, findings: Findings) -> float | None:
    """A float32, or ``None`` and a problem; the bits of an unusual NaN come as ``{"base64": ...}``."""
    if type(value) is dict and list(value) == ["base64"]:
        data = decode_base64(value["base64"], f"{path}/base64", findings)
        if data is not None and len(data) != 4:
            findings.add(
                "raw-data-length",
                "The base64 is not one float32.",
                path,
                expected="4 bytes",
                found=f"{len(data)} bytes",
            )
        return float(np.frombuffer(data, np.float32)[0]) if data is not None and len(data) == 4 else None
    found = _to_array(dtypes.BY_NAME["float32"], [value], lambda _: path, findings)
    return None if found is None else float(found[0])


def decode_data(
    row: dtypes.DType, shape: list[int] | None, data: Any, path: str, findings: Findings
) -> tuple[list[int], bytes | list[bytes]] | None:
    """Read the nested or flat lists of a tensor.

    Args:
        row: The element type.
        shape: The declared shape, or ``None`` if the lists are to show it.
        data: The JSON value.
        path: Its JSON pointer.
        findings: Takes the problems.

    Returns:
        The shape and the raw bytes (a list of bytes for strings), or ``None`` after a problem.
    """
    flattened = _flatten(data, shape, path, findings)
    if flattened is None:
        return None
    found_shape, flat, is_flat = flattened

    def element(index: int) -> str:
        if is_flat:
            return f"{path}/{index}"
        return path + "".join(f"/{int(i)}" for i in np.unravel_index(index, found_shape)) if found_shape else path

    final = found_shape if shape is None else shape
    if row.name == "string":
        strings = [decode_string(item, element(index), findings) for index, item in enumerate(flat)]
        present = [item for item in strings if item is not None]
        return (final, present) if len(present) == len(flat) else None
    if row.name not in _NUMERIC:
        findings.add(
            "needs-base64",
            f"Elements of {row.name} cannot be written as JSON numbers.",
            path,
            expected="base64",
            found=describe(data),
            hint='Give "base64" (little-endian bytes, row-major) in place of "data".',
        )
        return None
    raw = _to_raw(row, flat, path, findings, element)
    return None if raw is None else (final, raw)


def _flatten(
    data: Any, shape: list[int] | None, path: str, findings: Findings
) -> tuple[list[int], list[Any], bool] | None:
    """The shape of nested lists and their elements in order, and whether the list was flat; level by level."""
    sizes: list[int] = []
    level: list[Any] = [data]
    while level and all(type(item) is list for item in level):
        lengths = set(map(len, level))
        if len(lengths) != 1:
            _ragged(level, sizes, path, findings)
            return None
        sizes.append(lengths.pop())
        level = list(itertools.chain.from_iterable(level))
        if len(sizes) > 64:
            findings.add(
                "too-deep", "The lists are nested too deeply.", path, expected="at most 64 dimensions", found="more"
            )
            return None
    if list in set(map(type, level)):
        _ragged(level, sizes, path, findings)
        return None
    if shape is None:
        if not level:
            findings.add(
                "ambiguous",
                "An empty list does not show the shape of the tensor.",
                path,
                expected='"shape" beside the data',
                found=describe(data),
            )
            return None
        return sizes, level, False
    count = math.prod(shape)
    is_flat = len(sizes) == 1 and len(shape) != 1
    fits = sizes == shape or (is_flat and sizes == [count]) or (not level and count == 0 and _prefix(sizes, shape))
    if not fits:
        findings.add(
            "shape-mismatch",
            "The data does not fit the declared shape.",
            path,
            expected=f"data of shape {shape}, or a flat list of {count}",
            found=f"data of shape {sizes}",
        )
        return None
    return (sizes if is_flat else shape), level, is_flat


def _prefix(sizes: list[int], shape: list[int]) -> bool:
    """Whether lists of these sizes are how a shape without elements is written: cut at its first zero."""
    return sizes == [0] or sizes == shape[: len(sizes)]


def _ragged(level: list[Any], sizes: list[int], path: str, findings: Findings) -> None:
    """Say which of the lists of one level is unlike the first."""
    first = level[0]

    def form(item: Any) -> str:
        return describe(item) if type(item) is list else "a scalar"

    odd = next(index for index, item in enumerate(level) if form(item) != form(first))
    where = "".join(f"/{int(i)}" for i in np.unravel_index(odd, sizes)) if sizes else ""
    findings.add(
        "ragged-data",
        "The lists of one level differ in length.",
        path + where,
        expected=form(first),
        found=form(level[odd]),
    )


def _to_raw(row: dtypes.DType, flat: list[Any], path: str, findings: Findings, element: Any) -> bytes | None:
    array = _to_array(row, flat, element, findings)
    return None if array is None else ir.Tensor(array, dtype=row.onnx).tobytes()


def _to_array(row: dtypes.DType, flat: list[Any], element: Any, findings: Findings) -> npt.NDArray[Any] | None:
    """JSON scalars as an array of the dtype, or ``None`` and a problem at the first element that does not fit."""
    kind = _NUMERIC[row.name]
    allowed: dict[str, tuple[type, ...]] = {"float": (float, int), "int": (int,), "bool": (bool,)}
    types = set(map(type, flat))
    quoted: Any = False
    if kind == "float" and str in types:
        quoted = np.fromiter((type(item) is str for item in flat), np.bool_, len(flat))
        flat = [NON_FINITE.get(item, item) if type(item) is str else item for item in flat]
        types = set(map(type, flat))
    if not types <= set(allowed[kind]):
        odd = next(index for index, item in enumerate(flat) if type(item) not in allowed[kind])
        findings.kind(element(odd), f"{_WORDS[kind]} ({row.name})", flat[odd], hint=_hint(kind, flat[odd]))
        return None
    if kind == "bool":
        return np.array(flat, dtype=np.bool_)
    if kind == "int":
        info = ir.DataType(row.onnx)
        low, high = int(info.min), int(info.max)
        if flat and (min(flat) < low or max(flat) > high):
            odd = next(index for index, item in enumerate(flat) if not low <= item <= high)
            _out_of_range(element(odd), flat[odd], f"an integer from {low} to {high} ({row.name})", findings)
            return None
        return np.array(flat, dtype=row.numpy if row.bits >= 8 else np.int64).astype(row.numpy)
    try:
        wide = np.array(flat, dtype=np.float64)
    except OverflowError:
        odd = next(index for index, item in enumerate(flat) if type(item) is int and abs(item) > 2**1023)
        _out_of_range(element(odd), flat[odd], f"a number that {row.name} can hold", findings)
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        array = wide.astype(row.numpy)
        overflow = ~np.isfinite(array.astype(np.float64)) & ~np.asarray(quoted)  # 1e999 parses to infinity
    if overflow.any():
        odd = int(np.argmax(overflow))
        hint = 'Infinity and NaN are written as the strings "Infinity", "-Infinity" and "NaN".'
        _out_of_range(element(odd), flat[odd], f"a number that {row.name} can hold", findings, hint)
        return None
    return array


def _out_of_range(path: str, value: Any, expected: str, findings: Findings, hint: str | None = None) -> None:
    findings.add(
        "out-of-range", "The number is out of range.", path, expected=expected, found=describe(value), hint=hint
    )


def _hint(kind: str, value: Any) -> str | None:
    if kind == "bool" and type(value) is int:
        return "Write true for 1 and false for 0."
    if kind != "bool" and type(value) is bool:
        return "Write 1 for true and 0 for false."
    if kind == "int" and type(value) is float:
        return "Integers are written without a fraction or exponent."
    if value is None:
        return 'JSON\'s null is not a number; "NaN" is a string.'
    return None
