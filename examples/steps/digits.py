"""Step 2: train a network on real handwriting; each step's gradients come from the service.

Define, then run: the graph is a document, stored once; a step sends a minibatch and the parameters as they are by now,
and gets the loss and its gradients. The optimiser (Adam, Kingma and Ba 2015) is a few lines of NumPy on this side.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from graphspec_client import Client
from steps.checks import check
from steps.plots import training_picture

HIDDEN, BATCH, RATE, SEED = 128, 64, 5e-3, 0
Arrays = dict[str, np.ndarray]

DOCUMENT: dict[str, Any] = {
    "graphspec": 1,
    "name": "digits",
    "opset": 21,
    "inputs": {
        "x": {"dtype": "float32", "shape": ["batch", 64]},
        "y": {"dtype": "int64", "shape": ["batch"]},
    },
    "nodes": [
        {"op": "Gemm", "inputs": ["x", "w1", "b1"], "outputs": ["h"]},
        {"op": "Relu", "inputs": ["h"], "outputs": ["a"]},
        {"op": "Gemm", "inputs": ["a", "w2", "b2"], "outputs": ["logits"]},
        {"op": "SoftmaxCrossEntropyLoss", "inputs": ["logits", "y"], "outputs": ["loss"]},
    ],
    "outputs": ["logits", "loss"],
}


@dataclasses.dataclass
class Network:
    """The network's parameters, and the held-out images.

    Attributes:
        parameters: By name.
        held_out: ``x`` (n, 64) and ``y`` (n,).
    """

    parameters: Arrays
    held_out: Arrays

    def document(self) -> dict[str, Any]:
        """The graph with these parameters, in the JSON form."""
        return DOCUMENT | {
            "parameters": {
                name: {"dtype": str(value.dtype), "shape": list(value.shape), "data": value.tolist()}
                for name, value in self.parameters.items()
            }
        }


def initial_parameters(rng: np.random.Generator) -> Arrays:
    """Weights scaled for a ReLU network (He et al. 2015), biases zero."""
    shapes = {"w1": (64, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 10), "b2": (10,)}
    return {
        name: rng.normal(0, np.sqrt(2 / shape[0]) if len(shape) == 2 else 0, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


class Adam:
    """Moments of the gradients, one pair a parameter; the rate falls in a line to nothing over ``total`` steps."""

    def __init__(self, rate: float, total: int) -> None:
        self.rate = rate
        self.total = total
        self.steps = 0
        self.moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def step(self, parameters: Arrays, gradients: Arrays) -> Arrays:
        """The parameters after one step against the gradients."""
        rate = self.rate * (1 - self.steps / self.total)
        self.steps += 1
        after = {}
        for name, value in parameters.items():
            g = gradients[name]
            m, s = self.moments.get(name, (np.zeros_like(g), np.zeros_like(g)))
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            self.moments[name] = (m, s)
            slope, size = m / (1 - 0.9**self.steps), s / (1 - 0.999**self.steps)
            after[name] = (value - rate * slope / (np.sqrt(size) + 1e-8)).astype(value.dtype)
        return after


def run(client: Client, picture: Path | None, epochs: int = 20, at_least: float = 96.0) -> tuple[Network, str]:
    """Train on 1,437 of the 1,797 images, test on the other 360.

    Args:
        client: Of the service that computes loss and gradients.
        picture: Where to save the curves and some predictions.
        epochs: How often to go through the training images.
        at_least: The accuracy on the held-out images, in percent, below which it has failed.

    Returns:
        The trained network, and the line for the demo.

    Raises:
        CheckError: Too many held-out images are taken for another digit.
    """
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    training, held_out = train_test_split(np.arange(len(x)), test_size=360, stratify=y, random_state=SEED)
    rng = np.random.default_rng(SEED)
    network = Network(initial_parameters(rng), {"x": x[held_out], "y": y[held_out]})
    model = client.load(network.document())
    total = epochs * -(-len(training) // BATCH)
    adam = Adam(RATE, total)
    losses, accuracies = [], []
    predicted = np.zeros(0)
    begin = time.perf_counter()
    with tqdm(total=total, desc="2 training", unit=" gradients", mininterval=0.5, leave=False) as bar:
        for _ in range(epochs):
            order = rng.permutation(training)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                answer = model.grad(
                    {"x": x[batch], "y": y[batch]},
                    of="loss",
                    wrt=list(network.parameters),
                    parameters=network.parameters,
                )
                network.parameters = adam.step(network.parameters, answer.gradients)
                losses.append(float(answer.outputs["loss"]))
                bar.update()
            logits = model.run(network.held_out, fetches=["logits"], parameters=network.parameters)["logits"]
            predicted = logits.argmax(axis=1)
            accuracies.append(100 * float(np.mean(predicted == y[held_out])))
            bar.set_postfix(loss=f"{losses[-1]:.3f}", held_out=f"{accuracies[-1]:.1f} %", refresh=False)
    seconds = time.perf_counter() - begin
    if picture is not None:
        training_picture(picture, losses, accuracies, data.images[held_out], y[held_out], predicted)
    check("the held-out accuracy in percent", accuracies[-1], at_least=at_least)
    return network, (
        f"digits: {len(training)} images, {epochs} epochs, {len(losses)} gradients in {seconds:.1f} s; "
        f"loss {losses[0]:.2f} to {np.mean(losses[-10:]):.3f}; held-out accuracy {accuracies[-1]:.1f} %"
    )
