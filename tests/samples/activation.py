"""Samples of activation functions, on both sides of every kink."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

# Kinks lie at 0, ±0.5, ±1, ±2.5 and ±3; none of these points comes near one.
POINTS = Floats((7, 1), -4.2, 4.3, apart=True)
BOTH = Floats((2, 4), -3.9, 3.7, apart=True)
SCALAR = Floats((), 0.6, 0.9)
NEGATIVE = Floats((), -0.9, -0.6)

PLAIN = (
    "Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "HardSigmoid", "HardSwish", "Softplus", "Mish", "ThresholdedRelu",
    "Shrink", "Gelu",
)  # fmt: skip

SAMPLES = [
    *(Sample(op_type, (BOTH,), id="matrix") for op_type in PLAIN),
    *(Sample(op_type, (SCALAR,), id="scalar") for op_type in PLAIN),
    *(Sample(op_type, (NEGATIVE,), id="negative") for op_type in PLAIN),
    *(Sample(op_type, (Floats((0, 3)),), id="empty") for op_type in PLAIN),
    *(
        Sample(op_type, (BOTH,), id="opset-9", opset=9)
        for op_type in ("Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "HardSigmoid", "Softplus", "Softsign", "Shrink")
    ),
    # ONNX has Celu in float64 from 28 on.
    *(
        Sample("Celu", (x,), id=name, opset=28)
        for name, x in {"matrix": BOTH, "scalar": SCALAR, "negative": NEGATIVE, "empty": Floats((0, 3))}.items()
    ),
    Sample("Softsign", (BOTH,), id="matrix"),
    Sample("Softsign", (Floats((0, 3)),), id="empty"),
    Sample("Softsign", (NEGATIVE,), id="scalar", forward=False),  # the ONNX reference cannot take rank 0
    Sample("Relu", (np.array([-1, 0, 3], np.int32),), id="int32", of=()),
    Sample("LeakyRelu", (BOTH,), {"alpha": 0.3}, id="alpha"),
    Sample("LeakyRelu", (BOTH,), {"alpha": -0.3}, id="negative-alpha"),
    Sample("PRelu", (BOTH, Floats((4,), 0.1, 0.5)), id="by-column"),
    Sample("PRelu", (BOTH, Floats((2, 1), -0.5, 0.5)), id="by-row"),
    Sample("PRelu", (BOTH, Floats((), 0.1, 0.5)), id="one"),
    Sample("PRelu", (BOTH, Floats((2, 4), 0.1, 0.5)), id="opset-7", opset=7),
    Sample("PRelu", (np.array([-4, 0, 3]), np.array([2])), id="int64", of=()),
    Sample("Elu", (BOTH,), {"alpha": 0.3}, id="alpha"),
    Sample("Selu", (BOTH,), {"alpha": 0.3, "gamma": 2.0}, id="both"),
    Sample("Celu", (BOTH,), {"alpha": 0.3}, id="alpha", opset=28),
    Sample("HardSigmoid", (BOTH,), {"alpha": 0.4, "beta": 0.6}, id="both"),
    Sample("ThresholdedRelu", (BOTH,), {"alpha": 0.25}, id="alpha"),
    Sample("ThresholdedRelu", (BOTH,), {"alpha": -1.25}, id="negative-alpha"),
    Sample("Shrink", (BOTH,), {"lambd": 1.5, "bias": 0.75}, id="both"),
    Sample("Shrink", (np.array([-4, 0, 3]),), {"lambd": 1.5, "bias": 1.0}, id="int64", of=()),
    Sample("Gelu", (BOTH,), {"approximate": "tanh"}, id="tanh"),
    Sample("Gelu", (Floats((3,), 20, 30),), {"approximate": "tanh"}, id="tanh-far"),
    Sample("Swish", (BOTH,), opset=24),
    Sample("Swish", (BOTH,), {"alpha": 0.5}, id="alpha", opset=24),
    Sample("SwiGLU", (BOTH, BOTH), opset=28),
    Sample("SwiGLU", (BOTH, BOTH), {"alpha": -1.5}, id="alpha", opset=28),
]
