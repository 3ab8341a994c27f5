"""One sweep in topological order: infer types and shapes, and fold what is constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir

from graphspec.dtypes import BY_NUMPY
from graphspec.inference import constant_tensor, infer_node, known_constant
from graphspec.operators import registry
from graphspec.operators.attributes import attributes_of

# A folded constant may be this large, or as large as what it was made from: folding must not blow a model up.
_MAX_BYTES = 1 << 16

# Each node of these draws numbers of its own: never folded, never merged with another.
RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
    "Dropout",
}


def propagate(model: ir.Model, *, fold: bool = True) -> None:
    """Infer every value's type and shape and, if asked, fold constants, in place, in the main graph.

    Parameters (floating-point initializers, and all that are graph inputs too) are left alone: they may be overridden
    when the graph is run.
    """
    graph = model.graph
    _type_initializers(graph)
    for node in graph:
        _settle_cast(node)
        folded = (_fold_shape(node) or _fold(node, graph.opset_imports)) if fold else None
        if folded is not None:
            _replace_by_constants(graph, node, folded)
        else:
            infer_outputs(node, graph.opset_imports, model.ir_version)


def _settle_cast(node: ir.Node) -> None:
    """``CastLike`` of a known dtype is a ``Cast``: what it is like need not be there."""
    if node.domain != "" or node.op_type != "CastLike" or node.inputs[1] is None or node.inputs[1].dtype is None:
        return
    node.attributes["to"] = ir.AttrInt64("to", int(node.inputs[1].dtype))
    node.op_type = "Cast"
    node.resize_inputs(1)


def _infer_subgraphs(node: ir.Node, opset_imports: dict[str, int], ir_version: int) -> None:
    """Types inside a node's subgraphs, which see outer values by name."""
    for attribute in node.attributes.values():
        if attribute.type is ir.AttributeType.GRAPH:
            graphs = [attribute.as_graph()]
        elif attribute.type is ir.AttributeType.GRAPHS:
            graphs = list(attribute.as_graphs())
        else:
            continue
        for graph in graphs:
            _check_outputs(graph, node)
            _type_body_inputs(graph, node)
            _distrust_declarations(graph, node)
            _type_initializers(graph)
            for inner in graph:
                infer_outputs(inner, opset_imports, ir_version)


def _check_outputs(graph: ir.Graph, node: ir.Node) -> None:
    """Refuse an output that the subgraph neither computes nor owns: the IR has lost what it stands for."""
    for output in graph.outputs:
        if output.producer() is None and not output.is_graph_input() and not output.is_initializer():
            raise ValueError(
                f"Output {output.name!r} of a subgraph of node {node.name!r} is not computed there; "
                "let an Identity node in the subgraph hand it on."
            )


def _type_body_inputs(graph: ir.Graph, node: ir.Node) -> None:
    """Types (not shapes, which may change from trip to trip) of a loop's body where it leaves them out."""
    given = list(node.inputs)
    if node.op_type == "Loop" and node.domain == "":
        for value, dtype in zip(graph.inputs, (ir.DataType.INT64, ir.DataType.BOOL), strict=False):
            value.type = value.type or ir.TensorType(dtype)
    elif node.op_type != "Scan" or node.domain != "":
        return
    if len(graph.inputs) == len(given):  # as in the newer forms of both
        for value, outer in zip(graph.inputs, given, strict=True):
            if value.type is None and outer is not None:
                value.type = outer.type


