"""Types and shapes of one node's outputs, from the ONNX library's own inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.shape_inference
import onnx_ir as ir

Constants = Callable[[ir.Value], npt.NDArray[np.generic] | None]

# Only shapes, axes and the like decide other shapes; larger constants are not worth handing over.
_MAX_CONSTANT = 1024

# Their output has the type and shape of their first input, but ONNX's inference, which goes by their function bodies,
# loses the shape, fails on an attribute left at its default, or refuses a deprecated version.
_LIKE_FIRST_INPUT = {"GroupNormalization", "MeanVarianceNormalization"}


def type_proto(value: ir.Value) -> onnx.TypeProto | None:
    """The ONNX type of a value, its shape included; ``None`` when nothing is known."""
    if value.type is None:
        return None
    proto = onnx.TypeProto()
    ir.serde.serialize_type_into(proto, value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, value.shape)
    return proto


def known_constant(value: ir.Value) -> npt.NDArray[np.generic] | None:
    """The value's array if the graph itself fixes it, else ``None``.

    Fixed are the outputs of ``Constant`` nodes and the initializers that are not graph inputs as well (those are
    only defaults).
    """
    if value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else array_of(tensor)


def array_of(tensor: ir.TensorProtocol) -> npt.NDArray[Any]:
    """A constant's array as kernels take it: strings are bytes in the IR, text in a run."""
    array = tensor.numpy()
    if array.dtype.kind in "OS":
        decoded = [s.decode("utf-8") if isinstance(s, bytes) else s for s in array.reshape(-1)]
        array = np.array(decoded, dtype=np.object_).reshape(array.shape)
    return array


def infer_node(
    node: ir.Node,
    opset_imports: Mapping[str, int],
    *,
    ir_version: int = 10,
    constants: Constants = known_constant,
) -> list[ir.TypeAndShape | None]:
    """Infer type and shape of each output of one node.

    Args:
        node: The node; its inputs carry the types and shapes known so far.
        opset_imports: Version of each domain in scope; nodes in subgraphs may need several.
        ir_version: The model's IR version.
        constants: Gives the array of an input that is fixed by the graph, else ``None``.

    Returns:
        One entry per output; ``None`` where nothing could be inferred (unknown operators included).

    Raises:
        onnx.shape_inference.InferenceError: The inputs break the operator's type or shape rules.
    """
    version = opset_imports.get(node.domain)
    if version is None or not onnx.defs.has(node.op_type, version, node.domain):
        return [None] * len(node.outputs)
    if node.op_type in _LIKE_FIRST_INPUT and node.domain == "" and node.inputs and node.inputs[0] is not None:
        like = node.inputs[0]
        return [None if like.type is None else ir.TypeAndShape(like.type, like.shape)]
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    proto = ir.serde.serialize_node(node)
    # Values may still be nameless, or share a name across scopes: name them here, by position.
    names = _position_names(node.inputs)
    proto.input[:] = names
    proto.output[:] = [f"o{i}" for i in range(len(node.outputs))]
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for value, name in zip(node.inputs, names, strict=True):
        if value is None:
            continue
        known = type_proto(value)
        if known is None:
            return [None] * len(node.outputs)  # nothing follows from an untyped input
        types[name] = known
        array = constants(value)
        if array is not None and array.size <= _MAX_CONSTANT and array.dtype.kind not in "OSU":
            data[name] = onnx.numpy_helper.from_array(array, name)
    imports = [onnx.helper.make_opsetid(domain, v) for domain, v in opset_imports.items()]
    inferred = onnx.shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=imports, ir_version=ir_version
    )
    outputs = [_type_and_shape(inferred.get(name)) for name in proto.output]
    if node.domain == "" and node.op_type in _CORRECTED:
        return [_CORRECTED[node.op_type](node, version, found, constants) for found in outputs]
    return outputs


def _of_dft(node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants) -> ir.TypeAndShape | None:
    """The library gives a transform the length of its input where ``dft_length`` is not known, and other axes by it."""
    x = node.inputs[0]
    if x is None or x.type is None or x.shape is None:
        return found
    attributes = {name: a.as_int() for name, a in node.attributes.items()}
    inverse, onesided = attributes.get("inverse", 0), attributes.get("onesided", 0)
    rest: list[ir.Value | None] = [*node.inputs[1:], None, None]
    axis = np.asarray(attributes.get("axis", 1 if version < 20 else -2))
    dims: list[int | ir.SymbolicDim] = list(x.shape.dims)
    dims[-1] = 1 if inverse and onesided else 2
    known = axis if rest[1] is None else constants(rest[1])
    if known is None:
        return ir.TypeAndShape(x.type, ir.Shape([*(ir.SymbolicDim(None) for _ in dims[:-1]), dims[-1]]))
    at = int(np.asarray(known).reshape(()))
    at += len(dims) if at < 0 else 0
    if not 0 <= at < len(dims) - 1:
        return found
    length: int | ir.SymbolicDim = dims[at]
    if rest[0] is not None:
        given = constants(rest[0])
        length = ir.SymbolicDim(None) if given is None else int(np.asarray(given).reshape(()))
    elif inverse and onesided:
        length = 2 * (length - 1) if isinstance(length, int) else ir.SymbolicDim(None)
    if onesided and not inverse:
        length = length // 2 + 1 if isinstance(length, int) else ir.SymbolicDim(None)
    dims[at] = length
    return ir.TypeAndShape(x.type, ir.Shape(dims))


def _of_stft(
    node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants
) -> ir.TypeAndShape | None:
    """The library takes a spectrum for two-sided where the attribute, 1 by default, is left out."""
    if found is None or found.shape is None or "onesided" in node.attributes or found.shape.rank() != 4:
        return found
    dims = list(found.shape.dims)
    bins = dims[2]
    dims[2] = bins // 2 + 1 if isinstance(bins, int) else ir.SymbolicDim(None)
    return ir.TypeAndShape(found.type, ir.Shape(dims))


def _of_deform_conv(
    node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants
) -> ir.TypeAndShape | None:
    """The library gives no shape where that of the kernel is not known; the rank is."""
    x, w = node.inputs[:2]
    if x is None or x.type is None or x.shape is None or w is None or w.shape is None:
        return found
    if found is not None and found.shape is not None:
        return found
    rest = [ir.SymbolicDim(None) for _ in x.shape.dims[2:]]
    return ir.TypeAndShape(x.type, ir.Shape([x.shape[0], w.shape[0], *rest]))


_CORRECTED = {"DFT": _of_dft, "STFT": _of_stft, "DeformConv": _of_deform_conv}


def _position_names(values: Sequence[ir.Value | None]) -> list[str]:
    first: dict[int, str] = {}
    return ["" if v is None else first.setdefault(id(v), f"i{i}") for i, v in enumerate(values)]


def _type_and_shape(proto: onnx.TypeProto | None) -> ir.TypeAndShape | None:
    if proto is None or proto.WhichOneof("value") is None or _has_map(proto):
        return None
    return ir.TypeAndShape(
        ir.serde.deserialize_type_proto_for_type(proto), ir.serde.deserialize_type_proto_for_shape(proto)
    )


def _has_map(proto: onnx.TypeProto) -> bool:
    """Whether the type is a map, or of maps, which the IR has no word for."""
    if proto.HasField("sequence_type"):
        return _has_map(proto.sequence_type.elem_type)
    if proto.HasField("optional_type"):
        return _has_map(proto.optional_type.elem_type)
    return bool(proto.HasField("map_type"))
