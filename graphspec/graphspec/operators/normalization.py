"""Normalization by the statistics of a batch, an instance, a layer or a group."""

from __future__ import annotations

import numpy as np

from graphspec import dtypes
from graphspec.operators._precision import wide, wide_type
from graphspec.operators._rank import known_rank
from graphspec.operators._standardize import EPSILON, MOMENTUM, Standardized, mean_over, standardize, standardized
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.reduction import Over
from graphspec.operators.registry import ZERO, operator

# --- channels: axis 1, or the only one of a vector of rank 1 --------------------------------------------------------


def _by_channel(v: Array, X: Array) -> Array:
    """A vector over channels, ready to broadcast against X."""
    return wide(v).reshape(-1, *[1] * (X.ndim - 2))


def _others(rank: int) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return (0, *range(2, rank))


def _along_channels(op: Builder, v: Value, rank: int) -> Value:
    return op.Unsqueeze(v, op.ints(range(1, rank - 1))) if rank > 2 else v


# --- BatchNormalization ---------------------------------------------------------------------------------------------


def _normalize(X: Array, scale: Array, B: Array, mean: Array, var: Array, epsilon: float) -> Array:
    """(X - mean) · scale / √(var + epsilon) + B, all broadcast to X."""
    factor = scale / np.sqrt(var + epsilon)
    Y = wide(X) - mean
    Y *= factor
    Y += B
    return np.asarray(Y).astype(X.dtype, copy=False)


@operator("BatchNormalization", since=14)
def batch_normalization(
    X: Array, scale: Array, B: Array, input_mean: Array, input_var: Array,
    *, epsilon: float = EPSILON, momentum: float = MOMENTUM, training_mode: int = 0,
) -> tuple[Array, ...]:  # fmt: skip
    """Y = (X - mean) / √(var + epsilon) · scale + B for each channel.

    Mean and variance are the inputs; in training mode, those of the batch, and the running ones move towards them:
    running = momentum · input + (1 - momentum) · batch.
    """
    _check_channels(X, scale, B, input_mean, input_var)
    with np.errstate(all="ignore"):
        s, b = _by_channel(scale, X), _by_channel(B, X)
        if not training_mode:
            return (_normalize(X, s, b, _by_channel(input_mean, X), _by_channel(input_var, X), epsilon),)
        normal, mean, var = standardize(wide(X), _others(X.ndim), epsilon)
        Y = (normal * s + b).astype(X.dtype, copy=False)
        moved = [
            (momentum * wide(old) + (1 - momentum) * new.reshape(-1)).astype(old.dtype)
            for old, new in ((input_mean, mean), (input_var, var))
        ]
    return (Y, *moved)


def _check_channels(X: Array, *vectors: Array) -> None:
    channels = X.shape[1] if X.ndim > 1 else 1
    for v in vectors:
        if v.shape != (channels,):
            raise ValueError(f"a vector of shape {v.shape} does not fit the {channels} channels of X.")


