"""The graphs of ``tests/graphspec/test_conventions.py`` as PyTorch and JAX write them, by the names of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Each takes the module of arrays (torch, jax.numpy), that of functions (torch.nn.functional, jax.nn), and the inputs.
Written = Callable[..., Any]


def _max_pool(m: Any, f: Any, x: Any) -> Any:
    if m.__name__ == "torch":
        return f.max_pool1d(x, 2, 1)
    import jax

    return jax.lax.reduce_window(x, -m.inf, jax.lax.max, (1, 1, 2), (1, 1, 1), "VALID")


def _smooth(m: Any, f: Any, x: Any) -> Any:
    """The log of a sum of exponentials."""
    return m.logsumexp(x, 0) if m.__name__ == "torch" else f.logsumexp(x)


def _masked(m: Any, taken: Any, x: Any) -> Any:
    zero = m.zeros_like(x)
    return m.where(x > 0, m.sqrt(taken), zero)


def _chosen(m: Any, values: list[bool]) -> Any:
    return m.asarray(values)


def _wrong_way(m: Any, f: Any, x: Any) -> Any:
    return m.softmax(x, 0) if m.__name__ == "torch" else f.softmax(x)


WRITTEN: dict[str, Written] = {
    "Relu at 0": lambda m, f, x: f.relu(x),
    "Abs at 0": lambda m, f, x: m.abs(x),
    "LeakyRelu at 0": lambda m, f, x: f.leaky_relu(x, 0.25),
    "Elu at 0": lambda m, f, x: f.elu(x, 2.0),
    "Celu at 0": lambda m, f, x: f.celu(x),
    "Softsign at 0": lambda m, f, x: f.softsign(x) if m.__name__ == "torch" else f.soft_sign(x),
    "Sign, Floor, Round": lambda m, f, x: x + m.sign(x) + m.floor(x) + m.round(x),
    "Clip at its bounds": lambda m, f, x, lo, hi: m.clip(x, lo, hi),
    "Max of equal values": lambda m, f, a, b: m.maximum(a, b),
    "Min of equal values": lambda m, f, a, b: m.minimum(a, b),
    "ReduceMax of equal values": lambda m, f, x: m.amax(x),
    "ReduceMin of equal values": lambda m, f, x: m.amin(x),
    "MaxPool of equal values": _max_pool,
    "Pow, 0 to the power 0": lambda m, f, a, b: a**b,
    "Pow, base 0": lambda m, f, a, b: a**b,
    "Pow, base 0, negative exponent": lambda m, f, a, b: a**b,
    "Pow, negative base": lambda m, f, a, b: a**b,
    "Sqrt at 0": lambda m, f, x: m.sqrt(x),
    "Log at 0": lambda m, f, x: m.log(x),
    "Asin and Acos at 1": lambda m, f, x: m.arcsin(x) - m.arccos(x),
    "ReduceL2 at 0": lambda m, f, x: m.linalg.norm(x),
    "ReduceL1 at 0": lambda m, f, x: m.linalg.norm(x, 1),
    "LpNormalization at 0": lambda m, f, x: x / m.linalg.norm(x),
    "Where, NaN in the branch not taken": lambda m, f, a, b: m.where(_chosen(m, [False, True]), a, b),
    "Where, a root behind the branch not taken": lambda m, f, x: _masked(m, x, x),
    "Where, the root's argument made safe": lambda m, f, x: _masked(m, m.where(x > 0, x, m.ones_like(x)), x),
    "ReduceLogSumExp, -inf beside a number": _smooth,
    "ReduceLogSumExp of -inf alone": _smooth,
    "ReduceLogSumExp, inf beside a number": _smooth,
    "Softplus far from 0": lambda m, f, x: f.softplus(x),
    "Softmax of -inf beside a number": lambda m, f, x: _wrong_way(m, f, x) * m.asarray([1.0, 3.0]),
    "Gather, duplicates": lambda m, f, x: x[m.asarray([0, 0])],
    "Det of a singular matrix": lambda m, f, x: m.linalg.det(x),
    "ReduceProd with one 0": lambda m, f, x: m.prod(x),
    "ReduceProd with two 0": lambda m, f, x: m.prod(x),
    "CumProd with a 0": lambda m, f, x: m.cumprod(x, 0),
    "Mod": lambda m, f, a, b: m.fmod(a, b),
}
