"""Attention, the newest operators, and recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from counter_examples.example import Held, Point
from samples import Floats as F
from samples import Sample

Q, K, V = F((1, 2, 2, 4)), F((1, 2, 3, 4)), F((1, 2, 3, 2))
PAST = (F((1, 2, 2, 4)), F((1, 2, 2, 2)))
MASK = np.array([[True, False, True], [False, True, True]])


def _attention(
    id: str, *inputs: Any, opset: int = 23, outputs: int = 1, of: tuple[int, ...] = (0,), **attributes: Any
) -> Sample:
    return Sample("Attention", inputs, attributes, id=id, opset=opset, outputs=outputs, of=of)


def _narrow(op_type: str, id: str, *inputs: Any, outputs: int = 2, opset: int = 27, **attributes: Any) -> Sample:
    """ONNX has these in float32 and shorter alone, too coarse for differences of differences."""
    return Sample(
        op_type, inputs, attributes, id=id, opset=opset, outputs=outputs, of=tuple(range(outputs)), narrow=True, order=1
    )


SMALL = F((1, 3, 4), -0.9, 0.9)
ATTENDED = (F((1, 3, 4), -0.9, 0.9), F((1, 3, 4), -0.9, 0.9), F((1, 3, 6), -0.9, 0.9))
STATE, DECAY, RATE = F((1, 2, 2, 3), -0.9, 0.9), F((1, 3, 2), -0.9, -0.1), F((1, 3, 2), 0.1, 0.9)
HEADS = {"q_num_heads": 2, "kv_num_heads": 2}

# Every activation of ONNX with its alpha and beta. Those with kinks at 0 have all pre-activations on one side or apart.
ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "Relu": (None, None), "Tanh": (None, None), "Sigmoid": (None, None), "Affine": (0.7, 0.2), "LeakyRelu": (0.2, None),
    "ThresholdedRelu": (0.3, None), "ScaledTanh": (0.8, 1.1), "HardSigmoid": (0.25, 0.45), "Elu": (1.0, None),
    "Softsign": (None, None), "Softplus": (None, None),
}  # fmt: skip
FIRST = ("Affine", "ThresholdedRelu", "Softplus")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CALLS = {"RNN": 1, "GRU": 2, "LSTM": 3}


def _recurrent(op_type: str, id: str, directions: int = 1, more: tuple[Any, ...] = (), **attributes: Any) -> Sample:
    hidden, gates, outputs = 2, GATES[op_type], 3 if op_type == "LSTM" else 2
    x = F((2, 3, 2)) if attributes.get("layout") else F((3, 2, 2))
    W, R = F((directions, gates * hidden, 2), -0.7, 0.7), F((directions, gates * hidden, hidden), -0.7, 0.7)
    inputs = (x, W, R, F((directions, 2 * gates * hidden), -0.7, 0.7), *more)
    return Sample(
        op_type, inputs, {"hidden_size": hidden, **attributes}, id=id, opset=21, outputs=outputs, of=tuple(range(outputs)),
        order=1,  # the cells have rules of their own; the second order of both layouts and modes is held by samples
    )  # fmt: skip


def _activation(op_type: str, name: str) -> Sample:
    alpha, beta = ACTIVATIONS[name]
    count = CALLS[op_type]
    values = {"activations": [name] * count}
    if alpha is not None:
        values["activation_alpha"] = [alpha] * count  # type: ignore[list-item]
    if beta is not None:
        values["activation_beta"] = [beta] * count  # type: ignore[list-item]
    return _recurrent(op_type, f"activation-{name}", **values)


LENGTHS = np.array([3, 1], np.int32)
H, B, P = F((1, 2, 2)), F((2, 2, 2)), F((1, 6))

POINTS = [
    Point(
        "Attention with its cache and masks",
        held=(Held("Attention", id="mask"), Held("Attention", {"softcap": 2.0}, wrt=(0, 1, 2, 3))),
        examples=(
            _attention("past-mask-causal", Q, K, V, F((2, 5)), *PAST, outputs=3, of=(0,), is_causal=1),
        ),
        more=(
            _attention("past-and-present", Q, K, V, None, *PAST, outputs=3, of=(0, 1, 2)),
            _attention("bool-mask", Q, K, V, MASK),
            *(_attention(f"scores-{mode}", Q, K, V, F((2, 3)), outputs=4, of=(0, 3), qk_matmul_output_mode=mode, softcap=1.5) for mode in range(4)),
            _attention("padded-cache", Q, K, V, None, None, None, np.array([2], np.int64), opset=24),
            _attention("grouped-3d", F((1, 2, 8)), F((1, 3, 4)), F((1, 3, 4)), q_num_heads=4, kv_num_heads=2, is_causal=1),
            _attention("window", F((1, 1, 4, 2)), F((1, 1, 4, 2)), F((1, 1, 4, 2)), opset=25, left_window_size=1, right_window_size=1),
            _attention("mask-4d", Q, K, V, F((1, 1, 2, 3)), scale=0.3),
        ),
    ),
    Point(
        "The newest operators",
        held=(
            Held("RMSNormalization", wrt=(0, 1), id="last"),
            Held("RMSNormalization", {"axis": 1}),
            Held("SwiGLU", wrt=(0, 1)),
            Held("SwiGLU", {"alpha": -1.5}),
            Held("Swish", {"alpha": 0.5}),
        ),
        examples=(
            Sample("RMSNormalization", (np.array([[0.0, 0.0], [0.3, -2.0]]), F((2,))), {"epsilon": 0.01}, id="at-0", wrt=(0, 1)),
            _narrow("RotaryEmbedding", "every-input", F((1, 2, 2, 4)), F((1, 2, 2)), F((1, 2, 2)), outputs=1, opset=23),
            _narrow("LinearAttention", "linear", *ATTENDED, STATE, update_rule="linear", **HEADS),
            _narrow("CausalConvWithState", "silu", F((1, 2, 4)), F((2, 1, 3)), F((2,)), F((1, 2, 2)), activation="silu"),
        ),
        more=(
            _narrow("RotaryEmbedding", "interleaved-part", F((1, 2, 8)), F((7, 1)), F((7, 1)), np.array([[0, 4]]), outputs=1, opset=23, num_heads=2, interleaved=1, rotary_embedding_dim=2),
            _narrow("LinearAttention", "gated", *ATTENDED, STATE, DECAY, update_rule="gated", **HEADS),
            _narrow("LinearAttention", "delta", *ATTENDED, STATE, None, RATE, update_rule="delta", **HEADS),
            _narrow("LinearAttention", "gated-delta", *ATTENDED, STATE, DECAY, RATE, update_rule="gated_delta", **HEADS),
            _narrow("CausalConvWithState", "plain", F((1, 2, 4)), F((2, 1, 3))),
        ),
    ),
    Point(
        "RNN, GRU and LSTM",
        held=(
            *(Held(op, {"direction": d}) for op in GATES for d in ("reverse", "bidirectional")),
            *(Held(op, id=i) for op in GATES for i in ("clip", "lengths", "lengths-both", "initial")),
            Held("LSTM", wrt=(5, 6, 7), id="peepholes"),
            Held("LSTM", {"input_forget": 1}),
            Held("GRU", {"linear_before_reset": 1}),
        ),
        examples=(
            _recurrent("RNN", "layout-1", layout=1),
            *(_activation("RNN", name) for name in FIRST),
        ),
        more=(
            *(_recurrent(op, "layout-1", layout=1) for op in ("GRU", "LSTM")),
            *(_activation(op, name) for op in GATES for name in ACTIVATIONS if (op, name) not in {("RNN", n) for n in FIRST}),
            *(_recurrent(op, "layout-1-both-lengths", 2, (LENGTHS, F((2, 2, 2))), layout=1, direction="bidirectional") for op in GATES),
            _recurrent("LSTM", "everything", 1, (LENGTHS, H, H, P), direction="reverse", clip=1.7, input_forget=1),
        ),
    ),
]  # fmt: skip
