"""Optimisers: one iteration each, and its derivative, so that a training run can itself be differentiated.

Each takes any number of tensors X with their gradients G and the states of the optimiser, sorted by role
(all X, then all G, then all states), and returns the new X and states in that order. ``Gradient``, of the same domain,
has no kernel: ``derivatives/gradient_operator.py`` replaces it by nodes.

The root of an average of squares is a kink where the average is 0, like the absolute value: its slope is 0 there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import Array, operator

_DOMAIN = "ai.onnx.preview.training"


def _each(roles: int, inputs: tuple[Array, ...], step: Callable[..., tuple[Array, ...]]) -> tuple[Array, ...]:
    """Apply ``step`` to each tensor with its gradient and states; results sorted by role, of the tensor's dtype."""
    count, rest = divmod(len(inputs), roles)
    if rest or not count:
        raise ValueError(f"there are {len(inputs)} tensors; expected {roles} for each one that is optimised.")
    results = []
    for i in range(count):
        X, G, *states = inputs[i::count]
        for other in (G, *states):
            if other.shape != X.shape:
                raise ValueError(f"tensor {i} has shape {X.shape}, its gradient or state {other.shape}.")
        results.append([np.asarray(new, dtype=X.dtype) for new in step(X, G, *states)])
    return tuple(new for role in zip(*results, strict=True) for new in role)


Pulled = tuple[Value, tuple[Value, ...]]


def _each_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], R: Value, inputs: tuple[Value, ...], roles: int,
    pull: Callable[..., Pulled],
) -> Cotangents:  # fmt: skip
    """Apply ``pull`` to each tensor: it gives the cotangents of the rate and of its own inputs."""
    count = len(inputs) // roles
    rates, results = list[Value](), list[tuple[Value, ...]]()
    for i in range(count):
        given = [op.zeros_like(y) if dy is None else dy for dy, y in zip(dY[i::count], Y[i::count], strict=True)]
        rate, pulled = pull(given, Y[i::count], *inputs[i::count])
        rates.append(op.cast(op.reduce_sum(rate, None, keepdims=False), R))
        results.append(pulled)
    dR = op.reshape_like(rates[0] if count == 1 else op.Sum(*rates), R)
    return (dR, None, *(new for role in zip(*results, strict=True) for new in role))


def _decayed(op: Builder, X: Value, G: Value, norm_coefficient: float) -> Value:
    return op.Add(op.Mul(X, op.scalar(norm_coefficient, X)), G) if norm_coefficient else G


def _scaled(op: Builder, x: Value, factor: float) -> Value:
    return x if factor == 1 else op.Mul(x, op.scalar(factor, x))


def _quotient_vjp(op: Builder, d: Value, v: Value, H: Value, epsilon: float) -> tuple[Value, Value, Value]:
    """The quotient v / (√H + ε), and the cotangents of v and H from its own, d."""
    empty = op.Equal(H, op.scalar(0, H))
    root = op.Sqrt(op.Where(empty, op.scalar(1, H), H))
    divisor = op.Add(op.Where(empty, op.scalar(0, H), root), op.scalar(epsilon, H))
    quotient, dv = op.Div(v, divisor), op.Div(d, divisor)
    slope = op.Div(op.Mul(op.Mul(dv, quotient), op.scalar(-0.5, H)), root)
    return quotient, dv, op.Where(empty, op.scalar(0, H), slope)


@operator("Adagrad", since=1, domain=_DOMAIN)
def adagrad(
    R: Array, T: Array, *inputs: Array, decay_factor: float = 0.0, epsilon: float = 1e-6, norm_coefficient: float = 0.0
) -> tuple[Array, ...]:
    """H' = H + g²;  X' = X - r g / (√H' + ε), with g = G + λ X and r = R / (1 + T decay).

    Shapes: R, T scalars; inputs X.., G.., H.. of one shape a tensor.  Source: Duchi, Hazan and Singer 2011.
    """
    r = R / (1 + T * decay_factor)

    def step(X: Array, G: Array, H: Array) -> tuple[Array, ...]:
        g = norm_coefficient * X + G
        H = H + g * g
        return X - r * g / (np.sqrt(H) + epsilon), H

    return _each(3, inputs, step)


@adagrad.vjp_all
def adagrad_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], R: Value, T: Value, *inputs: Value,
    decay_factor: float, epsilon: float, norm_coefficient: float,
) -> Cotangents:  # fmt: skip
    """dG = dg = -r dX' / (√H' + ε) + 2 g dH', dX = dX' + λ dg, and H hands its own on."""
    slower = op.Add(op.Mul(op.cast(T, R), op.scalar(decay_factor, R)), op.scalar(1, R))

    def pull(dY: list[Value], Y: tuple[Value, ...], X: Value, G: Value, H: Value) -> Pulled:
        g = _decayed(op, X, G, norm_coefficient)
        rate = op.cast(op.Div(R, slower), X)
        quotient, dg, dH = _quotient_vjp(op, op.Neg(op.Mul(dY[0], rate)), g, Y[1], epsilon)
        dH = op.Add(dY[1], dH)
        dg = op.Add(dg, op.Mul(op.Mul(g, dH), op.scalar(2, g)))
        dr = op.Neg(op.Div(op.Mul(dY[0], quotient), op.cast(slower, X)))
        return dr, (op.Add(dY[0], _scaled(op, dg, norm_coefficient)), dg, dH)

    return _each_vjp(op, dY, Y, R, inputs, 3, pull)


