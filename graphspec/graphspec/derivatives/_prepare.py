"""What every transform starts from: the caller's model as one flat, typed graph of operators that have rules."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import onnx.shape_inference
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from graphspec import dtypes
from graphspec.derivatives import _recurrent
from graphspec.errors import NotDifferentiable, ValidationError
from graphspec.operators import functions, registry
from graphspec.operators.builder import Builder
from graphspec.operators.expansions import expanded
from graphspec.optimize import constants_to_nodes, copied, propagate, resolve_sequences, upgraded
from graphspec.validation import validate

# Rules speak the operators of this opset and later; older models are converted upward first.
MIN_OPSET = 18
# Metadata of a derived model: the opset of the model that it was made from, where that had to be converted upward.
UPGRADED_FROM = "graphspec.upgraded_from"
# Bodies may hold operators with bodies; ONNX's own nest three deep at most.
_MAX_NESTING = 8


def flatten(model: ir.Model) -> ir.Model:
    """A copy without function calls, at an opset that the rules speak, sorted, typed, constants folded."""
    return flat_copy(expanded(model), fold=True)


def flat_copy(model: ir.Model, *, fold: bool) -> ir.Model:
    """As ``flatten``, for a model that may hold operators which a transform of the model replaces."""
    try:
        flat = copied(model)
        constants_to_nodes(flat)
        inlined = bool(flat.functions)
        if inlined:
            functions.inline(flat)
        version = flat.graph.opset_imports.setdefault("", MIN_OPSET)
        newer = upgraded(flat, MIN_OPSET)
        if inlined or newer is not flat:
            flat = copied(newer)
        if version < MIN_OPSET:
            flat.metadata_props[UPGRADED_FROM] = str(version)
        NameFixPass()(flat)
        propagate(flat, fold=fold)
        if resolve_sequences(flat):
            NameFixPass()(flat)
            propagate(flat, fold=fold)
    except (ValueError, onnx.shape_inference.InferenceError) as error:
        validate(model).raise_for_errors()
        raise ValidationError(f"The graph's types and shapes do not fit: {error}") from error
    return flat


def implicit_inputs(node: ir.Node) -> list[ir.Value]:
    """Values of outer graphs that the node's subgraphs use."""
    found: dict[ir.Value, None] = {}
    for graph in subgraphs(node):
        found.update((v, None) for v in free_values(graph))
    return list(found)


def free_values(graph: ir.Graph) -> list[ir.Value]:
    """Values of outer graphs that a subgraph uses, its own subgraphs included."""
    found: dict[ir.Value, None] = {}
    own = {id(v) for g in (graph, *graph.subgraphs()) for v in _defined_in(g)}
    for inner in graph.all_nodes():
        found.update((v, None) for v in inner.inputs if v is not None and id(v) not in own)
    for g in (graph, *graph.subgraphs()):
        found.update((v, None) for v in g.outputs if id(v) not in own)
    return list(found)


def subgraphs(node: ir.Node) -> list[ir.Graph]:
    """The graphs among a node's attributes."""
    graphs: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type is ir.AttributeType.GRAPH:
            graphs.append(attribute.as_graph())
        elif attribute.type is ir.AttributeType.GRAPHS:
            graphs.extend(attribute.as_graphs())
    return graphs


