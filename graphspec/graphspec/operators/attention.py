"""Attention with subgraphs in it, and the cache that attention reads."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from graphspec import dtypes
from graphspec.errors import NoGradientRule
from graphspec.operators._precision import wide
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.control_flow import Body
from graphspec.operators.registry import Array, operator
from graphspec.operators.softmax import softmax_along

_FLOATS = tuple(np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))


@operator("FlexAttention", domain="ai.onnx.preview", since=1)
def flex_attention(
    Q: Array, K: Array, V: Array, *, prob_mod: Body | None = None, scale: float | None = None,
    score_mod: Body | None = None, softmax_precision: int | None = None,
) -> Array:  # fmt: skip
    """Y = prob_mod(softmax(score_mod(scale · Q Kᵀ))) V, the softmax over keys; scale is 1 / √E by default.

    Several heads of Q in a row share a head of K and V when there are more of them.
    Shapes: Q (B, Hq, L, E), K (B, Hkv, S, E), V (B, Hkv, S, Ev); Y (B, Hq, L, Ev).
    Dtype: from the scores to the product with V softmax_precision, float32 by default for less than double.
    Source: ONNX FlexAttention; Dong et al. 2024.
    """
    if not Q.ndim == K.ndim == V.ndim == 4:
        raise ValueError(f"Q, K and V have {Q.ndim}, {K.ndim} and {V.ndim} dimensions: 4 are needed.")
    B, heads, L, E = Q.shape
    shared, S = K.shape[1:3]
    if K.shape != (B, shared, S, E) or V.shape[:3] != K.shape[:3] or shared == 0 or heads % shared:
        raise ValueError(f"Q {list(Q.shape)}, K {list(K.shape)} and V {list(V.shape)} do not fit.")
    if scale is None:
        scale = 1 / math.sqrt(E) if E else 1.0
    if scale < 0:
        raise ValueError(f"scale is {scale}: it has no square root.")
    dtype = np.promote_types(np.float32, wide(Q).dtype)
    if softmax_precision is not None:
        dtype = dtypes.of(softmax_precision).numpy
        if dtype not in _FLOATS:
            raise ValueError(f"softmax_precision is {dtype}, not a floating-point type.")
    reasonable((B, heads, L, S), max(dtype.itemsize, 4))
    # As in ONNX's own body, both factors carry the root of the scale, so that 16-bit products do not overflow.
    root = np.array(math.sqrt(scale), dtype=np.float32).astype(Q.dtype)
    queries = wide(Q * root).reshape(B, shared, heads // shared, L, E)
    keys = wide(K * root)[:, :, None]
    scores = np.matmul(queries, np.swapaxes(keys, -1, -2)).reshape(B, heads, L, S).astype(Q.dtype).astype(dtype)
    if score_mod is not None:
        scores = _modified(score_mod, scores, "score_mod")
    probabilities = softmax_along(wide(scores), -1).astype(dtype)
    if prob_mod is not None:
        probabilities = _modified(prob_mod, probabilities, "prob_mod")
    grouped = wide(probabilities).reshape(B, shared, heads // shared, L, S)
    values = wide(V.astype(dtype))[:, :, None]
    return np.asarray(np.matmul(grouped, values)).reshape(B, heads, L, -1).astype(V.dtype)


def _modified(body: Body, x: Array, name: str) -> Array:
    results = body(x)
    if len(results) != 1 or np.shape(results[0]) != x.shape or results[0].dtype != x.dtype:
        raise ValueError(f"{name} does not give one tensor of the shape {list(x.shape)} and type {x.dtype}.")
    return np.asarray(results[0])


@operator("TensorScatter", since=24)
def tensor_scatter(
    past_cache: Array, update: Array, write_indices: Array | None = None, *, axis: int = -2, mode: str = "linear"
) -> Array:
    """past_cache with update written over it along axis, in sample b of the batch from write_indices[b] on.

    In mode circular what does not fit behind goes to the front.
    Shapes: past_cache (B, ..., longest, ...), update (B, ..., length, ...), write_indices (B).
    Source: ONNX TensorScatter.
    """
    rank = past_cache.ndim
    if not -rank <= axis < rank or axis % rank == 0:
        raise ValueError(f"axis {axis} is outside of rank {rank}, or that of the batch.")
    axis %= rank
    longest, length = past_cache.shape[axis], update.shape[axis] if update.ndim == rank else 0
    fitting = (*past_cache.shape[:axis], length, *past_cache.shape[axis + 1 :])
    if update.shape != fitting or length > longest:
        raise ValueError(f"an update of shape {list(update.shape)} does not fit {list(past_cache.shape)}.")
    if mode not in ("linear", "circular"):
        raise ValueError(f"mode {mode!r} is not 'linear' or 'circular'.")
    batch = past_cache.shape[0]
    starts = np.zeros(batch, np.int64) if write_indices is None else write_indices
    if starts.shape != (batch,):
        raise ValueError(f"write_indices has the shape {list(starts.shape)}, not [{batch}].")
    if starts.size and (starts.min() < 0 or (mode == "linear" and starts.max() > longest - length)):
        raise ValueError(
            f"an update of {length} does not fit {longest} places from write index {int(starts.max())} on."
        )
    places = starts[:, None] + np.arange(length)
    if longest:
        places %= longest
    present = past_cache.copy()
    np.moveaxis(present, axis, 1)[np.arange(batch)[:, None], places] = np.moveaxis(update, axis, 1)
    return present


@tensor_scatter.vjp
def tensor_scatter_vjp(
    op: Builder, dY: Value, Y: Value, past_cache: Value, update: Value, write_indices: Value | None = None, *,
    axis: int, mode: str,
) -> Cotangents:  # fmt: skip
    """d(update) is read from dY where it was written; d(past_cache) is dY with zeros there."""
    rank = op.rank(past_cache)
    if rank is None:
        raise NoGradientRule("TensorScatter has no vjp rule for a cache of unknown rank.")
    axis %= rank
    length = op.reshape(op.dim(update, axis), [])
    places = op.Range(op.const(np.int64(0)), length, op.const(np.int64(1)))
    places = op.reshape(places, [-1 if i == axis else 1 for i in range(rank)])
    if write_indices is not None:
        places = op.Add(places, op.reshape(write_indices, [-1] + [1] * (rank - 1)))
    if mode == "circular":
        places = op.Mod(places, op.dim(past_cache, axis))
    places = op.Expand(places, op.shape(update))
    dpast = op.ScatterElements(dY, places, op.zeros_like(update), axis=axis)
    return dpast, op.GatherElements(dY, places, axis=axis), None
