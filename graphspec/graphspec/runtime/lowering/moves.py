"""Operators that only look at the same memory another way."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphspec.runtime.steps import Emitter, Lowering, Node, Place


def _reshaped(emit: Emitter, node: Node) -> Place | None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the output's shape is all that matters."""
    x = node.inputs[0]
    if x is None or x.shape is None or not _is_fixed(node):
        return None
    shape = node.shape
    if x.shape == shape:
        return x
    if x.contiguous or not x.planned:  # at run time `reshape` looks for itself
        return emit.view(x, functools.partial(_as_shape, shape=shape))
    out = emit.copy(x, emit.buffer(x.shape, x.dtype))
    return emit.view(out, functools.partial(_as_shape, shape=shape))


def _is_fixed(node: Node) -> bool:
    """Whether the graph fixes the target: one that is fed may be another than the graph declares."""
    return all(target is None or target.array is not None for target in node.inputs[1:])


def _as_shape(x: Any, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


def _transpose(emit: Emitter, node: Node) -> Place | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    perm = node.attributes["perm"]
    axes = tuple(perm) if perm is not None else tuple(reversed(range(len(x.shape))))
    if axes == tuple(range(len(axes))):
        return x
    return emit.view(x, functools.partial(np.transpose, axes=axes))


def _expand(emit: Emitter, node: Node) -> Place | None:
    x = node.inputs[0]
    if x is None or x.shape is None or not _is_fixed(node):
        return None
    if x.shape == node.shape:
        return x
    return emit.view(x, functools.partial(np.broadcast_to, shape=node.shape))


def _identity(emit: Emitter, node: Node) -> Place | None:
    return node.inputs[0]


LOWERINGS: dict[str, Lowering] = {
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _transpose,
    "Expand": _expand,
    "Identity": _identity,
}
