"""Operators that put tensors together, take them apart, or repeat them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.errors import NoGradientRule
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Cotangent, Cotangents, Value
from graphspec.operators.registry import ZERO, operator


@operator("Concat", since=4)
def concat(*inputs: Array, axis: int) -> Array:
    """The inputs one after the other along an axis that exists."""
    return np.concatenate(inputs, axis=axis)


@concat.vjp
def concat_vjp(op: Builder, dY: Value, Y: Value, *inputs: Value, axis: int) -> Cotangents:
    """Each input gets its own stretch of dY."""
    if len(inputs) == 1:
        return dY
    known = [op.dims(x) for x in inputs]
    lengths = [d[axis] if d is not None else None for d in known]
    if all(isinstance(n, int) for n in lengths):
        sizes = op.ints(n for n in lengths if isinstance(n, int))
    else:
        sizes = op.Concat(*[op.dim(x, axis) for x in inputs], axis=0)
    parts: tuple[Value, ...] = op.Split(dY, sizes, axis=axis, outputs=len(inputs))
    for part, x in zip(parts, inputs, strict=True):
        part.shape = x.shape if x.shape is not None else part.shape
    return parts


@operator("Split", since=2)
def split_2(input: Array, *, axis: int = 0, split: Sequence[int] | None = None, outputs: int) -> tuple[Array, ...]:
    """Split before opset 13: the lengths are an attribute."""
    return _split(input, split, axis, outputs)


@operator("Split", since=13)
def split(
    input: Array, split: Array | None = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int
) -> tuple[Array, ...]:
    """Stretches of input along an axis: of the lengths given, or of equal length with a shorter one at the end."""
    if num_outputs is not None and split is not None:
        raise ValueError("split and num_outputs exclude each other.")
    return _split(input, split, axis, num_outputs or outputs)


def _split(input: Array, lengths: Array | Sequence[int] | None, axis: int, count: int) -> tuple[Array, ...]:
    total = input.shape[axis]
    if lengths is None:
        each = -(-total // count)
        sizes = [each] * (count - 1) + [total - each * (count - 1)]
    else:
        sizes = [int(n) for n in lengths]
    if sum(sizes) != total or any(n < 0 for n in sizes):
        raise ValueError(f"a dimension of {total} does not split into lengths {sizes}.")
    return tuple(np.split(input, np.cumsum(sizes[:-1]), axis=axis))


@split.vjp_all
def split_vjp(
    op: Builder,
    dY: tuple[Value | None, ...],
    Y: tuple[Value, ...],
    input: Value,
    split: Value | None = None,
    *,
    axis: int,
    num_outputs: int | None,
) -> Cotangents:
    """The parts' cotangents side by side, zeros for a part that nothing depends on."""
    parts = [op.zeros_like(y) if dy is None else dy for dy, y in zip(dY, Y, strict=True)]
    joined: Cotangent = op.Concat(*parts, axis=axis) if len(parts) > 1 else parts[0]
    return joined, ZERO


@operator("Tile", since=6)
def tile(input: Array, repeats: Array) -> Array:
    """Input repeated repeats[i] times along axis i."""
    times = [int(n) for n in repeats]
    if len(times) != input.ndim or any(n < 0 for n in times):
        raise ValueError(f"repeats {times} are not one count per dimension of {list(input.shape)}.")
    reasonable((n * d for n, d in zip(times, input.shape, strict=True)), input.itemsize)
    return np.tile(input, times)


@tile.vjp
def tile_vjp(op: Builder, dY: Value, Y: Value, X: Value, repeats: Value) -> Cotangents:
    """Sum over the repetitions: dY as (repeats[0], d[0], repeats[1], d[1], ...), summed over every other axis."""
    rank = op.rank(X)
    if rank is None:
        raise NoGradientRule("Tile has no vjp rule for an input of unknown rank.")
    if rank == 0:
        return dY, ZERO
    dims = op.Unsqueeze(op.shape(X), op.ints([1]))
    pairs = op.Concat(op.Unsqueeze(repeats, op.ints([1])), dims, axis=1)
    copies = op.reshape(dY, op.reshape(pairs, [-1]))
    return op.reshape_like(op.reduce_sum(copies, range(0, 2 * rank, 2), keepdims=False), X), ZERO
