"""Comparisons: how far two derivatives are apart, relative to what, and in which element."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.testing.report import Comparison, DerivativeMismatchError, Kind


def unit(base: Any, i: int) -> tuple[Any, tuple[int, ...], str]:
    """The direction of one element, its index, and its name."""
    one = np.zeros(base.size, base.dtype)
    one[i] = 1
    index = tuple(int(k) for k in np.unravel_index(i, base.shape))
    return one.reshape(base.shape), index, f"element {list(index)}"


def size_along(gradient: Any, direction: Any) -> float:
    """The size of a product of the gradient with a direction like this one, as it is typically."""
    if not gradient.size:
        return 0.0
    return float(np.sqrt(np.mean(np.square(gradient))) * np.linalg.norm(direction))


def relative(distance: float, size: float) -> float:
    """A distance by the size of what is compared."""
    if distance == 0:
        return 0.0
    return float(abs(distance) / size) if size else math.inf


def compared(
    kind: Kind, of: str, x: str, index: tuple[int, ...] | None, where: str, expected: float, found: float,
    gradient: Any, direction: Any, floor: float,
) -> Comparison:  # fmt: skip
    """Two values of the product of a gradient with a direction; less than ``floor`` is not told apart."""
    deviation = relative(found - expected, max(abs(expected), size_along(gradient, direction), floor))
    return Comparison(kind, x, of, index, where, expected, found, deviation)


def located(
    worst: Comparison, gradient: Any, direction: Any, slope: Callable[[Any], float], floor: float
) -> Comparison:
    """The element behind a wrong product: the half of the direction that is further off, again and again."""
    chosen = np.flatnonzero(direction)
    while len(chosen) > 1:
        halves = []
        for half in np.array_split(chosen, 2):
            part = np.zeros(direction.size, direction.dtype)
            part[half] = direction.reshape(-1)[half]
            part = part.reshape(direction.shape)
            distance = abs(float((gradient * part).sum()) - slope(part))
            halves.append((np.nan_to_num(distance, nan=math.inf), half))
        chosen = max(halves, key=lambda pair: pair[0])[1]
    one, index, where = unit(direction, int(chosen[0]))
    found = float((gradient * one).sum())
    return compared(worst.kind, worst.of, worst.value, index, where, slope(one), found, gradient, one, floor)


def located_product(worst: Comparison, gradient: Any, direction: Any, product: Callable[[Any], float]) -> Comparison:
    """As ``located``, where the gradient is the side that is trusted."""
    element = located(worst, gradient, direction, product, 0.0)
    return dataclasses.replace(element, expected=element.found, found=element.expected)


def elementwise(name: str, of: str, ours: Any, theirs: Any, least: float) -> Comparison:
    """The element in which two runtimes differ most, relative to the largest."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise DerivativeMismatchError(f"{name} has shape {ours.shape} by NumPy, {theirs.shape} by ONNX Runtime.")
    if not ours.size:
        return Comparison("onnxruntime", name, of, None, "no elements", 0.0, 0.0, 0.0)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    scale = max(least, float(np.max(np.abs(ours[np.isfinite(ours)]), initial=0.0))) or 1.0
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.nan_to_num(np.abs(ours - theirs), nan=math.inf)) / scale
    i = int(np.argmax(distance))
    _, index, where = unit(ours, i)
    return Comparison(
        "onnxruntime", name, of, index, where, float(ours[index]), float(theirs[index]), float(distance[index])
    )
