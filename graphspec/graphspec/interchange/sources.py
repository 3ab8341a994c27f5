"""``load`` and ``save``: every form of a model in, every form out."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import onnx
import onnx_ir as ir
from google.protobuf.message import EncodeError

from graphspec.errors import GraphSpecError, LimitError, LoadError, Problem, UnsupportedError
from graphspec.interchange.aside import all_tensors
from graphspec.interchange.decode import decode_model
from graphspec.interchange.encode import encode_model
from graphspec.interchange.findings import Findings, describe, prefixed, shorten
from graphspec.interchange.limits import DEFAULT_LIMITS, Limits
from graphspec.interchange.normal import digest_of
from graphspec.interchange.onnx import parse_bytes, require_graph, to_model, to_proto
from graphspec.interchange.scan import scan
from graphspec.interchange.strict_json import parse_json
from graphspec.interchange.tensors import decode_base64
from graphspec.interchange.text import parse_text, print_text

Format = Literal["onnx", "json", "text"]

_SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".pb": "onnx", ".json": "json", ".onnxtxt": "text"}
_FIRST_BYTE = re.compile(rb"(?:\xef\xbb\xbf)?\s*([{\[<#])")
_FIRST_CHARACTER = re.compile(r"\ufeff?\s*[{\[<#]")

P = ParamSpec("P")
R = TypeVar("R")


def _only_our_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turn whatever a hostile source may still provoke into an error of ours."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GraphSpecError:
            raise
        except RecursionError as error:
            raise LimitError("The source is nested too deeply.", code="too-deep") from error
        except MemoryError as error:
            raise LimitError("The source needs more memory than there is.", code="too-large") from error
        except Exception as error:
            message = f"The source cannot be read: {type(error).__name__}: {shorten(str(error), 200)}"
            raise LoadError(message, code="unreadable") from error

    return guarded


@_only_our_errors
def load(source: Any, *, limits: Limits | None = None) -> ir.Model:
    """Load a model from any form.

    Args:
        source: A path; bytes (protobuf, JSON or ONNX text); an ``onnx.ModelProto``; an ``onnx_ir.Model``, which is
            returned as it is; a document as a dict; JSON or ONNX text as a str. Only a path ever reaches the file
            system: a ``Path``, or a str of one line that does not start as JSON or ONNX text does.
        limits: Sizes that are accepted; generous by default.

    Returns:
        The model. It can be read, which is all that is known of it: see ``validate``.

    Raises:
        LoadError: The source cannot be read as a graph; the problems say where and why, all those of a stage at once.
        LimitError: It is larger than the limits allow.
    """
    limits = limits or DEFAULT_LIMITS
    if isinstance(source, ir.Model):
        _refuse_external(source)
        return source
    proto = _parse(source, limits)
    _raise(scan(proto, limits))
    return to_model(_copy(proto) if proto is source else proto)


@_only_our_errors
def load_proto(source: Any, *, limits: Limits | None = None) -> onnx.ModelProto:
    """Read a model as far as protobuf, for those who check its contents themselves.

    Args:
        source: What ``load`` takes. A ModelProto is returned as it is.
        limits: Sizes that are accepted.

    Raises:
        LoadError: The source is not a graph in any form.
        LimitError: It is larger than the limits allow.
    """
    limits = limits or DEFAULT_LIMITS
    proto = _parse(source, limits)
    scan(proto, limits)
    return proto


@_only_our_errors
def load_graph(value: Any, pointer: str = "/graph", *, limits: Limits | None = None) -> ir.Model:
    """Load the graph inside a request: a document, ``{"onnx": base64}`` or ``{"text": ONNX text}``.

    Args:
        value: The JSON value. It never reaches the file system.
        pointer: Where it is in the request; the problems' paths start with it.
        limits: Sizes that are accepted.

    Raises:
        LoadError: The value cannot be read as a graph.
        LimitError: It is larger than the limits allow.
    """
    limits = limits or DEFAULT_LIMITS
    with prefixed(pointer):
        proto = _parse_graph(value, limits)
        _raise(scan(proto, limits))
        return to_model(proto)


@_only_our_errors
def load_graph_proto(value: Any, pointer: str = "/graph", *, limits: Limits | None = None) -> onnx.ModelProto:
    """The same as far as protobuf, as ``load_proto`` is to ``load``."""
    limits = limits or DEFAULT_LIMITS
    with prefixed(pointer):
        proto = _parse_graph(value, limits)
        scan(proto, limits)
        return proto


def _parse_graph(value: Any, limits: Limits) -> onnx.ModelProto:
    findings = Findings()
    if isinstance(value, dict) and list(value) == ["onnx"]:
        if isinstance(value["onnx"], str):
            limits.check("max_bytes", len(value["onnx"]) // 4 * 3, "/onnx")
        data = decode_base64(value["onnx"], "/onnx", findings)
        findings.raise_if_any()
        assert data is not None
        with prefixed("/onnx"):
            return _parse_as("onnx", data, limits)
    if isinstance(value, dict) and list(value) == ["text"]:
        if not isinstance(value["text"], str):
            findings.kind("/text", "ONNX text", value["text"])
        findings.raise_if_any()
        with prefixed("/text"):
            return _parse_as("text", value["text"], limits)
    if not isinstance(value, dict):
        findings.kind("", 'a document, {"onnx": base64} or {"text": ONNX text}', value)
    findings.raise_if_any()
    return decode_model(value, limits=limits)


def _parse(source: Any, limits: Limits) -> onnx.ModelProto:
    """Any source as a ModelProto whose contents are not checked yet."""
    if isinstance(source, onnx.ModelProto):
        require_graph(source)
        return source
    if isinstance(source, ir.Model):
        return to_proto(source)
    if isinstance(source, dict):
        return decode_model(source, limits=limits)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return _parse_as(_form_of(data), data, limits)
    if isinstance(source, str) and ("\n" in source or not source.strip() or _FIRST_CHARACTER.match(source)):
        return _parse_as("json" if source.lstrip("\ufeff \t\r\n")[:1] in {"{", "["} else "text", source, limits)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        data = _read_file(path, limits)
        return _parse_as(_SUFFIXES.get(path.suffix.lower()) or _form_of(data), data, limits)
    raise LoadError(
        "A model cannot be loaded from this.",
        code="wrong-kind",
        expected="a path, bytes, a document, JSON or ONNX text, an onnx.ModelProto or an onnx_ir.Model",
        found=describe(source),
    )


def _form_of(data: bytes) -> Format:
    """The form of some bytes, told by the first: no ModelProto starts with a bracket."""
    first = _FIRST_BYTE.match(data)
    if first is None:
        return "onnx"
    return "json" if first.group(1) in b"{[" else "text"


def _parse_as(form: Format, data: str | bytes, limits: Limits) -> onnx.ModelProto:
    limits.check("max_bytes", len(data))
    if not data.strip() if len(data) < 100 else False:
        raise LoadError("The source is empty.", code="empty", expected="a model", found=f"{len(data)} bytes")
    match form:
        case "json":
            return decode_model(parse_json(data), limits=limits)
        case "text":
            return parse_text(_decode(data), limits=limits)
        case _:
            return parse_bytes(data.encode() if isinstance(data, str) else data)


def _decode(data: str | bytes) -> str:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        text.encode("utf-8")
    except UnicodeError as error:
        raise LoadError("The text is not UTF-8.", code="bad-encoding", expected="UTF-8") from error
    return text.removeprefix("\ufeff")


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        limits.check("max_bytes", path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LoadError(f"There is no file {shorten(str(path), 200)!r}.", code="not-found") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError(f"The file {shorten(str(path), 200)!r} cannot be read: {reason}.", code="not-found") from error


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise LoadError(problems=problems)


def _refuse_external(model: ir.Model) -> None:
    findings = Findings()
    for tensor in all_tensors(model):
        if isinstance(tensor, ir.ExternalTensor):
            findings.add(
                "external-data",
                f"The data of the tensor {tensor.name!r} is in another file.",
                "",
                expected="data inside the model",
                found="external data",
            )
    findings.raise_if_any()


def dumps(model: Any, format: Format) -> bytes:
    """A model in one of its forms.

    Args:
        model: An ``onnx_ir.Model``, or whatever ``load`` takes.
        format: ``"onnx"`` (protobuf), ``"json"`` (the document, UTF-8) or ``"text"`` (ONNX text, UTF-8).

    Raises:
        LoadError: A source that is not a model, as in ``load``.
        UnsupportedError: The format is not one of these, or it cannot carry all of this model: ONNX text has no place
            for doc strings, for instance. The problems say what would be lost.
    """
    if format == "onnx":
        return _serialize(load_proto(model))
    if format == "json":
        return format_document(to_document(model)).encode("utf-8")
    if format == "text":
        return print_text(load_proto(model)).encode("utf-8")
    raise UnsupportedError(
        "There is no such form of a model.", code="unknown-format", expected="onnx, json or text", found=repr(format)
    )


def _serialize(proto: onnx.ModelProto) -> bytes:
    try:
        return bytes(proto.SerializeToString(deterministic=True))
    except (EncodeError, ValueError) as error:  # protobuf ends at 2 GiB, and at 100 levels of nesting
        raise UnsupportedError(f"The model cannot be written as protobuf: {shorten(str(error), 200)}") from error


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to a file in the form that the suffix names: ``.onnx``, ``.json`` or ``.onnxtxt``.

    Raises:
        LoadError: A source that is not a model, as in ``load``.
        UnsupportedError: The suffix is unknown, or its form cannot carry all of this model.
    """
    path = Path(path)
    form = _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise UnsupportedError(
            "The suffix of the file does not say in which form to save.",
            code="unknown-format",
            expected=" or ".join(_SUFFIXES),
            found=repr(path.suffix),
        )
    path.write_bytes(dumps(model, form))


