"""Activation functions, and dropout."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from graphspec.operators._precision import widened
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import Array, operator

# Rules choose with Where, not by multiplying with 0 or 1: an infinite cotangent must not become NaN.


def _positive(op: Builder, x: Value, then: Value, otherwise: Value) -> Value:
    """``then`` where x > 0, else ``otherwise``."""
    out: Value = op.Where(op.Greater(x, op.scalar(0, x)), then, otherwise)
    return out


def _exp_below(op: Builder, x: Value) -> Value:
    """exp(min(x, 0)): where x > 0 it is not used, and must not overflow."""
    out: Value = op.Exp(op.Min(x, op.scalar(0, x)))
    return out


def _scaled(op: Builder, x: Value, factor: float) -> Value:
    out: Value = x if factor == 1 else op.Mul(x, op.scalar(factor, x))
    return out


# --- piecewise linear -----------------------------------------------------------------------------------------------


@operator("Relu", since=1)
def relu(X: Array) -> Array:
    """Y = max(0, X)."""
    return np.asarray(np.maximum(X, X.dtype.type(0)))


@relu.vjp
def relu_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY where Y > 0, else 0 (at 0 too)."""
    return _positive(op, Y, dY, op.scalar(0, Y))


@operator("LeakyRelu", since=1)
@widened
def leaky_relu(X: Array, *, alpha: float = 0.01) -> Array:
    """Y = X where X ≥ 0, else alpha × X."""
    return np.where(X >= 0, X, X * alpha)


@leaky_relu.vjp
def leaky_relu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float) -> Cotangents:
    """dX = dY where X > 0, else alpha × dY."""
    return _positive(op, X, dY, _scaled(op, dY, alpha))


@operator("PRelu", since=7)
def prelu(X: Array, slope: Array) -> Array:
    """Y = X where X ≥ 0, else slope × X; the slope is broadcast to X."""
    scaled = X * slope
    if scaled.shape != X.shape:  # which only a run knows where shapes are unknown
        raise ValueError(f"A slope of shape {list(slope.shape)} does not broadcast to X of shape {list(X.shape)}.")
    return np.where(X >= 0, X, scaled)


@operator("PRelu", since=1)
def prelu_by_channel(X: Array, slope: Array) -> Array:
    """As above, with one slope, or one per channel (axis 1): the form below opset 7."""
    return prelu(X, slope.reshape((-1,) + (1,) * max(0, X.ndim - 2)) if slope.size > 1 else slope.reshape(()))  # type: ignore[no-any-return]


@prelu.vjp
def prelu_vjp(op: Builder, dY: Value, Y: Value, X: Value, slope: Value) -> Cotangents:
    """dX = dY where X > 0, else slope × dY; dslope = 0 where X > 0, else X × dY."""
    return _positive(op, X, dY, op.Mul(dY, slope)), _positive(op, X, op.scalar(0, X), op.Mul(dY, X))


@operator("ThresholdedRelu", since=10)
def thresholded_relu(X: Array, *, alpha: float = 1.0) -> Array:
    """Y = X where X > alpha, else 0."""
    return np.where(alpha < X, X, X.dtype.type(0))


@thresholded_relu.vjp
def thresholded_relu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float) -> Cotangents:
    """dX = dY where X > alpha, else 0."""
    return (op.Where(op.Greater(X, op.scalar(alpha, X)), dY, op.scalar(0, X)),)


