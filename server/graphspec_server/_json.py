"""JSON as the service takes and gives it: strict, fast, and without nulls in place of numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from graphspec_server.errors import RequestError

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_NATIVE = {"float16", "float32", "float64", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)), "bool"}


def read_json(body: bytes | str) -> Any:
    """Parse JSON, strictly: no NaN token, no number beyond float64, no key given twice.

    Raises:
        RequestError: It is not JSON, nested too deep, or ambiguous.
    """
    data = body.encode() if isinstance(body, str) else body
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        hint = 'Write non-finite numbers as the strings "NaN", "Infinity", "-Infinity".' if b"NaN" in data else None
        raise RequestError(f"The body is not JSON: {error}.", code="invalid-json", hint=hint) from None
    # The fast parser keeps the last of equal keys. Members and colons outside of strings are equally many unless a
    # key came twice (or the count is a little short, see there); then the slow parser has the last word.
    if _members(value) != _STRINGS.sub(b"", data).count(b":"):
        _refuse_duplicates(data)
    return value


def write_json(value: Any) -> bytes:
    """Serialise plain data; NumPy arrays in it must come from `tensor_json`."""
    return orjson.dumps(value, option=_OPTIONS)


def write_plain_json(value: Any) -> bytes:
    """Serialise plain data of any origin; text that is no valid Unicode is escaped instead of refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def array_json(array: np.ndarray) -> orjson.Fragment:
    """The numbers or booleans of an array as nested lists; non-finite ones as strings."""
    if array.dtype.name not in _NATIVE:  # bfloat16 and the 8-bit floats; all of their values are float32's, too
        array = array.astype(np.float32)
    flat_or_nested = np.ascontiguousarray(array if array.ndim else array.reshape(1))
    text = orjson.dumps(flat_or_nested, option=_OPTIONS)
    if array.dtype.kind == "f" and b"null" in text:
        text = _name_nulls(text, array)
    return orjson.Fragment(text if array.ndim else text[1:-1])


def _name_nulls(text: bytes, array: np.ndarray) -> bytes:
    """Put the name of each non-finite number where the serialiser wrote ``null``, in order."""
    lost = array[~np.isfinite(array)] if array.ndim else array.reshape(1)
    names = np.where(np.isnan(lost), b'"NaN"', np.where(lost > 0, b'"Infinity"', b'"-Infinity"')).tolist()
    pieces = text.split(b"null")
    return b"".join(piece + name for piece, name in zip(pieces, [*names, b""], strict=True))


def _members(value: Any) -> int:
    """How many object members there are; those in a list that starts with a number are not counted, for speed."""
    count, todo = 0, [value]
    while todo:
        top = todo.pop()
        if type(top) is dict:
            count += len(top)
            todo += [child for child in top.values() if type(child) in (dict, list)]
        elif type(top) is list and top and type(top[0]) not in (int, float):
            todo += [child for child in top if type(child) in (dict, list)]
    return count


def _refuse_duplicates(data: bytes) -> None:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise RequestError(f"The key {twice!r} is given twice in one object.", code="duplicate-key")
        return found

    json.loads(data, object_pairs_hook=check)
