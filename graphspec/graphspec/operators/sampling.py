"""Operators that read images between their elements, where other inputs say: GridSample and DeformConv."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphspec.errors import NoGradientRule
from graphspec.operators._deform_conv import deformed_vjp
from graphspec.operators._precision import wide
from graphspec.operators._sampling import PADDINGS, TAPS, sampled
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators._windows import windows_of
from graphspec.operators.registry import ZERO, Array, operator

_OLD_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@operator("GridSample", since=16)
def grid_sample_16(
    X: Array, grid: Array, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Array:
    """GridSample of images with two spatial axes, the modes under their names before opset 20."""
    return grid_sample.kernel(X, grid, align_corners=align_corners, mode=mode, padding_mode=padding_mode)  # type: ignore[no-any-return]


@operator("GridSample", since=20)
def grid_sample(
    X: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """Y[n, c, o] = X[n, c] at the place grid[n, o], its last spatial axis first; -1 and 1 are the ends of the image.

    The ends are the outer edges of the outer elements, with align_corners their centres.
    Shapes: X (N, C, D1 ... Dr), grid (N, O1 ... Or, r); Y (N, C, O1 ... Or).  Source: ONNX GridSample.
    """
    mode, r = _checked(mode, padding_mode), X.ndim - 2
    if r < 1 or grid.ndim != X.ndim or grid.shape[-1] != r or grid.shape[0] != X.shape[0]:
        raise ValueError(f"a grid of shape {list(grid.shape)} does not fit images of shape {list(X.shape)}.")
    out = (*X.shape[:2], *grid.shape[1:-1])
    coordinates = wide(grid).reshape(grid.shape[0], math.prod(grid.shape[1:-1]), r)
    places = []
    for i, size in enumerate(X.shape[2:]):
        n = coordinates[..., r - 1 - i]
        places.append((n + 1) / 2 * (size - 1) if align_corners else ((n + 1) * size - 1) / 2)
    images = X
    if mode != "nearest":
        if X.dtype.kind in "OSU":
            raise ValueError("strings are sampled in mode nearest alone.")
        images = X.astype(np.float64) if X.dtype.kind in "biu" else wide(X)
    return sampled(images, places, mode, padding_mode, corners=bool(align_corners)).reshape(out).astype(X.dtype)


def _checked(mode: str, padding_mode: str) -> str:
    mode = _OLD_MODES.get(mode, mode)
    if mode not in TAPS or padding_mode not in PADDINGS:
        raise ValueError(f"mode {mode!r} with padding_mode {padding_mode!r} is not one of ONNX's.")
    return mode


@grid_sample_16.vjp
@grid_sample.vjp
def grid_sample_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, grid: Value, *, align_corners: int, mode: str, padding_mode: str
) -> Cotangents:
    """Y = Σ_k w_k(grid) X[index_k]: dX adds w_k dY up at index_k; dgrid is Σ_k (Σ_c dY X[index_k]) ∂w_k/∂grid."""
    mode, rank = _checked(mode, padding_mode), op.rank(X)
    if rank is None:
        raise NoGradientRule("GridSample has no vjp rule for an input of unknown rank.")
    r = rank - 2
    dtype = ir.DataType.DOUBLE if ir.DataType.DOUBLE in (op.dtype(X), op.dtype(grid)) else ir.DataType.FLOAT
    images = op.Reshape(op.cast(X, dtype), op.ints([0, 0, -1]))
    places = op.Reshape(op.cast(grid, dtype), op.ints([0, -1, r]))
    dY = op.Reshape(op.cast(dY, dtype), op.ints([0, 0, -1, 1]))
    columns = [op.Gather(places, op.const(np.int64(r - 1 - i)), axis=2) for i in range(r)]
    axes = [_Axis(op, columns[i], op.dim(X, 2 + i), (i, r), mode, padding_mode, align_corners) for i in range(r)]
    index = axes[0].index
    for axis in axes[1:]:
        index = op.Add(op.Mul(index, axis.length), axis.index)
    channels = op.Concat(op.ints([1]), op.dim(X, 1), op.ints([1]), axis=0)
    flat = op.Expand(op.Reshape(index, op.ints([0, 1, -1])), channels)
    taps = op.ints([0, -1, len(TAPS[mode]) ** r])
    weights = op.Reshape(_product(op, [a.weight for a in axes]), taps)
    updates = op.Reshape(op.Mul(dY, op.Unsqueeze(weights, op.ints([1]))), op.ints([0, 0, -1]))
    dX = op.ScatterElements(op.zeros_like(images), flat, updates, axis=2, reduction="add")
    dX = op.cast(op.reshape_like(dX, X), X)
    if mode == "nearest":
        return dX, ZERO
    values = op.Reshape(op.GatherElements(images, flat, axis=2), op.ints([0, 0, -1, len(TAPS[mode]) ** r]))
    dw = op.ReduceSum(op.Mul(dY, values), op.ints([1]), keepdims=0)
    parts = []
    for i, axis in enumerate(axes):
        slopes = op.Reshape(_product(op, [a.slope if k == i else a.weight for k, a in enumerate(axes)]), taps)
        inner = op.ReduceSum(op.Mul(dw, slopes), op.ints([2]), keepdims=1)
        parts.append(op.Mul(inner, axis.scale))
    joined = parts[0] if r == 1 else op.Concat(*parts[::-1], axis=2)
    return dX, op.cast(op.reshape_like(joined, grid), grid)


def _product(op: Builder, factors: list[Value]) -> Value:
    product = factors[0]
    for factor in factors[1:]:
        product = op.Mul(product, factor)
    return product


class _Axis:
    """What one spatial axis of GridSample does, emitted; k taps stand on an axis of their own among r.

    Attributes:
        length: Number of elements, an int64 vector of length 1.
        index: Elements (N, P, 1 ... k ... 1), int64, all within the image.
        weight, slope: Their weights, and the derivatives of these by the place; of the same shape.
        scale: Derivative of the place by the grid's number: (N, P, 1), or anything that broadcasts to it.
    """

    def __init__(
        self, op: Builder, n: Value, length: Value, place: tuple[int, int], mode: str, padding: str, align: int
    ) -> None:
        i, r = place
        self.length = length
        size = op.cast(length, n)
        span = op.Sub(size, op.scalar(1, n)) if align else size
        last, low = op.Sub(size, op.scalar(1, n)), op.scalar(0 if align else -0.5, n)
        high = op.Add(span, low)
        self.scale = op.Div(span, op.scalar(2, n))
        x = op.Add(op.Mul(op.Add(n, op.scalar(1, n)), self.scale), low)
        if mode == "nearest":
            x = op.Round(x)
        zero = op.scalar(0, n)

        def outside(x: Value) -> Value:
            out: Value = op.Or(op.Less(x, low), op.Greater(x, high))
            return out

        def within(x: Value) -> Value:
            out: Value = op.Min(op.Max(x, zero), last)
            return out

        def fold(x: Value) -> tuple[Value, Value]:
            """The place that x is reflected to, and the sign of its derivative."""
            period = op.Max(span, op.scalar(1, n))
            d = op.Sub(x, low)
            double = op.Mul(period, op.scalar(2, n))
            d = op.Sub(op.Sub(d, op.Mul(double, op.Floor(op.Div(d, double)))), period)
            return op.Sub(op.Add(low, period), op.Abs(d)), op.Neg(op.Sign(d))

        if padding == "border" and mode != "cubic":
            beyond = outside(x)
            x = op.Where(beyond, within(x), x)
            self.scale = op.Unsqueeze(op.Where(beyond, zero, self.scale), op.ints([2]))
        elif padding == "reflection":
            beyond = outside(x)
            other, sign = fold(x)
            x = op.Where(beyond, other, x)
            self.scale = op.Unsqueeze(op.Where(beyond, op.Mul(sign, self.scale), self.scale), op.ints([2]))
        below = op.Floor(x)
        shape = op.ints([2 + k for k in range(r)])
        t = op.Unsqueeze(op.Sub(x, below), shape)
        along = [1] * r
        along[i] = len(TAPS[mode])

        def row(numbers: list[float]) -> Value:
            return op.const(np.array(numbers, dtype=op.numpy_dtype(n)).reshape(along))

        at = op.Add(op.Unsqueeze(below, shape), row([offset for offset, _ in TAPS[mode]]))
        polynomials = [coefficients for _, coefficients in TAPS[mode]]
        self.weight = self._horner(op, t, [row(list(c)) for c in zip(*polynomials, strict=True)])
        if mode == "nearest":
            self.weight = op.Add(self.weight, op.Mul(t, zero))  # of the shape of t
        slopes = [[k * c for k, c in enumerate(p)][1:] for p in polynomials]
        self.slope = self._horner(op, t, [row(list(c)) for c in zip(*slopes, strict=True)]) if mode != "nearest" else t
        if padding == "zeros":
            there = op.And(op.GreaterOrEqual(at, zero), op.LessOrEqual(at, last))
            self.weight, self.slope = op.Where(there, self.weight, zero), op.Where(there, self.slope, zero)
        elif padding == "reflection":
            at = op.Where(outside(at), fold(at)[0], at)
        self.index = op.cast(within(at), ir.DataType.INT64)

    @staticmethod
    def _horner(op: Builder, t: Value, coefficients: list[Value]) -> Value:
        total = coefficients[-1]
        for c in coefficients[-2::-1]:
            total = op.Add(op.Mul(total, t), c)
        return total


@operator("DeformConv", since=19)
def deform_conv(
    X: Array, W: Array, offset: Array, B: Array | None = None, mask: Array | None = None, *,
    dilations: list[int] | None = None, group: int = 1, kernel_shape: list[int] | None = None, offset_group: int = 1,
    pads: list[int] | None = None, strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y[n, m, o] = B[m] + Σ over c, k of W[m, c, k] · mask[n, k, o] · X[n, c] at o·stride + k·dilation - pad + offset[n, k, o].

    Between elements X is interpolated linearly; outside it is zero. Each of offset_group groups of channels has
    offsets and a mask of its own.
    Shapes: X (N, C, D1 ... Dr), W (M, C/group, k1 ... kr), offset (N, offset_group · k1 ··· kr · r, O1 ... Or), mask
    likewise without the r.  Source: ONNX DeformConv; Dai et al. 2017, Zhu et al. 2018.
    """  # noqa: E501
    r = X.ndim - 2
    if r < 1 or W.ndim != X.ndim or offset.ndim != X.ndim:
        raise ValueError(f"X, W and offset have {X.ndim}, {W.ndim} and {offset.ndim} dimensions: the same are needed.")
    if kernel_shape is not None and list(kernel_shape) != list(W.shape[2:]):
        raise ValueError(f"kernel_shape {list(kernel_shape)} is not that of W, {list(W.shape[2:])}.")
    N, C = X.shape[:2]
    M, per_group = W.shape[:2]
    if group < 1 or offset_group < 1 or per_group * group != C or M % group or C % offset_group:
        raise ValueError(
            f"{C} channels, {group} groups of {per_group}, {offset_group} offset groups and {M} features do not fit."
        )
    w = windows_of(X.shape[2:], W.shape[2:], strides, dilations, pads)
    count = math.prod(w.kernel)
    shapes = {"offset": (N, offset_group * count * r, *w.out), "mask": (N, offset_group * count, *w.out)}
    for name, given in (("offset", offset), ("mask", mask)):
        if given is not None and given.shape != shapes[name]:
            raise ValueError(f"{name} has the shape {list(given.shape)}, not {list(shapes[name])}.")
    if B is not None and B.shape != (M,):
        raise ValueError(f"B has the shape {list(B.shape)}, not [{M}].")
    reasonable((N, C, count, *w.out), 8)
    moves = wide(offset).reshape(N * offset_group, count, r, *w.out)
    places = []
    for i, k in enumerate(np.unravel_index(np.arange(count), w.kernel)):
        start = np.arange(w.out[i]) * w.strides[i] - w.begin[i]
        still = k.reshape(-1, *[1] * r) * w.dilations[i] + start.reshape(-1, *[1] * (r - 1 - i))
        places.append((moves[:, :, i] + still.astype(moves.dtype)).reshape(N * offset_group, -1))
    images = wide(X).reshape(N * offset_group, C // offset_group, *X.shape[2:])
    values = sampled(images, places, "linear", "zeros", corners=True)
    if mask is not None:
        values = values * wide(mask).reshape(N * offset_group, 1, -1)
    columns = values.reshape(N, group, per_group * count, -1)
    Y = np.matmul(wide(W).reshape(group, M // group, -1), columns).reshape(N, M, *w.out)
    if B is not None:
        Y = Y + wide(B).reshape(-1, *[1] * r)
    return np.asarray(Y).astype(X.dtype)


@deform_conv.vjp
def deform_conv_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, W: Value, offset: Value, B: Value | None = None,
    mask: Value | None = None, *, dilations: list[int] | None, group: int, kernel_shape: list[int] | None,
    offset_group: int, pads: list[int] | None, strides: list[int] | None,
) -> Cotangents:  # fmt: skip
    """Y = W · (mask · GridSample(X, places)): those of the product and of GridSample, one after the other."""
    return deformed_vjp(
        op, dY, X, W, offset, B, mask, sample_vjp=grid_sample_vjp, dilations=dilations, group=group,
        kernel_shape=kernel_shape, offset_group=offset_group, pads=pads, strides=strides,
    )  # fmt: skip
