"""Reverse mode through operators that run subgraphs: If, Loop and Scan.

A body's vector-Jacobian product is again a body: a copy of it, followed by the reverse loop over that copy. What the
body computes is computed anew there; only the states of a loop are kept, because they come out in the wrong order.

* ``If``: an If on the same condition whose branches give the cotangents of what either branch captures.
* ``Scan``: the node is made to put out the states before every step; a Scan over them from the back carries the
  states' cotangents, and the sums of those of captured values, and puts out those of the scanned elements.
* ``Loop``: the same with a Loop that gathers, as a Scan over nothing is more than some runtimes can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import sequences
from graphspec.operators.builder import Builder

Backward = Callable[[ir.Graph, dict[ir.Value, ir.Value], Sequence[ir.Value], Builder], list[ir.Value]]
Refuse = Callable[[ir.Value, str], Exception]
Pulled = list[tuple[ir.Value, ir.Value]]


def if_vjp(
    op: Builder, node: ir.Node, dYs: list[ir.Value | None], moved: set[ir.Value], backward: Backward, refuse: Refuse
) -> Pulled:
    """An If on the same condition: each branch gives its cotangents of the captured values, zeros where unused."""
    wrt = _captured(node, moved, refuse)
    if not wrt:
        return []
    branches, kinds = {}, [sequences.like(op, v) for v in wrt]
    for name in ("then_branch", "else_branch"):
        copy = bodies.copied(op, node.attributes[name].as_graph())
        _refuse_random(copy, wrt[0], refuse)
        inner = bodies.builder(op)
        seeds: dict[ir.Value, ir.Value] = {}
        for y, dY in zip(copy.outputs, dYs, strict=False):
            if dY is not None and prepare.flows(y):
                sequences.add_seed(inner, seeds, y, bodies.handed_in(inner, dY, sequences.like(op, y)))
        bodies.finish(copy, [], inner, backward(copy, seeds, wrt, inner), kinds)
        branches[name] = ir.AttrGraph(name, copy)
    return list(zip(wrt, bodies.emit(op, "If", [node.inputs[0]], branches, kinds), strict=True))


def loop_vjp(
    op: Builder, node: ir.Node, dYs: list[ir.Value | None], moved: set[ir.Value], backward: Backward, refuse: Refuse
) -> Pulled:
    """The steps of a Loop or a Scan in reverse order, each with the states that it began with."""
    parts = bodies.Parts(node)
    first = next(v for v in prepare.all_inputs(node) if v in moved)
    captured = _captured(node, moved, refuse)
    for value in parts.outer:
        if value is not None and value in moved:
            _check_type(value, refuse)
    copy, changing = bodies.settled(op, parts)
    _refuse_random(copy, first, refuse)
    inputs = list(copy.inputs)
    states, elements = inputs[parts.lead : parts.lead + parts.states], inputs[parts.lead + parts.states :]
    after, ys = copy.outputs[parts.skip : parts.skip + parts.states], list(copy.outputs[parts.skip + parts.states :])

    on_way = {*captured, *(v for v, o in zip(inputs, parts.outer, strict=True) if o in moved and prepare.flows(v))}
    while True:
        reached = prepare.reachable(copy, list(on_way))
        more = {s for s, t in zip(states, after, strict=True) if s not in on_way and t in reached}
        for state in more:
            _check_type(state, refuse, of=first)
        more = {s for s in more if prepare.flows(s)}
        if not more:
            break
        on_way |= more
    active = [s for s in states if s in on_way]
    scanned = [x for x in elements if x in on_way]

    inner = bodies.builder(op)
    carried = [sequences.like(op, v) for v in (*active, *captured)]
    seeds: dict[ir.Value, ir.Value] = {}
    for c, so_far in zip(captured, carried[len(active) :], strict=True):
        if not prepare.is_float(c):
            seeds[c] = so_far
    for state, then in zip(states, after, strict=True):
        if state in on_way:
            sequences.add_seed(inner, seeds, then, carried[active.index(state)])
    dys: list[tuple[int, ir.Value]] = []
    for k, y in enumerate(ys):
        if parts.states + k < len(dYs) and dYs[parts.states + k] is not None and prepare.is_float(y):
            dy = bodies.like(op, y)
            bodies.add_seed(inner, seeds, y, dy)
            dys.append((k, dy))
    found = backward(copy, seeds, [*active, *scanned, *captured], inner)
    last = len(active) + len(scanned)
    sums = [inner.Add(so_far, g) if prepare.is_float(c) else g
            for c, so_far, g in zip(captured, carried[len(active) :], found[last:], strict=True)]  # fmt: skip
    bodies.finish(copy, inputs, inner, [*found[: len(active)], *sums, *found[len(active) : last]],
                  [*carried, *scanned])  # fmt: skip

    used = [i for i, v in enumerate(inputs) if v.uses()]
    for i in used + [inputs.index(s) for s in active]:
        if i in changing and not parts.is_loop:
            raise refuse(first, f"its state {node.attributes['body'].as_graph().inputs[i].name!r} changes its shape "
                         "from step to step")  # fmt: skip
    initial = [parts.outer[inputs.index(s)] for s in active]
    starts = [dYs[states.index(s)] or _no_cotangent(op, node, inputs, states, s, changing, _present(o))
              for s, o in zip(active, initial, strict=True)] + [sequences.zeros(op, c) for c in captured]  # fmt: skip
    dy_pairs = [(k, dy, _present(dYs[parts.states + k])) for k, dy in dys]
    if parts.is_loop:
        again = [i for i in used if i in changing or not isinstance(inputs[i].type, ir.TensorType)]
        results = _reverse_loop(op, parts, copy, inputs, used, carried, starts, dy_pairs, again)
        for k, state in enumerate(active):
            if inputs.index(state) in changing:
                bodies.rename(op, copy, parts.lead, parts.skip, k)
    else:
        results = _reverse_scan(op, parts, copy, inputs, used, carried, starts, dy_pairs, scanned)
    pairs = zip([*initial, *captured, *(parts.outer[inputs.index(x)] for x in scanned)], results, strict=True)
    return [(_present(value), dX) for value, dX in pairs if value in moved]


def _reverse_scan(
    op: Builder, parts: bodies.Parts, copy: ir.Graph, inputs: list[ir.Value], used: list[int],
    carried: list[ir.Value], starts: list[ir.Value], dys: list[tuple[int, ir.Value, ir.Value]],
    scanned: list[ir.Value],
) -> list[ir.Value]:  # fmt: skip
    """A Scan from the other end over states, elements and cotangents of scanned outputs."""
    used = used if used or dys else [parts.states]  # the number of steps must come from somewhere
    outer, axes, directions = [], [], []
    for i in used:
        if i < parts.states:
            value, axis, direction = bodies.saved(op, parts, i, inputs[i]), 0, 0
        else:
            value = _present(parts.outer[i])
            axis, direction = parts.input_way(i - parts.states)
        outer.append(value)
        axes.append(axis)
        directions.append(1 - direction)
    for k, _, dY in dys:
        axis, direction = parts.output_way(k)
        outer.append(dY)
        axes.append(axis)
        directions.append(1 - direction)
    copy.inputs.clear()
    copy.inputs.extend([*carried, *(inputs[i] for i in used), *(dy for _, dy, _ in dys)])
    ways = [parts.input_way(inputs.index(x) - parts.states) for x in scanned]
    attributes = {
        "body": ir.AttrGraph("body", copy),
        "num_scan_inputs": ir.AttrInt64("num_scan_inputs", len(outer)),
        "scan_input_axes": ir.AttrInt64s("scan_input_axes", axes),
        "scan_input_directions": ir.AttrInt64s("scan_input_directions", directions),
    }
    if scanned:
        attributes["scan_output_axes"] = ir.AttrInt64s("scan_output_axes", [axis for axis, _ in ways])
        attributes["scan_output_directions"] = ir.AttrInt64s("scan_output_directions", [1 - d for _, d in ways])
    sources = [_present(parts.outer[inputs.index(x)]) for x in scanned]
    results = bodies.emit(op, "Scan", [*starts, *outer], attributes, [*carried, *sources])
    # Over no steps at all nothing but the type of an element is known: its other dimensions come from the input.
    tail = [r if op.static(x) is not None else op.reshape_like(_shapeless(r), x)
            for r, x in zip(results[len(carried) :], sources, strict=True)]  # fmt: skip
    return [*results[: len(carried)], *tail]


def _shapeless(value: ir.Value) -> ir.Value:
    value.shape = None
    return value


def _no_cotangent(
    op: Builder, node: ir.Node, inputs: list[ir.Value], states: list[ir.Value], state: ir.Value, changing: set[int],
    initial: ir.Value,
) -> ir.Value:  # fmt: skip
    """The cotangent of what a state ends as, where nothing asks for it: of its length and shape at the end."""
    if inputs.index(state) not in changing and prepare.is_float(state):
        return op.zeros_like(initial)
    final = node.outputs[states.index(state)]
    final.name = final.name or op.fresh(f"{state.name}_final")
    final.type = final.type or state.type
    return sequences.zeros(op, final)


def _reverse_loop(
    op: Builder, parts: bodies.Parts, copy: ir.Graph, inputs: list[ir.Value], used: list[int],
    carried: list[ir.Value], starts: list[ir.Value], dys: list[tuple[int, ir.Value, ir.Value]],
    again: list[int],
) -> list[ir.Value]:  # fmt: skip
    """A Loop that counts as many steps as there were, and gathers what belongs to each, the last one first.

    The states ``again``, which cannot be stacked, are computed again for each step, from the first step on.
    """
    trips = op.Size(bodies.saved(op, parts, 0, inputs[0]))
    last = op.Sub(trips, op.const(1, "int64"))
    rows = [(inputs[i], bodies.saved(op, parts, i, inputs[i])) for i in used if i not in again]
    rows += [(dy, dY) for _, dy, dY in dys]
    head = bodies.builder(op)
    count, going = bodies.like(op, inputs[0]), bodies.like(op, inputs[1])
    step = head.Sub(last, count)
    for inside, outside in rows:
        row = head.Gather(outside, step, axis=0)
        row.type, row.shape = inside.type, inside.shape
        inside.replace_all_uses_with(row, replace_graph_outputs=True)
    if again:
        replayed = _replayed(head, parts, step, [inputs[i] for i in range(parts.lead, parts.lead + parts.states)])
        for i in again:
            inputs[i].replace_all_uses_with(replayed[i - parts.lead], replace_graph_outputs=True)
    proceed = head.Identity(going)
    if (rows or again) and len(copy):
        copy.insert_before(copy[0], head.nodes)
    else:
        copy.extend(head.nodes)
    copy.inputs.clear()
    copy.inputs.extend([count, going, *carried])
    copy.outputs.insert(0, proceed)
    return bodies.emit(op, "Loop", [trips, None, *starts], {"body": ir.AttrGraph("body", copy)}, carried)


def _replayed(op: Builder, parts: bodies.Parts, step: ir.Value, like: list[ir.Value]) -> list[ir.Value]:
    """The states before a step, by a Loop of that many steps: its condition held, or the step would not be there."""
    body = bodies.copied(op, parts.body)
    del body.outputs[parts.skip + parts.states :]
    bodies.prune(body)
    states = [_present(v) for v in parts.outer[parts.lead : parts.lead + parts.states]]
    return bodies.emit(op, "Loop", [step, None, *states], {"body": ir.AttrGraph("body", body)}, like)


def _captured(node: ir.Node, moved: set[ir.Value], refuse: Refuse) -> list[ir.Value]:
    """The captured values on the way that cotangents go to."""
    values = [v for v in prepare.implicit_inputs(node) if v in moved]
    for value in values:
        _check_type(value, refuse)
    return [v for v in values if prepare.flows(v)]


def _check_type(value: ir.Value, refuse: Refuse, of: ir.Value | None = None) -> None:
    if not prepare.flows(value) and not prepare.is_discrete(value):
        raise refuse(of or value, f"values of type {value.type} have no derivative yet")


def _refuse_random(graph: ir.Graph, value: ir.Value, refuse: Refuse) -> None:
    """The body is run a second time, where it would draw other numbers."""
    for node in graph.all_nodes():
        if bodies.is_random(node):
            raise refuse(value, f"{node.op_type} in its subgraph draws random numbers, which cannot be drawn again")


def _present(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value


RULES: dict[str, Callable[..., Any]] = {
    "If": if_vjp,
    "Loop": loop_vjp,
    "Scan": loop_vjp,
    "SequenceMap": sequences.map_vjp,
}
"""Rules of the operators of ai.onnx with graph attributes; each gives pairs of an input, or captured value, and dX."""
