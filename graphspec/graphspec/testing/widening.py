"""A model in another floating-point type: derivatives are checked in float64 whatever a model is written in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from graphspec import dtypes
from graphspec.operators import functions, registry
from graphspec.optimize import copied, propagate

# Attributes whose number is the element type of a result, or that which it is computed in.
# Those that are float32 where they are left out.
_DEFAULT_FLOAT = {
    "RandomNormal": "dtype", "RandomUniform": "dtype", "SequenceEmpty": "dtype", "HannWindow": "output_datatype",
    "HammingWindow": "output_datatype", "BlackmanWindow": "output_datatype", "MelWeightMatrix": "output_datatype",
}  # fmt: skip
# Bodies may hold operators with bodies; ONNX's own nest three deep at most.
_MAX_NESTING = 8
_DTYPE_ATTRIBUTES = {"to", "dtype", "output_datatype", "softmax_precision"}


def in_dtype(model: ir.Model, dtype: ir.DataType) -> ir.Model:
    """A copy of a model whose floating-point values (of at least 16 bits) have another dtype.

    Model-local functions are inlined. Operators whose schema does not have the dtype are replaced by their function
    body, or else stay in float32, with casts before and behind them.

    Args:
        model: Any model; it is not changed.
        dtype: FLOAT or DOUBLE.
    """
    own = copied(model)
    if own.functions:
        functions.inline(own)
    own = copied(own)
    propagate(own, fold=False)
    versions = own.graph.opset_imports
    for _ in range(_MAX_NESTING):
        if not functions.expand_bodies(own, lambda node, _: _narrow_body(node, dtype, versions)):
            break
        NameFixPass()(own)
        propagate(own, fold=False)
    for graph in (own.graph, *own.graph.subgraphs()):
        for node in list(graph):
            _change_attributes(node, dtype, versions)
            _cast_around(graph, node, dtype, versions)
        for value in [*graph.inputs, *graph.initializers.values()]:
            value.type = _changed(value.type, dtype)
            if value.const_value is not None and _is_float(value.const_value.dtype):
                value.const_value = _tensor(value.const_value, dtype)
        for node in graph:
            for value in node.outputs:
                value.type = _changed(value.type, dtype)
    propagate(own, fold=False)
    return own


def array_in(array: object, dtype: ir.DataType) -> object:
    """A feed for such a copy: floating-point arrays in the dtype, sequences element by element, others as they are."""
    if isinstance(array, list):
        return [array_in(one, dtype) for one in array]
    if isinstance(array, np.ndarray | np.generic) and array.dtype in dtypes.BY_NUMPY:
        return array.astype(dtype.numpy()) if dtypes.BY_NUMPY[array.dtype].is_float else array
    return array


def _is_float(dtype: ir.DataType | None) -> bool:
    row = None if dtype is None else dtypes.BY_ONNX.get(int(dtype))
    return row is not None and row.is_float


def _changed(kind: ir.TypeProtocol | None, dtype: ir.DataType) -> ir.TypeProtocol | None:
    if isinstance(kind, ir.TensorType):
        return ir.TensorType(dtype) if _is_float(kind.dtype) else kind
    if isinstance(kind, ir.SequenceType):
        return ir.SequenceType(_changed(kind.elem_type, dtype))  # type: ignore[arg-type]
    if isinstance(kind, ir.OptionalType):
        return ir.OptionalType(_changed(kind.elem_type, dtype))  # type: ignore[arg-type]
    return kind


def _tensor(tensor: ir.TensorProtocol, dtype: ir.DataType) -> ir.TensorProtocol:
    return ir.Tensor(np.asarray(tensor.numpy().astype(dtype.numpy())), dtype=dtype, name=tensor.name)


def _change_attributes(node: ir.Node, dtype: ir.DataType, versions: dict[str, int]) -> None:
    for name, attribute in list(node.attributes.items()):
        if attribute.type is ir.AttributeType.TENSOR and _is_float(attribute.as_tensor().dtype):
            node.attributes[name] = ir.AttrTensor(name, _tensor(attribute.as_tensor(), dtype))
        elif node.op_type == "Constant" and name in ("value_float", "value_floats"):
            del node.attributes[name]
            array = np.asarray(attribute.value, dtype=np.float32).astype(dtype.numpy())
            node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array))
        elif attribute.type is ir.AttributeType.TYPE_PROTO:
            held = attribute.value
            changed = ir.TypeAndShape(_changed(held.type, dtype), held.shape)
            node.attributes[name] = ir.Attr(name, ir.AttributeType.TYPE_PROTO, changed)
        elif attribute.type is ir.AttributeType.INT and name in _DTYPE_ATTRIBUTES:
            row = dtypes.BY_ONNX.get(attribute.as_int())
            if row is not None and row.is_float and _takes(_outputs_of(node, versions), 0, dtype):
                node.attributes[name] = ir.AttrInt64(name, int(dtype))
    if node.op_type == "ConstantOfShape" and "value" not in node.attributes and not node.domain:
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1, dtype.numpy())))
    if node.op_type in _DEFAULT_FLOAT and not node.domain:
        name = _DEFAULT_FLOAT[node.op_type]
        node.attributes.setdefault(name, ir.AttrInt64(name, int(dtype)))


def _narrow_body(node: ir.Node, dtype: ir.DataType, versions: dict[str, int]) -> bool:
    """Whether a node is differentiated through its function body, and that has no place for the dtype."""
    schema = _schema(node, versions)
    entry = registry.find(node.op_type, node.domain, versions.get(node.domain, 0))
    if schema is None or (entry is not None and (entry.rule is not None or entry.through_subgraphs)):
        return False
    floats = [i for i, value in enumerate(node.inputs) if value is not None and _is_float(value.dtype)]
    return any(not _takes(schema.inputs, i, dtype) for i in floats)


def _cast_around(graph: ir.Graph | ir.Function, node: ir.Node, dtype: ir.DataType, versions: dict[str, int]) -> None:
    """Casts before and behind a node whose schema does not have the dtype."""
    schema = _schema(node, versions)
    if schema is None:
        return
    for i, value in enumerate(node.inputs):
        if value is not None and _is_float(value.dtype) and not _takes(schema.inputs, i, dtype):
            cast = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)}, name=f"{node.name}_narrow_{i}")
            cast.outputs[0].name, cast.outputs[0].shape = f"{node.name}_narrow_{i}_out", value.shape
            graph.insert_before(node, cast)
            node.replace_input_with(i, cast.outputs[0])
    for value in node.outputs:
        if _is_float(value.dtype) and not _takes(schema.outputs, value.index() or 0, dtype):
            cast = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{value.name}_widen")
            wide = cast.outputs[0]
            value.replace_all_uses_with(wide, replace_graph_outputs=True)
            cast.replace_input_with(0, value)
            wide.name, value.name = value.name, f"{value.name}_narrow"
            wide.shape = value.shape
            graph.insert_after(node, cast)


Formals = Sequence[onnx.defs.OpSchema.FormalParameter]


def _schema(node: ir.Node, versions: dict[str, int]) -> onnx.defs.OpSchema | None:
    version = versions.get(node.domain, 0)
    known = onnx.defs.has(node.op_type, version, node.domain)
    return onnx.defs.get_schema(node.op_type, version, node.domain) if known else None


def _outputs_of(node: ir.Node, versions: dict[str, int]) -> Formals:
    schema = _schema(node, versions)
    return schema.outputs if schema is not None else []


def _takes(formals: Formals, i: int, dtype: ir.DataType) -> bool:
    """Whether a schema has the dtype for parameter ``i``; the last one may be variadic."""
    if not formals:
        return True
    name = dtypes.of(int(dtype)).onnx.name.lower()
    return any(f"tensor({name})" in kind for kind in formals[min(i, len(formals) - 1)].types)
