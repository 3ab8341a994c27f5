"""Arrays and schemas of Tesseract: what its clients send, take, and want to know of a model beforehand."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from graphspec import FeedError, Problem, UnsupportedError, ValueInfo, dtypes
from graphspec_server._json import array_json
from graphspec_server._text import nearest, pointer
from graphspec_server.codec import array_of_bytes, decode_tensor, little_endian_bytes
from graphspec_server.models import is_float
from graphspec_server.records import Record

FORMATS = ("json+base64", "json")

_UNKNOWN = ValueInfo(None, None, "intermediate")
_TYPES = {"float16", "float32", "float64", "bool", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))}
_DERIVATIVES = {"jacobian": "Jacobian", "jacobian_vector_product": "Jvp", "vector_jacobian_product": "Vjp"}


def outputs_of(record: Record) -> dict[str, ValueInfo]:
    """What is known of each output."""
    return {name: record.values.get(name, _UNKNOWN) for name in record.outputs}


def check_types(record: Record) -> None:
    """Refuse a model with inputs or outputs that this protocol has no arrays for.

    Raises:
        UnsupportedError: There is one.
    """
    for name, info in {**record.inputs, **outputs_of(record)}.items():
        if info.dtype not in _TYPES:
            reason = f"{name!r} is of a type that this protocol does not have."
            raise UnsupportedError(reason, code="unsupported-dtype", found=info.dtype)


def read_arrays(given: Mapping[str, Any], known: Mapping[str, ValueInfo], field: str) -> dict[str, np.ndarray]:
    """Arrays of a request by name: each of those known, and no other.

    Raises:
        FeedError: One is unknown, missing or unreadable, or would lose something in the graph's type; all are told.
    """
    arrays: dict[str, np.ndarray] = {}
    problems = [
        Problem("missing-feed", f"{name!r} is missing.", path=pointer(field)) for name in known if name not in given
    ]
    for name, value in given.items():
        try:
            if name not in known:
                _refuse("unknown-name", f"There is no {name!r} here.", hint=nearest(name, known))
            arrays[name] = _read(value, dtypes.BY_NAME[known[name].dtype or ""])
        except FeedError as error:
            problems += [dataclasses.replace(p, path=pointer(field, name) + p.path) for p in error.problems]
    if problems:
        raise FeedError(problems=problems)
    return arrays


def write_array(array: np.ndarray, form: str) -> dict[str, Any]:
    """An array as answers have it.

    Raises:
        UnsupportedError: It holds what JSON cannot, and JSON is asked for.
    """
    head = {"object_type": "array", "shape": list(array.shape), "dtype": array.dtype.name}
    if form == "json+base64":
        buffer = base64.b64encode(little_endian_bytes(array)).decode("ascii")
        return head | {"data": {"buffer": buffer, "encoding": "base64"}}
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        reason = "The answer holds a NaN or an infinity, which JSON cannot."
        raise UnsupportedError(reason, code="non-finite", hint="Accept application/json+base64.")
    return head | {"data": {"buffer": array_json(array), "encoding": "json"}}


def openapi(name: str, version: str, record: Record, differentiable: bool) -> dict[str, Any]:
    """The document that clients read endpoints and arrays from."""
    inputs, outputs = record.inputs, outputs_of(record)
    reference = "#/components/schemas/{}".format
    schemas: dict[str, Any] = {
        "Apply_InputSchema": _object(inputs),
        "Apply_OutputSchema": _object(outputs),
        "ApplyInputSchema": {
            "type": "object",
            "properties": {"inputs": {"$ref": reference("Apply_InputSchema")}},
            "required": ["inputs"],
            **_noted(inputs),
        },
        "ApplyOutputSchema": {"$ref": reference("Apply_OutputSchema"), **_noted(outputs)},
        "AbstractInputSchema": {"type": "object"},
        "AbstractOutputSchema": {"type": "object"},
    }
    paths: dict[str, Any] = {"/health": {"get": {"summary": "Whether the model answers", "responses": _response({})}}}
    endpoints = {"apply": "Apply", "abstract_eval": "Abstract"} | (_DERIVATIVES if differentiable else {})
    for endpoint, prefix in endpoints.items():
        for side in ("Input", "Output"):
            schemas.setdefault(f"{prefix}{side}Schema", {"type": "object"})
        body = {"content": {"application/json": {"schema": {"$ref": reference(f"{prefix}InputSchema")}}}}
        answer = _response({"$ref": reference(f"{prefix}OutputSchema")})
        paths[f"/{endpoint}"] = {"post": {"summary": endpoint, "requestBody": body, "responses": answer}}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
        "x-supported-output-formats": list(FORMATS),
        "x-supported-gpu-transports": ["none"],
        "x-supported-compressions": ["none"],
    }


def _read(value: Any, dtype: Any) -> np.ndarray:
    if not isinstance(value, dict):
        return decode_tensor({"dtype": dtype.name, "data": value})
    data = value.get("data")
    if not isinstance(data, dict) or data.get("compression") is not None:
        _refuse("array-form", "An array has 'data' with 'buffer' and 'encoding', not compressed.")
    shape, encoding, buffer = value.get("shape"), data.get("encoding"), data.get("buffer")
    if encoding in ("raw", "json"):
        return decode_tensor({"dtype": dtype.name, "shape": shape, "data": buffer})
    if encoding != "base64":
        _refuse("encoding", "This encoding is not taken.", "base64, raw or json", str(encoding))
    given = dtypes.BY_NAME.get(str(value.get("dtype")))
    if given is None or given.name not in _TYPES:
        _refuse("unknown-dtype", "There is no such dtype here.", dtype.name, str(value.get("dtype")))
    fits = isinstance(shape, list) and len(shape) <= 64 and all(type(d) is int and 0 <= d < 2**63 for d in shape)
    if not fits or not isinstance(shape, list):
        _refuse("shape", "The shape is not one.", "at most 64 whole numbers from 0 on")
    try:
        content = binascii.a2b_base64(str(buffer), strict_mode=True)
    except (binascii.Error, ValueError):
        _refuse("base64", "The buffer is not base64.")
    return _cast(array_of_bytes(content, given, tuple(shape)), dtype)


def _cast(array: np.ndarray, dtype: Any) -> np.ndarray:
    """In the graph's type: rounded where that is all it takes, else refused."""
    if array.dtype == dtype.numpy:
        return array
    integers = array.dtype.kind in "iu" and dtype.numpy.kind in "iu"
    if not integers and not np.can_cast(array.dtype, dtype.numpy, casting="same_kind"):
        _refuse("dtype", "The array has another kind of type.", dtype.name, array.dtype.name)
    with np.errstate(over="ignore"):
        found = array.astype(dtype.numpy)
    lost = (found != array) if integers else np.isfinite(array) & ~np.isfinite(found)
    if lost.any():
        _refuse("data-value", f"A value does not fit {dtype.name}.", dtype.name, str(array[lost][0]))
    return found


