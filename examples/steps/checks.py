"""A check that ends the demo when it fails."""

from __future__ import annotations

import numpy as np


class CheckError(Exception):
    """A figure of the demo is not what it must be."""


def check(what: str, found: float, *, at_most: float = np.inf, at_least: float = -np.inf) -> float:
    """Pass ``found`` on if it lies within its bounds; NaN never does.

    Raises:
        CheckError: It lies outside; the message names the figure, its value and the bound.
    """
    if not at_least <= found <= at_most:
        bound = f"at most {at_most:g}" if found > at_most else f"at least {at_least:g}"
        raise CheckError(f"{what} is {found:g}; it must be {bound}")
    return found


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest absolute difference of two arrays of the same shape.

    Raises:
        CheckError: The shapes differ.
    """
    if np.shape(found) != np.shape(expected):
        raise CheckError(f"shapes differ: {np.shape(found)} and {np.shape(expected)}")
    return float(np.max(np.abs(np.asarray(found, np.float64) - expected)))
