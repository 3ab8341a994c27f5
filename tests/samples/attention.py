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
]
