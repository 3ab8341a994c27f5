"""Samples of operators that run and are differentiated through their function bodies."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

F = Floats
_MASK = np.tril(np.ones((3, 5), np.bool_))

SAMPLES = [
    Sample("Attention", (F((2, 2, 3, 4)), F((2, 2, 5, 4)), F((2, 2, 5, 3))), id="4d"),
    Sample("Attention", (F((1, 4, 3, 4)), F((1, 2, 5, 4)), F((1, 2, 5, 3)), F((3, 5))), {"softcap": 2.0}, id="grouped"),
    Sample("Attention", (F((1, 2, 3, 4)), F((1, 2, 5, 4)), F((1, 2, 5, 3)), _MASK), {"scale": 0.7}, id="mask"),
    # Without float64, so its derivative is tested in test_body_corners.py.
    Sample("RotaryEmbedding", (F((1, 2, 3, 4)), F((1, 3, 2)), F((1, 3, 2))), id="4d", narrow=True, of=()),
    Sample(
        "RotaryEmbedding", (F((1, 3, 8)), F((7, 2)), F((7, 2)), np.array([[0, 4, 2]])),
        {"num_heads": 2, "interleaved": 1}, id="3d-interleaved", narrow=True, of=(),
    ),
]  # fmt: skip
