"""Tensors on the wire: nested lists, a flat list with its shape, or base64 (little-endian, row-major).

Non-finite floats are the strings "NaN", "Infinity" and "-Infinity". What is sent and what arrives are the same array,
bit for bit, or the request is refused with the place and the reason.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal, NoReturn

import numpy as np

from graphspec import FeedError, Problem, ValueInfo, dtypes
from graphspec_server._json import array_json
from graphspec_server._text import kind_of, nearest, pointer

Encoding = Literal["list", "base64"]

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_FIELDS = {"dtype", "shape", "data", "base64"}
_MAX_RANK = 64  # NumPy's own


def decode_tensors(
    tensors: Mapping[str, Any], known: Mapping[str, ValueInfo], field: str
) -> tuple[dict[str, np.ndarray], list[Problem]]:
    """Decode the tensors of one field of a request.

    Args:
        tensors: The field: names to tensors in any form.
        known: What the graph says of the names that may be given.
        field: The field's name, which starts the problems' paths.

    Returns:
        The arrays that can be read, and the problems of all the others.
    """
    arrays, problems = {}, []
    for name, tensor in tensors.items():
        try:
            if name not in known:
                _refuse("unknown-name", f"The graph takes no {name!r} here.", "", hint=nearest(name, known))
            arrays[name] = decode_tensor(tensor, known[name])
        except FeedError as error:
            problems += [_below(pointer(field, name), problem) for problem in error.problems]
    return arrays, problems


def decode_tensor(tensor: Any, info: ValueInfo | None = None) -> np.ndarray:
    """One tensor of a request as an array.

    Args:
        tensor: A number, string, boolean or nested list of them, or an object with ``dtype``, ``shape`` and either
            ``data`` or ``base64``.
        info: What the graph says of the value, which fills in what the tensor leaves out.

    Raises:
        FeedError: The tensor cannot be read without loss.
    """
    if isinstance(tensor, np.ndarray):  # from safetensors
        return tensor
    fields = tensor if isinstance(tensor, dict) else {"data": tensor}
    _check_fields(fields)
    dtype = _dtype(fields, info)
    shape = _shape(fields, info)
    if "base64" in fields:
        return _from_base64(fields["base64"], dtype, shape)
    return _from_data(fields["data"], dtype, shape)


def encode_tensor(array: np.ndarray, encoding: Encoding = "list") -> dict[str, Any]:
    """One array of an answer as an object for `write_json`.

    Raises:
        FeedError: The encoding asked for cannot hold the type.
    """
    dtype = dtypes.of(array.dtype)
    head = {"dtype": dtype.name, "shape": list(array.shape)}
    if encoding == "base64":
        if dtype.name == "string":
            _refuse("encoding", "Strings have no base64 form; ask for the encoding 'list'.", "/encoding")
        _refuse_packed(dtype)
        return head | {"base64": base64.b64encode(little_endian_bytes(array)).decode("ascii")}
    if dtype.name == "string":
        return head | {"data": array.tolist()}
    if array.dtype.kind == "c":
        _refuse("encoding", "Complex numbers have no JSON form; ask for the encoding 'base64'.", "/encoding")
    _refuse_packed(dtype)
    return head | {"data": array_json(array)}


def little_endian_bytes(array: np.ndarray) -> bytes:
    """The elements in row-major order, each little-endian."""
    return (array if np.little_endian else array.byteswap()).tobytes()


def array_of_bytes(data: bytes, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array whose little-endian, row-major bytes these are; ``dtype`` is a row of the table of dtypes.

    Raises:
        FeedError: The number of bytes is not that of the shape, or a boolean is neither 0 nor 1.
    """
    expected = math.prod(shape) * dtype.numpy.itemsize
    if len(data) != expected:
        _refuse("data-length", "The data is not as long as dtype and shape say.", "", f"{expected} bytes", len(data))
    if dtype.name == "bool" and data.translate(None, b"\x00\x01"):
        _refuse("data-value", "A byte of a boolean tensor is neither 0 nor 1.", "")
    flat = np.frombuffer(data, dtype.numpy)
    return _shaped(flat if np.little_endian else flat.byteswap(), shape)


def _check_fields(fields: dict[str, Any]) -> None:
    for name in fields:
        if name not in _FIELDS:
            _refuse("unknown-field", f"A tensor has no field {name!r}.", pointer(name), hint=nearest(name, _FIELDS))
    if ("data" in fields) == ("base64" in fields):
        found = "both" if "data" in fields else "neither"
        _refuse("tensor-form", "A tensor has its values in one field.", "", "either 'data' or 'base64'", found)


def _dtype(fields: dict[str, Any], info: ValueInfo | None) -> Any:
    """The row of the table of dtypes: the tensor's own word, else the graph's."""
    if "dtype" not in fields:
        if info is None or info.dtype is None:
            _refuse("dtype-unknown", "The graph does not say the dtype; give an object with 'dtype'.", "")
        if info.dtype not in dtypes.BY_NAME:
            _refuse("not-a-tensor", f"The graph takes a {info.dtype} here, which has no form on the wire.", "")
        return dtypes.BY_NAME[info.dtype]
    name = fields["dtype"]
    if not isinstance(name, str) or name not in dtypes.BY_NAME:
        found = name if isinstance(name, str) else kind_of(name)
        hint = nearest(name, dtypes.BY_NAME) if isinstance(name, str) else None
        _refuse("unknown-dtype", "There is no such dtype.", "/dtype", "a dtype's name", found, hint)
    return dtypes.BY_NAME[name]