def _object(values: Mapping[str, ValueInfo]) -> dict[str, Any]:
    properties = {
        name: {
            "title": name,
            "type": "object",
            "properties": {
                "object_type": {"const": "array", "type": "string"},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "dtype": {"const": info.dtype, "type": "string"},
                "data": {"type": "object"},
            },
            "required": ["shape", "dtype", "data"],
            "array_flags": ["differentiable"] if is_float(info) else [],
        }
        for name, info in values.items()
    }
    return {"type": "object", "properties": properties, "required": list(values), "additionalProperties": False}


def _noted(values: Mapping[str, ValueInfo]) -> dict[str, Any]:
    """What clients look for beside a schema: which arrays can be differentiated, and the order of all."""
    arrays = {
        name: {"shape": None if info.shape is None else [d if isinstance(d, int) else None for d in info.shape],
               "dtype": info.dtype}
        for name, info in values.items()
        if is_float(info)
    }  # fmt: skip
    return {"differentiable_arrays": arrays, "field_order": {"": list(values)}}


def _response(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "Done", "content": {"application/json": {"schema": schema}}}}


def _refuse(
    code: str, message: str, expected: str | None = None, found: str | None = None, hint: str | None = None
) -> NoReturn:
    raise FeedError(message, code=code, path="", expected=expected, found=found, hint=hint)
