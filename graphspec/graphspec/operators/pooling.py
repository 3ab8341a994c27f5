"""Pooling: maxima, means and norms over windows, and over all of space."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.operators import _windows
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators._windows import Windows, windows_of
from graphspec.operators.convolution import Geometry
from graphspec.operators.registry import Array, operator


@operator("MaxPool", since=1)
def max_pool(
    X: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: list[int] | None = None,
    kernel_shape: list[int], pads: list[int] | None = None, storage_order: int = 0, strides: list[int] | None = None,
    outputs: int = 1,
) -> tuple[Array, ...]:  # fmt: skip
    """Y[n, c, o] = max over k of X[n, c, o·stride + k·dilation - pad]; Indices tell where, into X as one flat vector.

    Shapes: X (N, C, D1 ...); Y and Indices (N, C, O1 ...).  The first of equal elements wins.
    Source: ONNX MaxPool.
    """
    spatial = X.shape[2:]
    w = windows_of(spatial, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    lowest = np.iinfo(X.dtype).min if X.dtype.kind in "iu" else -np.inf
    if outputs == 1:
        return (_extreme(X, w, lowest),)
    rank = len(w.kernel)
    views = _windows.view(X, w, lowest)
    flat = views.reshape(*views.shape[: 2 + rank], -1)
    which = flat.argmax(axis=-1)
    Y = np.take_along_axis(flat, which[..., None], axis=-1)[..., 0]
    places = np.unravel_index(which, w.kernel)
    coordinates = []
    for axis in range(rank):
        starts = (np.arange(w.out[axis]) * w.strides[axis] - w.begin[axis]).reshape(-1, *[1] * (rank - axis - 1))
        coordinates.append(np.clip(starts + places[axis] * w.dilations[axis], 0, spatial[axis] - 1))
    inner = np.ravel_multi_index(tuple(coordinates), spatial, order="F" if storage_order else "C")
    images = np.arange(X.shape[0] * X.shape[1], dtype=np.int64).reshape(*X.shape[:2], *[1] * rank)
    return np.ascontiguousarray(Y), (images * int(np.prod(spatial)) + inner).astype(np.int64)


def _extreme(X: Array, w: Windows, lowest: Any) -> Array:
    """The maxima, as a running maximum over the places of the kernel: faster than a reduction over small windows."""
    padded = _windows.pad_spatial(X, w.begin, w.end, lowest)
    Y: Array | None = None
    for place in itertools.product(*(range(k) for k in w.kernel)):
        part = padded[(slice(None), slice(None), *_windows.places(place, w))]
        Y = part.copy() if Y is None else np.maximum(Y, part, out=Y)
    assert Y is not None
    return Y


@max_pool.vjp
def max_pool_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, storage_order: int, **attributes: Any) -> Cotangents:
    """Each dY goes to the winner of its window; windows that overlap add up."""
    if storage_order == 0:
        winners = op.output(Y, 1)
    else:  # the node's own indices count columns first
        _, winners = op.MaxPool(X, **attributes, outputs=2)
    flat = op.ints([-1])
    zeros = op.Expand(op.scalar(0, X), op.reshape(op.size(X), [1]))
    spread = op.ScatterElements(zeros, op.Reshape(winners, flat), op.Reshape(dY, flat), axis=0, reduction="add")
    return op.reshape(spread, op.shape(X))


@operator("AveragePool", since=1)
def average_pool(
    X: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
    dilations: list[int] | None = None, kernel_shape: list[int], pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y[n, c, o] = mean over k of X[n, c, o·stride + k·dilation - pad], over what lies inside X (and its padding).

    Shapes: X (N, C, D1 ...); Y (N, C, O1 ...).  Source: ONNX AveragePool.
    """
    w = windows_of(X.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    wide = np.float32 if X.dtype.itemsize < 4 else X.dtype
    total = _window_sum(X.astype(wide, copy=False), w)
    total /= _windows.counts(X.shape[2:], w, include_pad=bool(count_include_pad)).astype(wide)
    return total.astype(X.dtype, copy=False)


def _window_sum(X: Array, w: Windows) -> Array:
    padded = _windows.pad_spatial(X, w.begin, w.end)
    total = np.zeros((*X.shape[:2], *w.out), X.dtype)
    for place in itertools.product(*(range(k) for k in w.kernel)):
        total += padded[(slice(None), slice(None), *_windows.places(place, w))]
    return total


@average_pool.vjp
def average_pool_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, auto_pad: str, ceil_mode: int, count_include_pad: int,
    dilations: list[int] | None, kernel_shape: list[int], pads: list[int] | None, strides: list[int] | None,
) -> Cotangents:  # fmt: skip
    """Each dY, divided by the size of its window, goes to all of its window."""
    rank = len(kernel_shape)
    share: Value
    dims = op.dims(X) or ()
    spatial = [d for d in dims[2:] if isinstance(d, int)]
    if len(spatial) == rank:
        w = windows_of(spatial, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        sizes = _windows.counts(spatial, w, include_pad=bool(count_include_pad))
        share = op.Div(dY, op.const(sizes.astype(op.numpy_dtype(X))))
    elif count_include_pad and (ceil_mode == 0 or auto_pad in ("SAME_UPPER", "SAME_LOWER")):
        share = op.Div(dY, op.scalar(float(np.prod(kernel_shape)), dY))
    else:
        padding = (pads or [0] * (2 * rank)) if count_include_pad and auto_pad in ("NOTSET", "") else None
        g = _geometry(op, X, Y, auto_pad, dilations, kernel_shape, pads, strides)
        share = op.Div(dY, _counts_at_run_time(op, g, X, padding))
    return _spread_sum(op, share, X, Y, auto_pad, dilations, kernel_shape, pads, strides)


def _counts_at_run_time(op: Builder, g: Geometry, X: Value, padding: list[int] | None) -> Value:
    """Sizes of the windows where the shape of X is not known: the windows' sums over ones, zeros outside."""
    ones = op.Expand(op.scalar(1, X), op.Concat(op.ints([1, 1]), op.Shape(X, start=2), axis=0))
    begin = g.begin_value()
    if padding is not None:  # the padding counts as well, what ceil_mode adds behind it does not
        ones = op.Pad(ones, op.ints([0, 0, *padding[: g.rank], 0, 0, *padding[g.rank :]]), op.scalar(1, X))
        begin = op.ints([0] * g.rank)
    end = op.Sub(op.Sub(g.covered(), op.Shape(ones, start=2)), begin)
    none = op.ints([0, 0])
    window = op.const(np.ones((1, 1, *g.kernel), op.numpy_dtype(X)))
    placed = op.Pad(ones, op.Concat(none, begin, none, end, axis=0))
    out: Value = op.Conv(placed, window, strides=g.strides, dilations=g.dilations)
    return out


def _geometry(
    op: Builder, X: Value, Y: Value, auto_pad: str, dilations: list[int] | None, kernel_shape: list[int],
    pads: list[int] | None, strides: list[int] | None,
) -> Geometry:  # fmt: skip
    return Geometry(
        op, X, X, Y, auto_pad=auto_pad, dilations=dilations, group=1, kernel_shape=list(kernel_shape), pads=pads,
        strides=strides,
    )  # fmt: skip


def _spread_sum(
    op: Builder, dY: Value, X: Value, Y: Value, auto_pad: str, dilations: list[int] | None, kernel_shape: list[int],
    pads: list[int] | None, strides: list[int] | None,
) -> Value:  # fmt: skip
    """The transpose of a sum over windows: a transposed convolution by ones, each channel on its own."""
    ones = op.const(np.ones((1, 1, *kernel_shape), op.numpy_dtype(X)))

    def single(T: Value) -> Value:
        """T (N, C, ...) as (N·C, 1, ...)."""
        out: Value = op.Reshape(T, op.Concat(op.ints([-1, 1]), op.Shape(T, start=2), axis=0))
        static, dims = op.dims(T), op.dims(out)
        if static is not None and dims is not None:
            out.shape = ir.Shape([dims[0], 1, *static[2:]])
        return out

    g = _geometry(op, single(X), single(dY), auto_pad, dilations, kernel_shape, pads, strides)
    return op.reshape(g.spread(single(dY), ones), op.shape(X))


@operator("LpPool", since=2)
def lp_pool(
    X: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: list[int] | None = None,
    kernel_shape: list[int], p: int = 2, pads: list[int] | None = None, strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y[n, c, o] = (Σ over k of |X[n, c, o·stride + k·dilation - pad]|ᵖ)^(1/p).

    Source: ONNX LpPool; Gulcehre et al. 2014.
    """
    w = windows_of(X.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    wide = np.float32 if X.dtype.itemsize < 4 else X.dtype
    total = _window_sum(np.abs(X.astype(wide, copy=False)) ** p, w)
    return np.asarray(total ** (1.0 / p)).astype(X.dtype, copy=False)


@lp_pool.vjp
def lp_pool_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, auto_pad: str, ceil_mode: int, dilations: list[int] | None,
    kernel_shape: list[int], p: int, pads: list[int] | None, strides: list[int] | None,
) -> Cotangents:  # fmt: skip
    """dX = sign(X) |X|^(p-1) · spread(dY · Y^(1-p)), and 0 where all of a window is 0."""
    share = op.Where(
        op.Equal(Y, op.scalar(0, Y)), op.scalar(0, Y), op.Mul(dY, op.Pow(_nonzero(op, Y), op.scalar(1 - p, Y)))
    )
    spread = _spread_sum(op, share, X, Y, auto_pad, dilations, kernel_shape, pads, strides)
    dX: Value = op.Mul(spread, _signed_power(op, X, p))
    return dX


def _nonzero(op: Builder, Y: Value) -> Value:
    """Y with ones for zeros, so that negative powers stay finite where they are not used."""
    out: Value = op.Where(op.Equal(Y, op.scalar(0, Y)), op.scalar(1, Y), Y)
    return out


def _signed_power(op: Builder, X: Value, p: int) -> Value:
    """sign(X) · |X|^(p-1)."""
    if p == 2:
        return X
    sign: Value = op.Sign(X)
    return sign if p == 1 else op.Mul(sign, op.Pow(op.Abs(X), op.scalar(p - 1, X)))


@operator("GlobalAveragePool", since=1)
def global_average_pool(X: Array) -> Array:
    """Y[n, c] = mean of X[n, c] over all of space, the axes kept with size 1."""
    wide = np.float32 if X.dtype.itemsize < 4 else X.dtype
    return np.asarray(X.mean(axis=tuple(range(2, X.ndim)), keepdims=True, dtype=wide)).astype(X.dtype, copy=False)


@global_average_pool.vjp
def global_average_pool_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY ÷ number of places, everywhere."""
    dims = op.dims(X)
    if dims is not None and all(isinstance(d, int) for d in dims[2:]):
        count = float(np.prod([d for d in dims[2:] if isinstance(d, int)]))
        return op.expand_like(op.Mul(dY, op.scalar(1 / count, dY)), X)
    places_count = op.Div(op.Size(X), op.Size(Y))
    return op.expand_like(op.Div(dY, op.cast(places_count, X)), X)


@operator("GlobalMaxPool", since=1)
def global_max_pool(X: Array) -> Array:
    """Y[n, c] = max of X[n, c] over all of space, the axes kept with size 1."""
    return np.asarray(X.max(axis=tuple(range(2, X.ndim)), keepdims=True))


@global_max_pool.vjp
def global_max_pool_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dY goes to the first place that holds the maximum."""
    flat = op.Reshape(X, op.ints([0, 0, -1]))
    winner = op.ArgMax(flat, axis=2, keepdims=1)
    update = op.Reshape(dY, op.ints([0, 0, 1]))
    return op.reshape_like(op.ScatterElements(op.zeros_like(flat), winner, update, axis=2), X)


@operator("GlobalLpPool", since=2)
def global_lp_pool(X: Array, *, p: int = 2) -> Array:
    """Y[n, c] = (Σ |X[n, c]|ᵖ)^(1/p) over all of space, the axes kept with size 1."""
    wide = np.float32 if X.dtype.itemsize < 4 else X.dtype
    total = (np.abs(X.astype(wide, copy=False)) ** p).sum(axis=tuple(range(2, X.ndim)), keepdims=True)
    return np.asarray(total ** (1.0 / p)).astype(X.dtype, copy=False)


@global_lp_pool.vjp
def global_lp_pool_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, p: int) -> Cotangents:
    """dX = dY · sign(X) |X|^(p-1) · Y^(1-p), and 0 where all of X[n, c] is 0."""
    share = op.Mul(dY, op.Pow(_nonzero(op, Y), op.scalar(1 - p, Y)))
    dX: Value = op.Mul(share, _signed_power(op, X, p))
    return dX
