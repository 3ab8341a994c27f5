"""The derivative of MaxRoiPool: which element of a bin is its largest."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphspec.operators._types import Builder, Value


def routed(op: Builder, dY: Value, X: Value, rois: Value, pooled_shape: list[int], spatial_scale: float) -> Value:
    """dX: each dY goes to the first largest element of its bin, row by row; what an empty bin gets goes nowhere.

    The first largest element of each row of a bin is found first, then the first row with the largest of these.
    """
    dtype = ir.DataType.DOUBLE
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    regions = op.cast(rois, dtype)
    images = op.cast(op.Gather(regions, op.const(np.int64(0)), axis=1), ir.DataType.INT64)  # towards zero
    edges = op.Mul(op.Slice(regions, op.ints([1]), op.ints([5]), op.ints([1])), op.scalar(spatial_scale, regions))
    half = op.scalar(0.5, edges)
    edges = op.Mul(op.Sign(edges), op.Floor(op.Add(op.Abs(edges), half)))

    def inside(first: int, bins: int, size: Value) -> Value:
        """Whether an element is in a bin: region × bin × element."""
        start, end = (op.Gather(edges, op.ints([column]), axis=1) for column in (first, first + 2))
        width = op.Max(op.Add(op.Sub(end, start), op.scalar(1, edges)), op.scalar(1, edges))
        width = op.Div(width, op.scalar(bins, edges))
        below, above = (op.const(np.arange(k, bins + k, dtype=np.float64).reshape(1, -1)) for k in (0, 1))
        low = op.Add(op.Floor(op.Mul(below, width)), start)
        high = op.Add(op.Ceil(op.Mul(above, width)), start)
        at, behind = op.cast(op.Range(zero, op.reshape(size, []), one), dtype), op.ints([2])
        there: Value = op.And(op.GreaterOrEqual(at, op.Unsqueeze(low, behind)), op.Less(at, op.Unsqueeze(high, behind)))
        return there

    height, width = op.dim(X, 2), op.dim(X, 3)
    rows = op.Unsqueeze(inside(1, pooled_shape[0], height), op.ints([1, 3]))  # region, 1, bin, 1, row
    columns = op.Unsqueeze(inside(0, pooled_shape[1], width), op.ints([1, 3]))  # region, 1, bin, 1, column
    least = op.scalar(-np.inf, X)
    chosen = op.Unsqueeze(op.Gather(X, images, axis=0), op.ints([2]))  # region, channel, 1, row, column
    masked = op.Where(columns, chosen, least)  # region, channel, bin, row, column
    column = op.ArgMax(masked, axis=4, keepdims=0)
    strips = op.Unsqueeze(op.ReduceMax(masked, op.ints([4]), keepdims=0), op.ints([2]))
    row = op.ArgMax(op.Where(rows, strips, least), axis=4, keepdims=1)  # region, channel, bin, bin, 1
    spread = op.Concat(op.Shape(row, end=4), height, axis=0)
    column = op.GatherElements(op.Expand(op.Unsqueeze(column, op.ints([2])), spread), row, axis=4)
    behind = op.ints([4])
    row, column = op.Squeeze(row, behind), op.Squeeze(column, behind)
    channel = op.Reshape(op.Range(zero, op.reshape(op.dim(X, 1), []), one), op.ints([-1, 1, 1]))
    image = op.Reshape(images, op.ints([-1, 1, 1, 1]))
    flat = op.Add(op.Mul(op.Add(op.Mul(image, op.dim(X, 1)), channel), height), row)
    flat = op.Add(op.Mul(flat, width), column)
    filled = op.And(_any(op, rows, [3, 4]), op.Transpose(_any(op, columns, [3, 4]), perm=[0, 1, 3, 2]))
    g = op.Where(filled, dY, op.scalar(0, dY))  # an empty bin is zero whatever the image
    nothing = op.expand(op.scalar(0, dY), op.reshape(op.size(X), [1]))
    dX = op.ScatterElements(nothing, op.reshape(flat, [-1]), op.reshape(g, [-1]), axis=0, reduction="add")
    return op.reshape_like(dX, X)


def _any(op: Builder, there: Value, axes: list[int]) -> Value:
    """Whether any is true: region, 1, bin, 1."""
    count = op.ReduceMax(op.cast(there, ir.DataType.INT32), op.ints(axes), keepdims=0)
    out: Value = op.Unsqueeze(op.cast(count, ir.DataType.BOOL), op.ints([3]))
    return out
