"""Normalization by neighbouring channels, by a norm, or by mean and deviation over chosen axes."""

from __future__ import annotations

import numpy as np

from graphspec.operators._precision import wide, wide_type
from graphspec.operators._standardize import mean_over
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.reduction import norm_l1, norm_l2
from graphspec.operators.registry import operator

# --- LRN ------------------------------------------------------------------------------------------------------------

# Windows over more channels than this are computed from their numbers, not stored in the derived model.
_STORED_CHANNELS = 256
_ALPHA = float(np.float32(1e-4))


def _window(size: int) -> tuple[int, int]:
    """How many channels before and after its own a window takes in; one more after it for even sizes."""
    return (size - 1) // 2, size // 2


@operator("LRN", since=1)
def lrn(X: Array, *, alpha: float = _ALPHA, beta: float = 0.75, bias: float = 1.0, size: int) -> Array:
    """Y = X / (bias + alpha / size · Σ X²) ** beta, the sum over a window of ``size`` channels."""
    if X.ndim < 2 or size < 1:
        raise ValueError(f"X of rank {X.ndim} needs an axis of channels, and size {size} must be positive.")
    x = wide(X)
    squares = x * x
    sums = np.zeros_like(squares)
    channels = X.shape[1]
    before, after = _window(size)
    with np.errstate(all="ignore"):
        for shift in range(-min(before, channels), min(after, channels) + 1):
            first, last = max(0, -shift), channels - max(0, shift)
            if first < last:
                sums[:, first:last] += squares[:, first + shift : last + shift]
        return np.asarray(x / (bias + alpha / size * sums) ** beta).astype(X.dtype, copy=False)


@lrn.vjp
def lrn_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float, beta: float, bias: float, size: int
) -> Cotangents:
    """With D = bias + alpha / size · W X²: dX = dY / D ** beta - 2 alpha beta / size · X · Wᵀ (dY · Y / D)."""
    dtype = wide_type(op, X)
    x, g = op.cast(X, dtype), op.cast(dY, dtype)
    window = _band(op, x, *_window(size))
    sums = op.Einsum(window, op.Mul(x, x), equation="cd,nd...->nc...")
    D = op.Add(op.Mul(sums, op.scalar(alpha / size, x)), op.scalar(bias, x))
    share = op.Mul(g, op.Pow(D, op.scalar(-beta, x)))
    back = op.Einsum(window, op.Div(op.Mul(share, x), D), equation="cd,nc...->nd...")
    return op.cast(op.Sub(share, op.Mul(op.Mul(x, back), op.scalar(2 * alpha * beta / size, x))), X)


def _band(op: Builder, x: Value, before: int, after: int) -> Value:
    """W with W[c, d] = 1 where channel d is in the window of channel c, else 0."""
    dims = op.dims(x)
    channels = dims[1] if dims is not None else None
    if isinstance(channels, int) and channels <= _STORED_CHANNELS:
        shift = np.arange(channels) - np.arange(channels)[:, None]
        return op.const(((shift >= -before) & (shift <= after)).astype(op.numpy_dtype(x)))
    numbers = op.Range(op.const(np.int64(0)), op.reshape(op.dim(x, 1), []), op.const(np.int64(1)))
    shifts = op.Sub(numbers, op.Unsqueeze(numbers, op.ints([1])))
    inside = op.And(
        op.GreaterOrEqual(shifts, op.const(np.int64(-before))), op.LessOrEqual(shifts, op.const(np.int64(after)))
    )
    return op.cast(inside, x)


# --- LpNormalization ------------------------------------------------------------------------------------------------


@operator("LpNormalization", since=1)
def lp_normalization(input: Array, *, axis: int = -1, p: int = 2) -> Array:
    """output = x / ‖x‖_p along the axis; 0 where the norm is 0."""
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}.")
    x = wide(input)
    with np.errstate(all="ignore"):
        norm = (norm_l1 if p == 1 else norm_l2)(x, (axis,), True)
        return np.asarray(x / np.where(norm == 0, 1, norm)).astype(input.dtype)


@lp_normalization.vjp
def lp_normalization_vjp(op: Builder, dY: Value, Y: Value, input: Value, *, axis: int, p: int) -> Cotangents:
    """dx = (dy - u · Σ y · dy) / ‖x‖, where u is y for p = 2 and the sign of x for p = 1; 0 where the norm is 0."""
    axes = op.ints([axis])
    norm = op.ReduceL1(input, axes) if p == 1 else op.ReduceL2(input, axes)
    norm = op.Where(op.Equal(norm, op.scalar(0, norm)), op.scalar(np.inf, norm), norm)  # a quotient of 0 there
    unit = op.Sign(input) if p == 1 else Y
    along = op.Mul(unit, op.ReduceSum(op.Mul(Y, dY), axes))
    return op.Div(op.Sub(dY, along), norm)  # type: ignore[no-any-return]


# --- MeanVarianceNormalization --------------------------------------------------------------------------------------

_TINY = float(np.float32(1e-9))


@operator("MeanVarianceNormalization", since=9)
def mean_variance_normalization(X: Array, *, axes: tuple[int, ...] = (0, 2, 3)) -> Array:
    """Y = (X - mean) / (deviation + 1e-9) over the axes."""
    x, over = wide(X), tuple(axes)
    with np.errstate(all="ignore"):
        centred = x - mean_over(x, over)
        deviation = np.sqrt(mean_over(centred * centred, over))
        return np.asarray(centred / (deviation + _TINY)).astype(X.dtype, copy=False)


@mean_variance_normalization.vjp
def mean_variance_normalization_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, axes: tuple[int, ...]) -> Cotangents:
    """dX = (dY - mean dY - u · mean (dY · Y)) / (deviation + 1e-9), where u is X centred over the deviation, or 0."""
    dtype = wide_type(op, X)
    over = op.ints(axes)
    x, g = op.cast(X, dtype), op.cast(dY, dtype)
    centred = op.Sub(x, op.ReduceMean(x, over))
    deviation = op.Sqrt(op.ReduceMean(op.Mul(centred, centred), over))
    unit = op.Div(centred, op.Where(op.Equal(deviation, op.scalar(0, x)), op.scalar(1, x), deviation))
    along = op.Mul(unit, op.ReduceMean(op.Mul(g, op.cast(Y, dtype)), over))
    across = op.Sub(g, op.ReduceMean(g, over))
    return op.cast(op.Div(op.Sub(across, along), op.Add(deviation, op.scalar(_TINY, x))), X)