@batch_normalization.vjp_all
def batch_normalization_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], X: Value, scale: Value, B: Value,
    input_mean: Value, input_var: Value, *, epsilon: float, momentum: float, training_mode: int,
) -> Cotangents:  # fmt: skip
    """With x̂ = (X - mean) / √(var + epsilon): dscale = Σ dY · x̂, dB = Σ dY over each channel.

    dX = dY · scale / √(var + epsilon) and so on for mean and var where these are inputs; through mean and variance
    of the batch in training mode.
    """
    rank = known_rank(op, X, "BatchNormalization")
    axes = list(_others(rank))
    dtype = wide_type(op, X)
    x, s = op.cast(X, dtype), op.cast(scale, dtype)
    g = op.zeros_like(x) if dY[0] is None else op.cast(dY[0], dtype)
    if training_mode:
        return _batch_vjp(op, g, dY, x, s, (X, scale, B, input_mean, input_var), axes, epsilon, momentum)
    mean, variance = op.cast(input_mean, dtype), op.cast(input_var, dtype)
    deviation = op.Sqrt(op.Add(variance, op.scalar(epsilon, x)))
    factor = op.Div(s, deviation)
    channels = op.static(scale)
    if channels is not None and rank > 1:  # both are batch normalizations themselves
        zeros, ones = (op.const(np.full(channels, n), int(dtype)) for n in (0, 1))
        xhat = op.BatchNormalization(x, ones, zeros, mean, variance, epsilon=epsilon)
        dX = op.BatchNormalization(g, s, zeros, zeros, variance, epsilon=epsilon)
    else:
        xhat = op.Div(op.Sub(x, _along_channels(op, mean, rank)), _along_channels(op, deviation, rank))
        dX = op.Mul(g, _along_channels(op, factor, rank))
    dscale = op.reshape_like(op.reduce_sum(op.Mul(g, xhat), axes, keepdims=False), scale)
    dB = op.reshape_like(op.reduce_sum(g, axes, keepdims=False), B)
    dmean = op.Neg(op.Mul(dB, factor))
    dvar = op.Mul(op.Mul(dscale, op.scalar(-0.5, x)), op.Div(factor, deviation))
    results = zip((dX, dscale, dB, dmean, dvar), (X, scale, B, input_mean, input_var), strict=True)
    return [op.cast(d, v) for d, v in results]


def _batch_vjp(
    op: Builder, g: Value, dY: tuple[Value | None, ...], x: Value, s: Value, inputs: tuple[Value, ...],
    axes: list[int], epsilon: float, momentum: float,
) -> Cotangents:  # fmt: skip
    """The rule in training mode: x̂ depends on all of X, and so do the running statistics."""
    X, scale, B, input_mean, input_var = inputs
    rank = op.rank(X) or len(axes) + 1
    normal = standardized(op, x, axes, epsilon)
    dX = normal.vjp(op.Mul(g, _along_channels(op, s, rank)))
    dscale = op.reduce_sum(op.Mul(g, normal.xhat), axes, keepdims=False)
    dB = op.reduce_sum(g, axes, keepdims=False)
    d_mean, d_var = [*dY[1:], None, None][:2]
    if d_mean is not None or d_var is not None:
        count = Over(op, x, op.ints(axes), False).count(x)
        part = op.scalar(1 - momentum, x)
        if d_mean is not None:
            dX = op.Add(dX, _along_channels(op, op.Div(op.Mul(op.cast(d_mean, x), part), count), rank))
        if d_var is not None:
            spread = op.Div(op.Mul(op.cast(d_var, x), op.Add(part, part)), count)
            centred = op.Mul(normal.xhat, normal.deviation)
            dX = op.Add(dX, op.Mul(centred, _along_channels(op, spread, rank)))
    moved = [
        ZERO if d is None else op.cast(op.Mul(d, op.scalar(momentum, d)), v)
        for d, v in ((d_mean, input_mean), (d_var, input_var))
    ]
    return [op.cast(dX, X), *(op.cast(op.reshape_like(d, v), v) for d, v in ((dscale, scale), (dB, B))), *moved]


