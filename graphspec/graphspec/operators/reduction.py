"""Reductions over axes: sums, means, products, extrema, norms, logarithms of sums; the axes as attribute or input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.inference import known_constant
from graphspec.operators._precision import wide, wide_type
from graphspec.operators._products import product_vjp
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import Array, Operator, register

Reduce = Callable[[Array, tuple[int, ...], bool], Array]


@dataclasses.dataclass(frozen=True)
class Over:
    """What a reduction ran over, as a rule sees it: ``axes`` is a value, or ``None`` for all axes (or for none)."""

    op: Builder
    x: Value
    axes: Value | None
    noop: bool

    def keep(self, g: Value, keepdims: int) -> Value:
        """``g``, of the output's shape, with the reduced axes as dimensions of 1 (a scalar stays one)."""
        return g if keepdims or self.axes is None else self.op.Unsqueeze(g, self.axes)

    def reduce(self, op_type: str, x: Value) -> Value:
        """Another reduction over the same axes, dimensions kept."""
        noop = 1 if self.noop else None
        return self.op.emit(op_type, (x, self.axes), {"noop_with_empty_axes": noop})  # type: ignore[no-any-return]

    def listed(self) -> list[int] | None:
        """The axes, where the graph itself fixes them."""
        rank = self.op.rank(self.x)
        fixed = None if self.axes is None else known_constant(self.axes)
        if fixed is not None and fixed.size:
            return [int(a) + (rank if rank is not None and a < 0 else 0) for a in fixed.reshape(-1).tolist()]
        if self.axes is not None and fixed is None:
            return None
        return [] if self.noop else None if rank is None else list(range(rank))

    def count(self, like: Value) -> Value:
        """How many elements went into each result, in the dtype of ``like``; a scalar, or a vector of length 1."""
        op, listed, dims = self.op, self.listed(), self.op.dims(self.x)
        if listed is None:  # at run time: the ratio of both sizes (1 where there are no results at all)
            results = op.Max(op.size(self.reduce("ReduceSum", self.x)), op.const(np.int64(1)))
            return op.cast(op.Div(op.size(self.x), results), like)
        known = 1
        unknown: list[int] = []
        for axis in listed:
            dim = None if dims is None else dims[axis]
            known, unknown = (known * dim, unknown) if isinstance(dim, int) else (known, [*unknown, axis])
        if not unknown:
            return op.scalar(known, like)
        total = op.dim(self.x, unknown[0])
        for axis in unknown[1:]:
            total = op.Mul(total, op.dim(self.x, axis))
        return op.cast(total if known == 1 else op.Mul(total, op.ints([known])), like)


Slope = Callable[[Over, Value, Value, Value], Value]


def _axes(data: Array, axes: Any, noop: int) -> tuple[int, ...]:
    if axes is None or len(axes) == 0:
        return () if noop else tuple(range(data.ndim))
    return tuple(int(a) for a in np.reshape(axes, -1))


def reduction(
    op_type: str, reduce: Reduce, slope: Slope, domains: tuple[float, float] = (-3, 3), *, axes_input: int = 18
) -> None:
    """Register a reduction in both its forms: axes as an attribute, and as an input from ``axes_input`` on.

    Args:
        op_type: ONNX's name.
        reduce: ``f(data, axes, keepdims)``, the axes possibly negative; no axes at all reduce nothing.
        slope: ``(over, g, y, x)`` to the cotangent of x, where g and y keep the reduced axes as dimensions of 1.
        domains: Interval to sample from in tests.
        axes_input: The version that made the axes an input.
    """

    def by_attribute(data: Array, *, axes: list[int] | None = None, keepdims: int = 1) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(reduce(data, _axes(data, axes, 0), bool(keepdims)), dtype=data.dtype)

    def by_input(data: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        with np.errstate(all="ignore"):
            reduced = reduce(data, _axes(data, axes, noop_with_empty_axes), bool(keepdims))
            return np.asarray(reduced, dtype=data.dtype)

    def rule(
        op: Builder, dY: Value, Y: Value, data: Value, axes: Value | None = None,
        *, keepdims: int, noop_with_empty_axes: int,
    ) -> Cotangents:  # fmt: skip
        fixed = None if axes is None else known_constant(axes)
        over = Over(op, data, None if fixed is not None and fixed.size == 0 else axes, bool(noop_with_empty_axes))
        return slope(over, over.keep(dY, keepdims), over.keep(Y, keepdims), data), None

    register(Operator(op_type, 1, by_attribute))
    entry = register(Operator(op_type, axes_input, by_input))
    entry.rule = rule
    entry.domains = domains


# --- kernels --------------------------------------------------------------------------------------------------------


def _sum(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    x = wide(x)
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype))