def _distrust_declarations(graph: ir.Graph, node: ir.Node) -> None:
    """Drop the declared shapes, inside a subgraph, that need not hold for all that it is given or puts out.

    ONNX text has no way to leave the rank of an element open but ``seq(float[])``: ``seq(float)`` says scalars, and is
    written for sequences of anything. A loop's first step tells of tensors whether their declared rank is another.
    """
    if node.domain != "" or node.op_type not in ("Loop", "If", "SequenceMap"):
        return
    results = list(graph.outputs)
    if node.op_type == "Loop":
        for value, outer, result in zip(graph.inputs[2:], list(node.inputs)[2:], results[1:], strict=False):
            if outer is not None and _differ_in_rank(value, outer.shape):
                value.shape = result.shape = None
    elif node.op_type == "SequenceMap":
        for value, outer in zip(graph.inputs, node.inputs, strict=False):
            if outer is not None and _differ_in_rank(value, outer.shape):
                for each in (value, *results):
                    each.shape = None
    for value in (*graph.inputs, *results):
        if isinstance(value.type, ir.SequenceType | ir.OptionalType):
            value.shape = None


def _distrust_declaration(output: ir.Value, node: ir.Node) -> None:
    """As ``_distrust_declarations``, for what a node computes: a sequence, or a scalar out of one."""
    read = node.domain == "" and node.op_type in ("SequenceAt", "OptionalGetElement")
    scalar = read and output.shape is not None and output.shape.rank() == 0
    if scalar or isinstance(output.type, ir.SequenceType | ir.OptionalType):
        output.shape = None


def _differ_in_rank(value: ir.Value, given: ir.Shape | None) -> bool:
    return value.shape is not None and given is not None and value.shape.rank() != given.rank()


def infer_outputs(node: ir.Node, opset_imports: dict[str, int], ir_version: int) -> None:
    """Set type and shape of a node's outputs, in place, to what is inferred and declared together."""
    constant = constant_tensor(node.outputs[0]) if _is_constant(node) else None
    if constant is not None:  # folding makes constants of any type; below opset 9 the schema has floats alone
        node.outputs[0].type, node.outputs[0].shape = ir.TensorType(constant.dtype), ir.Shape(constant.shape.numpy())
        return
    _infer_subgraphs(node, opset_imports, ir_version)
    try:
        inferred = infer_node(node, opset_imports, ir_version=ir_version, constants=_foldable)
    except onnx.shape_inference.InferenceError:
        if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
            inferred = [None] * len(node.outputs)  # bodies may use outer values, which this inference cannot see
        else:
            raise
    for output, known in zip(node.outputs, inferred, strict=True):
        _distrust_declaration(output, node)
        if known is None:
            continue
        output.type = known.type
        output.shape = merged(output.shape, known.shape)
        if node.op_type in ("Loop", "If") and not isinstance(known.type, ir.TensorType):
            output.shape = None  # inference goes by the first step, or branch; others may put in other shapes
    _type_by_subgraph(node)


def _type_by_subgraph(node: ir.Node) -> None:
    """Types (shapes stay unknown) of outputs that inference left without one, from what a subgraph puts out."""
    name = {"If": "then_branch", "Loop": "body", "Scan": "body"}.get(node.op_type) if node.domain == "" else None
    if name is None or name not in node.attributes or all(v.type is not None for v in node.outputs):
        return
    results = list(node.attributes[name].as_graph().outputs)[1 if node.op_type == "Loop" else 0 :]
    for output, result in zip(node.outputs, results, strict=False):
        output.type = output.type or result.type


def merged(declared: ir.Shape | None, inferred: ir.Shape | None) -> ir.Shape | None:
    """What two descriptions of one shape say together; numbers win over symbols, symbols over nothing."""
    if declared is None or inferred is None or declared.rank() != inferred.rank():
        return inferred if inferred is not None else declared
    if inferred.frozen and inferred.is_static():
        return inferred
    dims: list[int | str | None] = []
    for a, b in zip(declared.dims, inferred.dims, strict=True):
        if isinstance(b, int) or isinstance(a, int):
            dims.append(int(b) if isinstance(b, int) else int(a))  # type: ignore[arg-type]
        else:
            dims.append(b.value if b.value is not None else a.value)
    return ir.Shape(dims)


