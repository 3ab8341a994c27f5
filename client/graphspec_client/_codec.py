"""Tensors to JSON and back: base64 in bulk, nested lists where they are short, and never a silent null.

A tensor on the wire is ``{"dtype", "shape", "base64"}`` (little-endian, row-major) or ``{"dtype", "shape", "data"}``
(nested lists, non-finite floats as the strings "NaN", "Infinity", "-Infinity"). Strings have the second form only,
complex numbers and 8-bit floats the first.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graphspec_client._dtypes import kind, numpy_dtype, wire_name
from graphspec_client._exceptions import CodecError

Array = npt.NDArray[Any]

SHORT = 16  # up to so many elements a tensor is written as a list, which people can read in a log
_LISTED = frozenset({"float16", "float32", "float64", "bfloat16"})
_ACCEPTED: dict[str, tuple[type, ...]] = {
    "b": (bool,), "i": (int,), "u": (int,), "f": (int, float, str), "O": (str,), "c": (),
}  # fmt: skip
_SPECIALS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def as_array(value: Any, dtype: str | None = None) -> Array:
    """The NumPy array of a value, in an element type that the wire has.

    Raises:
        CodecError: The value is ragged, has ``None`` in it, or an element type that ONNX does not have.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise CodecError(f"Not a tensor: {error}") from None
    if array.dtype.kind == "O" and array.dtype.name == "object":
        _check_strings(array)
    name = wire_name(array.dtype)
    if dtype is None or dtype == name:
        return array
    if "string" in (dtype, name):
        raise CodecError(f"A value of dtype {name} does not become {dtype}.")
    return array.astype(numpy_dtype(dtype))


def _check_strings(array: Array) -> None:
    strange = [item for item in array.flat if not isinstance(item, str | bytes)]
    if strange:
        wrong = next((item for item in strange if not isinstance(item, int | float)), strange[0])
        raise CodecError(f"An array of objects may hold strings only, found {type(wrong).__name__} {wrong!r}.")


def encode(value: Any) -> dict[str, Any]:
    """A tensor for the wire, from anything that NumPy takes for an array.

    Raises:
        CodecError: There is no tensor for the value.
    """
    array = as_array(value)
    name = wire_name(array.dtype)
    head = {"dtype": name, "shape": list(array.shape)}
    if name == "string":
        return {**head, "data": _map(array.tolist(), _text)}
    if not 0 < array.size <= SHORT or (name not in _LISTED and kind(name) not in "biu"):
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return {**head, "base64": base64.b64encode(little.tobytes()).decode("ascii")}
    return {**head, "data": json_value(array)}


def json_value(value: Any) -> Any:
    """Numbers, strings and nests of them as plain JSON data, exactly; non-finite floats become strings.

    Raises:
        CodecError: Something in it has no JSON form (``None``, an object, a complex number).
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist() if value.dtype.kind in "biufUSTO" else value.astype(np.float64).tolist()
    return _map(value, _plain)


def _map(value: Any, leaf: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_map(item, leaf) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return json_value(value)
    return leaf(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str | bytes):
        return _text(value)
    raise CodecError(f"No tensor can hold {type(value).__name__} {value!r}.")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise CodecError(f"Strings travel as UTF-8, which {value!r} is not.") from None
    return str(value)


def encode_feed(value: Any) -> Any:
    """A feed for the wire: arrays with their dtype; Python lists and scalars bare, so that they take the graph's.

    Raises:
        CodecError: There is no tensor for the value.
    """
    if isinstance(value, Mapping):
        return dict(value)  # already in the wire's own form
    if isinstance(value, list | tuple | bool | int | float | str) and not isinstance(value, np.generic):
        return json_value(value)
    return encode(value)


def encode_feeds(feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Every feed for the wire; an error says whose it is."""
    encoded = {}
    for name, value in feeds.items():
        try:
            encoded[str(name)] = encode_feed(value)
        except CodecError as error:
            raise CodecError(f"Feed {name!r}: {error.message}") from None
    return encoded


def decode(tensor: Any) -> Array:
    """The array of a tensor from the wire.

    Raises:
        CodecError: It is not a tensor, or its parts contradict one another.
    """
    try:
        name, shape = tensor["dtype"], tuple(int(size) for size in tensor["shape"])
        dtype = numpy_dtype(name)
        if "base64" in tensor:
            raw = base64.b64decode(tensor["base64"], validate=True)
            flat = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
        else:
            flat = _from_list(tensor["data"], name, dtype)
        return flat.reshape(shape)
    except CodecError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise CodecError(f"Not a tensor of the wire: {type(error).__name__}: {error}") from None


def _from_list(data: Any, name: str, dtype: np.dtype[Any]) -> Array:
    accepted = _ACCEPTED[kind(name)]
    items = list(_leaves(data))
    for item in items:
        if not isinstance(item, accepted) or (isinstance(item, bool) and bool not in accepted):
            raise CodecError(f"A tensor of dtype {name} cannot hold {item!r}.")
    if kind(name) == "f":
        items = [_SPECIALS[item] if isinstance(item, str) else item for item in items]
    return np.array(items, dtype=dtype)


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _leaves(item)
    else:
        yield data
