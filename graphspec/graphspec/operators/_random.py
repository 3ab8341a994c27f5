"""Random numbers: the same for the same seed, different from run to run without one."""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator

import numpy as np

_run: contextvars.ContextVar[np.random.Generator | None] = contextvars.ContextVar("_run", default=None)


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Within it, nodes without a seed of their own draw theirs from ``seed``, in the order in which they run."""
    token = _run.set(None if seed is None else np.random.default_rng(seed))
    try:
        yield
    finally:
        _run.reset(token)


def generator(seed: float | None) -> np.random.RandomState:
    """A generator that starts from a node's ``seed``.

    Seeds that are whole numbers start NumPy's Mersenne Twister as the ONNX reference does, so that its numbers, and
    those of the conformance suite, come out the same.
    """
    if seed is None:
        return np.random.RandomState((_run.get() or np.random.default_rng()).integers(2**32))
    if math.isfinite(seed) and 0 <= seed < 2**32 and seed == int(seed):
        return np.random.RandomState(int(seed))
    bits = np.atleast_1d(np.float64(seed)).view(np.uint32)
    return np.random.RandomState(bits)
