"""Derivatives from values alone: central differences whose step is chosen where needed, and complex steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

# Five-point central differences: the error is O(h⁴), so that 1e-3 leaves about 1e-11 of truncation and of rounding.
STEP = 1e-3
_STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
# Tried only where the first step does not confirm: long ones for flat and noisy places, short ones beside poles.
_LADDER = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# Complex steps have no difference to lose digits in, so that the step may be as short as it likes.
_COMPLEX_STEP = 1e-30
# Rounding of one value, in units of its size.
_ROUNDING = 64 * 2.0**-53
# Slopes from both sides that differ by more than this are those of a kink.
_KINK = 1e-3

Line = Callable[[float], float]


def five_point(line: Line, step: float = STEP) -> float:
    """The slope of a line at 0."""
    return sum(weight * line(k * step) for k, weight in _STENCIL) / step


def complex_step(line: Callable[[complex], complex]) -> float:
    """The slope of an analytic line at 0: the imaginary part of its value a short way off the real axis."""
    return line(1j * _COMPLEX_STEP).imag / _COMPLEX_STEP


def noise(size: float, step: float = STEP) -> float:
    """How far rounding alone may move a five-point slope of values of this size."""
    return _ROUNDING * size / step


@dataclasses.dataclass(frozen=True)
class Slope:
    """A slope from a ladder of steps.

    Attributes:
        value: The slope.
        error: How far the slopes from two neighbouring steps are apart, where they are closest.
        step: The longer of those steps.
    """

    value: float
    error: float
    step: float


def settled(line: Line) -> Slope:
    """The slope where two steps, a factor of ten apart, agree best."""
    slopes = [five_point(line, step) for step in _LADDER]
    pairs = [
        Slope(longer, abs(longer - shorter), step)
        for longer, shorter, step in zip(slopes, slopes[1:], _LADDER, strict=False)
    ]
    known = [pair for pair in pairs if math.isfinite(pair.error)]
    return min(known, key=lambda pair: pair.error, default=Slope(math.nan, math.inf, STEP))


def roughness(line: Line, scale: float) -> str | None:
    """Why a line has no slope at 0, in words; ``None`` if it looks smooth there."""
    middle = line(0)
    if not math.isfinite(middle):
        return f"the value there is {middle}"
    sides: list[list[float]] = []
    for sign in (-1, 1):
        slopes = []
        for step in (1e-4, 1e-5):
            near, far = line(sign * step), line(2 * sign * step)
            slopes.append(sign * (4 * near - far - 3 * middle) / (2 * step))
        sides.append(slopes)
    (left, left_nearer), (right, right_nearer) = sides
    if not all(math.isfinite(slope) for side in sides for slope in side):
        return "values beside it are not finite: it lies at the edge of the domain, or at a pole"
    gap = _KINK * max(scale, abs(left_nearer), abs(right_nearer))
    if abs(left_nearer - right_nearer) <= gap:
        return None
    if abs(left - left_nearer) <= gap and abs(right - right_nearer) <= gap:
        return f"a kink: the slope is {left_nearer:.6g} from below and {right_nearer:.6g} from above"
    return "a jump or a pole: slopes grow as the step shrinks"


def value_of(results: Any, weights: Any) -> Any:
    """Σ ⟨y, w⟩ over several values."""
    return sum((results[name] * weight).sum() for name, weight in weights.items())