@_only_our_errors
def to_document(model: Any) -> dict[str, Any]:
    """The JSON document of a model, as plain Python data.

    Args:
        model: An ``onnx_ir.Model``, or whatever ``load`` takes. From a ModelProto nothing is lost; an IR model gives
            what it holds.

    Raises:
        LoadError: The model holds what no document can, such as two attributes of one name.
    """
    proto = _parse(model, DEFAULT_LIMITS)
    _raise(scan(proto, DEFAULT_LIMITS))
    return encode_model(proto)


@_only_our_errors
def from_document(document: dict[str, Any], *, limits: Limits | None = None) -> ir.Model:
    """The model of a JSON document.

    Raises:
        LoadError: The value is not a document; each problem carries a JSON pointer.
        LimitError: It is larger than the limits allow.
    """
    if not isinstance(document, dict):
        raise LoadError("A document is an object.", code="wrong-kind", expected="an object", found=describe(document))
    return load(document, limits=limits)


@_only_our_errors
def digest(model: Any) -> str:
    """SHA-256, in hex, of the model's canonical form: the same for one model in whichever form it came.

    Args:
        model: An ``onnx_ir.Model``, or whatever ``load`` takes.

    Raises:
        LoadError: A source that is not a model, as in ``load``.
    """
    return digest_of(to_proto(load(model)))


def format_document(document: dict[str, Any]) -> str:
    """The document as JSON text with one node, value or parameter on a line."""
    lines = []
    for key, value in document.items():
        head = f" {json.dumps(key)}: "
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            items = ",\n".join(f"  {_compact(item)}" for item in value)
            lines.append(f"{head}[\n{items}\n ]")
        elif isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
            items = ",\n".join(
                f"  {json.dumps(name, ensure_ascii=False)}: {_compact(item)}" for name, item in value.items()
            )
            lines.append(f"{head}{{\n{items}\n }}")
        else:
            lines.append(head + _compact(value))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
