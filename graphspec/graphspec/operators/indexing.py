"""Operators that read and write elements at given indices.

Indices may be negative, counting from the back; those outside are refused. An index that occurs twice is read twice,
so its cotangents add up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.operators._moves import scatter_back
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator

_REDUCTIONS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
# From here on, a call per row costs less than NumPy's own loop over its elements.
_LONG_ROW = 128


@operator("Gather")
def gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """Y[..., i..., ...] = data[..., indices[i...], ...]: axis is replaced by the axes of indices."""
    return np.asarray(np.take(data, indices, axis=axis))


@gather.vjp
def gather_vjp(op: Builder, dY: Value, Y: Value, data: Value, indices: Value, *, axis: int) -> Cotangents:
    """Add each slice of dY where it was read: ScatterND, with the gathered axis brought to the front."""
    return add_at(op, dY, data, indices, axis), ZERO


def add_at(op: Builder, dY: Value, data: Value, indices: Value, axis: int) -> Value:
    """The cotangent of ``data`` for ``Gather(data, indices, axis)``."""
    at = op.Unsqueeze(op.cast(indices, ir.DataType.INT64), op.ints([-1]))
    rank, width = op.rank(data), op.rank(indices)
    if axis == 0 or (rank is not None and axis + rank == 0):
        sums: Value = op.ScatterND(op.zeros_like(data), at, dY, reduction="add")
        return sums
    if rank is None or width is None:
        return scatter_back(op, dY, data, lambda x: op.Gather(x, indices, axis=axis))
    axis = axis + rank if axis < 0 else axis
    rest = [i for i in range(rank) if i != axis]
    front = list(range(axis, axis + width)) + list(range(axis)) + list(range(axis + width, rank + width - 1))
    sizes = op.static(data)
    order = [axis, *rest]
    shape = op.Gather(op.shape(data), op.ints(order)) if sizes is None else op.ints(sizes[i] for i in order)
    zeros = op.expand(op.scalar(0, data), shape)
    sums = op.ScatterND(zeros, at, op.Transpose(dY, perm=front), reduction="add")
    back: Value = op.Transpose(sums, perm=[int(i) for i in np.argsort(order)])
    return back


@operator("GatherElements")
def gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """Y[i][j][k] = data[i][indices[i][j][k]][k] for axis 1, and likewise for other axes and ranks."""
    return data[_along(data, indices, axis)]


def _along(data: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """What to index data with, so that ``indices`` count along axis and every other axis by itself."""
    if indices.ndim != data.ndim or not -data.ndim <= axis < data.ndim:
        raise ValueError(f"indices of rank {indices.ndim} and axis {axis} do not fit data of rank {data.ndim}.")
    at: list[Array] = list(np.ogrid[tuple(np.s_[:n] for n in indices.shape)])
    at[axis] = indices
    return tuple(at)


@gather_elements.vjp
def gather_elements_vjp(op: Builder, dY: Value, Y: Value, data: Value, indices: Value, *, axis: int) -> Cotangents:
    """Add each dY where its element was read."""
    return op.ScatterElements(op.zeros_like(data), indices, dY, axis=axis, reduction="add"), ZERO


@operator("GatherND")
def gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Y[b..., i...] = data[b..., indices[b..., i..., :]...]: the last axis of indices holds one index tuple each."""
    b = batch_dims
    if not 0 <= b < min(data.ndim, indices.ndim) or data.shape[:b] != indices.shape[:b]:
        raise ValueError(f"the first {b} dimensions of {list(data.shape)} and {list(indices.shape)} do not fit.")
    at = _tuples(indices, data.ndim - b)
    batch = [np.reshape(np.arange(n), (-1,) + (1,) * (indices.ndim - 2 - i)) for i, n in enumerate(data.shape[:b])]
    return np.asarray(data[(*batch, *at)])


def _tuples(indices: Array, rank: int) -> tuple[Array, ...]:
    """The index tuples in the last axis of indices, as one array an axis."""
    if indices.ndim == 0 or not 1 <= indices.shape[-1] <= rank:
        raise ValueError(f"index tuples of shape {list(indices.shape)} do not fit data of rank {rank}.")
    return tuple(np.moveaxis(indices, -1, 0))


@gather_nd.vjp
def gather_nd_vjp(op: Builder, dY: Value, Y: Value, data: Value, indices: Value, *, batch_dims: int) -> Cotangents:
    """Add each slice of dY where it was read."""
    if batch_dims:
        return scatter_back(op, dY, data, lambda x: op.GatherND(x, indices, batch_dims=batch_dims)), ZERO
    return op.ScatterND(op.zeros_like(data), indices, dY, reduction="add"), ZERO


@operator("Scatter", since=9)
def scatter(data: Array, indices: Array, updates: Array, *, axis: int = 0) -> Array:
    """ScatterElements under its name before opset 11."""
    return _scattered_along(data, indices, updates, axis, "none")