def _batch_normalization_old(
    X: Array, scale: Array, B: Array, mean: Array, var: Array, epsilon: float, momentum: float, spatial: int,
    training: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """Before opset 14: training is what a node with more than one output does; unless spatial, by activation."""
    if spatial:
        _check_channels(X, scale, B, mean, var)
    with np.errstate(all="ignore"):
        s, b, m, v = (_by_channel(a, X) if spatial else wide(a) for a in (scale, B, mean, var))
        if not training:
            return (_normalize(X, s, b, m, v, epsilon),)
        normal, mean_now, var_now = standardize(wide(X), _others(X.ndim) if spatial else (0,), epsilon)
        saved = [a.reshape(mean.shape).astype(mean.dtype) for a in (mean_now, var_now)]
        moved = [
            (momentum * wide(old) + (1 - momentum) * wide(new)).astype(old.dtype)
            for old, new in zip((mean, var), saved, strict=True)
        ]
        return ((normal * s + b).astype(X.dtype, copy=False), *moved, *saved)


@operator("BatchNormalization", since=9)
def batch_normalization_9(
    X: Array, scale: Array, B: Array, mean: Array, var: Array,
    *, epsilon: float = EPSILON, momentum: float = MOMENTUM, outputs: int = 1,
) -> tuple[Array, ...]:  # fmt: skip
    """Y, and in training, where these outputs are asked for, the moved and the saved mean and variance."""
    return _batch_normalization_old(X, scale, B, mean, var, epsilon, momentum, 1, outputs > 1)


@operator("BatchNormalization", since=7)
def batch_normalization_7(
    X: Array, scale: Array, B: Array, mean: Array, var: Array,
    *, epsilon: float = EPSILON, momentum: float = MOMENTUM, spatial: int = 1, outputs: int = 1,
) -> tuple[Array, ...]:  # fmt: skip
    """As version 9; unless ``spatial``, with a mean and a variance for each activation."""
    return _batch_normalization_old(X, scale, B, mean, var, epsilon, momentum, spatial, outputs > 1)


@operator("BatchNormalization", since=1)
def batch_normalization_1(
    X: Array, scale: Array, B: Array, mean: Array, var: Array,
    *, epsilon: float = EPSILON, is_test: int = 0, momentum: float = MOMENTUM, spatial: int = 1, outputs: int = 1,
) -> tuple[Array, ...]:  # fmt: skip
    """As version 7; ``is_test`` forbids training."""
    training = outputs > 1 and not is_test
    return _batch_normalization_old(X, scale, B, mean, var, epsilon, momentum, spatial, training)


# --- InstanceNormalization ------------------------------------------------------------------------------------------


@operator("InstanceNormalization", since=1)
def instance_normalization(input: Array, scale: Array, B: Array, *, epsilon: float = EPSILON) -> Array:
    """output = x̂ · scale + B, with x̂ standardized over the space of each instance and channel."""
    _check_channels(input, scale, B)
    normal, _, _ = standardize(wide(input), tuple(range(2, input.ndim)), epsilon)
    return np.asarray(normal * _by_channel(scale, input) + _by_channel(B, input)).astype(input.dtype, copy=False)


@instance_normalization.vjp
def instance_normalization_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, scale: Value, B: Value, *, epsilon: float
) -> Cotangents:
    """Through x̂; dscale = Σ dY · x̂, dB = Σ dY over each channel."""
    rank = known_rank(op, input, "InstanceNormalization")
    dtype = wide_type(op, input)
    g = op.cast(dY, dtype)
    normal = standardized(op, op.cast(input, dtype), range(2, rank), epsilon)
    dX = normal.vjp(op.Mul(g, _along_channels(op, op.cast(scale, dtype), rank)))
    dscale = op.reduce_sum(op.Mul(g, normal.xhat), _others(rank), keepdims=False)
    dB = op.reduce_sum(g, _others(rank), keepdims=False)
    return op.cast(dX, input), op.cast(dscale, scale), op.cast(dB, B)


# --- LayerNormalization, RMSNormalization ---------------------------------------------------------------------------


def _trailing(rank: int, axis: int) -> tuple[int, ...]:
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is outside of rank {rank}.")
    return tuple(range(axis % rank, rank)) if rank else ()


def _trailing_of(op: Builder, X: Value, axis: int, op_type: str) -> tuple[int, ...]:
    """The axes from ``axis`` on, as negative numbers where the rank is not known."""
    rank = op.rank(X)
    if rank is None and axis < 0:
        return tuple(range(axis, 0))
    return _trailing(known_rank(op, X, op_type), axis)


