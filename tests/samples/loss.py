"""Samples of the losses over class scores."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

F = Floats
_LABELS = np.array([2, 0, 1, 1])
_LABELS_2D = np.array([[2, 0], [1, 1], [0, 2]], dtype=np.int32)
_IGNORED = np.array([2, -1, 1, -1])


def _loss(op_type: str) -> list[Sample]:
    def of(reduction: str) -> list[Sample]:
        return [
            Sample(op_type, (F((4, 3)), _LABELS), {"reduction": reduction}, id=reduction),
            Sample(op_type, (F((4, 3)), _LABELS, F((3,), 0.2, 2.0)), {"reduction": reduction}, id=f"{reduction}-weights"),
            Sample(op_type, (F((4, 3)), _IGNORED), {"reduction": reduction, "ignore_index": -1}, id=f"{reduction}-ignore"),
            Sample(
                op_type, (F((4, 3)), _LABELS, F((3,), 0.2, 2.0)), {"reduction": reduction, "ignore_index": 1},
                id=f"{reduction}-weights-ignore",
            ),
        ]  # fmt: skip

    return [
        *of("none"),
        *of("sum"),
        *of("mean"),
        Sample(op_type, (F((3, 3, 2)), _LABELS_2D), {"reduction": "none"}, id="none-3d"),
        Sample(op_type, (F((3, 3, 2)), _LABELS_2D, F((3,), 0.2, 2.0)), id="mean-3d-weights"),
        Sample(op_type, (F((3, 3, 2, 1)), _LABELS_2D[..., None].astype(np.int64)), {"ignore_index": 0}, id="mean-4d"),
        Sample(op_type, (F((4, 3)), _LABELS), id="opset12", opset=12),
    ]


SAMPLES = [
    *_loss("NegativeLogLikelihoodLoss"),
    *_loss("SoftmaxCrossEntropyLoss"),
    Sample("SoftmaxCrossEntropyLoss", (F((4, 3)), _LABELS), id="log-prob", outputs=2, of=(0, 1)),
    Sample(
        "SoftmaxCrossEntropyLoss", (F((3, 3, 2)), _LABELS_2D, F((3,), 0.2, 2.0)), {"reduction": "none"},
        id="log-prob-only", outputs=2, of=(1,), wrt=(0,),
    ),
]  # fmt: skip