@operator("ScatterElements", since=11)
def scatter_elements(data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """A copy of data with Y[i][indices[i][j][k]][k] = updates[i][j][k] for axis 1, and likewise for other axes.

    With a reduction the update is added to what is there, or multiplied, or the larger or smaller of the two is kept.
    """
    return _scattered_along(data, indices, updates, axis, reduction)


@operator("ScatterND", since=11)
def scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """A copy of data with Y[indices[i..., :]...] = updates[i...], or reduced with what is there."""
    at = _tuples(indices, data.ndim)
    expected = indices.shape[:-1] + data.shape[len(at) :]
    if updates.shape != expected:
        raise ValueError(f"updates have shape {list(updates.shape)} where {list(expected)} is expected.")
    return _scattered(data, at, updates, reduction)


def _scattered_along(data: Array, indices: Array, updates: Array, axis: int, reduction: str) -> Array:
    if updates.shape != indices.shape:
        raise ValueError(f"updates of shape {list(updates.shape)} do not fit indices of shape {list(indices.shape)}.")
    return _scattered(data, _along(data, indices, axis), updates, reduction)


def _scattered(data: Array, at: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    out = np.array(data, order="C")
    if reduction == "none":
        out[at] = updates
    elif reduction in _REDUCTIONS:
        _accumulate(_REDUCTIONS[reduction], out, at, updates)
    else:
        raise ValueError(f"reduction {reduction!r} is not one of none, add, mul, max, min.")
    return out


def _accumulate(ufunc: Any, out: Array, at: tuple[Array, ...], updates: Array) -> None:
    """``ufunc.at(out, at, updates)``, in place, with index arrays for the first axes of a contiguous array.

    NumPy is quick for one index array into a vector only; a loop in Python is quicker still where rows are long.
    """
    place: Any = 0
    for axis, index in enumerate(at):
        size = out.shape[axis]
        if index.size and not (-size <= index.min() and index.max() < size):
            worst = index.min() if index.min() < -size else index.max()
            raise IndexError(f"index {worst} is out of bounds for axis {axis} with size {size}.")
        place = place * size + np.where(index < 0, index + size, index)
    places = np.broadcast_to(place, np.broadcast_shapes(*(index.shape for index in at))).reshape(-1)
    if not updates.size:
        return
    rows, width = updates.reshape(len(places), -1), updates.size // len(places)
    table = out.reshape(-1, width)
    if width >= _LONG_ROW:
        for i, row in zip(places.tolist(), rows, strict=True):
            ufunc(table[i], row, out=table[i])
    else:
        ufunc.at(out.reshape(-1), (places[:, None] * width + np.arange(width)).reshape(-1), rows.reshape(-1))


@scatter_elements.vjp
def scatter_elements_vjp(
    op: Builder, dY: Value, Y: Value, data: Value, indices: Value, updates: Value, *, axis: int, reduction: str
) -> Cotangents:
    """See ``_scatter_vjp``."""

    def read(x: Value) -> Value:
        value: Value = op.GatherElements(x, indices, axis=axis)
        return value

    def write(x: Value, u: Value, how: str) -> Value:
        value: Value = op.ScatterElements(x, indices, u, axis=axis, reduction=how)
        return value

    return _scatter_vjp(op, dY, Y, data, updates, read, write, reduction)


@scatter_nd.vjp
def scatter_nd_vjp(
    op: Builder, dY: Value, Y: Value, data: Value, indices: Value, updates: Value, *, reduction: str
) -> Cotangents:
    """See ``_scatter_vjp``."""

    def read(x: Value) -> Value:
        value: Value = op.GatherND(x, indices)
        return value

    def write(x: Value, u: Value, how: str) -> Value:
        value: Value = op.ScatterND(x, indices, u, reduction=how)
        return value

    return _scatter_vjp(op, dY, Y, data, updates, read, write, reduction)


def _scatter_vjp(
    op: Builder, dY: Value, Y: Value, data: Value, updates: Value, read: Any, write: Any, reduction: str
) -> Cotangents:
    """The cotangents of data and updates; an index that is not unique is undefined for reduction none.

    none: d(data) = dY, zero where an update went; d(updates) = dY read there.
    add: d(data) = dY; d(updates) = dY read there.
    mul: d(data) = dY × the product of the updates; d(updates) = dY × data × the product of the others.
    max, min: dY, split evenly among the data element and the updates that are equal to the result.
    """
    if reduction == "none":
        return write(dY, op.zeros_like(updates), "none"), ZERO, read(dY)
    if reduction == "add":
        return dY, ZERO, read(dY)
    if reduction == "mul":
        others = op.Mul(read(data), _product_of_others(op, data, updates, read))
        return op.Mul(dY, write(op.ones_like(data), updates, "mul")), ZERO, op.Mul(read(dY), others)
    kept, won = op.Equal(data, Y), op.Equal(updates, read(Y))
    dtype: ir.DataType = op.dtype(data)
    winners = write(op.cast(kept, dtype), op.cast(won, dtype), "add")
    share = op.Div(dY, winners)
    zero = op.scalar(0, data)
    return op.Where(kept, share, zero), ZERO, op.Where(won, read(share), zero)


def _product_of_others(op: Builder, data: Value, updates: Value, read: Any) -> Value:
    """For each update the product of the others that went to the same place: a table of all pairs, exact where some are 0.

    No quotient of the whole product would do: it fails at 0, and a case for that has no second derivative there.
    """  # noqa: E501
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    numbers = op.Reshape(op.Range(zero, op.size(data), one), op.shape(data), allowzero=1)
    place = op.reshape(read(numbers), [-1])
    count = op.reshape(op.size(updates), [])
    order = op.Range(zero, count, one)
    rows, columns = op.ints([1]), op.ints([0])
    same = op.Equal(op.Unsqueeze(place, rows), op.Unsqueeze(place, columns))
    itself = op.Equal(op.Unsqueeze(order, rows), op.Unsqueeze(order, columns))
    flat = op.Unsqueeze(op.reshape(updates, [-1]), columns)
    table = op.Where(op.And(same, op.Not(itself)), flat, op.scalar(1, updates))
    return op.reshape_like(op.ReduceProd(table, rows, keepdims=0), updates)