@operator("Shrink", since=9)
def shrink(input: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """Y = X + bias where X < -lambd, X - bias where X > lambd, else 0."""
    return np.where(input < -lambd, input + bias, np.where(input > lambd, input - bias, 0)).astype(input.dtype)


@shrink.vjp
def shrink_vjp(op: Builder, dY: Value, Y: Value, input: Value, *, bias: float, lambd: float) -> Cotangents:
    """dX = dY where X < -lambd or X > lambd, else 0."""
    outside = op.Or(op.Less(input, op.scalar(-lambd, input)), op.Greater(input, op.scalar(lambd, input)))
    return (op.Where(outside, dY, op.scalar(0, Y)),)


@operator("HardSigmoid", since=1)
@widened
def hard_sigmoid(X: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """Y = max(0, min(1, alpha × X + beta))."""
    return np.clip(X * alpha + beta, 0, 1)


@hard_sigmoid.vjp
def hard_sigmoid_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float, beta: float) -> Cotangents:
    """dX = alpha × dY where 0 < Y < 1, else 0."""
    return (op.Where(_inside(op, Y), _scaled(op, dY, alpha), op.scalar(0, Y)),)


def _inside(op: Builder, y: Value) -> Value:
    out: Value = op.And(op.Greater(y, op.scalar(0, y)), op.Less(y, op.scalar(1, y)))
    return out


@operator("HardSwish", since=14)
@widened
def hard_swish(X: Array) -> Array:
    """Y = X × max(0, min(1, X / 6 + 1/2))."""
    return X * np.clip(X / 6 + 0.5, 0, 1)


@hard_swish.vjp
def hard_swish_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY × (h + X / 6 where 0 < h < 1), with h = max(0, min(1, X / 6 + 1/2))."""
    h = op.HardSigmoid(X, alpha=1 / 6, beta=0.5)
    inner = op.Where(_inside(op, h), op.Div(X, op.scalar(6, X)), op.scalar(0, X))
    return (op.Mul(dY, op.Add(h, inner)),)


# --- exponential below zero -----------------------------------------------------------------------------------------


@operator("Elu", since=1)
@widened
def elu(X: Array, *, alpha: float = 1.0) -> Array:
    """Y = X where X > 0, else alpha × (exp(X) - 1)."""
    return np.where(X > 0, X, alpha * np.expm1(np.minimum(X, 0)))


@elu.vjp
def elu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float) -> Cotangents:
    """dX = dY where X > 0, else dY × alpha × exp(X)."""
    return _positive(op, X, dY, op.Mul(dY, _scaled(op, _exp_below(op, X), alpha)))


@operator("Selu", since=6)
@widened
def selu(X: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Array:
    """Y = gamma × (X where X > 0, else alpha × (exp(X) - 1))."""
    return gamma * elu(X, alpha=alpha)  # type: ignore[no-any-return]


@selu.vjp
def selu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float, gamma: float) -> Cotangents:
    """dX = gamma × dY where X > 0, else gamma × dY × alpha × exp(X)."""
    dY = _scaled(op, dY, gamma)
    return _positive(op, X, dY, op.Mul(dY, _scaled(op, _exp_below(op, X), alpha)))


@operator("Celu", since=12)
@widened
def celu(X: Array, *, alpha: float = 1.0) -> Array:
    """Y = X where X > 0, else alpha × (exp(X / alpha) - 1)."""
    return np.where(X > 0, X, alpha * np.expm1(np.minimum(X, 0) / alpha))


@celu.vjp
def celu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float) -> Cotangents:
    """dX = dY where X > 0, else dY × exp(X / alpha)."""
    below = op.Min(X, op.scalar(0, X))
    slope = op.Exp(below if alpha == 1 else op.Div(below, op.scalar(alpha, X)))
    return _positive(op, X, dY, op.Mul(dY, slope))


# --- smooth ---------------------------------------------------------------------------------------------------------


@operator("Sigmoid", since=1)
@widened
def sigmoid(X: Array) -> Array:
    """Y = 1 / (1 + exp(-X)), without overflow."""
    return np.asarray(scipy.special.expit(X))


@sigmoid.vjp
def sigmoid_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY × Y × (1 - Y)."""
    return (op.Mul(dY, op.Mul(Y, op.Sub(op.scalar(1, Y), Y))),)


@operator("Softplus", since=1)
@widened
def softplus(X: Array) -> Array:
    """Y = log(1 + exp(X)), without overflow."""
    return np.asarray(np.logaddexp(X, X.dtype.type(0)))


@softplus.vjp
def softplus_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY × sigmoid(X)."""
    return (op.Mul(dY, op.Sigmoid(X)),)


@operator("Softsign", since=1)
@widened
def softsign(input: Array) -> Array:
    """Y = X / (1 + |X|)."""
    return np.asarray(input / (1 + np.abs(input)))


@softsign.vjp
def softsign_vjp(op: Builder, dY: Value, Y: Value, input: Value) -> Cotangents:
    """dX = dY / (1 + |X|)²."""
    d = op.Add(op.Abs(input), op.scalar(1, input))
    return (op.Div(op.Div(dY, d), d),)


@operator("Mish", since=18)
@widened
def mish(X: Array) -> Array:
    """Y = X × tanh(softplus(X))."""
    return np.asarray(X * np.tanh(softplus(X)))


@mish.vjp
def mish_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY × (t + X × (1 - t²) × sigmoid(X)), with t = tanh(softplus(X))."""
    t = op.Tanh(op.Softplus(X))
    bend = op.Mul(op.Sub(op.scalar(1, X), op.Mul(t, t)), op.Sigmoid(X))
    return (op.Mul(dY, op.Add(t, op.Mul(X, bend))),)


@operator("Swish", since=24)
@widened
def swish(X: Array, *, alpha: float = 1.0) -> Array:
    """Y = X × sigmoid(alpha × X)."""
    return np.asarray(X * scipy.special.expit(X * alpha))


@swish.vjp
def swish_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, alpha: float) -> Cotangents:
    """dX = dY × s × (1 + alpha × X × (1 - s)), with s = sigmoid(alpha × X)."""
    return (op.Mul(dY, _swish_slope(op, X, alpha)),)


