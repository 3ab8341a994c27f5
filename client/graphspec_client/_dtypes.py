"""Element types by their names on the wire, and NumPy's rules of promotion between them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphspec_client._exceptions import CodecError

# name on the wire: number in ONNX (the attribute `to` of Cast)
ONNX_NUMBERS: dict[str, int] = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "string": 8, "bool": 9,
    "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "complex64": 14, "complex128": 15, "bfloat16": 16,
    "float8e4m3fn": 17, "float8e4m3fnuz": 18, "float8e5m2": 19, "float8e5m2fnuz": 20, "float8e8m0": 24,
}  # fmt: skip
FROM_ONNX_NUMBER: dict[int, str] = {number: name for name, number in ONNX_NUMBERS.items()}

# NumPy extension types (of the package ml_dtypes, which is optional) by NumPy's name: name on the wire
_EXTENSIONS: dict[str, str] = {
    "bfloat16": "bfloat16",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
}
_ATTRIBUTES = {wire: numpy for numpy, wire in _EXTENSIONS.items()}
_NATIVE = frozenset(ONNX_NUMBERS) - set(_ATTRIBUTES) - {"string"}
FLOATS = frozenset({"float16", "float32", "float64", "bfloat16"})


def wire_name(dtype: Any) -> str:
    """The name on the wire of a dtype given as anything NumPy takes for one, or by that very name.

    Raises:
        CodecError: There is no such element type in ONNX.
    """
    if isinstance(dtype, str) and dtype in ONNX_NUMBERS:
        return dtype
    try:
        return _of(np.dtype(dtype))
    except TypeError as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError(f"{dtype!r} is not a dtype; known are {', '.join(ONNX_NUMBERS)}.") from None


@functools.lru_cache(maxsize=256)
def _of(found: np.dtype[Any]) -> str:
    if found.kind in "USTO":
        return "string"
    if found.name in _NATIVE:
        return str(found.name)
    if found.name in _EXTENSIONS:
        return _EXTENSIONS[found.name]
    raise CodecError(f"ONNX has no element type for NumPy's {found.name!r}; known are {', '.join(ONNX_NUMBERS)}.")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name on the wire (``object`` for strings).

    Raises:
        CodecError: The name is unknown, or its type needs the package ml_dtypes, which is not installed.
    """
    if name == "string":
        return np.dtype(object)
    if name in _NATIVE:
        return np.dtype(name)
    if name not in _ATTRIBUTES:
        raise CodecError(f"Unknown dtype {name!r}; known are {', '.join(ONNX_NUMBERS)}.")
    try:
        import ml_dtypes
    except ImportError:
        raise CodecError(f"NumPy itself has no {name}: install the package ml_dtypes to work with it.") from None
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _ATTRIBUTES[name]))
    return dtype


def is_float(name: str) -> bool:
    """Whether values of the type can have gradients."""
    return name in FLOATS


def kind(name: str) -> str:
    """NumPy's letter of the family: ``b`` bool, ``i`` or ``u`` integer, ``f`` float, ``c`` complex, ``O`` strings."""
    return "f" if name in _ATTRIBUTES else numpy_dtype(name).kind


_WEAK = {"b": False, "i": 0, "f": 0.0, "c": 0j}


def promote(strong: Iterable[str], weak: Iterable[str] = ()) -> str:
    """NumPy's result type: ``strong`` are the dtypes of arrays, ``weak`` those of Python scalars.

    Python scalars take the arrays' dtype unless their family is a higher one, as in NumPy 2.

    Raises:
        CodecError: The types do not mix (strings with numbers, bfloat16 with float16).
    """
    arrays, scalars = list(dict.fromkeys(strong)), list(dict.fromkeys(weak))
    every = {*arrays, *scalars}
    if len(every) == 1 and (arrays or scalars):
        return every.pop()
    if "string" in every:
        raise CodecError("Strings and numbers do not mix in one operation.")
    extended = {name for name in arrays if name in _ATTRIBUTES}
    if extended:
        return _promote_extended(extended, arrays, scalars)
    operands: list[Any] = [np.dtype(name) for name in arrays]
    operands += [_WEAK[kind(name)] for name in scalars]
    if arrays:
        return wire_name(np.result_type(*operands))
    return wire_name(np.result_type(*(np.dtype(name) for name in scalars)))


def _promote_extended(extended: set[str], arrays: list[str], scalars: list[str]) -> str:
    """A type beside NumPy's own gives way to the floats that hold all its values; it takes in bools and scalars."""
    others = [name for name in arrays if name not in extended]
    wide = {"float32", "float64"} & set(others)
    if len(extended) == 1 and not any(kind(name) == "c" for name in [*arrays, *scalars]):
        if not set(others) - {"bool"}:
            return extended.pop()
        if wide and not set(others) - {"bool", "float32", "float64"}:
            return promote(wide)
    raise CodecError(f"{' and '.join(arrays)} do not mix; cast one of them with astype().")
