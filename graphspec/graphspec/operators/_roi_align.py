"""The derivative of RoiAlign: of a mean of samples, as products of matrices that interpolate rows and columns."""

from __future__ import annotations

import numpy as np

from graphspec.operators._precision import wide_type
from graphspec.operators._types import Builder, Value


def average_vjp(
    op: Builder, dY: Value, X: Value, rois: Value, batch_indices: Value, *, size: tuple[int, int], ratio: int,
    scale: float, half: bool,
) -> tuple[Value, Value]:  # fmt: skip
    """Y[r, c] = A[r] X[image of r, c] B[r]ᵀ, where A and B interpolate rows and columns; they depend on rois.

    The images of all regions are put into A as blocks, so that no image is repeated for each region.
    """
    dtype = wide_type(op, X)
    x, regions, dY = op.cast(X, dtype), op.cast(rois, dtype), op.cast(dY, dtype)
    rows = _Axis(op, regions, op.dim(X, 2), 1, size[0], ratio, scale, half)
    columns = _Axis(op, regions, op.dim(X, 3), 0, size[1], ratio, scale, half)
    numbers = op.Range(op.const(np.int64(0)), op.reshape(op.dim(X, 0), []), op.const(np.int64(1)))
    chosen = op.cast(op.Equal(op.Unsqueeze(batch_indices, op.ints([1])), numbers), dtype)
    chosen = op.Unsqueeze(chosen, op.ints([1, 3]))  # region, 1, image, 1
    blocks = op.Mul(chosen, op.Unsqueeze(rows.matrix, op.ints([2])))  # region, bin, image, row
    flat = op.Flatten(blocks, axis=2)
    swap = [0, 2, 1, 3]
    across = op.Transpose(
        op.MatMul(dY, op.Unsqueeze(columns.matrix, op.ints([1]))), perm=swap
    )  # region, bin, c, column
    spread = op.MatMul(op.Transpose(flat, perm=[1, 0]), op.Flatten(across, axis=2))
    strips = op.Transpose(x, perm=swap)  # image, row, c, column
    dX = op.Transpose(op.reshape(spread, op.shape(strips)), perm=swap)

    image = op.Flatten(strips, axis=2)
    dblocks = op.reshape(op.MatMul(op.Flatten(across, axis=2), op.Transpose(image, perm=[1, 0])), op.shape(blocks))
    drows = op.ReduceSum(op.Mul(dblocks, chosen), op.ints([2]), keepdims=0)
    down = op.Transpose(op.reshape(op.MatMul(flat, image), op.shape(across)), perm=swap)  # region, c, bin, column
    merged = op.Mul(op.dim(X, 1), op.ints([size[0]]))
    count = op.dim(rois, 0)
    left = op.reshape(op.Transpose(dY, perm=[0, 3, 1, 2]), op.Concat(count, op.ints([size[1]]), merged, axis=0))
    right = op.reshape(down, op.Concat(count, merged, op.dim(X, 3), axis=0))
    y1, y2 = rows.ends(drows)
    x1, x2 = columns.ends(op.MatMul(left, right))
    return op.cast(op.reshape_like(dX, X), X), op.cast(op.Concat(x1, y1, x2, y2, axis=1), rois)


class _Axis:
    """One direction of all regions.

    Attributes:
        matrix: Region × bin × element: the mean weights of the samples of a bin.
    """

    def __init__(
        self, op: Builder, regions: Value, length: Value, first: int, bins: int, ratio: int, scale: float, half: bool
    ) -> None:
        self.op, self.scale, self.ratio = op, op.scalar(scale, regions), op.scalar(ratio, regions)
        one, zero = op.scalar(1, regions), op.scalar(0, regions)
        offset = op.scalar(0.5 if half else 0, regions)
        start, end = (
            op.Sub(op.Mul(op.Gather(regions, op.ints([column]), axis=1), self.scale), offset)
            for column in (first, first + 2)
        )
        extent = op.Sub(end, start)
        self.stretched = None if half else op.Greater(extent, one)
        extent = extent if half else op.Max(extent, one)
        parts = (np.arange(bins * ratio) + 0.5) / (bins * ratio)
        self.parts = op.const(parts.reshape(1, -1).astype(op.numpy_dtype(regions)))
        at = op.Add(start, op.Mul(extent, self.parts))  # region × sample
        size = op.cast(length, regions)
        last = op.Sub(size, one)
        inside = op.And(op.GreaterOrEqual(at, op.scalar(-1, regions)), op.LessOrEqual(at, size))
        moving = op.And(op.Greater(at, zero), op.Less(at, last))
        numbers = op.Range(op.const(np.int64(0)), op.reshape(length, []), op.const(np.int64(1)))
        behind = op.ints([2])
        distance = op.Sub(op.Unsqueeze(op.Min(op.Max(at, zero), last), behind), op.cast(numbers, regions))
        near = op.Sub(one, op.Abs(distance))
        weights = op.Where(op.Unsqueeze(inside, behind), op.Max(near, zero), zero)
        slopes = op.Where(op.Greater(near, zero), op.Neg(op.Sign(distance)), zero)
        slopes = op.Where(op.Unsqueeze(moving, behind), slopes, zero)
        shape = op.Concat(op.dim(regions, 0), op.ints([bins, ratio]), length, axis=0)
        self.slopes = op.reshape(slopes, shape)
        self.matrix = op.Div(op.ReduceSum(op.reshape(weights, shape), behind, keepdims=0), self.ratio)
        self.samples = op.Concat(op.dim(regions, 0), op.ints([bins * ratio]), axis=0)

    def ends(self, dmatrix: Value) -> tuple[Value, Value]:
        """The cotangents of both ends of the regions, from that of the matrix."""
        op = self.op
        each = op.ReduceSum(op.Mul(self.slopes, op.Unsqueeze(dmatrix, op.ints([2]))), op.ints([3]), keepdims=0)
        dat = op.Mul(op.Div(op.reshape(each, self.samples), self.ratio), self.scale)
        dstart = op.reduce_sum(dat, [1])
        dextent = op.reduce_sum(op.Mul(dat, self.parts), [1])
        if self.stretched is not None:
            dextent = op.Where(self.stretched, dextent, op.scalar(0, dextent))
        return op.Sub(dstart, dextent), dextent
