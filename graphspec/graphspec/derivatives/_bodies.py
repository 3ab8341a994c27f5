"""Subgraphs as derivatives need them: copies under names of their own, typed, extended, cut down to what is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphspec.operators.builder import Builder
from graphspec.optimize.propagate import RANDOM, infer_outputs, merged

# Dimensions only ever become unknown while the shapes of a loop's states settle, so that few rounds are enough.
_ROUNDS = 8


def builder(op: Builder) -> Builder:
    """A builder for nodes of a subgraph: constants of its own, names shared with all of the model."""
    return Builder(op.opset_imports, op.names, op.ir_version)


def copied(op: Builder, graph: ir.Graph) -> ir.Graph:
    """A copy of a subgraph that captures the same values; everything in it has a new name."""
    copy = graph.clone(allow_outer_scope_values=True)
    copy.name = op.fresh(f"{graph.name or 'body'}_vjp")
    for g in (copy, *copy.subgraphs()):
        g.opset_imports.update(op.opset_imports)
        for value in [*g.inputs, *g.initializers.values(), *(v for node in g for v in node.outputs)]:
            if value.name:
                value.name = op.fresh(value.name)
        for node in g:
            node.name = op.fresh(node.name or node.op_type)
    return copy


def like(op: Builder, value: ir.Value) -> ir.Value:
    """A new subgraph input of the type and shape of a value."""
    return ir.Value(name=op.fresh(f"{value.name}_in"), type=value.type, shape=value.shape)


def handed_in(inner: Builder, dY: ir.Value, y: ir.Value) -> ir.Value:
    """A cotangent from outside under the shape that the value has inside."""
    handed: ir.Value = inner.Identity(dY)
    handed.type, handed.shape = y.type, y.shape if y.shape is not None else dY.shape
    return handed


def add_seed(inner: Builder, seeds: dict[ir.Value, ir.Value], y: ir.Value, dY: ir.Value) -> None:
    """Add the cotangent of one output; a value may be an output twice."""
    seeds[y] = inner.Add(seeds[y], dY) if y in seeds else dY


def finish(
    graph: ir.Graph, inputs: Sequence[ir.Value], inner: Builder, results: Sequence[ir.Value], like: Sequence[ir.Value]
) -> None:
    """Let the subgraph put out ``results``, each of the type of its value in ``like``, and drop what that leaves."""
    outputs = []
    for value, x in zip(results, like, strict=True):
        output = inner.Identity(value)  # a result may be an input, an outer value, or there twice
        output.type, output.shape = x.type, x.shape
        outputs.append(output)
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    graph.extend(inner.nodes)
    prune(graph)


def prune(graph: ir.Graph) -> None:
    """Remove nodes that nothing uses, with the uses that their subgraphs have of others."""
    for node in reversed(list(graph)):
        if any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        for attribute in node.attributes.values():
            if attribute.type is ir.AttributeType.GRAPH:
                release(attribute.as_graph())
        graph.remove(node, safe=True)


def release(graph: ir.Graph) -> None:
    """End the uses that a graph no longer wanted has of others' values."""
    for node in graph.all_nodes():
        for i in range(len(node.inputs)):
            node.replace_input_with(i, None)


def emit(
    op: Builder, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, ir.Attr],
    like: Sequence[ir.Value],
) -> list[ir.Value]:  # fmt: skip
    """Emit a node with subgraphs; inference of one node cannot see what they capture, so that types are given."""
    node = ir.Node("", op_type, inputs, attributes, num_outputs=len(like), name=op.fresh(op_type))
    for output, x in zip(node.outputs, like, strict=True):
        output.name = op.fresh(f"{op_type}_out")
        output.type, output.shape = x.type, x.shape
    op.nodes.append(node)
    return list(node.outputs)


def is_random(node: ir.Node) -> bool:
    """Whether running the node twice may give two results."""
    if node.domain != "" or node.op_type not in RANDOM:
        return False
    return node.op_type != "Dropout" or (len(node.inputs) > 2 and node.inputs[2] is not None)


