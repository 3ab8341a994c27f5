"""Tensors out of nothing: constants, ranges, identity matrices, random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphspec import dtypes
from graphspec.operators._precision import wide
from graphspec.operators._random import generator
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

_FLOAT = 1  # onnx.TensorProto.FLOAT


@operator("Constant", since=1, rule=ZERO)
def constant(
    *,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    value_string: str | None = None,
    value_strings: list[str] | None = None,
    sparse_value: Any = None,
) -> Array:
    """The one value given."""
    for given, dtype in (
        (value, None),
        (value_float, np.float32),
        (value_floats, np.float32),
        (value_int, np.int64),
        (value_ints, np.int64),
        (value_string, object),
        (value_strings, object),
    ):
        if given is not None:
            return np.asarray(given, dtype=dtype)
    raise ValueError(
        "Sparse constants are not supported." if sparse_value is not None else "The constant has no value."
    )


@operator("ConstantOfShape", since=9, rule=ZERO)
def constant_of_shape(input: Array, *, value: Array | None = None) -> Array:
    """A tensor of shape ``input``, filled with ``value`` (a float32 zero by default)."""
    fill = np.zeros(1, np.float32) if value is None else value
    if fill.size != 1:
        raise ValueError(f"`value` has {fill.size} elements; it must have one.")
    return np.full(reasonable(input.reshape(-1), fill.itemsize), fill.reshape(()), dtype=fill.dtype)


@operator("EyeLike", since=9, rule=ZERO)
def eye_like(input: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    """Ones on the k-th diagonal, zeros elsewhere, in the shape of a matrix."""
    if input.ndim != 2:
        raise ValueError(f"The input must be a matrix; it has {input.ndim} dimensions.")
    rows, columns = input.shape
    k = max(-rows, min(columns, k))  # further out nothing is left of the diagonal
    return np.eye(rows, columns, k, dtype=_numpy(dtype, input))


def _numpy(dtype: int | None, like: Array) -> np.dtype[Any]:
    return like.dtype if dtype is None else dtypes.of(dtype).numpy


# --- ranges ---------------------------------------------------------------------------------------------------------


@operator("Range", since=11, domains=(0.5, 1))
def range_(start: Array, limit: Array, delta: Array, *, stash_type: int = _FLOAT) -> Array:
    """start, start + delta, start + 2 × delta ... up to limit, itself excluded."""
    dtype = start.dtype
    first, last, step = (wide(x.reshape(())) if stash_type == _FLOAT else x.reshape(()) for x in (start, limit, delta))
    if step == 0:
        raise ValueError("`delta` is zero.")
    if dtype.kind in "iu":
        count = -((int(last) - int(first)) // -int(step))
    else:
        steps = float(last - first) / float(step)
        if not math.isfinite(steps):
            raise ValueError(f"The range from {first} to {last} by {step} has no finite number of elements.")
        count = math.ceil(steps)
    (count,) = reasonable((max(count, 0),), max(8, dtype.itemsize))
    return np.asarray(first + np.arange(count).astype(first.dtype) * step).astype(dtype)


@range_.vjp
def range_vjp(
    op: Builder, dY: Value, Y: Value, start: Value, limit: Value, delta: Value, *, stash_type: int
) -> Cotangents:
    """dstart = Σ dY, ddelta = Σ dY × (0, 1, 2 ...); the limit only decides how many there are."""
    steps = op.Range(op.const(np.int64(0)), op.size(Y), op.const(np.int64(1)))
    d_start = op.reduce_sum(dY, None, keepdims=False)
    return d_start, ZERO, op.reduce_sum(op.Mul(dY, op.cast(steps, dY)), None, keepdims=False)


# --- random numbers -------------------------------------------------------------------------------------------------


@operator("RandomNormal", since=1, rule=ZERO)
def random_normal(
    *, shape: list[int], dtype: int = _FLOAT, mean: float = 0.0, scale: float = 1.0, seed: float | None = None
) -> Array:
    """Numbers from a normal distribution."""
    drawn = generator(seed).standard_normal(reasonable(shape, 8))
    return np.asarray(drawn * scale + mean).astype(dtypes.of(dtype).numpy)


@operator("RandomUniform", since=1, rule=ZERO)
def random_uniform(
    *, shape: list[int], dtype: int = _FLOAT, low: float = 0.0, high: float = 1.0, seed: float | None = None
) -> Array:
    """Numbers spread evenly from ``low`` to ``high``."""
    drawn = generator(seed).uniform(0, 1, reasonable(shape, 8))
    return np.asarray(drawn * (high - low) + low).astype(dtypes.of(dtype).numpy)


@operator("RandomNormalLike", since=1, rule=ZERO)
def random_normal_like(
    input: Array, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: float | None = None
) -> Array:
    """Numbers from a normal distribution, in the shape of ``input``."""
    drawn = generator(seed).standard_normal(input.shape)
    return np.asarray(drawn * scale + mean).astype(_numpy(dtype, input))


@operator("RandomUniformLike", since=1, rule=ZERO)
def random_uniform_like(
    input: Array, *, dtype: int | None = None, low: float = 0.0, high: float = 1.0, seed: float | None = None
) -> Array:
    """Numbers spread evenly from ``low`` to ``high``, in the shape of ``input``."""
    drawn = generator(seed).uniform(0, 1, input.shape)
    return np.asarray(drawn * (high - low) + low).astype(_numpy(dtype, input))


@operator("Bernoulli", since=15)
def bernoulli(input: Array, *, dtype: int | None = None, seed: float | None = None) -> Array:
    """1 with the probability that each element of ``input`` gives, else 0."""
    if not np.all((input >= 0) & (input <= 1)):
        raise ValueError("A probability lies outside of [0, 1].")
    return np.asarray(generator(seed).uniform(0, 1, input.shape) < input).astype(_numpy(dtype, input))


@bernoulli.vjp
def bernoulli_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, *, dtype: int | None, seed: float | None
) -> Cotangents:
    """None: a draw is no differentiable function of its probability (through ONNX's body it would seem constant)."""
    return "a draw is no differentiable function of its probability"


@operator("Multinomial", since=7)
def multinomial(input: Array, *, dtype: int = 6, sample_size: int = 1, seed: float | None = None) -> Array:
    """Indices of classes, drawn with replacement; each row of ``input`` holds log-probabilities up to a constant."""
    if input.ndim != 2:
        raise ValueError(f"The input must be [batch, classes]; it has {input.ndim} dimensions.")
    shape = reasonable((input.shape[0], sample_size), 8)
    weights = wide(input).astype(np.float64)
    highest = weights.max(axis=1, initial=-np.inf, keepdims=True)
    if not np.all(np.isfinite(highest)):
        raise ValueError("A row of log-probabilities is empty, -infinity throughout, or has NaN or +infinity in it.")
    chances = np.cumsum(np.exp(weights - highest), axis=1)
    drawn = generator(seed).uniform(0, 1, shape)
    rows = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(chances, drawn, strict=True)]
    return np.asarray(rows, dtype=dtypes.of(dtype).numpy).reshape(shape)


@multinomial.vjp
def multinomial_vjp(op: Builder, dY: Value, Y: Value, input: Value, **attributes: Any) -> Cotangents:
    """None: the output is an index."""
    return None
