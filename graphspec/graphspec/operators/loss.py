"""Losses over class scores: negative log-likelihood and softmax cross-entropy."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from graphspec.inference import known_constant
from graphspec.operators._precision import wide, wide_type
from graphspec.operators._rank import known_rank
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator
from graphspec.operators.softmax import log_softmax_along

# --- kernels --------------------------------------------------------------------------------------------------------


def _picked(logs: Array, target: Array, weight: Array | None, ignore_index: int | None, reduction: str) -> Array:
    """-w[t] · logs[n, t, ...] for each target t: as it is, summed, or as the weighted mean."""
    classes = logs.shape[1]
    if target.shape != logs.shape[:1] + logs.shape[2:]:
        raise ValueError(f"labels of shape {target.shape} do not fit scores of shape {logs.shape}.")
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"weights of shape {weight.shape} do not fit {classes} classes.")
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction is 'none', 'sum' or 'mean', not {reduction!r}.")
    ignored = np.zeros(target.shape, np.bool_) if ignore_index is None else target == ignore_index
    outside = ~ignored & ((target < 0) | (target >= classes))
    if outside.any():
        raise ValueError(f"label {target[outside].flat[0]} is outside of 0..{classes - 1}.")
    target = np.where(ignored, 0, target)
    if classes == 0:  # all that is left is ignored
        picked = np.zeros(target.shape, logs.dtype)
    else:
        picked = np.take_along_axis(logs, np.expand_dims(target, 1), axis=1).squeeze(1)
    share = np.ones(target.shape, logs.dtype) if weight is None else weight.astype(logs.dtype)[target]
    loss = np.where(ignored, 0, -share * picked).astype(logs.dtype, copy=False)
    if reduction == "none":
        return loss
    total = np.sum(loss, dtype=loss.dtype)
    return np.asarray(total if reduction == "sum" else total / np.sum(np.where(ignored, 0, share), dtype=loss.dtype))


@operator("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """loss = -w[t] · input[n, t, ...] for each target t, 0 at ignore_index; then Σ, or Σ / Σ w[t], unless "none"."""
    with np.errstate(all="ignore"):
        loss = _picked(wide(input), target, weight, ignore_index, reduction)
    return loss.astype(input.dtype, copy=False)


@operator("SoftmaxCrossEntropyLoss", since=12)
def softmax_cross_entropy_loss(
    scores: Array, labels: Array, weights: Array | None = None,
    *, ignore_index: int | None = None, reduction: str = "mean",
) -> tuple[Array, Array]:  # fmt: skip
    """log_prob = log softmax of the scores over axis 1; output = its negative log-likelihood loss."""
    log_prob = log_softmax_along(wide(scores), 1)
    with np.errstate(all="ignore"):
        loss = _picked(log_prob, labels, weights, ignore_index, reduction)
    return loss.astype(scores.dtype, copy=False), log_prob.astype(scores.dtype, copy=False)


# --- rules ----------------------------------------------------------------------------------------------------------


class _Terms(NamedTuple):
    """What both rules share, of rank that of the scores.

    Attributes:
        chosen: Whether class c is the label and is not ignored, with all classes on axis 1.
        share: Weight of each element, 0 where ignored, axis 1 of length 1; ``None`` when all are 1.
        factor: Cotangent of each element's own loss, before its weight; axis 1 of length 1, or a scalar.
    """

    chosen: Value
    share: Value | None
    factor: Value

    def weighted(self, op: Builder) -> Value:
        return self.factor if self.share is None else op.Mul(self.factor, self.share)


def _terms(
    op: Builder, dY: Value, scores: Value, target: Value, weight: Value | None,
    ignore_index: int | None, reduction: str,
) -> _Terms:  # fmt: skip
    rank = known_rank(op, scores, "The loss")
    labels = op.Unsqueeze(target, op.ints([1]))
    chosen = op.Equal(labels, _classes(op, scores, labels, rank))
    kept = None
    if ignore_index is not None:
        kept = op.Not(op.Equal(labels, op.scalar(ignore_index, like=labels)))
        chosen = op.And(chosen, kept)
    share = None
    if weight is not None:
        by_class = op.Unsqueeze(weight, op.ints([0, *range(2, rank)]))
        share = op.ReduceSum(op.Where(chosen, by_class, op.scalar(0, weight)), op.ints([1]))
    elif kept is not None:
        share = op.cast(kept, scores)
    factor = op.Unsqueeze(dY, op.ints([1])) if reduction == "none" else dY
    if reduction == "mean":  # in float32 for 16 bits, whose range the count may leave
        dtype = wide_type(op, scores)
        norm = op.cast(op.size(target), dtype) if share is None else op.ReduceSum(op.cast(share, dtype), keepdims=0)
        factor = op.cast(op.Div(op.cast(factor, dtype), norm), scores)
    return _Terms(chosen, share, factor)


def _classes(op: Builder, scores: Value, labels: Value, rank: int) -> Value:
    """0, 1 ... C - 1 along axis 1, in the dtype of the labels."""
    dims = op.dims(scores)
    if dims is not None and isinstance(dims[1], int):
        return op.const(np.arange(dims[1]).reshape(1, -1, *[1] * (rank - 2)), int(op.dtype(labels)))
    numbers = op.Range(op.const(np.int64(0)), op.reshape(op.dim(scores, 1), []), op.const(np.int64(1)))
    return op.Unsqueeze(op.cast(numbers, labels), op.ints([0, *range(2, rank)]))  # type: ignore[no-any-return]


def _weight_cotangent(op: Builder, Y: Value, logs: Value, terms: _Terms, reduction: str) -> Value:
    """dw_c = Σ factor · (l - Y if Y is the mean, else l) over the elements of label c; l is an element's own loss."""
    picked = op.ReduceSum(op.Where(terms.chosen, logs, op.scalar(0, logs)), op.ints([1]))
    lifted = op.Neg(op.Add(picked, Y) if reduction == "mean" else picked)
    placed = op.Where(terms.chosen, op.Mul(terms.factor, lifted), op.scalar(0, logs))
    return op.reduce_sum(placed, [0, *range(2, op.rank(logs) or 2)], keepdims=False)


