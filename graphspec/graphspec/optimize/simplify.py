"""Local rewrites that leave every number as it was: neutral elements, empty moves, doubled moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphspec.inference import known_constant


def simplify(model: ir.Model) -> None:
    """Rewrite nodes of the main graph, in place, that do nothing or do twice what can be done once."""
    graph = model.graph
    for node in graph:
        rewrite = _REWRITES.get(node.op_type) if node.domain == "" else None
        if rewrite is None or len(node.outputs) != 1:
            continue
        same = rewrite(node)
        if same is not None and _may_replace(node.outputs[0], same):
            node.outputs[0].replace_all_uses_with(same)
            graph.remove(node, safe=True)


def _may_replace(old: ir.Value, new: ir.Value) -> bool:
    # A graph output keeps its own name, and so its own node.
    return not old.is_graph_output() and new.dtype == old.dtype


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    return a.shape is not None and b.shape is not None and not a.shape.has_unknown_dim() and a.shape == b.shape


def _is_number(value: ir.Value | None, number: float) -> bool:
    """Whether a ``Constant`` value holds this number, its sign included, everywhere."""
    if value is None or value.producer() is None or value.dtype is None or not value.dtype.is_floating_point():
        return False
    array = known_constant(value)
    if array is None or array.size == 0:
        return False
    wide = array.astype(np.float64)
    return bool(np.all(wide == number) and np.all(np.signbit(wide) == np.signbit(number)))


def _neutral(number: float, *, left: bool) -> Callable[[ir.Node], ir.Value | None]:
    """``x ∘ number`` is ``x`` (and ``number ∘ x`` if ``left``), where the shape stays that of ``x``."""

    def rewrite(node: ir.Node) -> ir.Value | None:
        a, b = node.inputs
        _drop_expands(node)
        a, b = node.inputs
        out = node.outputs[0]
        if a is not None and _is_number(b, number) and _same_shape(a, out):
            return a
        if left and b is not None and _is_number(a, number) and _same_shape(b, out):
            return b
        return None

    return rewrite


def _drop_expands(node: ir.Node) -> None:
    """``Expand(s) ∘ x`` becomes ``s ∘ x`` where ``x`` has the full shape anyway."""
    for i, other in ((0, 1), (1, 0)):
        value, rest = node.inputs[i], node.inputs[other]
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type != "Expand" or producer.domain != "" or rest is None:
            continue
        if _same_shape(rest, node.outputs[0]) and value is not rest:
            node.replace_input_with(i, producer.inputs[0])


def _keeps_shape(node: ir.Node) -> ir.Value | None:
    x = node.inputs[0]
    return x if x is not None and _same_shape(x, node.outputs[0]) and not _is_fed(node.inputs[1]) else None


def _is_fed(target: ir.Value | None) -> bool:
    """Whether a run is given this shape: then the one that the graph declares may not be what comes out."""
    return target is not None and target.is_graph_input()


def _reshape(node: ir.Node) -> ir.Value | None:
    x = node.inputs[0]
    if x is None:
        return None
    if _same_shape(x, node.outputs[0]) and not _is_fed(node.inputs[1]):
        return x
    before = x.producer()
    if before is not None and before.op_type == "Reshape" and before.domain == "" and _explicit(node):
        node.replace_input_with(0, before.inputs[0])
    return None


def _explicit(node: ir.Node) -> bool:
    """Whether a Reshape's target copies no dimension of its input (no 0)."""
    target = known_constant(node.inputs[1]) if node.inputs[1] is not None else None
    return target is not None and 0 not in target


def _same_dtype(node: ir.Node) -> ir.Value | None:
    x = node.inputs[0]
    return x if x is not None and x.dtype is not None and x.dtype == node.outputs[0].dtype else None


def _twice(node: ir.Node) -> ir.Value | None:
    """``f(f(x))`` is ``x``."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    return before.inputs[0] if before is not None and before.op_type == node.op_type and before.domain == "" else None


def _transpose(node: ir.Node) -> ir.Value | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    perm = _perm(node, x.shape.rank())
    if perm == list(range(len(perm))):
        return x
    before = x.producer()
    if before is not None and before.op_type == "Transpose" and before.domain == "" and before.inputs[0] is not None:
        inner = _perm(before, len(perm))
        composed = [inner[p] for p in perm]
        if composed == list(range(len(perm))):
            return before.inputs[0]
        node.replace_input_with(0, before.inputs[0])
        node.attributes["perm"] = ir.AttrInt64s("perm", composed)
    return None


def _perm(node: ir.Node, rank: int) -> list[int]:
    return list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(rank))[::-1]


def _single(node: ir.Node) -> ir.Value | None:
    return node.inputs[0] if len(node.inputs) == 1 else None


_REWRITES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Mul": _neutral(1.0, left=True),
    "Div": _neutral(1.0, left=False),
    "Sub": _neutral(0.0, left=False),  # but not Add: -0 + 0 is 0
    "Expand": _keeps_shape,
    "Reshape": _reshape,
    "Cast": _same_dtype,
    "Neg": _twice,
    "Transpose": _transpose,
    "Sum": _single,
    "Concat": _single,
    "Identity": _single,
}
