"""Models in and out: ONNX protobuf, the GraphSpec JSON document and ONNX text; see docs/document.md."""

from graphspec.interchange.document import json_schema
from graphspec.interchange.limits import Limits
from graphspec.interchange.onnx import to_proto
from graphspec.interchange.sources import (
    digest,
    dumps,
    from_document,
    load,
    load_graph,
    load_graph_proto,
    load_proto,
    save,
    to_document,
)
from graphspec.interchange.strict_json import parse_json

__all__ = [
    "Limits",
    "digest",
    "dumps",
    "from_document",
    "json_schema",
    "load",
    "load_graph",
    "load_graph_proto",
    "load_proto",
    "parse_json",
    "save",
    "to_document",
    "to_proto",
]
