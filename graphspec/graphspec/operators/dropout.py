"""Dropout: in training each element is zeroed with a probability, and the rest is scaled up."""

from __future__ import annotations

import numpy as np

from graphspec.inference import known_constant
from graphspec.operators._random import generator
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

_DEFAULT_RATIO = 0.5


@operator("Dropout", since=7)
def dropout_at_inference(data: Array, *, ratio: float = 0.5, outputs: int = 1) -> tuple[Array, ...]:
    """The data as they are, and a mask of ones in their dtype: the form of opset 7, for inference only."""
    return (data, np.ones_like(data))[:outputs]


@operator("Dropout", since=10)
def dropout_at_inference_with_bool_mask(data: Array, *, ratio: float = 0.5, outputs: int = 1) -> tuple[Array, ...]:
    """As at opset 7, with a boolean mask."""
    return (data, np.ones(data.shape, dtype=bool))[:outputs]


@operator("Dropout", since=12)
def dropout(
    data: Array,
    ratio: Array | None = None,
    training_mode: Array | None = None,
    *,
    seed: int | None = None,
    outputs: int = 1,
) -> tuple[Array, ...]:
    """Y = X × mask / (1 - ratio), the mask 0 with probability ratio; Y = X when not training."""
    chance = _DEFAULT_RATIO if ratio is None else float(ratio.reshape(()))
    if training_mode is None or not training_mode.reshape(()) or chance == 0:
        return (data, np.ones(data.shape, dtype=bool))[:outputs]
    if not 0 <= chance < 1:
        raise ValueError(f"`ratio` is {chance:g}; it must be at least 0 and below 1.")
    mask = generator(seed).uniform(0, 1, data.shape) >= chance
    Y = np.where(mask, data * _like(1 / (1 - chance), data), _like(0, data))
    return (Y, mask)[:outputs]


def _like(value: float, x: Array) -> Array:
    return np.asarray(value).astype(x.dtype)


@dropout.vjp_all
def dropout_vjp(
    op: Builder,
    dY: tuple[Value | None, ...],
    Y: tuple[Value, ...],
    data: Value,
    ratio: Value | None = None,
    training_mode: Value | None = None,
    *,
    seed: int | None,
) -> Cotangents:
    """dX = dY / (1 - ratio) where the node's own mask is set, else 0; dX = dY when not training.

    The mask is drawn from the ratio, so that a derivative by the ratio has no meaning here.
    """
    d_output = dY[0]
    assert d_output is not None  # the mask is boolean: cotangents come by the first output alone
    training = known_constant(training_mode) if training_mode is not None else np.False_
    if training is not None and not training.any():
        return d_output, ZERO
    chance = _chance(op, data, ratio)
    one = op.scalar(1, data)
    scale = op.Div(one, op.Sub(one, chance))
    if training is None:
        scale = op.Where(training_mode, scale, one)
    mask = op.output(Y[0], 1)
    return op.Where(mask, op.Mul(d_output, scale), op.scalar(0, data)), "the mask is drawn from it"


def _chance(op: Builder, data: Value, ratio: Value | None) -> Value:
    return op.scalar(_DEFAULT_RATIO, data) if ratio is None else op.cast(ratio, data)
