"""Running sums and products along an axis, and the places of extrema."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphspec.operators._precision import wide
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator

# --- ArgMax, ArgMin -------------------------------------------------------------------------------------------------


def _place(find: Callable[..., Array], data: Array, axis: int, keepdims: int, last: int) -> Array:
    """Index of the extremum along an axis: of several equal ones the first, or the last."""
    data = wide(data)
    if last:
        found = data.shape[axis] - 1 - find(np.flip(data, axis), axis=axis, keepdims=bool(keepdims))
    else:
        found = find(data, axis=axis, keepdims=bool(keepdims))
    return np.asarray(found, dtype=np.int64)


@operator("ArgMax", since=1, rule=ZERO)
def argmax(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Index of the largest element along the axis."""
    return _place(np.argmax, data, axis, keepdims, select_last_index)


@operator("ArgMin", since=1, rule=ZERO)
def argmin(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Index of the smallest element along the axis."""
    return _place(np.argmin, data, axis, keepdims, select_last_index)


# --- CumSum, CumProd ------------------------------------------------------------------------------------------------


def _accumulate(ufunc: np.ufunc, x: Array, axis: Array, exclusive: int, reverse: int) -> Array:
    """Running results along the axis; exclusive ones leave their own element out and start at the neutral one."""
    if axis.size != 1:
        raise ValueError(f"axis must be one number, not a tensor of shape {axis.shape}.")
    if not x.ndim:
        raise ValueError("a tensor of rank 0 has no axis to run along.")
    along = int(axis.reshape(()))
    data = np.moveaxis(wide(x), along, -1)
    data = data[..., ::-1] if reverse else data
    if exclusive:
        data = np.concatenate([np.full_like(data[..., :1], ufunc.identity), data[..., :-1]], axis=-1)
    done = ufunc.accumulate(data, axis=-1, dtype=data.dtype)
    done = done[..., ::-1] if reverse else done
    return np.moveaxis(done, -1, along).astype(x.dtype, copy=False)


@operator("CumSum", since=11)
def cumsum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """y_i = Σ x_k over k ≤ i (k < i if exclusive; from the other end if reverse)."""
    return _accumulate(np.add, x, axis, exclusive, reverse)


@cumsum.vjp
def cumsum_vjp(op: Builder, dy: Value, y: Value, x: Value, axis: Value, *, exclusive: int, reverse: int) -> Cotangents:
    """dx_k = Σ dy_i over the i that x_k went into: the running sum from the other end."""
    return op.CumSum(dy, axis, exclusive=exclusive or None, reverse=None if reverse else 1), None


@operator("CumProd", since=26)
def cumprod(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """y_i = ∏ x_k over k ≤ i (k < i if exclusive; from the other end if reverse)."""
    return _accumulate(np.multiply, x, axis, exclusive, reverse)


@cumprod.vjp
def cumprod_vjp(op: Builder, dy: Value, y: Value, x: Value, axis: Value, *, exclusive: int, reverse: int) -> Cotangents:
    """dx_j = Σ_i dy_i · ∏ x_k over the k ≠ j that went into y_i; no division, so zeros are no trouble.

    All products are taken at once, with x_j set to 1 in row j: n times the memory of x for an axis of length n.
    """
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    along = op.cast(op.reshape(axis, [1]), ir.DataType.INT64)
    place = op.CumSum(op.expand(one, op.shape(x)), along, exclusive=1)  # of each element along the axis
    numbers = op.Range(zero, op.reshape(op.Gather(op.shape(x), along), []), one)
    rank = op.rank(x)
    if rank is None:
        ones = op.Expand(op.ints([1]), op.reshape(op.Size(op.shape(x)), [1]))
        rows = op.reshape(numbers, op.Concat(op.ints([-1]), ones, axis=0))
    else:
        rows = op.reshape(numbers, [-1] + [1] * rank)
    own = op.Equal(rows, place)
    row_axis = op.Where(op.Less(along, op.ints([0])), along, op.Add(along, op.ints([1])))
    products = op.CumProd(
        op.Where(own, op.scalar(1, x), x), row_axis, exclusive=exclusive or None, reverse=reverse or None
    )
    reached = op.Less(rows, place) if exclusive else op.LessOrEqual(rows, place)
    if reverse:
        reached = op.Greater(rows, place) if exclusive else op.GreaterOrEqual(rows, place)
    per_row = op.ReduceSum(op.Where(reached, op.Mul(dy, products), op.scalar(0, x)), row_axis)
    dx = op.ReduceSum(op.Where(own, per_row, op.scalar(0, x)), op.ints([0]), keepdims=0)
    return dx, None
