"""Derivatives from values alone: central differences whose step is chosen where needed, and complex steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

# Five-point central differences: the error is O(h⁴), so that 1e-3 leaves about 1e-11 of truncation and of rounding.
_STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
# Complex steps have no difference to lose digits in, so that the step may be as short as it likes.
_COMPLEX_STEP = 1e-20
# Rounding of one value, in units of its last digit.
_ROUNDING = 32
# A step must move a number by this many of its last digits to be worth trying.
_MOVES = 1e4
# Slopes from both sides that differ by more than this are those of a kink.
_KINK = 1e-3

Line = Callable[[float], float]


@dataclasses.dataclass(frozen=True)
class Steps:
    """The steps that fit a precision.

    Attributes:
        first: The step that is tried first, and mostly the only one.
        ladder: Tried where the first does not confirm: long ones for flat and noisy places, short ones beside poles.
        digit: The last digit of 1.
        good: What a slope of such values is good to, relative to the values.
    """

    first: float
    ladder: tuple[float, ...]
    digit: float
    good: float


WIDE = Steps(1e-3, (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8), 2.0**-52, 1e-6)
NARROW = Steps(3e-2, (3.0, 1.0, 3e-1, 1e-1, 3e-2, 1e-2), 2.0**-23, 1e-3)


def five_point(line: Line, step: float) -> float:
    """The slope of a line at 0."""
    return sum(weight * line(k * step) for k, weight in _STENCIL) / step


def complex_step(line: Callable[[complex], complex]) -> float:
    """The slope of an analytic line at 0: the imaginary part of its value a short way off the real axis."""
    return line(1j * _COMPLEX_STEP).imag / _COMPLEX_STEP


def smallest(size: float, steps: Steps) -> float:
    """The smallest derivative of values of this size that differences show at all; less drowns in rounding."""
    return _ROUNDING * steps.digit * size / steps.first / steps.good


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


def settled(line: Line, steps: Steps, reach: float) -> Slope:
    """The slope where two neighbouring steps agree best.

    Args:
        line: The line.
        steps: The steps to try.
        reach: The largest number that a step of 1 moves by 1; shorter steps than it can show are not tried.
    """
    ladder = [step for step in steps.ladder if step > _MOVES * 2.0**-52 * reach]
    slopes = [five_point(line, step) for step in ladder]
    pairs = [
        Slope(longer, abs(longer - shorter), step)
        for longer, shorter, step in zip(slopes, slopes[1:], ladder, strict=False)
    ]
    known = [pair for pair in pairs if math.isfinite(pair.error)]
    return min(known, key=lambda pair: pair.error, default=Slope(math.nan, math.inf, steps.first))


def roughness(line: Line, scale: float, steps: Steps) -> str | None:
    """Why a line has no slope at 0, in words; ``None`` if it looks smooth there."""
    middle = line(0)
    if not math.isfinite(middle):
        return f"the value there is {middle}"
    sides: list[list[float]] = []
    for sign in (-1, 1):
        slopes = []
        for step in (steps.first / 10, steps.first / 100):
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
        return f"a kink: the slope is {left_nearer + 0.0:.6g} from below and {right_nearer + 0.0:.6g} from above"
    return "a jump, a pole, or values of few digits: slopes do not settle as the step shrinks"


def value_of(results: Any, weights: Any) -> Any:
    """Σ ⟨y, w⟩ over several values."""
    return sum((results[name] * weight).sum() for name, weight in weights.items())