class Parts:
    """A Loop or Scan taken apart.

    Attributes:
        node: The node.
        body: Its subgraph.
        is_loop: Whether it is a Loop.
        lead: Number of inputs of the body before the states.
        skip: Number of outputs of the body before the states.
        states: Number of states.
        outer: Per input of the body what the node is given for it; ``None`` where it is not.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.body = node.attributes["body"].as_graph()
        self.is_loop = node.op_type == "Loop"
        self.lead, self.skip = (2, 1) if self.is_loop else (0, 0)
        scanned = 0 if self.is_loop else node.attributes["num_scan_inputs"].as_int()
        self.states = len(self.body.inputs) - self.lead - scanned
        self.outer: list[ir.Value | None] = list(node.inputs)
        self.outer += [None] * (len(self.body.inputs) - len(self.outer))

    def input_way(self, k: int) -> tuple[int, int]:
        """Axis and direction of scan input ``k``."""
        return self._number("scan_input_axes", k), self._number("scan_input_directions", k)

    def output_way(self, k: int) -> tuple[int, int]:
        """Axis and direction of scan output ``k``."""
        return self._number("scan_output_axes", k), self._number("scan_output_directions", k)

    def _number(self, name: str, k: int) -> int:
        return self.node.attributes[name].as_ints()[k] if name in self.node.attributes else 0


def settled(op: Builder, parts: Parts) -> tuple[ir.Graph, set[int]]:
    """A copy of the body in which the shapes hold for every step.

    Returns:
        The copy, and the inputs that are known to change their shape from step to step.
    """
    shapes = [_first_shape(parts, i) for i in range(len(parts.body.inputs))]
    changing: set[int] = set()
    for _ in range(_ROUNDS):
        trial = _typed(op, parts, shapes, names=False)
        stable = True
        for j in range(parts.states):
            i = parts.lead + j
            then, now = trial.outputs[parts.skip + j].shape, shapes[i]
            if now is None:
                continue
            kept, changes = _common(now, then)
            if changes or (parts.is_loop and kept != now and _renamed(parts, j)):
                changing.add(i)
            if kept != now:
                shapes[i], stable = kept, False
        release(trial)
        if stable:
            break
    return _typed(op, parts, shapes, names=True), changing


def _renamed(parts: Parts, j: int) -> bool:
    """Whether the body declares a dimension of state ``j`` under one name going in and under another coming out."""
    before, after = parts.body.inputs[parts.lead + j].shape, parts.body.outputs[parts.skip + j].shape
    if before is None or after is None or before.rank() != after.rank():
        return False
    pairs = zip(before.dims, after.dims, strict=True)
    return any(
        isinstance(a, ir.SymbolicDim) and isinstance(b, ir.SymbolicDim) and None not in (a.value, b.value) and a != b
        for a, b in pairs
    )


def rename(op: Builder, body: ir.Graph, lead: int, skip: int, state: int) -> None:
    """Give unknown dimensions of a state other names coming out than going in, which says that they change."""
    for value in (body.inputs[lead + state], body.outputs[skip + state]):
        if value.shape is not None:
            dims = [d if isinstance(d, int) else d.value or op.fresh("changing") for d in value.shape.dims]
            value.shape = ir.Shape(dims)


def _common(now: ir.Shape, then: ir.Shape | None) -> tuple[ir.Shape | None, bool]:
    """What two steps' shapes have in common, and whether they are known to differ."""
    if then is None:
        return None, False
    if then.rank() != now.rank():
        return None, True
    dims: list[int | str | None] = []
    changes = False
    for a, b in zip(now.dims, then.dims, strict=True):
        if isinstance(a, int) and isinstance(b, int) and a != b:
            changes = True
        same = a == b and (isinstance(a, int) or a.value is not None)
        dims.append((a if isinstance(a, int) else a.value) if same else None)
    shape = ir.Shape(dims)
    known = [d if isinstance(d, int) else d.value for d in now.dims]
    return (now if dims == known else shape), changes


def _first_shape(parts: Parts, i: int) -> ir.Shape | None:
    """The shape of an input of the body in the first step."""
    inside, outer = parts.body.inputs[i], parts.outer[i]
    shape = None if outer is None else outer.shape
    k = i - parts.lead - parts.states
    if i < parts.lead:
        return inside.shape if inside.shape is not None else ir.Shape([])
    if k >= 0 and shape is not None:
        dims = list(shape.dims)
        del dims[parts.input_way(k)[0]]
        shape = ir.Shape(dims)
    return merged(inside.shape, shape)


def _typed(op: Builder, parts: Parts, shapes: Sequence[ir.Shape | None], *, names: bool) -> ir.Graph:
    graph = copied(op, parts.body) if names else parts.body.clone(allow_outer_scope_values=True)
    for value, outer, shape in zip(graph.inputs, parts.outer, shapes, strict=True):
        value.shape = shape
        if value.type is None and outer is not None:
            value.type = outer.type
    for node in graph:
        infer_outputs(node, dict(op.opset_imports), op.ir_version)
    return graph


def saved(op: Builder, parts: Parts, i: int, like: ir.Value) -> ir.Value:
    """Input ``i`` of the body at every step, stacked along a first axis: an output the node is made to have."""
    node, body = parts.node, parts.body
    inside, first = body.inputs[i], parts.skip + parts.states
    for k, output in enumerate(body.outputs[first:]):
        producer = output.producer()
        same = producer is not None and producer.op_type == "Identity" and producer.inputs[0] is inside
        if same and parts.output_way(k) == (0, 0) and parts.states + k < len(node.outputs):
            return _named(op, node.outputs[parts.states + k], like, parts)
    copy = ir.Node("", "Identity", [inside], name=op.fresh("Identity"))
    output = copy.outputs[0]
    output.name, output.type, output.shape = op.fresh(f"{inside.name}_each"), like.type, like.shape
    body.append(copy)
    for name in ("scan_output_axes", "scan_output_directions"):
        if name in node.attributes:
            node.attributes[name] = ir.AttrInt64s(name, [*node.attributes[name].as_ints(), 0])
    body.outputs.append(output)
    before = len(node.outputs)
    node.resize_outputs(len(body.outputs) - parts.skip)
    for value, result in zip(node.outputs[before:], body.outputs[parts.skip + before :], strict=True):
        value.name = op.fresh(f"{result.name}_out")
        value.type = result.type
    return _named(op, node.outputs[-1], like, parts)


def _named(op: Builder, value: ir.Value, like: ir.Value, parts: Parts) -> ir.Value:
    value.name = value.name or op.fresh(f"{like.name}_out")
    value.type = like.type
    if value.shape is None and like.shape is not None:
        steps: int | str | None = None
        if not parts.is_loop and (x := parts.outer[parts.states]) is not None and x.shape is not None:
            d = x.shape.dims[parts.input_way(0)[0]]
            steps = d if isinstance(d, int) else d.value
        value.shape = ir.Shape([steps, *like.shape.dims])
    return value
