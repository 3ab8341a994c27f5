"""Against PyTorch: the same models written in it, its values, gradients and Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from peers.compare import compare, tangents
from peers.models import MODELS, Peer

torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make test-peers` installs it and runs this")
F = torch.nn.functional
Tensor = torch.Tensor
Values = dict[str, Tensor]


def perceptron(p: Values, rest: Values) -> Tensor:
    hidden = torch.tanh(torch.relu(p["x"] @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
    return F.cross_entropy(hidden @ p["w3"] + p["b3"], rest["t"])


def transformer(p: Values, rest: Values) -> Tensor:
    x = p["x"]
    batch, length, width = x.shape
    q, k, v = (F.layer_norm(x, (width,), p["g1"], p["c1"]) @ p["wqkv"]).chunk(3, dim=-1)
    q, k, v = (z.reshape(batch, length, 2, 4).transpose(1, 2) for z in (q, k, v))
    # Written out: the fused attention of PyTorch has no second derivative.
    heads = torch.softmax(q @ k.transpose(2, 3) * 0.5, dim=-1) @ v
    x = x + heads.transpose(1, 2).reshape(batch, length, width) @ p["wo"]
    inner = F.gelu(F.layer_norm(x, (width,), p["g2"], p["c2"]) @ p["w1"] + p["b1"])
    y = x + inner @ p["w2"] + p["b2"]
    return (y * y).mean()


def resnet(p: Values, rest: Values, training: bool = False) -> Tensor:
    def normed(x: Tensor, i: int) -> Tensor:
        mean, var = rest[f"m{i}"].clone(), rest[f"v{i}"].clone()
        return F.batch_norm(x, mean, var, p[f"g{i}"], p[f"b{i}"], training=training)

    x = torch.relu(normed(F.conv2d(p["x"], p["stem"], stride=2, padding=3), 0))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    y = torch.relu(normed(F.conv2d(x, p["k1"], padding=1), 1))
    x = torch.relu(normed(F.conv2d(y, p["k2"], padding=1), 2) + x)
    y = torch.relu(normed(F.conv2d(x, p["k3"], stride=2, padding=1), 3))
    y = normed(F.conv2d(y, p["k4"], padding=1), 4)
    x = torch.relu(y + normed(F.conv2d(x, p["k5"], stride=2), 5))
    return F.cross_entropy(x.mean(dim=(2, 3)) @ p["w"].T + p["c"], rest["t"])


def lstm(p: Values, rest: Values) -> Tensor:
    """torch.nn.LSTM itself; its gates are input, forget, cell, output, those of ONNX input, output, forget, cell."""
    size = 6

    def gates(x: Tensor) -> Tensor:
        i, o, f, c = x.split(size)
        return torch.cat([i, f, c, o])

    module = torch.nn.LSTM(4, size)
    own = {
        "weight_ih_l0": gates(p["W"][0]), "weight_hh_l0": gates(p["R"][0]),
        "bias_ih_l0": gates(p["B"][0, : 4 * size]), "bias_hh_l0": gates(p["B"][0, 4 * size :]),
    }  # fmt: skip
    y, (_, c) = torch.func.functional_call(module, own, (p["x"], (p["h0"], p["c0"])))
    return (y * y).mean() + c.sum()


def newton(p: Values, rest: Values) -> Tensor:
    x = p["x0"]
    for _ in range(int(rest["steps"])):
        x = x - (x**3 + p["a"] * x - p["d"]) / (3 * x * x + p["a"])
    return (x * x).sum()


FUNCTIONS: dict[str, Callable[[Values, Values], Tensor]] = {
    "perceptron": perceptron,
    "transformer": transformer,
    "resnet": resnet,
    "resnet-training": lambda p, rest: resnet(p, rest, training=True),
    "lstm": lstm,
    "newton": newton,
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_values_gradients_and_products(name: str) -> None:
    peer = MODELS[name]()
    point = {x: torch.tensor(v, requires_grad=True) for x, v in peer.point.items()}
    loss = FUNCTIONS[name](point, _rest(peer))
    gradients = torch.autograd.grad(loss, list(point.values()), create_graph=True)
    directions = tangents(peer)
    along = sum((g * torch.tensor(directions[x])).sum() for x, g in zip(point, gradients, strict=True))
    products = torch.autograd.grad(along, list(point.values()), allow_unused=True, materialize_grads=True)
    compare(peer, _array(loss), _arrays(point, gradients), _arrays(point, products))


def _rest(peer: Peer) -> Values:
    initializers = {n: v.const_value.numpy() for n, v in peer.model.graph.initializers.items() if n not in peer.weights}
    given = {n: v for n, v in peer.feeds.items() if n not in peer.inputs}
    return {n: torch.tensor(np.array(v)) for n, v in {**initializers, **given}.items()}


def _array(x: Tensor) -> np.ndarray:
    return np.asarray(x.detach().numpy())


def _arrays(names: Values, values: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    return {n: _array(v) for n, v in zip(names, values, strict=True)}