@negative_log_likelihood_loss.vjp
def negative_log_likelihood_loss_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, target: Value, weight: Value | None = None,
    *, ignore_index: int | None, reduction: str,
) -> Cotangents:  # fmt: skip
    """d input = -w[t] · dY (over Σ w[t] for the mean) at each label t, 0 elsewhere."""
    terms = _terms(op, dY, input, target, weight, ignore_index, reduction)
    dX = op.Where(terms.chosen, op.Neg(terms.weighted(op)), op.scalar(0, input))
    dW = None if weight is None else _weight_cotangent(op, Y, input, terms, reduction)
    return dX, None, dW


def _one_hot(op: Builder, scores: Value, labels: Value) -> Value | None:
    """1 at each label along axis 1, in the dtype of the scores; ``None`` where ONNX Runtime has no such OneHot."""
    if op.dtype(scores) != ir.DataType.FLOAT:
        return None
    depth = op.cast(op.dim(scores, 1), labels)
    return op.OneHot(labels, depth, op.const(np.array([0, 1], np.float32)), axis=1)  # type: ignore[no-any-return]


def _plain_slope(op: Builder, dY: Value, scores: Value, difference: Value, hot: Value, reduction: str) -> Value:
    """dY · difference, over the number of labels for the mean: that is the sum of ``hot``, if not known before."""
    if reduction == "none":
        return op.Mul(op.Unsqueeze(dY, op.ints([1])), difference)  # type: ignore[no-any-return]
    if reduction == "sum":
        return op.Mul(dY, difference)  # type: ignore[no-any-return]
    static = op.static(scores)
    count = op.ReduceSum(hot, keepdims=0) if static is None else op.scalar(math.prod(static) // static[1], hot)
    seed = known_constant(dY)
    if seed is not None and seed.size == 1 and seed.item() == 1:
        return op.Div(difference, count)  # type: ignore[no-any-return]
    return op.Mul(op.Div(dY, count), difference)  # type: ignore[no-any-return]


@softmax_cross_entropy_loss.vjp_all
def softmax_cross_entropy_loss_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], scores: Value, labels: Value,
    weights: Value | None = None, *, ignore_index: int | None, reduction: str,
) -> Cotangents:  # fmt: skip
    """d scores = w[t] · dY · (softmax - one hot of t); of log_prob, as of the log softmax."""
    parts, dW = [], None
    softmax = op.Softmax(scores, axis=1)
    hot = None if weights is not None or ignore_index is not None else _one_hot(op, scores, labels)
    if dY[0] is not None and hot is not None:
        parts.append(_plain_slope(op, dY[0], scores, op.Sub(softmax, hot), hot, reduction))
    elif dY[0] is not None:
        terms = _terms(op, dY[0], scores, labels, weights, ignore_index, reduction)
        parts.append(op.Mul(terms.weighted(op), op.Sub(softmax, op.cast(terms.chosen, scores))))
        if weights is not None:
            dW = _weight_cotangent(op, Y[0], op.LogSoftmax(scores, axis=1), terms, reduction)
    if len(dY) > 1 and dY[1] is not None:
        parts.append(op.Sub(dY[1], op.Mul(softmax, op.ReduceSum(dY[1], op.ints([1])))))
    return op.Add(*parts) if len(parts) == 2 else parts[0], None, dW if dW is not None else ZERO
