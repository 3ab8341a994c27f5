"""The derivatives of RoiAlign: means of samples as products of matrices that interpolate, the largest by its place."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

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


def largest_vjp(
    op: Builder, dY: Value, X: Value, rois: Value, batch_indices: Value, *, size: tuple[int, int], ratio: int,
    scale: float, half: bool,
) -> tuple[Value, Value]:  # fmt: skip
    """Y[r, c, bin] is the largest product of an element by a sample and its weight: dY goes to the first of them."""
    dtype = wide_type(op, X)
    x, regions, dY = op.cast(X, dtype), op.cast(rois, dtype), op.cast(dY, dtype)
    rows = _Corners(op, regions, op.dim(X, 2), 1, size[0], ratio, scale, half)
    columns = _Corners(op, regions, op.dim(X, 3), 0, size[1], ratio, scale, half)
    images = op.cast(batch_indices, ir.DataType.INT64)
    zero, one, last = op.const(np.int64(0)), op.const(np.int64(1)), op.ints([-1])

    # The elements, region × channel × (row corner, bin, sample) × (column corner, bin, sample), and their weights.
    channels = op.Range(zero, op.reshape(op.dim(X, 1), []), one)
    plane = op.Add(op.Mul(op.Unsqueeze(images, op.ints([1])), op.dim(X, 1)), channels)
    row = op.Add(op.Mul(op.Unsqueeze(plane, op.ints([2])), op.dim(X, 2)), op.Unsqueeze(rows.index, op.ints([1])))
    at = op.Add(op.Mul(op.Unsqueeze(row, op.ints([3])), op.dim(X, 3)), op.Unsqueeze(columns.index, op.ints([1, 2])))
    elements = op.Gather(op.reshape(x, [-1]), at)
    down, across = op.Unsqueeze(rows.weight, op.ints([1, 3])), op.Unsqueeze(columns.weight, op.ints([1, 2]))
    products = op.Mul(elements, op.Mul(down, across))

    # Those of a bin side by side, to find the first largest.
    parts = op.Concat(op.Shape(products, end=2), rows.shape, columns.shape, axis=0)
    order, back = [0, 1, 3, 6, 2, 4, 5, 7], [0, 1, 4, 2, 5, 6, 3, 7]
    split = op.reshape(products, parts)
    if not ratio:  # samples that only larger regions have
        seen = op.And(
            op.Unsqueeze(rows.seen, op.ints([1, 2, 3, 5, 6, 7])),
            op.Unsqueeze(columns.seen, op.ints([1, 2, 3, 4, 5, 6])),
        )
        split = op.Where(seen, split, op.scalar(-np.inf, split))
    bins = op.Transpose(split, perm=order)
    together = op.reshape(bins, op.Concat(op.Shape(bins, end=4), last, axis=0))
    first = op.ArgMax(together, axis=4, keepdims=1)
    numbers = op.Range(zero, op.reshape(op.dim(together, 4), []), one)
    chosen = op.Where(op.Equal(first, numbers), op.Unsqueeze(dY, op.ints([4])), op.scalar(0, dY))
    chosen = op.reshape(op.Transpose(op.reshape(chosen, op.Shape(bins)), perm=back), op.Shape(products))

    # A region without samples gives zero: all that it could have chosen weighs nothing.
    spread = op.reshape(op.Mul(chosen, op.Mul(down, across)), [-1])
    nothing = op.expand(op.scalar(0, dY), op.reshape(op.size(X), [1]))
    dX = op.ScatterElements(nothing, op.reshape(at, [-1]), spread, axis=0, reduction="add")
    dweights = op.ReduceSum(op.Mul(chosen, elements), op.ints([1]), keepdims=0)
    y1, y2 = rows.ends(
        op.ReduceSum(op.Mul(dweights, op.Unsqueeze(columns.weight, op.ints([1]))), op.ints([2]), keepdims=0)
    )
    x1, x2 = columns.ends(
        op.ReduceSum(op.Mul(dweights, op.Unsqueeze(rows.weight, op.ints([2]))), op.ints([1]), keepdims=0)
    )
    return op.cast(op.reshape_like(dX, X), X), op.cast(op.Concat(x1, y1, x2, y2, axis=1), rois)


class _Places:
    """Where the samples of all regions lie along one axis, and how they follow the ends of the regions.

    Attributes:
        at: Region × (bin × sample).
        inside: Whether a sample is inside of the image, and one of its bin's.
        moving: Whether it moves what it reads: those beyond the first and the last element do not.
        count: Samples of a bin: a number, or by regions.
        samples: The same number for all regions, as the last dimension of a shape: the largest.
    """

    def __init__(
        self, op: Builder, regions: Value, length: Value, first: int, bins: int, ratio: int, scale: float, half: bool
    ) -> None:
        self.op, self.scale, self.bins = op, op.scalar(scale, regions), bins
        one, zero = op.scalar(1, regions), op.scalar(0, regions)
        offset = op.scalar(0.5 if half else 0, regions)
        start, end = (
            op.Sub(op.Mul(op.Gather(regions, op.ints([column]), axis=1), self.scale), offset)
            for column in (first, first + 2)
        )
        extent = op.Sub(end, start)
        self.stretched = None if half else op.Greater(extent, one)
        extent = extent if half else op.Max(extent, one)
        if ratio:
            parts = (np.arange(bins * ratio) + 0.5) / (bins * ratio)
            self.count, self.samples = op.scalar(ratio, regions), op.ints([ratio])
            self.parts = op.const(parts.reshape(1, -1).astype(op.numpy_dtype(regions)))
            valid = None
        else:
            valid = self._adapt(extent, regions)
        self.at = op.Add(start, op.Mul(extent, self.parts))
        self.size = op.cast(length, regions)
        self.last = op.Sub(self.size, one)
        self.inside = op.And(op.GreaterOrEqual(self.at, op.scalar(-1, regions)), op.LessOrEqual(self.at, self.size))
        self.inside = self.inside if valid is None else op.And(self.inside, valid)
        self.moving = op.And(op.And(op.Greater(self.at, zero), op.Less(self.at, self.last)), self.inside)
        self.held = op.Min(op.Max(self.at, zero), self.last)
        self.flat = op.Concat(op.dim(regions, 0), op.reshape(op.Mul(self.samples, op.ints([bins])), [1]), axis=0)

    def _adapt(self, extent: Value, regions: Value) -> Value:
        """As many samples as a bin has elements: those that a region has less than the largest are not valid."""
        op = self.op
        bins, zero, one = op.scalar(self.bins, regions), op.scalar(0, regions), op.scalar(1, regions)
        self.counted = op.Max(op.Ceil(op.Div(extent, bins)), zero)  # region × 1
        none = op.expand(zero, op.ints([1, 1]))  # for no regions at all
        most = op.ReduceMax(op.Concat(self.counted, none, axis=0), keepdims=0)
        numbers = op.Range(zero, most, one)  # sample
        count = op.Unsqueeze(op.Max(self.counted, one), op.ints([2]))
        bin_ = op.const(np.arange(self.bins).reshape(1, -1, 1).astype(op.numpy_dtype(regions)))
        parts = op.Div(op.Add(bin_, op.Div(op.Add(numbers, op.scalar(0.5, regions)), count)), bins)
        valid = op.And(op.Less(numbers, op.Unsqueeze(self.counted, op.ints([2]))), op.GreaterOrEqual(bin_, zero))
        self.samples = op.reshape(op.cast(most, ir.DataType.INT64), [1])
        flat = op.Concat(op.dim(regions, 0), op.Mul(self.samples, op.ints([self.bins])), axis=0)
        self.parts = op.reshape(parts, flat)
        self.count = op.Max(self.counted, one)
        there: Value = op.reshape(valid, flat)
        return there

    def moved(self, dat: Value) -> tuple[Value, Value]:
        """The cotangents of both ends of the regions, from those of the places."""
        op = self.op
        dat = op.Mul(dat, self.scale)
        dstart = op.reduce_sum(dat, [1])
        dextent = op.reduce_sum(op.Mul(dat, self.parts), [1])
        if self.stretched is not None:
            dextent = op.Where(self.stretched, dextent, op.scalar(0, dextent))
        return op.Sub(dstart, dextent), dextent


class _Axis(_Places):
    """One direction of all regions, for means.

    Attributes:
        matrix: Region × bin × element: the mean weights of the samples of a bin.
    """

    def __init__(
        self, op: Builder, regions: Value, length: Value, first: int, bins: int, ratio: int, scale: float, half: bool
    ) -> None:
        super().__init__(op, regions, length, first, bins, ratio, scale, half)
        one, zero = op.scalar(1, regions), op.scalar(0, regions)
        numbers = op.Range(op.const(np.int64(0)), op.reshape(length, []), op.const(np.int64(1)))
        behind = op.ints([2])
        distance = op.Sub(op.Unsqueeze(self.held, behind), op.cast(numbers, regions))
        near = op.Sub(one, op.Abs(distance))
        weights = op.Where(op.Unsqueeze(self.inside, behind), op.Max(near, zero), zero)
        slopes = op.Where(op.Greater(near, zero), op.Neg(op.Sign(distance)), zero)
        slopes = op.Where(op.Unsqueeze(self.moving, behind), slopes, zero)
        shape = op.Concat(op.dim(regions, 0), op.ints([bins]), self.samples, length, axis=0)
        self.slopes = op.reshape(slopes, shape)
        total = op.ReduceSum(op.reshape(weights, shape), behind, keepdims=0)
        self.matrix = op.Div(total, self.count if ratio else op.Unsqueeze(self.count, behind))

    def ends(self, dmatrix: Value) -> tuple[Value, Value]:
        """The cotangents of both ends of the regions, from that of the matrix."""
        op = self.op
        each = op.ReduceSum(op.Mul(self.slopes, op.Unsqueeze(dmatrix, op.ints([2]))), op.ints([3]), keepdims=0)
        return self.moved(op.Div(op.reshape(each, self.flat), self.count))


class _Corners(_Places):
    """One direction of all regions, for the largest: the elements before and behind each sample, and their weights.

    Attributes:
        index, weight: Region × (before and behind × bin × sample).
        seen: Whether the bin has the sample, in the same order.
    """

    def __init__(
        self, op: Builder, regions: Value, length: Value, first: int, bins: int, ratio: int, scale: float, half: bool
    ) -> None:
        super().__init__(op, regions, length, first, bins, ratio, scale, half)
        one, zero = op.scalar(1, regions), op.scalar(0, regions)
        low = op.Floor(self.held)
        high = op.Min(op.Add(low, one), self.last)
        # Constant beside the image; the slope of held is that of moving.
        above = op.Where(self.inside, op.Sub(self.held, low), zero)
        below = op.Where(self.inside, op.Sub(one, op.Sub(self.held, low)), zero)
        self.index = op.cast(op.Concat(low, high, axis=1), ir.DataType.INT64)
        self.weight = op.Concat(below, above, axis=1)
        self.shape = op.Concat(op.ints([2, bins]), self.samples, axis=0)
        self.seen = None
        if not ratio:
            numbers = op.Range(zero, op.cast(op.reshape(self.samples, []), regions), one)
            self.seen = op.Less(numbers, self.counted)  # region × sample

    def ends(self, dweight: Value) -> tuple[Value, Value]:
        """The cotangents of both ends of the regions, from that of the weights."""
        op = self.op
        below, above = op.Split(dweight, axis=1, num_outputs=2, outputs=2)
        return self.moved(op.Where(self.moving, op.Sub(above, below), op.scalar(0, dweight)))
