"""Operators that ONNX itself defines by a function body: their nodes are replaced by that body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphspec.errors import LimitError, UnsupportedError
from graphspec.inference import type_proto
from graphspec.operators.expansions import own_body

# What the calls of a model's functions may grow to, and how deep they may go: two kilobytes can ask for millions.
MAX_INLINED_NODES = 1_000_000
_MAX_CALLS = 100


def has_body(node: ir.Node, opset: int) -> bool:
    """Whether ONNX gives the node's operator a function body at this opset version."""
    return _body_version(node, opset) is not None


def _body_version(node: ir.Node, opset: int) -> tuple[Any, int, bool] | None:
    if not onnx.defs.has(node.op_type, opset, node.domain):
        return None
    schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)  # Any: its stubs lack the functions
    for versions, typed in (
        (schema.function_opset_versions if schema.has_function else [], False),
        (schema.context_dependent_function_opset_versions if schema.has_context_dependent_function else [], True),
    ):
        usable = [v for v in versions if v <= opset]
        if usable:
            return schema, max(usable), typed
    return None


def body(node: ir.Node, opset: int) -> ir.Function | None:
    """The function body of a node, built for its attributes and input types: ONNX's, or else one of ours.

    Returns:
        The function, its opset imports set to the model's; ``None`` when the operator has none.
    """
    own = own_body(node)
    if own is not None:
        return ir.serde.deserialize_function(own)
    found = _body_version(node, opset)
    if found is None:
        return None
    schema, version, typed = found
    if typed:
        types = [_serialized_type(value) for value in node.inputs]
        proto_bytes = schema.get_context_dependent_function_with_opset_version(
            version, ir.serde.serialize_node(node).SerializeToString(), types
        )
    else:
        proto_bytes = schema.get_function_with_opset_version(version)
    if not proto_bytes:
        return None
    return ir.serde.deserialize_function(_trimmed(onnx.FunctionProto.FromString(proto_bytes), node))


def _trimmed(proto: onnx.FunctionProto, node: ir.Node) -> onnx.FunctionProto:
    """The body with just the outputs that the node has; a body built for fewer outputs still lists them all."""
    del proto.output[len(node.outputs) :]
    defined = {name for inner in proto.node for name in inner.output} | set(proto.input)
    for name, output in zip(proto.output, node.outputs, strict=True):
        if name not in defined and not output.uses():  # left out in the middle: a place holder that nothing reads
            proto.node.append(onnx.helper.make_node("Constant", [], [name], value_float=0.0))
    return proto


def _serialized_type(value: ir.Value | None) -> bytes:
    proto = type_proto(value) if value is not None else None
    return b"" if proto is None else proto.SerializeToString()


def expand_bodies(model: ir.Model, wanted: Callable[[ir.Node, int], bool]) -> bool:
    """Replace, in place, each node that is ``wanted(node, opset)`` and has a body by that body.

    Subgraphs are searched too. Called on a model of the caller's own; types must have been inferred, because some
    bodies depend on them.

    Returns:
        Whether anything was replaced.
    """
    found: dict[ir.OperatorIdentifier, ir.Function] = {}
    imports = model.graph.opset_imports
    for node in model.graph.all_nodes():
        opset = imports.get(node.domain)
        if opset is None or not wanted(node, opset):
            continue
        graphs = [a for a in node.attributes.values() if a.type is ir.AttributeType.GRAPH]
        if any(_captures(a.as_graph()) for a in graphs):
            continue  # the body has no place for values from outside
        function = body(node, opset)
        if function is None:
            continue
        for attribute in graphs:  # the body, built for this node, has them in it
            del node.attributes[attribute.name]
        _add_defaults(node, opset)
        node.overload = f"body{len(found)}"
        key = (node.domain, node.op_type, node.overload)
        for domain, version in function.opset_imports.items():
            imports.setdefault(domain, version)
        function.opset_imports.clear()
        function.opset_imports.update(imports)
        found[key] = ir.Function(*key, graph=function.graph, attributes=function.attributes)
    if not found:
        return False
    model.functions.update(found)
    inline(model, lambda f: f.identifier() in found)
    return True


def _captures(graph: ir.Graph) -> bool:
    """Whether a subgraph, or a subgraph of it, uses values of outer graphs."""
    graphs = (graph, *graph.subgraphs())
    own = {v for g in graphs for v in (*g.inputs, *g.initializers.values(), *(v for node in g for v in node.outputs))}
    used = {v for g in graphs for v in (*g.outputs, *(v for node in g for v in node.inputs))}
    return not used - {None} <= own


def inline(model: ir.Model, criteria: Callable[[ir.Function], bool] | None = None) -> None:
    """Inline, in place, calls of model-local functions; all of them unless ``criteria`` says which.

    Raises:
        UnsupportedError: The functions call each other in a circle, or ask for opsets unlike the model's.
        LimitError: The calls would grow to more than ``MAX_INLINED_NODES`` nodes.
    """
    _check_size(model)
    try:
        InlinePass(criteria)(model)
    except (ir.passes.PreconditionError, ir.passes.PassError, ValueError) as error:
        cause = error.__cause__ or error
        raise UnsupportedError(f"The model's functions cannot be inlined: {cause}") from error


def _check_size(model: ir.Model) -> None:
    """Refuse, before any work is done, functions that call each other until they are too many nodes."""
    sizes: dict[ir.OperatorIdentifier, int] = {}

    def size(nodes: Iterable[ir.Node], calling: tuple[ir.OperatorIdentifier, ...]) -> int:
        return sum(1 if n.op_identifier() not in model.functions else called(n.op_identifier(), calling) for n in nodes)

    def called(key: ir.OperatorIdentifier, calling: tuple[ir.OperatorIdentifier, ...]) -> int:
        name = f"{key[0]}::{key[1]}"
        if key in calling:
            raise UnsupportedError(f"The function {name} calls itself.", code="recursion", found=name)
        if len(calling) > _MAX_CALLS:
            raise LimitError(f"Functions call each other more than {_MAX_CALLS} deep, at {name}.", code="call-depth")
        if key not in sizes:
            sizes[key] = size(model.functions[key].all_nodes(), (*calling, key))
            if sizes[key] > MAX_INLINED_NODES:
                raise LimitError(
                    f"The function {name} grows to {sizes[key]} nodes when it is inlined.",
                    code="inlined-nodes",
                    expected=f"at most {MAX_INLINED_NODES} nodes",
                    found=str(sizes[key]),
                    hint="Call it less often, or from fewer functions.",
                )
        return sizes[key]

    total = size(model.graph.all_nodes(), ())
    if total > MAX_INLINED_NODES:
        raise LimitError(
            f"The graph grows to {total} nodes when its functions are inlined.",
            code="inlined-nodes",
            expected=f"at most {MAX_INLINED_NODES} nodes",
            found=str(total),
            hint="Call its functions less often.",
        )


def _add_defaults(node: ir.Node, opset: int) -> None:
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            node.attributes[name] = ir.serde.deserialize_attribute(attribute.default_value)
