"""Samples of the recurrent networks."""

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample

# No pre-activation of the samples lies within a step of differences of it.
CLIP = {"RNN": 0.5, "GRU": 0.5, "LSTM": 1.6}
LENGTHS = np.array([4, 2, 3], dtype=np.int32)


def _inputs(gates: int, directions: int = 1, *, layout: int = 0) -> tuple[F, F, F, F]:
    x = F((3, 4, 2)) if layout else F((4, 3, 2))
    return (x, F((directions, gates * 5, 2), -0.7, 0.7), F((directions, gates * 5, 5), -0.7, 0.7),
            F((directions, 2 * gates * 5), -0.7, 0.7))  # fmt: skip


def _sample(
    op_type: str, gates: int, id: str, directions: int = 1, more: tuple[object, ...] = (), **attributes: object
) -> Sample:
    inputs = (*_inputs(gates, directions, layout=int(attributes.get("layout", 0))), *more)
    outputs = 3 if op_type == "LSTM" else 2
    return Sample(
        op_type, inputs, {"hidden_size": 5, **attributes}, id=id, outputs=outputs, of=tuple(range(outputs)), opset=21
    )


SAMPLES = [
    sample
    for op_type, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4))
    for sample in (
        _sample(op_type, gates, "plain"),
        _sample(op_type, gates, "reverse", direction="reverse"),
        _sample(op_type, gates, "both", 2, direction="bidirectional"),
        _sample(op_type, gates, "lengths", 1, (LENGTHS,)),
        _sample(op_type, gates, "lengths-both", 2, (LENGTHS, F((2, 3, 5))), direction="bidirectional"),
        _sample(op_type, gates, "initial", 1, (None, F((1, 3, 5)))),
        _sample(op_type, gates, "clip", clip=CLIP[op_type]),
    )
] + [
    _sample("GRU", 3, "linear-before-reset", linear_before_reset=1),
    _sample("GRU", 3, "activations", activations=["HardSigmoid", "Softsign"]),
    _sample("LSTM", 4, "peepholes", 1, (LENGTHS, F((1, 3, 5)), F((1, 3, 5)), F((1, 15)))),
    _sample("LSTM", 4, "input-forget", input_forget=1),
    _sample("LSTM", 4, "input-forget-peepholes", 2, (None, None, None, F((2, 15))), input_forget=1, direction="bidirectional"),
    _sample("GRU", 3, "linear-before-reset-both", 2, (LENGTHS,), linear_before_reset=1, direction="bidirectional"),
    _sample("RNN", 1, "lengths-reverse", 1, (LENGTHS,), direction="reverse"),
    _sample("LSTM", 4, "activations", activations=["Sigmoid", "Relu", "ScaledTanh"], activation_alpha=[0.7], activation_beta=[0.4]),
    _sample("RNN", 1, "activation", activations=["LeakyRelu"], activation_alpha=[0.3]),
]  # fmt: skip
