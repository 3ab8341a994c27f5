"""How much memory a run will need, as far as shapes tell before it starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from graphspec import LimitError, dtypes
from graphspec_server.records import Record


def check_memory(
    record: Record, feeds: Mapping[str, np.ndarray], limit: int, seeds: int = 1, named: Iterable[str] = ()
) -> None:
    """Refuse a run of which a single value is larger than the limit.

    Named dimensions are those of the feeds; values of unknown size are let pass. With several seeds there are as many
    derivatives of each intermediate value, and of those ``named``.

    Raises:
        LimitError: A value is too large; the problem names it.
    """
    sizes, derived = _named_dimensions(record, feeds), set(named)
    for name, info in record.values.items():
        if info.shape is None or info.dtype not in dtypes.BY_NAME:
            continue
        dimensions = [sizes.get(d) if isinstance(d, str) else d for d in info.shape]
        known = [d for d in dimensions if d is not None]
        if len(known) < len(dimensions):
            continue
        needed = math.prod(known) * max(1, dtypes.BY_NAME[info.dtype].bits // 8)
        if info.kind == "intermediate" or name in derived:
            needed *= seeds
        if needed > limit:
            raise LimitError(
                f"The value {name!r} would need more memory than a run may use.",
                code="memory",
                expected=f"at most {limit} bytes",
                found=f"{needed} bytes",
            )


def _named_dimensions(record: Record, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The sizes that the feeds give to the dimensions that the graph names."""
    sizes: dict[str, int] = {}
    for name, array in feeds.items():
        for dimension, size in zip(record.values[name].shape or (), array.shape, strict=False):
            if isinstance(dimension, str):
                sizes[dimension] = size
    return sizes
