"""AffineGrid beyond its samples: sizes that do not fit, none at all, or are out of reason."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.operators import registry

ENTRY = registry.find("AffineGrid", "", 20)
assert ENTRY is not None
THETA = np.zeros((1, 2, 3), np.float32)

REFUSED = {
    "another batch": ([2, 1, 2, 2], ValueError),
    "another rank": ([1, 1, 2, 2, 2], ValueError),
    "too short": ([1], ValueError),
    "negative": ([1, 1, -2, 2], ValueError),
    "huge": ([1, 1, 10**6, 10**6], MemoryError),
}


@pytest.mark.parametrize(("size", "error"), REFUSED.values(), ids=REFUSED)
def test_refusals(size: list[int], error: type[Exception]) -> None:
    with pytest.raises(error):
        ENTRY(THETA, np.array(size))


@pytest.mark.parametrize("corners", [0, 1])
def test_nothing_to_place(corners: int) -> None:
    assert ENTRY(THETA, np.array([1, 1, 0, 3]), align_corners=corners).shape == (1, 0, 3, 2)


def test_a_single_row_with_aligned_corners_is_the_first() -> None:
    identity = np.eye(2, 3, dtype=np.float32)[None]
    found = ENTRY(identity, np.array([1, 1, 1, 3]), align_corners=1)
    assert found.tolist() == [[[[-1, -1], [0, -1], [1, -1]]]]
