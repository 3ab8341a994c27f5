"""Mean 0 and variance 1 over axes: what batch, instance, layer and group normalization share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphspec.operators._types import Array, Builder, Value

# ONNX's defaults are float32 numbers, also where the data is float64.
EPSILON = float(np.float32(1e-5))
MOMENTUM = float(np.float32(0.9))


def mean_over(x: Array, axes: tuple[int, ...]) -> Array:
    """The mean over the axes, dimensions kept; NaN of nothing, without NumPy's warning."""
    count = math.prod(x.shape[axis] for axis in axes)
    return np.asarray(np.sum(x, axis=axes, keepdims=True, dtype=x.dtype) / x.dtype.type(count))


def standardize(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """x̂ = (x - mean) / √(variance + epsilon), with mean and variance over the axes, dimensions kept."""
    with np.errstate(all="ignore"):
        mean = mean_over(x, axes)
        centred = x - mean
        variance = mean_over(centred * centred, axes)
        centred /= np.sqrt(variance + epsilon)
    return centred, mean, variance


class Standardized(NamedTuple):
    """The same as nodes of a rule: x̂ = (x - mean) / deviation over ``axes``; not ``centred``, mean is 0.

    With ``inverse``, what is known is 1 / deviation.
    """

    op: Builder
    xhat: Value
    scale: Value
    axes: tuple[int, ...]
    centred: bool
    inverse: bool = False

    @property
    def deviation(self) -> Value:
        """What was divided by."""
        return self.op.Reciprocal(self.scale) if self.inverse else self.scale

    def mean(self, g: Value) -> Value:
        """The mean over the axes, dimensions kept."""
        return _mean(self.op, g, self.axes)

    def vjp(self, g: Value) -> Value:
        """dx = (g - mean g - x̂ · mean (g · x̂)) / deviation for the cotangent g of x̂."""
        op = self.op
        along = op.Mul(self.xhat, self.mean(op.Mul(g, self.xhat)))
        across = op.Sub(g, self.mean(g)) if self.centred else g
        moved = op.Sub(across, along)
        return op.Mul(moved, self.scale) if self.inverse else op.Div(moved, self.scale)  # type: ignore[no-any-return]


def standardized(op: Builder, x: Value, axes: Sequence[int], epsilon: float, *, centred: bool = True) -> Standardized:
    """Emit x̂ and the deviation."""
    axes = tuple(axes)
    difference = op.Sub(x, _mean(op, x, axes)) if centred else x
    variance = _mean(op, op.Mul(difference, difference), axes)
    deviation = op.Sqrt(op.Add(variance, op.scalar(epsilon, x)))
    return Standardized(op, op.Div(difference, deviation), deviation, axes, centred)


def _mean(op: Builder, x: Value, axes: tuple[int, ...]) -> Value:
    return op.ReduceMean(x, op.ints(axes)) if axes else x