def _swish_slope(op: Builder, x: Value, alpha: float) -> Value:
    scaled, one = _scaled(op, x, alpha), op.scalar(1, x)
    s = op.Sigmoid(scaled)
    out: Value = op.Mul(s, op.Add(one, op.Mul(scaled, op.Sub(one, s))))
    return out


@operator("SwiGLU", since=28)
@widened
def swiglu(A: Array, B: Array, *, alpha: float = 1.0) -> Array:
    """Y = A × sigmoid(alpha × A) × B; the shapes are equal."""
    if A.shape != B.shape:
        raise ValueError(f"The gate has shape {A.shape}, the value {B.shape}.")
    return swish(A, alpha=alpha) * B  # type: ignore[no-any-return]


@swiglu.vjp
def swiglu_vjp(op: Builder, dY: Value, Y: Value, A: Value, B: Value, *, alpha: float) -> Cotangents:
    """dA = dY × B × swish'(A), dB = dY × swish(A)."""
    return (
        op.Mul(op.Mul(dY, B), _swish_slope(op, A, alpha)),
        op.Mul(dY, op.Swish(A, alpha=alpha)),
    )


@operator("Gelu", since=20)
@widened
def gelu(X: Array, *, approximate: str = "none") -> Array:
    """Y = X × Φ(X), the normal distribution function; or its approximation by tanh."""
    if approximate == "tanh":
        return np.asarray(0.5 * X * (1 + np.tanh(_TANH_SCALE * (X + _CUBIC * X * X * X))))
    if approximate != "none":
        raise ValueError(f"`approximate` is 'none' or 'tanh', not {approximate!r}.")
    return np.asarray(0.5 * X * scipy.special.erfc(X * -math.sqrt(0.5)))


_TANH_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@gelu.vjp
def gelu_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, approximate: str) -> Cotangents:
    """dX = dY × (Φ + X × Φ'), with Φ' = exp(-X²/2) / √2π, or Φ = (1 + tanh u) / 2 and Φ' = (1 - tanh² u) u' / 2."""
    if approximate == "tanh":
        # Past ±10 tanh is ±1 to the last bit; without the bounds its argument would overflow and give inf × 0.
        x = op.Clip(X, op.scalar(-10, X), op.scalar(10, X))
        square = op.Mul(x, x)
        u = op.Mul(_scaled(op, x, _TANH_SCALE), op.Add(op.scalar(1, X), _scaled(op, square, _CUBIC)))
        t = op.Tanh(u)
        du = _scaled(op, op.Add(op.scalar(1, X), _scaled(op, square, 3 * _CUBIC)), _TANH_SCALE)
        bend = op.Mul(op.Mul(x, du), op.Sub(op.scalar(1, X), op.Mul(t, t)))
        slope = _scaled(op, op.Add(op.Add(op.scalar(1, X), t), bend), 0.5)
        return (op.Mul(dY, slope),)
    # With u = X / √2 the slope is (1 + erf u) / 2 + u · exp(-u²) / √π: the mean of 2, erf u twice and the bend.
    u = _scaled(op, X, math.sqrt(0.5))
    bend = op.Mul(u, op.Exp(op.Sub(op.scalar(math.log(4 / math.sqrt(math.pi)), X), op.Mul(u, u))))
    erf = op.Erf(u)
    return (op.Mul(dY, op.Mean(erf, erf, op.scalar(2, X), bend)),)
