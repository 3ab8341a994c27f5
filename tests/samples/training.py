"""Samples of the optimisers: first and later iterations, one and two tensors, every attribute."""

from __future__ import annotations

from typing import Any

import numpy as np

from samples.sample import Floats, Sample


def training(
    op_type: str, inputs: tuple[object, ...], attributes: dict[str, object] | None = None, **options: Any
) -> Sample:
    """Every output is differentiated."""
    of = tuple(range(options["outputs"]))
    return Sample(op_type, inputs, attributes or {}, domain="ai.onnx.preview.training", opset=1, of=of, **options)


X, Y = Floats((2, 3)), Floats((4,))
H, K = Floats((2, 3), 0.2, 2), Floats((4,), 0.2, 2)  # averages of squares
R, FIRST, LATER = Floats((), 0.1, 0.3), np.array(0), np.array(7)

# Later iterations of Adam are narrow: the reference gives float32 for two tensors whatever they are, and float64 for one.
SAMPLES = [
    training("Adagrad", (R, FIRST, X, X, H), outputs=2, id="first"),
    training("Adagrad", (R, LATER, X, Y, X, Y, H, K), {"decay_factor": 0.1, "epsilon": 1e-3, "norm_coefficient": 0.2}, outputs=4, id="two"),
    training("Adagrad", (R, LATER, Floats(()), Floats(()), Floats((), 0.2, 2)), outputs=2, id="scalar"),
    training("Adam", (R, FIRST, X, X, X, H), outputs=3, id="first"),
    training("Adam", (R, LATER, X, Y, X, Y, X, Y, H, K), {"alpha": 0.8, "beta": 0.95, "epsilon": 1e-3}, outputs=6, narrow=True, id="two"),
    training("Adam", (R, LATER, X, Y, X, Y, X, Y, H, K), {"beta": 0.75, "norm_coefficient": 0.2, "norm_coefficient_post": 0.1}, outputs=6, narrow=True, id="norms"),
    *(
        training("Momentum", (R, T, X, Y, X, Y, X, Y), {"alpha": 0.9, "beta": 0.5, "mode": mode, "norm_coefficient": 0.1}, outputs=4, id=f"{mode}-{T}")
        for mode in ("standard", "nesterov")
        for T in (FIRST, LATER)
    ),
]  # fmt: skip