def _shape(fields: dict[str, Any], info: ValueInfo | None) -> tuple[int, ...] | None:
    """The shape that the tensor gives, or ``None``: then the nesting of its data tells."""
    if "shape" in fields:
        shape = fields["shape"]
        fits = isinstance(shape, list) and all(type(d) is int and 0 <= d < 2**63 for d in shape)
        if not fits or len(shape) > _MAX_RANK:
            _refuse("shape", "The shape is not one.", "/shape", f"at most {_MAX_RANK} whole numbers from 0 on")
        return tuple(shape)
    if "base64" not in fields:
        return None
    static = info.shape if info is not None and info.shape is not None else ("?",)
    if any(not isinstance(d, int) for d in static):
        _refuse("shape-unknown", "The graph does not fix the shape; base64 needs 'shape' beside it.", "")
    return tuple(d for d in static if isinstance(d, int))


def _from_base64(text: Any, dtype: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    if not isinstance(text, str):
        _refuse("base64", "The field 'base64' holds a string.", "/base64", "string", kind_of(text))
    if dtype.name == "string":
        _refuse("encoding", "Strings have no base64 form; give them as 'data'.", "/base64")
    _refuse_packed(dtype)
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        _refuse("base64", "The text is not base64.", "/base64")
    return array_of_bytes(data, dtype, shape or ())


def _from_data(data: Any, dtype: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    if dtype.numpy.kind == "c":
        _refuse("encoding", "Complex numbers have no JSON form; give them as 'base64'.", "")
    _refuse_packed(dtype)
    nesting, flat = _flattened(data)
    if shape is not None and math.prod(shape) != len(flat):
        _refuse("data-length", "The shape asks for another number of values.", "", math.prod(shape), len(flat))
    if shape is not None and len(nesting) > 1 and nesting != shape[: None if flat else len(nesting)]:
        _refuse("shape", "The nesting of the data is not the shape.", "/shape", str(list(nesting)), str(list(shape)))
    return _shaped(_values(flat, dtype), nesting if shape is None else shape)


def _flattened(data: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists and their elements in order; level by level, so that no list is walked in Python."""
    shape: list[int] = []
    level = [data]
    while level and type(level[0]) is list:
        kinds = set(map(type, level))
        lengths = set(map(len, level)) if kinds == {list} else set()
        if len(lengths) != 1 or len(shape) == _MAX_RANK:
            _refuse("ragged", f"The lists at depth {len(shape)} are not all equally long and deep.", "")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        _refuse("ragged", f"The lists at depth {len(shape)} are not all equally long and deep.", "")
    return tuple(shape), level


def _values(flat: list[Any], dtype: Any) -> np.ndarray:
    """Elements to a flat array of a dtype, each exactly (floats: rounded to the nearest)."""
    kinds = set(map(type, flat))
    if dtype.name == "string":
        _expect_kinds(flat, kinds, {str}, dtype.name)
        return np.array(flat, dtype=object)
    if dtype.name == "bool":
        _expect_kinds(flat, kinds, {bool}, dtype.name)
        return np.array(flat, dtype=np.bool_)
    if dtype.numpy.kind in "iu":
        _expect_kinds(flat, kinds, {int}, dtype.name)
        return _integers(flat, dtype)
    if str in kinds:
        flat = [_non_finite(value) if type(value) is str else value for value in flat]
    _expect_kinds(flat, kinds, {int, float, str}, dtype.name)
    return _floats(flat, dtype)


def _integers(flat: list[int], dtype: Any) -> np.ndarray:
    try:
        return np.array(flat, dtype=dtype.numpy)
    except OverflowError:
        limits = np.iinfo(dtype.numpy)
        wrong = next(value for value in flat if not limits.min <= value <= limits.max)
        _refuse("data-value", f"A value does not fit {dtype.name}.", "", f"{limits.min} to {limits.max}", wrong)


def _floats(flat: list[float], dtype: Any) -> np.ndarray:
    wide = np.array(flat, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = wide.astype(dtype.numpy)
        lost = np.isfinite(wide) & ~np.isfinite(narrow.astype(np.float64))
        if dtype.name.startswith("float8"):  # some of these have no infinity, some not even a sign
            lost |= ~np.isfinite(wide) & (wide != narrow.astype(np.float64)) & ~np.isnan(wide)
    if lost.any():
        _refuse("data-value", f"A value does not fit {dtype.name}.", "", dtype.name, wide[lost][0])
    return narrow


def _non_finite(text: str) -> float:
    if text not in NON_FINITE:
        _refuse("data-value", "A string stands where a number belongs.", "", f"a number or {list(NON_FINITE)}", text)
    return NON_FINITE[text]


def _expect_kinds(flat: list[Any], kinds: set[type], allowed: set[type], dtype: str) -> None:
    if kinds - allowed:
        index, value = next((i, v) for i, v in enumerate(flat) if type(v) not in allowed)
        found = f"{value!r}" if isinstance(value, (int, float)) else kind_of(value)
        _refuse("data-value", f"Element {index} (in row-major order) is not of the dtype.", "", dtype, found)


def _shaped(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError):  # an empty array with a dimension beyond memory
        _refuse("shape", "The shape is larger than any array can be.", "/shape")


def _refuse_packed(dtype: Any) -> None:
    if 0 < dtype.bits < 8:
        reason = f"{dtype.name} has no form on the wire, since its elements share bytes; use Cast in the graph."
        _refuse("unsupported-dtype", reason, "")


def _refuse(
    code: str, message: str, path: str, expected: Any = None, found: Any = None, hint: str | None = None
) -> NoReturn:
    wanted, instead = (None if text is None else str(text) for text in (expected, found))
    problem = Problem(code=code, message=message, path=path, expected=wanted, found=instead, hint=hint)
    raise FeedError(problems=[problem])


def _below(path: str, problem: Problem) -> Problem:
    return dataclasses.replace(problem, path=path + problem.path)