@operator("LayerNormalization", since=17)
def layer_normalization(
    X: Array, Scale: Array, B: Array | None = None, *, axis: int = -1, epsilon: float = EPSILON, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    """Y = x̂ · Scale + B, with x̂ standardized over the axes from ``axis`` on; Mean; InvStdDev = 1 / √(var + epsilon).

    Computed in float32, or in float64 where X is that; Mean and InvStdDev are handed out in the stash type.
    """
    normal, mean, variance = standardize(wide(X), _trailing(X.ndim, axis), epsilon)
    normal *= wide(Scale)
    if B is not None:
        normal += wide(B)
    stash = dtypes.of(stash_type).numpy
    with np.errstate(all="ignore"):
        inverse = 1 / np.sqrt(variance + epsilon)
    return normal.astype(X.dtype, copy=False), mean.astype(stash), np.asarray(inverse).astype(stash)


@layer_normalization.vjp_all
def layer_normalization_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], X: Value, Scale: Value, B: Value | None = None,
    *, axis: int, epsilon: float, stash_type: int,
) -> Cotangents:  # fmt: skip
    """Through x̂; dScale = dY · x̂, dB = dY; and dMean / n - dInvStdDev · x̂ / (n · deviation²) onto X."""
    dtype = wide_type(op, X)
    x, axes = op.cast(X, dtype), _trailing_of(op, X, axis, "LayerNormalization")
    if dtype == stash_type:  # the node itself knows mean and deviation as exactly as the rule needs them
        mean, inverse = op.output(Y[0], 1), op.output(Y[0], 2)
        normal = Standardized(op, op.Mul(op.Sub(x, mean), inverse), inverse, axes, True, inverse=True)
    else:
        normal = standardized(op, x, axes, epsilon)
    g = op.zeros_like(normal.xhat) if dY[0] is None else op.cast(dY[0], dtype)
    dX = normal.vjp(op.Mul(g, op.cast(Scale, dtype)))
    d_mean, d_inverse = [*dY[1:], None, None][:2]
    if d_mean is not None or d_inverse is not None:
        count = Over(op, normal.xhat, op.ints(normal.axes), False).count(dX)
        if d_mean is not None:
            dX = op.Add(dX, op.Div(op.cast(d_mean, dtype), count))
        if d_inverse is not None:
            squared = op.Mul(op.Mul(normal.deviation, normal.deviation), count)
            dX = op.Sub(dX, op.Mul(normal.xhat, op.Div(op.cast(d_inverse, dtype), squared)))
    dB = None if B is None else op.cast(g, B)
    return op.cast(dX, X), op.cast(op.Mul(g, normal.xhat), Scale), dB


@operator("RMSNormalization", since=23)
def rms_normalization(
    X: Array, scale: Array, *, axis: int = -1, epsilon: float = EPSILON, stash_type: int = 1
) -> Array:
    """Y = X / √(mean X² + epsilon) · scale, the mean over the axes from ``axis`` on."""
    x = wide(X)
    with np.errstate(all="ignore"):
        squares = mean_over(x * x, _trailing(X.ndim, axis))
        return np.asarray(x / np.sqrt(squares + epsilon) * wide(scale)).astype(X.dtype, copy=False)


@rms_normalization.vjp
def rms_normalization_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, scale: Value, *, axis: int, epsilon: float, stash_type: int
) -> Cotangents:
    """Through x̂ = X / √(mean X² + epsilon); dscale = dY · x̂."""
    dtype = wide_type(op, X)
    axes = _trailing_of(op, X, axis, "RMSNormalization")
    normal = standardized(op, op.cast(X, dtype), axes, epsilon, centred=False)
    g = op.cast(dY, dtype)
    dX = normal.vjp(op.Mul(g, op.cast(scale, dtype)))
    return op.cast(dX, X), op.cast(op.Mul(g, normal.xhat), scale)
