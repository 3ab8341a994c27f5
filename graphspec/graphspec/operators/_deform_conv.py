"""The derivative of DeformConv: a product with samples of the image, which are those of a GridSample."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphspec.errors import NoGradientRule
from graphspec.operators._precision import wide_type
from graphspec.operators._types import Builder, Value
from graphspec.operators._windows import filled
from graphspec.operators.registry import Rule


def deformed_vjp(
    op: Builder, dY: Value, X: Value, W: Value, offset: Value, B: Value | None, mask: Value | None, *,
    sample_vjp: Rule, dilations: list[int] | None, group: int, kernel_shape: list[int] | None, offset_group: int,
    pads: list[int] | None, strides: list[int] | None,
) -> tuple[Value | None, ...]:  # fmt: skip
    """Cotangents of X, W, offset, B and mask.

    With g offset groups, k places of the kernel and p positions of it, the samples are (N·g, C/g, k, p), the offsets
    (N·g, k, r, p) and the mask (N·g, 1, k, p).
    """
    rank = op.rank(X) if op.rank(X) is not None else op.rank(W)
    if rank is None:
        raise NoGradientRule("DeformConv has no vjp rule where the ranks of X and of W are unknown.")
    r = rank - 2
    if r != 2 and op.opset < 20:
        raise NoGradientRule("DeformConv has a vjp rule for other than two spatial axes from opset 20 on.")
    _, steps, spread, padding = filled(r, [1] * r, strides, dilations, pads)
    kernel = [op.ints([n]) for n in kernel_shape] if kernel_shape else [op.dim(W, 2 + i) for i in range(r)]
    k = _product(op, kernel)
    dtype = wide_type(op, X)
    x, w, moves, dY = op.cast(X, dtype), op.cast(W, dtype), op.cast(offset, dtype), op.cast(dY, dtype)
    ng = op.Mul(op.dim(X, 0), op.ints([offset_group]))
    sizes = [op.dim(X, 2 + i) for i in range(r)]
    outs = [op.dim(dY, 2 + i) for i in range(r)]
    images = op.Reshape(x, op.Concat(ng, op.ints([-1]), *sizes, axis=0))
    offsets = op.Reshape(moves, op.Concat(ng, k, op.ints([r, -1]), axis=0))
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    each = op.Range(zero, op.reshape(k, []), one)
    columns, scales = [], []
    for i in range(r):
        start = op.Mul(op.Range(zero, op.reshape(outs[i], []), one), op.ints([steps[i]]))
        start = op.Sub(start, op.ints([padding[i]]))
        grid = op.Expand(op.Reshape(start, op.ints([-1 if j == i else 1 for j in range(r)])), op.Concat(*outs, axis=0))
        within = op.Mod(op.Div(each, _product(op, kernel[i + 1 :])) if kernel[i + 1 :] else each, kernel[i])
        within = op.Mul(op.Unsqueeze(within, op.ints([1])), op.ints([spread[i]]))
        still = op.Add(within, op.Reshape(grid, op.ints([1, -1])))  # k × p
        moved = op.Add(op.Gather(offsets, op.const(np.int64(i)), axis=2), op.cast(still, dtype))
        size = op.cast(sizes[i], dtype)
        double = op.Add(op.Add(moved, moved), op.scalar(1, moved))  # GridSample: place = ((n + 1) · size - 1) / 2
        columns.append(op.Unsqueeze(op.Sub(op.Div(double, size), op.scalar(1, moved)), op.ints([3])))
        scales.append(op.Div(op.scalar(2, moved), size))
    grid = op.Concat(*columns[::-1], axis=3)  # N·g, k, p, r
    lead = [1] * (r - 2) if r > 1 else []
    places = op.Reshape(grid, op.Concat(ng, op.ints(lead), *([k] if r > 1 else []), op.ints([-1, r]), axis=0))
    places.shape = _of_rank(rank)
    images.shape = images.shape or _of_rank(rank)
    mode = "linear" if op.opset >= 20 else "bilinear"
    sampled = op.GridSample(images, places, mode=mode, padding_mode="zeros", align_corners=0)
    four = op.Concat(ng, op.Div(op.dim(X, 1), op.ints([offset_group])), k, op.ints([-1]), axis=0)
    values = op.Reshape(sampled, four)
    weights = (
        None
        if mask is None
        else op.Reshape(op.cast(mask, dtype), op.Concat(ng, op.ints([1]), k, op.ints([-1]), axis=0))
    )
    weighted = values if weights is None else op.Mul(values, weights)

    # The product: (group, M/group, C/group · k) by (N, group, C/group · k, p).
    across = op.Mul(op.dim(W, 1), k)
    flat_columns = op.Reshape(weighted, op.Concat(op.dim(X, 0), op.ints([group]), across, op.ints([-1]), axis=0))
    flat_w = op.Reshape(w, op.Concat(op.ints([group, -1]), across, axis=0))
    g = op.Reshape(dY, op.Concat(op.dim(X, 0), op.ints([group]), op.ints([-1]), _product(op, outs), axis=0))
    dcolumns = op.MatMul(op.Transpose(flat_w, perm=[0, 2, 1]), g)
    each = op.MatMul(g, op.Transpose(flat_columns, perm=[0, 1, 3, 2]))
    dW = op.reshape_like(op.reduce_sum(each, [0], keepdims=False), w)
    dB = None if B is None else op.cast(op.reduce_sum(dY, [0, *range(2, rank)], keepdims=False), B)
    dweighted = op.Reshape(dcolumns, four)
    dmask = None
    if mask is not None:
        dmask = op.cast(op.reshape_like(op.reduce_sum(op.Mul(dweighted, values), [1]), mask), mask)
        dweighted = op.Mul(dweighted, weights)
    dsampled = op.reshape_like(dweighted, sampled)
    dimages, dplaces = sample_vjp(
        op, dsampled, sampled, images, places, align_corners=0, mode="linear", padding_mode="zeros"
    )
    dgrid = op.Reshape(dplaces, op.Concat(ng, k, op.ints([-1, r]), axis=0))
    parts = []
    for i in range(r):
        column = op.Gather(dgrid, op.ints([r - 1 - i]), axis=3)  # N·g, k, p, 1
        parts.append(op.Transpose(op.Mul(column, scales[i]), perm=[0, 1, 3, 2]))
    moved = parts[0] if r == 1 else op.Concat(*parts, axis=2)
    dX = op.cast(op.reshape_like(dimages, X), X)
    return dX, op.cast(dW, W), op.cast(op.reshape_like(moved, offset), offset), dB, dmask


def _product(op: Builder, sizes: list[Value]) -> Value:
    total = sizes[0]
    for size in sizes[1:]:
        total = op.Mul(total, size)
    return total


def _of_rank(rank: int) -> ir.Shape:
    return ir.Shape([None] * rank)
