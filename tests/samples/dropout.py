"""Samples of dropout."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

X = Floats((3, 4))
TRAINING, NOT = np.array(True), np.array(False)

SAMPLES = [
    Sample("Dropout", (X,), id="inference"),
    Sample("Dropout", (X,), id="inference-mask", outputs=2),
    Sample("Dropout", (X, np.array(0.3), NOT), id="not-training", outputs=2),
    Sample("Dropout", (X, np.array(0.0), TRAINING), id="ratio-0", outputs=2),
    Sample("Dropout", (X,), {"ratio": 0.3}, id="opset-7", opset=7),
    Sample("Dropout", (X,), {"ratio": 0.3}, id="opset-10", opset=10),
    # The mask of a seed is each implementation's own, so that only derivatives can be compared.
    Sample("Dropout", (X, np.array(0.3), TRAINING), {"seed": 7}, id="training", outputs=2, forward=False),
    Sample("Dropout", (X, None, TRAINING), {"seed": 7}, id="default-ratio", forward=False),
]
