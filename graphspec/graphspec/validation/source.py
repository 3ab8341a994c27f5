"""Whatever describes a model: as the protobuf message that validation reads, or as the IR that feeds are held to."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from graphspec import interchange


def to_proto(source: Any) -> onnx.ModelProto:
    """The model as a protobuf message; a message given is used as it is, however odd.

    Raises:
        LoadError: The source is not a graph that can be read.
        LimitError: It is too large.
    """
    return source if isinstance(source, onnx.ModelProto) else interchange.load_proto(source)


def to_model(source: Any) -> ir.Model:
    """The model in the IR; one given is used as it is.

    Raises:
        LoadError: The source is not a graph that can be read.
        LimitError: It is too large.
    """
    return source if isinstance(source, ir.Model) else interchange.load(source)
