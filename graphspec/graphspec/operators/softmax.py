"""Softmax and its kin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphspec.operators._precision import NARROW, wide
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator

# Rows of 16-bit floats up to this length are rounded at every step, as the ONNX reference does, against which the
# backend suite compares to within one rounding. In longer ones such sums would stall, so they go by float32.
_SHORT = 32


def softmax_along(x: Array, axis: int) -> Array:
    """exp(x) / Σ exp(x), shifted by the largest so that nothing overflows."""
    with np.errstate(all="ignore"):
        y = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf).astype(x.dtype))
        y /= np.sum(y, axis=axis, keepdims=True)
    return np.asarray(y)


def log_softmax_along(x: Array, axis: int) -> Array:
    """x - log Σ exp(x), shifted by the largest so that nothing overflows."""
    with np.errstate(all="ignore"):
        y = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
        y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return np.asarray(y)


def hardmax_along(x: Array, axis: int) -> Array:
    """1 at the first largest element, 0 elsewhere."""
    y = np.zeros_like(x)
    if x.size:
        np.put_along_axis(y, np.argmax(x, axis=axis, keepdims=True), 1, axis=axis)
    return y


def _narrow(f: Callable[[Array, int], Array], x: Array, axis: int) -> Array:
    if not x.ndim:
        raise ValueError("a tensor of rank 0 has no axis to normalise along.")
    return f(wide(x), axis).astype(x.dtype, copy=False)


def _without_nan(op: Builder, y: Value, instead: float) -> Value:
    """``y``, with another number for NaN where the graph discards NaN too.

    The softmax of a row that is masked throughout (all -inf) is NaN. Graphs that allow for it, as the body of Attention
    does, put a Where behind; its cotangent of 0 for such a row must stay 0.
    """
    copies = [y]
    for value in copies:
        for node in value.consumers():
            if node.op_type in ("Where", "IsNaN"):
                return op.Where(op.IsNaN(y), op.scalar(instead, y), y)  # type: ignore[no-any-return]
            if node.op_type in ("Cast", "CastLike", "Identity"):
                copies.append(node.outputs[0])
    return y


def _as_matrix(f: Callable[[Array, int], Array], x: Array, axis: int) -> Array:
    """Before opset 13: the axes from ``axis`` on are taken as one."""
    axis = axis + x.ndim if axis < 0 else axis
    if not 0 <= axis <= x.ndim:
        raise ValueError(f"axis {axis} is outside of rank {x.ndim}.")
    rows = int(np.prod(x.shape[:axis]))
    columns = int(np.prod(x.shape[axis:]))
    return _narrow(f, x.reshape(rows, columns), 1).reshape(x.shape)


@operator("Softmax", since=1)
def softmax_1(input: Array, *, axis: int = 1) -> Array:
    """The softmax over all axes from ``axis`` on."""
    return _as_matrix(softmax_along, input, axis)


@operator("Softmax", since=13)
def softmax(input: Array, *, axis: int = -1) -> Array:
    """y = exp(x) / Σ exp(x), the sum over one axis."""
    if input.dtype in NARROW and input.ndim and input.shape[axis] <= _SHORT:
        return softmax_along(input, axis)
    return _narrow(softmax_along, input, axis)


@softmax.vjp
def softmax_vjp(op: Builder, dY: Value, Y: Value, input: Value, *, axis: int) -> Cotangents:
    """dx = y · (dy - Σ y · dy)."""
    y = _without_nan(op, Y, 0)
    return op.Mul(y, op.Sub(dY, op.reduce_sum(op.Mul(dY, y), [axis])))  # type: ignore[no-any-return]


@operator("LogSoftmax", since=1)
def log_softmax_1(input: Array, *, axis: int = 1) -> Array:
    """The log of the softmax over all axes from ``axis`` on."""
    return _as_matrix(log_softmax_along, input, axis)


@operator("LogSoftmax", since=13)
def log_softmax(input: Array, *, axis: int = -1) -> Array:
    """y = x - log Σ exp(x), the sum over one axis."""
    return _narrow(log_softmax_along, input, axis)


@log_softmax.vjp
def log_softmax_vjp(op: Builder, dY: Value, Y: Value, input: Value, *, axis: int) -> Cotangents:
    """dx = dy - exp(y) · Σ dy."""
    return op.Sub(dY, op.Mul(op.Exp(_without_nan(op, Y, -np.inf)), op.reduce_sum(dY, [axis])))  # type: ignore[no-any-return]


@operator("Hardmax", since=1, rule=ZERO)
def hardmax_1(input: Array, *, axis: int = 1) -> Array:
    """1 at the first largest element of all axes from ``axis`` on, 0 elsewhere."""
    return _as_matrix(hardmax_along, input, axis)


@operator("Hardmax", since=13, rule=ZERO)
def hardmax(input: Array, *, axis: int = -1) -> Array:
    """1 at the first largest element along the axis, 0 elsewhere."""
    return _narrow(hardmax_along, input, axis)