def _type_initializers(graph: ir.Graph) -> None:
    for value in graph.initializers.values():
        if value.const_value is not None and value.shape is None:
            value.shape = ir.Shape(value.const_value.shape.numpy())
        if value.const_value is not None and value.type is None:
            value.type = ir.TensorType(value.const_value.dtype)


def _foldable(value: ir.Value) -> Any:
    """The array of a value that no run can change: not that of a parameter, which a feed may replace."""
    if value.producer() is None and (value.dtype is None or value.dtype.is_floating_point()):
        return None
    return known_constant(value)


def _fold_shape(node: ir.Node) -> list[Any] | None:
    """``Shape`` and ``Size`` of a value whose dimensions are known numbers."""
    if node.domain != "" or node.op_type not in ("Shape", "Size") or node.inputs[0] is None:
        return None
    shape = node.inputs[0].shape
    if shape is None:
        return None
    dims = list(shape.dims)
    if node.op_type == "Shape":
        start = node.attributes["start"].as_int() if "start" in node.attributes else 0
        end = node.attributes["end"].as_int() if "end" in node.attributes else None
        dims = dims[start:end]
    if not all(isinstance(d, int) for d in dims):
        return None
    numbers = np.array([int(d) for d in dims if isinstance(d, int)], dtype=np.int64)
    return [numbers if node.op_type == "Shape" else np.prod(numbers, dtype=np.int64).reshape(())]


def _is_constant(node: ir.Node) -> bool:
    return node.op_type == "Constant" and node.domain == ""


def _fold(node: ir.Node, opset_imports: dict[str, int]) -> list[Any] | None:
    if node.op_type in RANDOM or _is_constant(node) or node.domain not in opset_imports:
        return None
    entry = registry.find(node.op_type, node.domain, opset_imports[node.domain])
    if entry is None or any(
        a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()
    ):
        return None
    inputs = []
    for value in node.inputs:
        array = None if value is None else _foldable(value)
        if value is not None and array is None:
            return None
        inputs.append(array)
    if _too_large(node, opset_imports, sum(a.nbytes for a in inputs if a is not None)):
        return None
    attributes = attributes_of(node)
    if entry.wants_outputs:
        attributes["outputs"] = len(node.outputs)
    try:
        with np.errstate(all="ignore"):
            results = entry.kernel(*inputs, **attributes)
    except Exception:  # the run will say it better, with the node's name; here nothing is lost by not folding
        return None
    arrays = list(results) if isinstance(results, tuple) else [results]
    if any(isinstance(a, list) for a in arrays):  # a sequence is no tensor
        return None
    arrays = [np.asarray(a) for a in arrays[: len(node.outputs)]]
    return arrays if all(a.dtype in BY_NUMPY and a.dtype != object for a in arrays) else None


def _too_large(node: ir.Node, opset_imports: dict[str, int], input_bytes: int) -> bool:
    """Whether the result is, or might be, too large to keep in a model: asked before any memory is."""
    try:
        inferred = infer_node(node, opset_imports, constants=_foldable)
    except onnx.shape_inference.InferenceError:
        return True
    total = 0
    for known in inferred:
        if known is None or known.shape is None or not known.shape.is_static():
            return node.op_type not in ("NonZero",)
        total += 8 * int(np.prod([float(d) for d in known.shape.numpy()]))
    return total > max(_MAX_BYTES, input_bytes)


def _replace_by_constants(graph: ir.Graph, node: ir.Node, arrays: list[Any]) -> None:
    for output, array in zip(node.outputs, arrays, strict=False):
        tensor = ir.Tensor(array)
        value = ir.AttrTensor("value", tensor)
        constant = ir.Node("", "Constant", [], [value], num_outputs=1, name=f"{node.name}_{output.index()}")
        new = constant.outputs[0]
        new.name, new.shape, new.type = output.name, ir.Shape(array.shape), ir.TensorType(tensor.dtype)
        graph.insert_before(node, constant)
        output.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
