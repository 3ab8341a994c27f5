"""From what a caller hands over to the array that an input asks for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphspec import dtypes
from graphspec.errors import Problem

# Kinds of NumPy in the order in which Python values may rise: bool → int → float → complex.
_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
_PLAIN = (bool, int, float, complex, str, bytes, list, tuple, range)


@dataclasses.dataclass
class Refusal(Exception):  # noqa: N818 - becomes a problem, never an error of its own
    """A value that cannot be what the input asks for."""

    code: str
    what: str
    expected: str
    found: str
    hint: str | None = None

    def problem(self, subject: str, path: str) -> Problem:
        """The refusal as a problem of one feed."""
        return Problem(
            self.code, f"{subject} {self.what}.", path=path, expected=self.expected, found=self.found, hint=self.hint
        )


def array_of(type_: ir.TypeProtocol | None) -> Callable[[Any], Any]:
    """What turns a caller's value into a value of a type; it raises ``Refusal``."""
    if isinstance(type_, ir.SequenceType):
        return functools.partial(_sequence, array_of(type_.elem_type), type_name(type_) or "sequence")
    if isinstance(type_, ir.OptionalType):
        return functools.partial(_optional, array_of(type_.elem_type))
    if isinstance(type_, ir.TensorType) and type_.dtype != ir.DataType.UNDEFINED:
        row = dtypes.of(int(type_.dtype))
        return _strings if row.name == "string" else functools.partial(_tensor, row)
    return _anything


def type_name(type_: ir.TypeProtocol | None) -> str | None:
    """A type without its shape, as reports write it."""
    if type_ is None:
        return None
    for kind, text in ((ir.SequenceType, "sequence"), (ir.OptionalType, "optional")):
        if isinstance(type_, kind):
            return f"{text}({type_name(type_.elem_type) or 'unknown'})"
    if type_.dtype == ir.DataType.UNDEFINED:
        return None
    name = dtypes.of(int(type_.dtype)).name
    return f"sparse({name})" if isinstance(type_, ir.SparseTensorType) else name


def _anything(value: Any) -> Any:
    """An input without a type of its own, or of one that NumPy has no word for."""
    return np.asarray(value) if isinstance(value, bool | int | float | complex | list | tuple) else value


def _sequence(element: Callable[[Any], Any], name: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise Refusal("dtype-mismatch", "is not a list", f"a list, for {name}", _kind(value))
    result = []
    for place, item in enumerate(value):
        try:
            result.append(element(item))
        except Refusal as refusal:
            refusal.what = f"has an element {place} that {refusal.what}"
            raise
    return result


def _optional(element: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else element(value)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {_dtype_name(value.dtype)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _dtype_name(dtype: np.dtype[Any]) -> str:
    try:
        return dtypes.of(dtype.newbyteorder("=") if dtype.kind != "O" else dtype).name
    except (KeyError, TypeError):
        return str(dtype)


def _tensor(row: dtypes.DType, value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, _PLAIN) and not isinstance(value, np.generic):
        return _from_python(row, value)
    if value is None or isinstance(value, Mapping | set):
        raise Refusal("dtype-mismatch", "is not a tensor", row.name, _kind(value))
    try:
        array = np.asarray(value)
    except Exception as error:  # an object's own conversion may raise anything
        raise Refusal("invalid-feed", "cannot be read as an array", row.name, type(error).__name__) from error
    if array.dtype == row.numpy:
        return array
    if array.dtype.newbyteorder("=") == row.numpy:
        return array.astype(row.numpy)
    raise Refusal(
        "dtype-mismatch",
        f"is of dtype {_dtype_name(array.dtype)}",
        row.name,
        _dtype_name(array.dtype),
        f"Arrays are not converted: use .astype({row.name!r})."
        if row.numpy.kind in "biufc"
        else "Arrays are not converted: use .astype with the dtype of ml_dtypes.",
    )


def _from_python(row: dtypes.DType, value: Any) -> np.ndarray[Any, Any]:
    try:
        natural = np.array(value)
    except Exception as error:  # ragged, too deep, or elements that are no numbers
        raise Refusal(
            "invalid-feed",
            "is not a regular nested list",
            f"equally long lists of {row.name}",
            "lists of other lengths",
        ) from error
    wanted = _wanted_kind(row)
    if natural.size and natural.dtype.kind not in _RANK:
        too_big = natural.dtype.kind == "O" and all(isinstance(e, int) for e in natural.reshape(-1).tolist())
        raise (
            _out_of_range(row)
            if too_big
            else Refusal("dtype-mismatch", "holds what is not a number", row.name, _first_odd(natural))
        )
    if natural.size and _RANK[natural.dtype.kind] > _RANK[wanted]:
        kind = {"i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"}[natural.dtype.kind]
        raise Refusal(
            "dtype-mismatch", f"holds {kind}", row.name, kind, "Nothing is rounded or cut: convert the values first."
        )
    if wanted == "i" and natural.size and natural.dtype.kind in "iu":
        limits: Any = np.iinfo(row.numpy) if row.bits >= 8 else ml_dtypes.iinfo(row.numpy)  # type: ignore[no-untyped-call]
        if int(natural.min()) < limits.min or int(natural.max()) > limits.max:
            raise _out_of_range(row)
    with np.errstate(all="ignore"):
        result = natural.astype(row.numpy)
        if wanted in "fc" and natural.size and _overflows(natural, result):
            raise _out_of_range(row)
    return result


def _wanted_kind(row: dtypes.DType) -> str:
    if row.name == "bool":
        return "b"
    return "c" if row.name.startswith("complex") else "i" if "int" in row.name else "f"


def _overflows(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> bool:
    if after.dtype.kind == "c":
        return bool(np.any(np.isfinite(before) & ~np.isfinite(after)))
    return bool(np.any(np.isfinite(before) & ~np.isfinite(after.astype(np.float64))))


def _out_of_range(row: dtypes.DType) -> Refusal:
    return Refusal("dtype-mismatch", f"holds numbers beyond {row.name}", f"numbers that {row.name} can hold", "others")


def _first_odd(array: np.ndarray[Any, Any]) -> str:
    odd = next((e for e in array.reshape(-1).tolist() if not isinstance(e, bool | int | float | complex)), None)
    return _kind(odd)


def _strings(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "UTSO":
        raise Refusal("dtype-mismatch", f"is of dtype {_dtype_name(value.dtype)}", "string", _dtype_name(value.dtype))
    try:
        array = np.array(value, dtype=object)
        flat = [e.decode() if isinstance(e, bytes) else e for e in array.reshape(-1).tolist()]
    except Exception as error:  # bytes that are not UTF-8, lists too deep
        raise Refusal("invalid-feed", "cannot be read as text", "strings in UTF-8", type(error).__name__) from error
    for element in flat:
        if not isinstance(element, str):
            raise Refusal("dtype-mismatch", "holds what is not text", "string", _kind(element))
    if isinstance(value, np.ndarray) and value.dtype == object and not any(isinstance(e, bytes) for e in value.flat):
        return value
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(array.shape)
