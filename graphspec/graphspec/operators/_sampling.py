"""Values of images between their elements: nearest, linear and cubic, by a table of weights that all of it shares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.operators._sizes import reasonable
from graphspec.operators.registry import Array

_A = -0.75  # the coefficient of cubic convolution (Keys 1981) that ONNX's GridSample has

# Per mode the taps: an offset from the element below, and the weight as a polynomial (lowest power first) of the
# distance to that element.
TAPS: dict[str, tuple[tuple[int, tuple[float, ...]], ...]] = {
    "nearest": ((0, (1.0,)),),
    "linear": ((0, (1.0, -1.0)), (1, (0.0, 1.0))),
    "cubic": (
        (-1, (0.0, _A, -2 * _A, _A)),
        (0, (1.0, 0.0, -(_A + 3), _A + 2)),
        (1, (0.0, -_A, 2 * _A + 3, -(_A + 2))),
        (2, (0.0, 0.0, _A, -_A)),
    ),
}
PADDINGS = ("zeros", "border", "reflection")

# Places are clipped to this before they become integers: no image is as large.
_FAR = 2.0**31


def sampled(X: Array, places: Sequence[Array], mode: str, padding: str, *, corners: bool) -> Array:
    """The values of X (N, C, D1 ...) at P places of each image: shape (N, C, P).

    Args:
        X: Images of floats (not 16-bit ones) or complex numbers; for mode nearest of anything.
        places: One array (N, P) per spatial axis: where, counted in elements, 0 being the centre of the first.
        mode: A key of ``TAPS``.
        padding: What lies outside: zeros, the border's elements, or the reflected image.
        corners: Whether it is reflected at the centres of the outer elements, not at their outer edges.
    """
    N, C = X.shape[:2]
    spatial = X.shape[2:]
    P = places[0].shape[1]
    reasonable((N, C, P), max(X.itemsize, 8))
    if 0 in (N, C, P):
        return np.zeros((N, C, P), X.dtype)
    if 0 in spatial:
        raise ValueError(f"an image of shape {list(spatial)} has no elements to sample.")
    axes = [_taps(x, size, mode, padding, corners) for x, size in zip(places, spatial, strict=True)]
    flat = X.reshape(N, C, -1)
    zero = "" if X.dtype == object else np.zeros((), X.dtype)
    total: Array | None = None
    for taps in itertools.product(*axes):
        index = np.zeros((N, P), np.int64)
        inside: Any = True
        for (at, within, _), size in zip(taps, spatial, strict=True):
            index = index * size + at
            inside = inside if within is None else inside & within
        values = np.take_along_axis(flat, index[:, None], axis=2)
        if inside is not True:
            values = np.where(inside[:, None], values, zero)
        if mode == "nearest":
            return np.asarray(values)
        term = values * math.prod([weight for _, _, weight in taps[1:]], start=taps[0][2])[:, None]
        total = term if total is None else total + term
    assert total is not None
    return total


def _taps(x: Array, size: int, mode: str, padding: str, corners: bool) -> list[tuple[Array, Array | None, Array]]:
    """Per tap along one axis: the element, whether there is one (``None``: always), and its weight."""
    low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
    x = np.clip(np.nan_to_num(x, nan=-_FAR, posinf=_FAR, neginf=-_FAR), -_FAR, _FAR)
    if mode == "nearest":
        x = np.rint(x)
    if padding == "reflection" or (padding == "border" and mode != "cubic"):
        # Beyond the border itself the cubic curve goes on through repeated elements, as in PyTorch and ONNX Runtime.
        other = np.clip(x, 0, size - 1) if padding == "border" else reflected(x, low, high)
        x = np.where((x < low) | (x > high), other, x)
    below = np.floor(x)
    t = x - below
    taps = []
    for offset, coefficients in TAPS[mode]:
        at, within = below + offset, None
        if padding == "zeros":
            within = (at >= 0) & (at < size)
        elif padding == "reflection":
            at = np.where((at < low) | (at > high), reflected(at, low, high), at)
        weight = np.full_like(t, coefficients[-1])
        for c in coefficients[-2::-1]:
            weight = weight * t + np.asarray(c, t.dtype)
        taps.append((np.clip(at, 0, size - 1).astype(np.int64), within, weight))
    return taps


def reflected(x: Array, low: float, high: float) -> Array:
    """x folded into [low, high], as often as it takes."""
    span = high - low
    if span <= 0:
        return np.full_like(x, low)
    return np.asarray(low + span - np.abs(np.mod(x - low, 2 * span) - span)).astype(x.dtype)