@operator("Adam", since=1, domain=_DOMAIN)
def adam(
    R: Array,
    T: Array,
    *inputs: Array,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Array, ...]:
    """V' = α V + (1-α) g;  H' = β H + (1-β) g²;  X' = (1-λ₂) (X - r V' / (√H' + ε)), with g = G + λ X.

    The rate r is R √(1-β^T) / (1-α^T) from T = 1 on, and R before.
    Shapes: R, T scalars; inputs X.., G.., V.., H.. of one shape a tensor.  Source: Kingma and Ba 2015.
    """
    r = R * np.sqrt(1 - beta**T) / (1 - alpha**T) if T > 0 else R

    def step(X: Array, G: Array, V: Array, H: Array) -> tuple[Array, ...]:
        g = norm_coefficient * X + G
        V = alpha * V + (1 - alpha) * g
        H = beta * H + (1 - beta) * g * g
        return (1 - norm_coefficient_post) * (X - r * V / (np.sqrt(H) + epsilon)), V, H

    return _each(4, inputs, step)


@adam.vjp_all
def adam_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], R: Value, T: Value, *inputs: Value,
    alpha: float, beta: float, epsilon: float, norm_coefficient: float, norm_coefficient_post: float,
) -> Cotangents:  # fmt: skip
    """dg = (1-α) dV' + 2 (1-β) g dH', with what X' adds to dV' and dH'; each state hands its share on."""
    one, count = op.const(1.0, "float64"), op.Cast(T, to=11)  # small powers differ from 1 by little
    ratio = op.Div(
        op.Sqrt(op.Sub(one, op.Pow(op.const(beta, "float64"), count))),
        op.Sub(one, op.Pow(op.const(alpha, "float64"), count)),
    )
    factor = op.Where(op.Greater(T, op.const(0, "int64")), ratio, one)

    def pull(dY: list[Value], Y: tuple[Value, ...], X: Value, G: Value, V: Value, H: Value) -> Pulled:
        g = _decayed(op, X, G, norm_coefficient)
        corrected = op.cast(factor, X)
        d = _scaled(op, dY[0], 1 - norm_coefficient_post)
        rate = op.Mul(op.cast(R, X), corrected)
        quotient, dV, dH = _quotient_vjp(op, op.Neg(op.Mul(d, rate)), Y[1], Y[2], epsilon)
        dV, dH = op.Add(dY[1], dV), op.Add(dY[2], dH)
        dg = op.Add(_scaled(op, dV, 1 - alpha), _scaled(op, op.Mul(g, dH), 2 * (1 - beta)))
        dr = op.Neg(op.Mul(op.Mul(d, quotient), corrected))
        return dr, (op.Add(d, _scaled(op, dg, norm_coefficient)), dg, _scaled(op, dV, alpha), _scaled(op, dH, beta))

    return _each_vjp(op, dY, Y, R, inputs, 4, pull)


@operator("Momentum", since=1, domain=_DOMAIN)
def momentum(
    R: Array, T: Array, *inputs: Array, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Array, ...]:
    """V' = α V + b g;  X' = X - R V' (standard) or X - R (g + α V') (nesterov), with g = G + λ X.

    b is β, and 1 in the first iteration (T = 0).
    Shapes: R, T scalars; inputs X.., G.., V.. of one shape a tensor.  Source: Sutskever et al. 2013.
    """
    if mode not in ("standard", "nesterov"):
        raise ValueError(f"mode is 'standard' or 'nesterov', not {mode!r}.")
    b = beta if T > 0 else 1.0

    def step(X: Array, G: Array, V: Array) -> tuple[Array, ...]:
        g = norm_coefficient * X + G
        V = alpha * V + b * g
        return X - R * (V if mode == "standard" else g + alpha * V), V

    return _each(3, inputs, step)


@momentum.vjp_all
def momentum_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], R: Value, T: Value, *inputs: Value,
    alpha: float, beta: float, mode: str, norm_coefficient: float,
) -> Cotangents:  # fmt: skip
    """dV' is raised by what X' takes of it; dg = b dV', and -R dX' of its own with nesterov; dV = α dV'."""
    nesterov = mode == "nesterov"

    def pull(dY: list[Value], Y: tuple[Value, ...], X: Value, G: Value, V: Value) -> Pulled:
        share = op.Where(op.Greater(T, op.const(0, "int64")), op.scalar(beta, X), op.scalar(1, X))
        step = op.Neg(op.Mul(dY[0], op.cast(R, X)))
        moved = Y[1]
        if nesterov:
            moved = op.Add(_decayed(op, X, G, norm_coefficient), _scaled(op, moved, alpha))
        dV = op.Add(dY[1], _scaled(op, step, alpha if nesterov else 1))
        dg = op.Mul(dV, share)
        dg = op.Add(dg, step) if nesterov else dg
        dr = op.Neg(op.Mul(dY[0], moved))
        return dr, (op.Add(dY[0], _scaled(op, dg, norm_coefficient)), dg, _scaled(op, dV, alpha))

    return _each_vjp(op, dY, Y, R, inputs, 3, pull)
