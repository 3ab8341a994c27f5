"""Samples of the operators that make a tensor from a few numbers."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

SAMPLES = [
    Sample("Range", (Floats((), 0.1, 0.2), np.array(3.0), Floats((), 0.6, 0.65)), id="floats"),
    Sample("Range", (Floats((), 0.1, 0.2), np.array(-3.0), Floats((), -0.65, -0.6)), id="down"),
    Sample("Range", (Floats((), 3, 4), np.array(2.0), Floats((), 0.6, 0.65)), id="empty"),
    Sample("Range", (np.array(3), np.array(10), np.array(3)), id="integers", of=()),
    Sample("Range", (np.array(10), np.array(-2), np.array(-4)), id="integers-down", of=()),
    Sample("Range", (np.array(10), np.array(-3), np.array(-4)), id="integers-uneven", of=()),
    Sample("ConstantOfShape", (np.array([2, 3]),), id="default", of=()),
    Sample("ConstantOfShape", (np.array([2, 0]),), {"value": np.array([7], np.int64)}, id="int64", of=()),
    Sample("ConstantOfShape", (np.zeros(0, np.int64),), {"value": np.array([1.5])}, id="scalar", of=()),
]