def _mean(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """NaN of nothing; integers are divided towards zero, as in ONNX Runtime."""
    total = _sum(x, axes, keepdims)
    count = math.prod(x.shape[axis] for axis in axes)
    if x.dtype.kind in "iu":
        return np.asarray(np.sign(total) * (np.abs(total) // max(count, 1)))
    return np.asarray(total / total.dtype.type(count))


def _prod(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    x = wide(x)
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdims, dtype=x.dtype))


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


def _max(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The largest; of nothing, the lowest value of the dtype."""
    x = wide(x)
    return np.asarray(np.max(x, axis=axes, keepdims=keepdims, **({} if x.size else {"initial": _lowest(x.dtype)})))


def _min(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The smallest; of nothing, the highest value of the dtype."""
    x = wide(x)
    return np.asarray(np.min(x, axis=axes, keepdims=keepdims, **({} if x.size else {"initial": _highest(x.dtype)})))


def norm_l1(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Σ |x| over the axes."""
    return _sum(np.abs(wide(x)), axes, keepdims)


def norm_l2(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """√ Σ x² over the axes, scaled by the largest where squares leave the range of the dtype."""
    x = x.astype(np.float64) if x.dtype.kind in "iu" else wide(x)
    squares = np.sum(x * x, axis=axes, keepdims=True)
    tiny, huge = np.finfo(x.dtype).tiny / np.finfo(x.dtype).eps, np.inf
    if not np.all((squares > tiny) & (squares < huge)):
        largest = _max(np.abs(x), axes, True)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, np.ones_like(largest))
        norm = scale * np.sqrt(np.sum(np.square(x / scale), axis=axes, keepdims=True))
    else:
        norm = np.sqrt(squares)
    return np.asarray(norm if keepdims else np.squeeze(norm, axis=axes))


def _sum_square(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    x = wide(x)
    return _sum(x * x, axes, keepdims)


def _log_sum(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.log(_sum(x, axes, keepdims)))


def _log_sum_exp(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Shifted by the largest, so that nothing overflows; -inf of nothing and of all -inf, inf if any is."""
    x = x.astype(np.float64) if x.dtype.kind in "iu" else wide(x)
    largest = _max(x, axes, True)
    shift = np.where(np.isfinite(largest), largest, np.zeros_like(largest))
    total = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
    return np.asarray(total if keepdims else np.squeeze(total, axis=axes))


# --- rules: the cotangent of x from g and y, both with kept dimensions ----------------------------------------------


def _spread(over: Over, g: Value, y: Value, x: Value) -> Value:
    return over.op.expand_like(g, x)


def _mean_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """g / n: in float32 for 16 bits, whose range n may leave."""
    op = over.op
    g = op.cast(g, wide_type(op, x))
    return op.expand_like(op.cast(op.Div(g, over.count(g)), x), x)


def _extremum_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """g to where x is the extremum; several equal ones share it evenly. Nothing has none, and no NaN."""
    op = over.op
    ties = op.cast(op.Equal(x, y), x)
    return op.Mul(g, op.Div(ties, over.reduce("ReduceSum", ties)))  # type: ignore[no-any-return]


def _l2_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """g · x / ‖x‖; 0 at x = 0."""
    op = over.op
    norm = op.Where(op.Equal(y, op.scalar(0, x)), op.scalar(1, x), y)
    return op.Mul(g, op.Div(x, norm))  # type: ignore[no-any-return]


def _log_sum_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """G over the sum."""
    slope: Value = over.op.Div(over.op.expand_like(g, x), over.reduce("ReduceSum", x))
    return slope


def _log_sum_exp_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """g · exp(x - y), the softmax of x; 0 where all of x is -inf."""
    op = over.op
    finite = op.Where(op.Equal(y, op.scalar(-np.inf, x)), op.scalar(0, x), y)
    return op.Mul(g, op.Exp(op.Sub(x, finite)))  # type: ignore[no-any-return]


def _product_slope(over: Over, g: Value, y: Value, x: Value) -> Value:
    """g · (product of all others), without a division, so that zeros in x are no trouble."""
    return product_vjp(over.op, g, x, over.listed(), over.reduce("ReduceSum", x))


#         op_type            kernel        dX from g = dY and y with kept dimensions              sample domain
reduction("ReduceSum",       _sum,         _spread, axes_input=13)  # fmt: skip
reduction("ReduceMean",      _mean,        _mean_slope)  # fmt: skip
reduction("ReduceProd",      _prod,        _product_slope)  # fmt: skip
reduction("ReduceMax",       _max,         _extremum_slope)  # fmt: skip
reduction("ReduceMin",       _min,         _extremum_slope)  # fmt: skip
reduction("ReduceL1",        norm_l1,          lambda over, g, y, x: over.op.Mul(g, over.op.Sign(x)))  # fmt: skip
reduction("ReduceL2",        norm_l2,          _l2_slope)  # fmt: skip
reduction("ReduceSumSquare", _sum_square,  lambda over, g, y, x: over.op.Mul(g, over.op.Add(x, x)))  # fmt: skip
reduction("ReduceLogSum",    _log_sum,     _log_sum_slope, (0.1, 3))  # fmt: skip
reduction("ReduceLogSumExp", _log_sum_exp, _log_sum_exp_slope)  # fmt: skip
