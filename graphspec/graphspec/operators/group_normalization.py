"""Normalization over groups of channels."""

from __future__ import annotations

import numpy as np

from graphspec.operators._precision import wide, wide_type
from graphspec.operators._standardize import EPSILON, standardize, standardized
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import operator

# Both versions look at X as (batch, group, channel of the group, space).


def _normalize(X: Array, scale: Array, bias: Array, epsilon: float, num_groups: int, params: int) -> Array:
    channels = X.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{channels} channels do not fall into {num_groups} groups of equal size.")
    if scale.shape != (params,) or bias.shape != (params,):
        raise ValueError(f"scale {scale.shape} and bias {bias.shape} must have {params} elements.")
    shape = (X.shape[0], num_groups, channels // num_groups, int(np.prod(X.shape[2:])))
    normal, _, _ = standardize(wide(X).reshape(shape), (2, 3), epsilon)
    per_group = params // num_groups  # 1 where a group shares its scale
    normal *= wide(scale).reshape(num_groups, per_group, 1)
    normal += wide(bias).reshape(num_groups, per_group, 1)
    return normal.reshape(X.shape).astype(X.dtype, copy=False)


@operator("GroupNormalization", since=21)
def group_normalization(
    X: Array, scale: Array, bias: Array, *, epsilon: float = EPSILON, num_groups: int, stash_type: int = 1
) -> Array:
    """Y = x̂ · scale + bias, with x̂ standardized over each group of channels; scale and bias by channel."""
    return _normalize(X, scale, bias, epsilon, num_groups, X.shape[1])


@operator("GroupNormalization", since=18)
def group_normalization_18(X: Array, scale: Array, bias: Array, *, epsilon: float = EPSILON, num_groups: int) -> Array:
    """As version 21, with one scale and one bias for all channels of a group."""
    return _normalize(X, scale, bias, epsilon, num_groups, num_groups)


def _vjp(
    op: Builder, dY: Value, X: Value, scale: Value, bias: Value, epsilon: float, num_groups: int, shared: bool
) -> Cotangents:
    dtype = wide_type(op, X)
    target = _grouped_shape(op, X, num_groups)
    normal = standardized(op, op.Reshape(op.cast(X, dtype), target), (2, 3), epsilon)
    g = op.Reshape(op.cast(dY, dtype), target)
    s = op.reshape(op.cast(scale, dtype), [num_groups, 1 if shared else -1, 1])
    dX = op.reshape_like(normal.vjp(op.Mul(g, s)), X)
    summed = [0, 2, 3] if shared else [0, 3]
    params = [op.reduce_sum(d, summed, keepdims=False) for d in (op.Mul(g, normal.xhat), g)]
    dscale, dbias = (op.cast(op.reshape_like(d, v), v) for d, v in zip(params, (scale, bias), strict=True))
    return op.cast(dX, X), dscale, dbias


def _grouped_shape(op: Builder, X: Value, num_groups: int) -> Value:
    """(batch, groups, channels of a group, space); 0 copies the batch."""
    dims = op.dims(X)
    channels = dims[1] if dims is not None else None
    space = [d for d in dims[2:] if isinstance(d, int)] if dims is not None else []
    rest = int(np.prod(space)) if dims is not None and len(space) == len(dims) - 2 else -1
    if isinstance(channels, int):
        return op.ints([0, num_groups, channels // num_groups, rest])
    per_group = op.Div(op.dim(X, 1), op.ints([num_groups]))
    return op.Concat(op.ints([0, num_groups]), per_group, op.ints([rest]), axis=0)  # type: ignore[no-any-return]


@group_normalization.vjp
def group_normalization_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, scale: Value, bias: Value,
    *, epsilon: float, num_groups: int, stash_type: int,
) -> Cotangents:  # fmt: skip
    """Through x̂; dscale = Σ dY · x̂, dbias = Σ dY over each channel."""
    return _vjp(op, dY, X, scale, bias, epsilon, num_groups, shared=False)


@group_normalization_18.vjp
def group_normalization_18_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, scale: Value, bias: Value, *, epsilon: float, num_groups: int
) -> Cotangents:
    """Through x̂; dscale = Σ dY · x̂, dbias = Σ dY over each group."""
    return _vjp(op, dY, X, scale, bias, epsilon, num_groups, shared=True)
