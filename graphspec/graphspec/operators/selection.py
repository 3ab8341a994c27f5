"""Operators that select elements by their values, by a mask or in another order, and OneHot, which makes a mask."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphspec.operators._moves import scatter_back
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.indexing import add_at
from graphspec.operators.registry import ZERO, operator


@operator("OneHot", since=9)
def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """values[1] where the position along the new axis is the index, values[0] elsewhere.

    An index outside of [-depth, depth) is nowhere.
    """
    count = int(np.reshape(depth, -1)[0])
    if count < 0 or values.shape != (2,):
        raise ValueError(f"depth {count} or values of shape {list(values.shape)} are not valid.")
    whole = np.asarray(indices).astype(np.int64)
    reasonable((*whole.shape, count), values.itemsize)
    whole = np.where(whole < 0, whole + count, whole)
    axis = axis + whole.ndim + 1 if axis < 0 else axis
    places = np.reshape(np.arange(count), (-1,) + (1,) * (whole.ndim - axis))
    on = np.expand_dims(whole, axis) == places
    return np.asarray(np.where(on, values[1], values[0]), dtype=values.dtype)


@one_hot.vjp
def one_hot_vjp(
    op: Builder, dY: Value, Y: Value, indices: Value, depth: Value, values: Value, *, axis: int
) -> Cotangents:
    """d(values) = the sum of dY where it is off, and where it is on."""
    bits = op.const(np.array([0, 1], dtype=op.numpy_dtype(values)))
    on = op.cast(op.OneHot(indices, depth, bits, axis=axis), ir.DataType.BOOL)
    zero = op.scalar(0, values)
    sums = [op.reduce_sum(part, None, keepdims=False) for part in (op.Where(on, zero, dY), op.Where(on, dY, zero))]
    return ZERO, ZERO, op.Concat(*(op.reshape(s, [1]) for s in sums), axis=0)


@operator("TopK", since=1)
def top_k_1(X: Array, *, k: int, axis: int = -1) -> tuple[Array, Array]:
    """TopK before opset 10: k is an attribute."""
    return _top_k(X, k, axis, largest=True)


@operator("TopK", since=10)
def top_k(X: Array, K: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    """The K largest (or smallest) elements along axis in order, and their indices; of equal ones the first.

    NaN counts as larger than any number.
    """
    return _top_k(X, int(np.reshape(K, -1)[0]), axis, bool(largest))


def _top_k(X: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
    if not 0 <= k <= X.shape[axis]:
        raise ValueError(f"K is {k}, the dimension {X.shape[axis]}.")
    if largest:  # a stable order of the reversed data, read from its end, has equal elements in their order
        reverse = np.flip(np.argsort(np.flip(X, axis), axis=axis, kind="stable"), axis)
        order = X.shape[axis] - 1 - reverse
    else:
        order = np.argsort(X, axis=axis, kind="stable")
    indices = np.take(order, np.arange(k), axis=axis).astype(np.int64, copy=False)
    return np.take_along_axis(X, indices, axis), indices


@top_k.vjp_all
def top_k_vjp(
    op: Builder,
    dY: tuple[Value | None, ...],
    Y: tuple[Value, ...],
    X: Value,
    K: Value,
    *,
    axis: int,
    largest: int,
    sorted: int,
) -> Cotangents:
    """Each dY goes back to the element that was selected; at ties, to the one selected."""
    if dY[0] is None:
        return ZERO, ZERO
    indices = Y[1] if len(Y) > 1 else op.TopK(X, K, axis=axis, largest=largest, sorted=sorted, outputs=2)[1]
    return op.ScatterElements(op.zeros_like(X), indices, dY[0], axis=axis), ZERO


@operator("NonZero", rule=ZERO)
def non_zero(X: Array) -> Array:
    """Indices of the elements that are not zero, one row an axis; no row for a scalar."""
    if X.ndim == 0:
        return np.zeros((0, int(bool(X))), dtype=np.int64)
    return np.array(np.nonzero(X), dtype=np.int64)


@operator("Compress")
def compress(input: Array, condition: Array, *, axis: int | None = None) -> Array:
    """The slices along axis (elements of the flattened input, without one) where condition holds."""
    return np.asarray(np.compress(condition, input, axis))


@compress.vjp
def compress_vjp(op: Builder, dY: Value, Y: Value, X: Value, condition: Value, *, axis: int | None) -> Cotangents:
    """Each dY goes back to where it was taken from."""
    return scatter_back(op, dY, X, lambda at: op.Compress(at, condition, axis=axis)), ZERO


@operator("Unique", since=11)
def unique(X: Array, *, axis: int | None = None, sorted: int = 1) -> tuple[Array, Array, Array, Array]:
    """The different elements (slices along axis), where each occurs first, which one each is, and how often it occurs.

    In ascending order when sorted, else in the order of first occurrence.
    """
    Y, first, inverse, counts = np.unique(X, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = np.reshape(inverse, -1)
    if not sorted:
        order = np.argsort(first)
        Y, first, counts = np.take(Y, order, axis=axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return Y, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


@unique.vjp_all
def unique_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], X: Value, *, axis: int | None, sorted: int
) -> Cotangents:
    """Each dY goes back to the first occurrence."""
    if dY[0] is None:
        return ZERO
    first = Y[1] if len(Y) > 1 else op.Unique(X, axis=axis, sorted=sorted, outputs=2)[1]
    if axis is not None:
        return add_at(op, dY[0], X, first, axis)
    return scatter_back(op, dY[0], X, lambda at: op.Gather(op.reshape(at, [-1]), first))


@operator("ReverseSequence", since=10)
def reverse_sequence(input: Array, sequence_lens: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """For each b of the batch, the first sequence_lens[b] elements along the time axis in reverse order."""
    X = np.moveaxis(input, (time_axis, batch_axis), (0, 1))
    T, B = X.shape[:2]
    if sequence_lens.shape != (B,) or np.any(sequence_lens < 0) or np.any(sequence_lens > T):
        raise ValueError(f"sequence_lens are not {B} lengths of at most {T}.")
    t = np.arange(T)[:, None]
    source = np.where(t < sequence_lens, sequence_lens - 1 - t, t)
    return np.moveaxis(X[source, np.arange(B)], (0, 1), (time_axis, batch_axis))


@reverse_sequence.vjp
def reverse_sequence_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, sequence_lens: Value, *, batch_axis: int, time_axis: int
) -> Cotangents:
    """It is its own inverse."""
    return op.ReverseSequence(dY, sequence_lens, batch_axis=batch_axis, time_axis=time_axis), ZERO