def _defined_in(graph: ir.Graph) -> Iterable[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def all_inputs(node: ir.Node) -> list[ir.Value]:
    """Explicit and implicit inputs of a node."""
    return [v for v in node.inputs if v is not None] + implicit_inputs(node)


def named_values(graph: ir.Graph, names: Sequence[str], role: str) -> list[ir.Value]:
    """The floating-point values of these names.

    Raises:
        NotDifferentiable: A name is unknown, given twice, or its value is not a floating-point tensor.
    """
    if isinstance(names, str):
        names = [names]
    names = list(names)
    if not names:
        raise NotDifferentiable(
            f"`{role}` is empty.", code="empty-request", hint=f"Name at least one value in `{role}`."
        )
    known = ir.convenience.create_value_mapping(graph)
    values = []
    for name in names:
        if not isinstance(name, str) or name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise NotDifferentiable(
                f"`{role}` names {name!r}, which is no value of the graph.",
                code="unknown-value",
                expected="an input, a parameter or an intermediate value of the main graph",
                found=repr(name),
                hint=f"Did you mean {near[0]!r}?" if near else "See the graph's inputs, parameters and node outputs.",
            )
        values.append(known[name])
    for value in values:
        check_float(value, role)
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise NotDifferentiable(f"`{role}` names {twice!r} twice.", code="duplicate-request", found=repr(twice))
    return values


def check_float(value: ir.Value, role: str) -> None:
    """Refuse a value that is not a floating-point tensor."""
    if not is_float(value):
        kind = "unknown" if value.type is None else str(value.type) if value.dtype is None else _dtype_name(value.dtype)
        raise NotDifferentiable(
            f"`{role}` names {value.name!r}, whose type is {kind}: only floating-point tensors have derivatives.",
            code="not-differentiable",
            expected="float16, bfloat16, float32 or float64",
            found=kind,
            hint="Leave it out, or cast it to a floating-point type in the graph.",
        )


def _dtype_name(dtype: ir.DataType) -> str:
    row = dtypes.BY_ONNX.get(int(dtype))
    return row.name if row is not None else dtype.name.lower()


def is_float(value: ir.Value) -> bool:
    """Whether derivatives can flow through the value: a dense tensor of real floating-point type."""
    if not isinstance(value.type, ir.TensorType) or value.dtype is None:
        return False
    row = dtypes.BY_ONNX.get(int(value.dtype))
    return row is not None and row.is_float


def flows(value: ir.Value) -> bool:
    """Whether derivatives can flow through the value: a floating-point tensor, or a sequence or an optional of such."""
    if not isinstance(value.type, ir.SequenceType | ir.OptionalType):
        return is_float(value)
    return value.dtype is not None and (row := dtypes.BY_ONNX.get(int(value.dtype))) is not None and row.is_float


def is_discrete(value: ir.Value) -> bool:
    """Whether the value holds integers, booleans or strings: constant almost everywhere."""
    dtype = value.dtype if isinstance(value.type, ir.TensorType | ir.SequenceType | ir.OptionalType) else None
    return dtype is not None and (dtype.is_integer() or dtype in (ir.DataType.BOOL, ir.DataType.STRING))


def reachable(graph: ir.Graph, wrt: Sequence[ir.Value]) -> set[ir.Value]:
    """All values that depend on any of ``wrt``, themselves included."""
    reached = set(wrt)
    for node in graph:
        if any(v in reached for v in all_inputs(node)):
            reached.update(node.outputs)
    return reached


def leading_to(graph: ir.Graph, of: Sequence[ir.Value]) -> set[ir.Value]:
    """All values that any of ``of`` depends on, themselves included."""
    needed = set(of)
    for node in reversed(graph):
        if any(v in needed for v in node.outputs):
            needed.update(all_inputs(node))
    return needed


def builder_of(model: ir.Model) -> Builder:
    """A builder for nodes of the model's main graph; it knows every name that is taken."""
    names = {v.name for v in ir.convenience.create_value_mapping(model.graph).values() if v.name}
    names.update(n.name for n in model.graph.all_nodes() if n.name)
    for graph in model.graph.subgraphs():
        names.update(v.name for v in ir.convenience.create_value_mapping(graph).values() if v.name)
    return Builder(model.graph.opset_imports, names, model.ir_version)


def expand_ruleless(flat: ir.Model, of: Sequence[str], wrt: Sequence[str]) -> None:
    """Replace, in place, the nodes between ``wrt`` and ``of`` that have no rule but a body, until none is left."""
    for _ in range(_MAX_NESTING):
        values = ir.convenience.create_value_mapping(flat.graph)
        between = reachable(flat.graph, [values[n] for n in wrt]) & leading_to(flat.graph, [values[n] for n in of])
        active = {
            node for node in flat.graph if between.intersection(node.outputs) and between.intersection(all_inputs(node))
        }
        for node in list(active):  # subgraphs are differentiated too
            active.update(inner for graph in subgraphs(node) for inner in graph.all_nodes())

        def wanted(node: ir.Node, opset: int, active: set[ir.Node] = active) -> bool:
            entry = registry.find(node.op_type, node.domain, opset)
            return node in active and (entry is None or (entry.rule is None and not entry.through_subgraphs))

        networks = [node for node in flat.graph.all_nodes() if node in active and _recurrent.is_recurrent(node)]
        for node in networks:
            _recurrent.expand(builder_of(flat), node)
        if not functions.expand_bodies(flat, wanted) and not networks:
            return
        NameFixPass()(flat)
        propagate(flat)
