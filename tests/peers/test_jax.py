"""Against JAX: forward over reverse for the Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from peers.compare import compare, tangents
from peers.models import MODELS

jax = pytest.importorskip("jax", reason="JAX is not installed: `make test-peers` installs it and runs this")
np_ = jax.numpy
Values = dict[str, Any]


def perceptron(p: Values, rest: Values) -> Any:
    hidden = np_.tanh(jax.nn.relu(p["x"] @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
    scores = jax.nn.log_softmax(hidden @ p["w3"] + p["b3"])
    return -scores[np_.arange(len(rest["t"])), rest["t"]].mean()


def _layer_norm(x: Any, scale: Any, bias: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np_.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + bias


def transformer(p: Values, rest: Values) -> Any:
    x = p["x"]
    q, k, v = np_.split(_layer_norm(x, p["g1"], p["c1"]) @ p["wqkv"], 3, axis=-1)
    q, k, v = (z.reshape(*x.shape[:2], 2, 4).transpose(0, 2, 1, 3) for z in (q, k, v))
    heads = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) * 0.5) @ v
    x = x + heads.transpose(0, 2, 1, 3).reshape(x.shape) @ p["wo"]
    inner = jax.nn.gelu(_layer_norm(x, p["g2"], p["c2"]) @ p["w1"] + p["b1"], approximate=False)
    y = x + inner @ p["w2"] + p["b2"]
    return (y * y).mean()


def lstm(p: Values, rest: Values) -> Any:
    def step(state: tuple[Any, Any], x: Any) -> tuple[tuple[Any, Any], Any]:
        h, c = state
        bias = p["B"][0, :24] + p["B"][0, 24:]
        i, o, f, g = np_.split(x @ p["W"][0].T + h @ p["R"][0].T + bias, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * np_.tanh(g)
        h = jax.nn.sigmoid(o) * np_.tanh(c)
        return (h, c), h

    (_, c), y = jax.lax.scan(step, (p["h0"][0], p["c0"][0]), p["x"])
    return (y * y).mean() + c.sum()


def newton(p: Values, rest: Values) -> Any:
    def step(_: int, x: Any) -> Any:
        return x - (x**3 + p["a"] * x - p["d"]) / (3 * x * x + p["a"])

    x = jax.lax.fori_loop(0, int(rest["steps"]), step, p["x0"])
    return (x * x).sum()


FUNCTIONS: dict[str, Callable[[Values, Values], Any]] = {
    "perceptron": perceptron, "transformer": transformer, "lstm": lstm, "newton": newton,
}  # fmt: skip


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_values_gradients_and_products(name: str) -> None:
    peer = MODELS[name]()
    rest = {n: v for n, v in peer.feeds.items() if n not in peer.inputs}

    def loss(p: Values) -> Any:
        return FUNCTIONS[name](p, rest)

    point = {x: np_.asarray(v) for x, v in peer.point.items()}
    directions = {x: np_.asarray(v) for x, v in tangents(peer).items()}
    value = loss(point)
    gradients, products = jax.jvp(jax.grad(loss), (point,), (directions,))
    compare(peer, np.asarray(value), _arrays(gradients), _arrays(products))


def _arrays(values: Values) -> dict[str, np.ndarray]:
    return {n: np.asarray(v) for n, v in values.items()}
