"""Random numbers: the same for the same seed, different from run to run without one."""

from __future__ import annotations

import math

import numpy as np


def generator(seed: float | None) -> np.random.RandomState:
    """A generator that starts from a node's ``seed``.

    Seeds that are whole numbers start NumPy's Mersenne Twister as the ONNX reference does, so that its numbers, and
    those of the conformance suite, come out the same.
    """
    if seed is None:
        return np.random.RandomState(np.random.default_rng().integers(2**32))
    if math.isfinite(seed) and 0 <= seed < 2**32 and seed == int(seed):
        return np.random.RandomState(int(seed))
    bits = np.atleast_1d(np.float64(seed)).view(np.uint32)
    return np.random.RandomState(bits)
