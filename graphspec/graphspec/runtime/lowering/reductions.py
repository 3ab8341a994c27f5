"""Reductions along known axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.runtime.lowering.elementwise import FLOATS
from graphspec.runtime.steps import Emitter, Lowering, Node, Place


def axes_of(node: Node) -> tuple[int, ...] | None:
    """The axes that a Reduce* node names, by attribute or by constant input, none negative; ``None`` if unknown."""
    x = node.inputs[0]
    assert x is not None
    assert x.shape is not None
    rank = len(x.shape)
    axes: Any = node.attributes.get("axes")
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = node.inputs[1].array
        if axes is None:
            return None
    if axes is None or len(axes) == 0:
        return () if node.attributes.get("noop_with_empty_axes") else tuple(range(rank))
    return tuple(sorted({int(a) % rank for a in axes}))


def _reduction(ufunc: Any, then: Callable[[Emitter, Place, int], Place] | None = None) -> Lowering:
    def lower(emit: Emitter, node: Node) -> Place | None:
        x = node.inputs[0]
        if x is None or x.shape is None or x.dtype is None or x.dtype.char not in FLOATS or x.size == 0:
            return None
        axes = axes_of(node)
        if not axes:
            return None
        keep = bool(node.attributes["keepdims"])
        out = emit.buffer(node.shape, node.dtype)
        emit.call(functools.partial(ufunc.reduce, axis=axes, keepdims=keep), x, out=out)
        return out if then is None else then(emit, out, math.prod(x.shape[a] for a in axes))

    return lower


def _mean(emit: Emitter, total: Place, count: int) -> Place:
    return emit.ufunc(np.divide, total, emit.constant(np.asarray(count, total.dtype)), out=total)


LOWERINGS: dict[str, Lowering] = {
    "ReduceSum": _reduction(np.add),
    "ReduceMean": _reduction(np.add, _mean),
    "ReduceMax": _reduction(np.maximum),
    "ReduceMin": _reduction(np.minimum),
}
