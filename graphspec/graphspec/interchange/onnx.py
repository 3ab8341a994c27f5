"""Protobuf bytes to ModelProto, and ModelProto to the IR and back."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
from collections.abc import Iterator

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from graphspec.errors import LoadError, UnsupportedError
from graphspec.interchange.aside import put_back, put_sparse, set_aside
from graphspec.interchange.findings import Findings, shorten
from graphspec.interchange.representable import find_unrepresentable

_TRAINING = "graphspec.training_info"


def parse_bytes(data: bytes) -> onnx.ModelProto:
    """Parse the protobuf form of a model.

    Raises:
        LoadError: The bytes are not a ModelProto, or one without a graph.
    """
    try:
        model = onnx.ModelProto()
        model.ParseFromString(data)
    except DecodeError as error:
        raise LoadError(
            "The bytes are not an ONNX model: protobuf cannot parse them.",
            code="bad-protobuf",
            expected="a serialized ModelProto",
            found=f"{len(data)} bytes starting with {data[:16]!r}",
            hint="The file may be cut off, or be of another format.",
        ) from error
    require_graph(model)
    return model


def require_graph(model: onnx.ModelProto) -> None:
    """Refuse a model that has nothing to compute.

    Raises:
        LoadError: There is no graph.
    """
    if not model.HasField("graph"):
        raise LoadError(
            "The protobuf parses, but there is no graph in it.",
            code="no-graph",
            expected="a ModelProto with a graph",
            found="a message without one",
            hint="Is it a tensor, a bare graph, or another kind of protobuf file?",
        )


def to_model(model: onnx.ModelProto) -> ir.Model:
    """The IR of a model that has passed ``scan``; the message is taken over, tensors stay in it.

    Raises:
        LoadError: The IR cannot express the graph: a value defined twice, a function's output that nothing produces.
    """
    findings = Findings()
    find_unrepresentable(model, findings)
    findings.raise_if_any()
    sparse = set_aside(model)
    try:
        with _without_warnings():
            result = ir.from_proto(model)
    except Exception as error:
        message = f"The graph cannot be represented: {_root(error)}"
        raise LoadError(message, code="unrepresentable") from error
    if model.training_info:
        result.meta[_TRAINING] = tuple(item.SerializeToString() for item in model.training_info)
    if sparse:
        put_sparse(result, sparse)
    return result


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """The protobuf of an IR model, with what ``to_model`` had set aside.

    Raises:
        UnsupportedError: The model holds what ONNX cannot express.
    """
    try:
        with _without_warnings():
            proto = ir.to_proto(model)
    except Exception as error:
        raise UnsupportedError(f"The model cannot be written as ONNX: {_root(error)}") from error
    put_back(proto, model)
    for data in model.meta.get(_TRAINING, ()):
        proto.training_info.add().ParseFromString(data)
    return proto


_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar("quiet", default=False)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep onnx_ir from logging what validation reports, and a hostile graph from filling the log.

    Only in this thread or task, and only for as long as the block runs.
    """
    _install_filter()
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


@functools.cache
def _install_filter() -> None:
    logging.getLogger("onnx_ir.serde").addFilter(lambda record: not _quiet.get())


def _root(error: BaseException) -> str:
    """What the innermost cause says; onnx_ir wraps it once for each level of the graph."""
    while error.__cause__ is not None:
        error = error.__cause__
    return shorten(" ".join(str(error).split()), 200)
