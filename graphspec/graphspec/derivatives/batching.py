"""Many vectors in one run: a graph in which what depends on some inputs has a leading dimension, ``seeds``.

Everything else, such as the forward pass of a vector-Jacobian product, is computed once. Operators without a rule of
their own, and cases that a rule leaves out, are repeated for each seed by a Scan: slower, and right for every operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphspec.derivatives import _batching_images, _batching_products, _batching_rules  # noqa: F401 - fill RULES
from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives._batch import RULES, Arg, Batch, Plain
from graphspec.derivatives._batching_bodies import BODY_RULES, holds_others
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
    walk = Walk(Batch(op, seeds, new[values[inputs[0]]]), new, set(new))
    if holds_others(graph, walk.batched):
        walk.whole(graph, [values[name] for name in results])
    else:
        walk.graph(graph)
    given = list(graph.inputs)
    graph.inputs.clear()
    graph.inputs.extend(new.get(v, v) for v in given)
    for i, output in enumerate(list(graph.outputs)):
        if output.name not in results:
            continue
        found = walk.standing_for(output, True)
        if found is output or found.is_graph_input() or found.is_graph_output() or found.producer() is None:
            found = op.Identity(found)
        graph.outputs[i] = walk.b.typed(found, output)
        output.name, found.name = op.fresh(f"{output.name}_each"), output.name
    graph.extend(op.nodes)
    walk.drop(graph)
    clean(model)


class Walk:
    """One pass over a graph: what stands for its values, and which of them have seeds.

    Attributes:
        b: Emits the nodes.
        new: For each value that changes what stands for it.
        batched: The values for which something with seeds stands.
    """

    def __init__(self, b: Batch, new: dict[ir.Value, ir.Value], batched: set[ir.Value]) -> None:
        self.b = b
        self.new = new
        self.batched = batched
        self._replaced: list[ir.Node] = []

    def into(self, new: dict[ir.Value, ir.Value], batched: set[ir.Value]) -> Walk:
        """A pass over a subgraph, with a builder of its own."""
        return Walk(self.b.inside(bodies.builder(self.b.op)), new, batched)

    def standing_for(self, value: ir.Value, with_seeds: bool) -> ir.Value:
        """What stands for a value; repeated for each seed where it is wanted with seeds and has none."""
        arg = self._arg(value)
        return self.b.expanded(arg) if with_seeds else arg.value

    def graph(self, graph: ir.Graph) -> None:
        """Put what stands for the nodes beside them."""
        for node in list(graph):
            captured = [v for v in prepare.implicit_inputs(node) if v in self.new]
            if not captured and not any(v in self.new for v in node.inputs):
                continue
            if any(v in self.batched for v in [*node.inputs, *captured]):
                self._batch(node, captured)
            else:
                self._replace(node)
            self._replaced.append(node)
            graph.insert_before(node, self.b.op.nodes)
            self.b.op.nodes.clear()

    def whole(self, graph: ir.Graph, results: Sequence[ir.Value]) -> None:
        """Repeat, for each seed, all that depends on seeds."""
        reached = prepare.reachable(graph, list(self.batched))
        nodes = [node for node in graph if any(v in reached for v in prepare.all_inputs(node))]
        self._repeat(nodes, [v for v in results if v in reached and v not in self.batched])
        self._replaced += nodes

    def drop(self, graph: ir.Graph) -> None:
        """Remove the nodes for whose outputs others stand now."""
        for node in reversed(self._replaced):
            for attribute in node.attributes.values():
                if attribute.type is ir.AttributeType.GRAPH:
                    bodies.release(attribute.as_graph())
            graph.remove(node, safe=True)

    def _arg(self, value: ir.Value) -> Arg:
        return Arg(value, self.new.get(value, value), value in self.batched)

    def _replace(self, node: ir.Node) -> None:
        """The node on what stands for its inputs, none of which has seeds."""
        copy = _copied(self.b, node, self.new)
        self.b.op.nodes.append(copy)
        self.new.update(zip(node.outputs, copy.outputs, strict=True))

    def _batch(self, node: ir.Node, captured: Sequence[ir.Value]) -> None:
        args = [None if v is None else self._arg(v) for v in node.inputs]
        outputs = None
        if node.domain == "" and node.op_type in BODY_RULES:
            outputs = BODY_RULES[node.op_type](self, node, args, [self._arg(v) for v in captured])
        elif node.domain == "" and node.op_type in RULES:
            outputs = RULES[node.op_type](self.b, node, args)
        if outputs is None:
            self._repeat([node], [y for y in node.outputs if y.name])
            return
        for old, found in zip(node.outputs, outputs, strict=True):
            if isinstance(found, Plain):
                self.new[old] = found.value
            else:
                self.new[old] = self.b.typed(found, old)
                self.batched.add(old)

    def _repeat(self, nodes: Sequence[ir.Node], results: Sequence[ir.Value]) -> None:
        """A Scan, or a Loop, over the seeds whose body are the nodes."""
        op = self.b.op
        given = list(dict.fromkeys(v for node in nodes for v in prepare.all_inputs(node) if v in self.new))
        inside = {v: bodies.like(op, v) if v in self.batched else self.new[v] for v in given}
        scanned = [v for v in given if v in self.batched]
        inputs = [inside[v] for v in scanned]
        copies = []
        for node in nodes:
            copy = _copied(self.b, node, inside)
            inside.update(zip(node.outputs, copy.outputs, strict=True))
            copies.append(copy)
        body = ir.Graph(inputs, [inside[y] for y in results], nodes=copies,
                        opset_imports=dict(op.opset_imports), name=op.fresh("each_seed"))  # fmt: skip
        like = [ir.Value(type=y.type) for y in results]
        if any(y.shape is None for y in results):  # some runtimes scan only what has a known number of axes
            found = self._looped(body, [self.new[v] for v in scanned], like)
        else:
            attributes = {
                "body": ir.AttrGraph("body", body),
                "num_scan_inputs": ir.AttrInt64("num_scan_inputs", len(scanned)),
            }
            found = bodies.emit(op, "Scan", [self.new[v] for v in scanned], attributes, like)
        for old, value in zip(results, found, strict=True):
            self.new[old] = self.b.typed(value, old)
            self.batched.add(old)

    def _looped(self, body: ir.Graph, scanned: Sequence[ir.Value], like: Sequence[ir.Value]) -> list[ir.Value]:
        """What a Scan of the body over a leading axis gives, from a Loop that gathers."""
        op = self.b.op
        head = bodies.builder(op)
        step, going = (ir.Value(name=op.fresh(name), type=ir.TensorType(dtype), shape=ir.Shape([]))
                       for name, dtype in (("seed", ir.DataType.INT64), ("going", ir.DataType.BOOL)))  # fmt: skip
        for inside, outside in zip(body.inputs, scanned, strict=True):
            row = head.Gather(outside, step, axis=0)
            row.type, row.shape = inside.type, inside.shape
            inside.replace_all_uses_with(row, replace_graph_outputs=True)
        proceed = head.Identity(going)
        body.insert_before(body[0], head.nodes)
        body.inputs.clear()
        body.inputs.extend([step, going])
        body.outputs.insert(0, proceed)
        count = self.b.count
        trips = op.const(count, "int64") if isinstance(count, int) else op.Reshape(count, op.ints([]))
        return bodies.emit(op, "Loop", [trips, op.const(True)], {"body": ir.AttrGraph("body", body)}, like)


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
