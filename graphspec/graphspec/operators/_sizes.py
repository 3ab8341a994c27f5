"""Sizes that a graph's own values ask for: refused before anything is allocated when they are out of reason."""

from __future__ import annotations

import math
from collections.abc import Iterable

# More than any tensor of a graph that a service runs, less than what makes a machine of our days swap.
_MOST_BYTES = 1 << 32


def reasonable(shape: Iterable[int], itemsize: int) -> tuple[int, ...]:
    """The shape as a tuple.

    Raises:
        ValueError: A dimension is negative.
        MemoryError: A tensor of this shape is too large to be made.
    """
    dims = tuple(int(d) for d in shape)
    if any(d < 0 for d in dims):
        raise ValueError(f"Shape {list(dims)} has a negative dimension.")
    if math.prod(dims) * itemsize > _MOST_BYTES:
        raise MemoryError(f"A tensor of shape {list(dims)} is too large.")
    return dims
