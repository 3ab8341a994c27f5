"""Many vectors in one run: a graph in which what depends on some inputs has a leading dimension, ``seeds``.

Everything else, such as the forward pass of a vector-Jacobian product, is computed once. Operators without a rule of
their own, and cases that a rule leaves out, are repeated for each seed by a Scan: slower, and right for every operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives._batch import Arg, Args, Batch, Outputs, Plain
from graphspec.derivatives._batching_rules import RULES
from graphspec.errors import NotDifferentiable
from graphspec.optimize import clean

Seeds = int | str


def check_seeds(seeds: object) -> Seeds | None:
    """The number of seeds, or the name of their dimension.

    Raises:
        NotDifferentiable: It is neither.
    """
    if seeds is None or (isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0):
        return seeds
    if isinstance(seeds, str) and seeds:
        return seeds
    raise NotDifferentiable(
        f"`seeds` is {seeds!r}.",
        code="invalid-seeds",
        expected="how many vectors there are, 1 or more, or the name of a dimension",
        found=repr(seeds),
        hint="Leave `seeds` out for one vector without a leading dimension.",
    )


def batch(model: ir.Model, inputs: Sequence[str], results: Sequence[str], seeds: Seeds) -> None:
    """Give inputs of a derivative, and the results that depend on them, a leading dimension, in place.

    Args:
        model: A flat, sorted, typed model that the caller owns.
        inputs: Names of the graph inputs that get it.
        results: Names of the outputs that get it, those included that are the same for each seed.
        seeds: Its size, or its name.
    """
    graph = model.graph
    values = ir.convenience.create_value_mapping(graph)
    op = prepare.builder_of(model)
    new: dict[ir.Value, ir.Value] = {}
    for name in inputs:
        old = values[name]
        replaced = ir.Value(name=name, type=old.type)
        replaced.shape = None if old.shape is None else ir.Shape([seeds, *old.shape.dims])
        new[old] = replaced
    first = new[values[inputs[0]]]
    b = Batch(op, seeds, first)
    walk = Walk(b, new)
    old_outputs = list(graph.outputs)
    walk.graph(graph)
    given = list(graph.inputs)
    graph.inputs.clear()
    graph.inputs.extend(new.get(v, v) for v in given)
    for i, output in enumerate(old_outputs):
        name = output.name or ""
        if name not in results:
            continue
        found = b.expanded(Arg(output, new.get(output, output), output in walk.batched))
        if found is output or found.is_graph_input() or found.is_graph_output() or found.producer() is None:
            found = op.Identity(found)
        found = b.typed(found, output)
        graph.outputs[i] = found
        output.name = op.fresh(f"{name}_each")
        found.name = name
    graph.extend(op.nodes)
    op.nodes.clear()
    RemoveUnusedNodesPass()(model)
    clean(model)


class Walk:
    """One pass over a graph: for each value that changes what stands for it, and which of these have seeds."""

    def __init__(self, b: Batch, new: dict[ir.Value, ir.Value]) -> None:
        self.b = b
        self.new = new
        self.batched = set(new)

    def graph(self, graph: ir.Graph) -> None:
        """Put what stands for the nodes beside them."""
        for node in list(graph):
            captured = [v for v in prepare.implicit_inputs(node) if v in self.new]
            if not captured and not any(v in self.new for v in node.inputs):
                continue
            has_seeds = any(v in self.batched for v in [*node.inputs, *captured])
            if has_seeds:
                self._batch(node, captured)
            else:
                self._replace(node)
            for added in self.b.op.nodes:
                graph.insert_before(node, added)
            self.b.op.nodes.clear()

    def _replace(self, node: ir.Node) -> None:
        """The node on what stands for its inputs, none of which has seeds."""
        copy = _copied(self.b, node, self.new)
        self.b.op.nodes.append(copy)
        for old, value in zip(node.outputs, copy.outputs, strict=True):
            self.new[old] = value

    def _batch(self, node: ir.Node, captured: Sequence[ir.Value]) -> None:
        args = [None if v is None else Arg(v, self.new.get(v, v), v in self.batched) for v in node.inputs]
        rule = RULES.get(node.op_type) if node.domain == "" and not captured else None
        outputs = None if rule is None else rule(self.b, node, args)
        if outputs is None:
            outputs = _repeated(self.b, node, args, [Arg(v, self.new[v], v in self.batched) for v in captured])
        for old, found in zip(node.outputs, outputs, strict=True):
            if isinstance(found, Plain):
                self.new[old] = found.value
            else:
                self.new[old] = self.b.typed(found, old)
                self.batched.add(old)


def _repeated(b: Batch, node: ir.Node, args: Args, captured: Sequence[Arg]) -> Outputs:
    """A Scan over the seeds whose body is the node."""
    op = b.op
    given = list({a.old: a for a in [*args, *captured] if a is not None}.values())
    inside: dict[ir.Value, ir.Value] = {a.old: a.value for a in given}
    scanned = [a for a in given if a.batched]
    for a in scanned:
        inside[a.old] = bodies.like(op, a.old)
    copy = _copied(b, node, inside)
    wanted = [(i, y) for i, y in enumerate(node.outputs) if y.name]
    body = ir.Graph(
        [inside[a.old] for a in scanned],
        [copy.outputs[i] for i, _ in wanted],
        nodes=[copy],
        opset_imports=dict(op.opset_imports),
        name=op.fresh("each_seed"),
    )
    attributes = {
        "body": ir.AttrGraph("body", body),
        "num_scan_inputs": ir.AttrInt64("num_scan_inputs", len(scanned)),
    }
    like = [ir.Value(type=y.type) for _, y in wanted]
    found = bodies.emit(op, "Scan", [a.value for a in scanned], attributes, like)
    results = dict(zip((i for i, _ in wanted), found, strict=True))
    return [results.get(i, Plain(y)) for i, y in enumerate(node.outputs)]


def _copied(b: Batch, node: ir.Node, inside: Mapping[ir.Value, ir.Value]) -> ir.Node:
    """A copy of the node, and of its subgraphs, on other values."""
    op = b.op
    attributes: list[ir.Attr] = []
    for attribute in node.attributes.values():
        if attribute.type is ir.AttributeType.GRAPH:
            graph = bodies.copied(op, attribute.as_graph())
            for g in (graph, *graph.subgraphs()):
                for inner in g:
                    for i, v in enumerate(inner.inputs):
                        if v is not None and v in inside:
                            inner.replace_input_with(i, inside[v])
            attribute = ir.AttrGraph(attribute.name, graph)
        attributes.append(attribute)
    inputs = [None if v is None else inside.get(v, v) for v in node.inputs]
    copy = ir.Node(
        node.domain, node.op_type, inputs, attributes, num_outputs=len(node.outputs), name=op.fresh(node.name or "node")
    )
    for y, old in zip(copy.outputs, node.outputs, strict=True):
        y.name = op.fresh(old.name) if old.name else ""
        y.type, y.shape = old.type, old.shape
    return copy
