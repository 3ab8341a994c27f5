"""Samples of AffineGrid: planes and spaces, one image and several, both ways to lay the corners."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

SAMPLES = [
    Sample(
        "AffineGrid",
        (Floats((size[0], len(size) - 2, len(size) - 1)), np.array(size)),
        {"align_corners": corners},
        id=f"{name}-{corners}",
    )
    for corners in (0, 1)
    for name, size in {
        "one": (1, 1, 2, 3),
        "plane": (2, 3, 4, 2),
        "one-space": (1, 2, 2, 3, 2),
        "space": (2, 1, 3, 2, 4),
    }.items()
]
