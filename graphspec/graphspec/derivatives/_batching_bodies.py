"""How If, Loop and Scan take a leading dimension of seeds: their bodies do.

Only what decides how often a body runs, or which, must be the same for all seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives._batch import Arg, Args, Batch, Outputs, Plain, shifted

if TYPE_CHECKING:
    from graphspec.derivatives.batching import Walk

BodyRule = Callable[["Walk", ir.Node, Args, Sequence[Arg]], Outputs | None]


def if_(walk: Walk, node: ir.Node, args: Args, captured: Sequence[Arg]) -> Outputs | None:
    """Both branches; what has seeds in one of them has them in both."""
    condition = args[0]
    if condition is None or condition.batched:
        return None
    walks, copies = [], []
    for name in ("then_branch", "else_branch"):
        copy = bodies.copied(walk.b.op, node.attributes[name].as_graph())
        inner = walk.into({a.old: a.value for a in captured}, {a.old for a in captured if a.batched})
        walks.append(inner)
        copies.append(copy)
        if holds_others(copy, inner.batched):
            _release(copies)
            return None
        inner.graph(copy)
    batched = [any(y in w.batched for w, y in zip(walks, ys, strict=True)) for ys in _columns(copies)]
    like = [_like(walk.b, y, has) for y, has in zip(node.outputs, batched, strict=True)]
    branches = {}
    for name, inner, copy in zip(("then_branch", "else_branch"), walks, copies, strict=True):
        results = [inner.standing_for(y, has) for y, has in zip(copy.outputs, batched, strict=True)]
        own = [_like(walk.b, y, has) for y, has in zip(copy.outputs, batched, strict=True)]
        bodies.finish(copy, [], inner.b.op, results, own)
        branches[name] = ir.AttrGraph(name, copy)
    found = bodies.emit(walk.b.op, "If", [condition.value], branches, like)
    return [y if has else Plain(y) for y, has in zip(found, batched, strict=True)]


def _columns(copies: Sequence[ir.Graph]) -> list[tuple[ir.Value, ...]]:
    return list(zip(*(copy.outputs for copy in copies), strict=True))


def loop(walk: Walk, node: ir.Node, args: Args, captured: Sequence[Arg]) -> Outputs | None:
    """A state has seeds where its first value has, or where some step gives it some."""
    b, parts = walk.b, bodies.Parts(node)
    if any(a is not None and a.batched for a in args[: parts.lead]):
        return None
    outer = [*args, *([None] * (len(parts.body.inputs) - len(args)))]
    has = [a is not None and a.batched for a in outer]
    states, elements = slice(parts.lead, parts.lead + parts.states), slice(parts.lead + parts.states, None)
    if any(a is None or a.rank is None for a, h in zip(outer[elements], has[elements], strict=True) if h):
        return None
    while True:
        copy = bodies.copied(b.op, parts.body)
        inner = walk.into({a.old: a.value for a in captured}, {a.old for a in captured if a.batched})
        inputs = []
        for value, with_seeds in zip(copy.inputs, has, strict=True):
            if with_seeds:
                inner.new[value] = _like(b, value, True)
                inner.new[value].name = b.op.fresh(f"{value.name}_each")
                inner.batched.add(value)
            inputs.append(inner.new.get(value, value))
        if holds_others(copy, inner.batched):
            _release([copy])
            return None
        inner.graph(copy)
        now = [y in inner.batched for y in copy.outputs]
        more = [h or n for h, n in zip(has[states], now[parts.skip : parts.skip + parts.states], strict=True)]
        if more == has[states]:
            break
        has[states] = more
        bodies.release(copy)
    gives = [*more, *now[parts.skip + parts.states :]]
    unknown = any(h and y.shape is None for h, y in zip(now, copy.outputs, strict=True))
    if any(now[: parts.skip]) or (parts.is_loop and unknown):
        _release([copy])
        return None
    kept = list(copy.outputs)
    flags = [*([False] * parts.skip), *gives]
    results = [inner.standing_for(y, h) for y, h in zip(kept, flags, strict=True)]
    bodies.finish(copy, inputs, inner.b.op, results, [_like(b, y, h) for y, h in zip(kept, flags, strict=True)])
    attributes = {**node.attributes, "body": ir.AttrGraph("body", copy)}
    _shift(attributes, "scan_input_axes", has[elements])
    _shift(attributes, "scan_output_axes", gives[parts.states :])
    given = [None if a is None else b.expanded(a) if h else a.value for a, h in zip(outer, has, strict=True)][
        : len(args)
    ]
    like = [_like(b, y, h and not (parts.is_loop and i >= parts.states))
            for i, (y, h) in enumerate(zip(node.outputs, gives, strict=False))]  # fmt: skip
    for i, y in enumerate(like):
        if parts.is_loop and i >= parts.states and gives[i]:
            y.shape = None  # steps lead, seeds come behind
    found: Outputs = []
    for i, y in enumerate(bodies.emit(b.op, node.op_type, given, attributes, like)):
        if not gives[i]:
            found.append(Plain(y))
        elif parts.is_loop and i >= parts.states:
            element = kept[parts.skip + i].shape
            found.append(b.moved(y, 1, 0, element.rank() + 2 if element is not None else 2))
        else:
            found.append(y)
    return found


def _release(copies: Sequence[ir.Graph]) -> None:
    """Copies no longer wanted use nothing any more."""
    for copy in copies:
        bodies.release(copy)


def _shift(attributes: dict[str, ir.Attr], name: str, batched: Sequence[bool]) -> None:
    """Axes along which a Scan goes: one further back where seeds lead."""
    if any(batched):
        axes = attributes[name].as_ints() if name in attributes else [0] * len(batched)
        moved = [shifted(axis) if h else axis for axis, h in zip(axes, batched, strict=True)]
        attributes[name] = ir.AttrInt64s(name, moved)


def _like(b: Batch, value: ir.Value, batched: bool) -> ir.Value:
    """A value of the same type and shape, with seeds if it has them."""
    found = ir.Value(type=value.type, shape=value.shape)
    if batched and value.shape is not None:
        found.shape = ir.Shape([b.size, *value.shape.dims])
    return found


def holds_others(graph: ir.Graph, batched: set[ir.Value]) -> bool:
    """Whether a sequence or an optional depends on seeds: those have no leading dimension."""
    return any(
        value.type is not None and not isinstance(value.type, ir.TensorType)
        for value in prepare.reachable(graph, list(batched))
    )


BODY_RULES: dict[str, BodyRule] = {"If": if_, "Loop": loop, "Scan": loop}
