"""What a caller may give for a graph, as what the wire takes for one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from graphspec_client._exceptions import CodecError

ONNX = "application/x-onnx"
TEXT = "text/plain"
JSON = "application/json"


class Source(NamedTuple):
    """A graph in one of the wire's forms: exactly one field is set."""

    document: Mapping[str, Any] | None = None
    onnx: bytes | None = None
    text: str | None = None

    @property
    def field(self) -> Mapping[str, Any]:
        """The graph as a field of a JSON body."""
        if self.onnx is not None:
            return {"onnx": base64.b64encode(self.onnx).decode("ascii")}
        return {"text": self.text} if self.document is None else self.document

    @property
    def body(self) -> tuple[str, bytes]:
        """The graph as a body of its own: its content type, and its bytes."""
        if self.onnx is not None:
            return ONNX, self.onnx
        if self.text is not None:
            return TEXT, self.text.encode()
        return JSON, json_bytes(self.document)


def read(source: Any) -> Source:
    """The graph of a source.

    Args:
        source: A path to a file; the bytes of one; a document (dict); JSON or ONNX text; an ``onnx.ModelProto`` or
            anything else with ``SerializeToString``; an exporter's object with ``model_proto`` or ``to_model_proto``.

    Raises:
        TypeError: It is none of these.
        OSError: The file cannot be read.
    """
    if isinstance(source, Mapping):
        return Source(document=source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source))
    if isinstance(source, Path):
        return _from_bytes(source.read_bytes())
    if isinstance(source, str):
        if source.lstrip()[:1] in {"{", "<"} or "\n" in source:
            return _from_text(source)
        return _from_bytes(Path(source).read_bytes())
    for name in ("SerializeToString", "model_proto", "to_model_proto"):
        part = getattr(source, name, None)
        if part is not None:
            return read(part() if callable(part) else part)
    raise TypeError(
        f"A graph is a path, bytes, a document, JSON or ONNX text, a ModelProto or an exporter's object, found "
        f"{type(source).__name__}."
    )


def _from_bytes(data: bytes) -> Source:
    """Text where it is: a ModelProto cannot begin with ``{`` or ``<``, which are no field of it."""
    if data.lstrip()[:1] in {b"{", b"<"} or data[:1] in {b"/", b"#"}:
        try:
            return _from_text(data.decode("utf-8"))
        except UnicodeDecodeError:
            pass
    return Source(onnx=data)


def _from_text(text: str) -> Source:
    if text.lstrip().startswith("{"):
        return Source(document=RawJson(text))
    return Source(text=text)


class RawJson(dict[str, Any]):
    """A document that is still text: sent as it is, so that the service sees its duplicate keys and numbers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def json_bytes(value: Any) -> bytes:
    """JSON, strictly: a float that JSON does not have is an error and never ``NaN``.

    Raises:
        CodecError: Something in it is no JSON data.
    """
    if isinstance(value, RawJson):
        return value.text.encode()
    raw: list[str] = []

    def default(thing: Any) -> Any:
        if isinstance(thing, Mapping):
            return dict(thing)
        raise CodecError(f"{type(thing).__name__} {thing!r} is no JSON data.")

    graph = value.get("graph") if isinstance(value, dict) else None
    if isinstance(graph, RawJson):
        raw.append(graph.text)
        value = {key: item for key, item in value.items() if key != "graph"}
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=default, ensure_ascii=False)
    except ValueError as error:
        hint = 'in a document, non-finite floats are the strings "NaN", "Infinity" and "-Infinity"'
        raise CodecError(f"Not JSON data: {error}; {hint}.") from None
    if raw:
        text = f'{{"graph":{raw[0]}' + (f",{text[1:]}" if len(text) > 2 else "}")
    return text.encode()
