"""Optimisers: one iteration each. Without derivatives: nobody differentiates through a training step yet.

Each takes any number of tensors X with their gradients G and the states of the optimiser, sorted by role
(all X, then all G, then all states), and returns the new X and states in that order. ``Gradient``, of the same domain,
has no kernel: ``derivatives/gradient_operator.py`` replaces it by nodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
