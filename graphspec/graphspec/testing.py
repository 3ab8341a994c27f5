"""Checks of derivatives that users can run on their own models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import vjp
from graphspec.errors import GraphSpecError
from graphspec.runtime import Session

# Five-point central differences: the error is O(h⁴), so that 1e-3 leaves about 1e-11 of truncation and of rounding.
_STEP = 1e-3
_STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
# Inputs up to this size are checked element by element, larger ones along random directions.
_ELEMENTS = 48
_DIRECTIONS = 4


class DerivativeMismatchError(AssertionError):
    """A derivative differs from central differences; the message names the worst place."""


@dataclasses.dataclass(frozen=True)
class DerivativeReport:
    """What was checked.

    Attributes:
        checks: Number of directional derivatives compared.
        worst: Largest deviation, relative to the scale of the derivative.
        where: The value, order and direction of the worst one.
    """

    checks: int
    worst: float
    where: str


def check_derivatives(
    model: ir.Model,
    feeds: Mapping[str, Any],
    of: Sequence[str],
    wrt: Sequence[str],
    *,
    order: int = 2,
    rtol: float = 1e-6,
    rng: np.random.Generator | None = None,
) -> DerivativeReport:
    """Compare a model's vector-Jacobian products with central differences, through random cotangents.

    Args:
        model: A model whose ``wrt`` are graph inputs or initializers, in float64 for the tolerance to make sense.
        feeds: One array per graph input.
        of: Values to differentiate.
        wrt: Values to differentiate with respect to.
        order: 2 also checks the derivative of the derivative, in its inputs and in its cotangents.
        rtol: Largest deviation allowed, relative to the scale of the derivative (at least 1).
        rng: Source of cotangents and directions; a fixed seed by default.

    Raises:
        DerivativeMismatchError: A derivative is wrong; value, order, element, expected and found are named.
        GraphSpecError: The model cannot be differentiated or run.
    """
    rng = rng or np.random.default_rng(0)
    derived = vjp(model, of, wrt)
    count = len(wrt)
    names = [v.name or "" for v in derived.graph.outputs][-count:]
    cotangent_names = [v.name or "" for v in derived.graph.inputs][-len(of) :]
    values = Session(model).run(feeds, fetches=list(of))
    plain = Session(derived)
    cotangents = {n: np.asarray(rng.standard_normal(values[y].shape), values[y].dtype)
                  for n, y in zip(cotangent_names, of, strict=True)}  # fmt: skip
    point = {**feeds, **cotangents}
    results = plain.run(point, fetches=names)
    checks, worst, where = 0, 0.0, ""
    for x, name in zip(wrt, names, strict=True):
        base = np.asarray(point[x] if x in point else _initializer(model, x))
        gradient = results[name]
        if gradient.shape != base.shape or gradient.dtype != base.dtype:
            raise DerivativeMismatchError(
                f"{name} has shape {gradient.shape} and dtype {gradient.dtype}, {x} has {base.shape} and {base.dtype}."
            )
        for direction, label in _directions(base, rng):
            expected = 0.0
            for step, weight in _STENCIL:
                moved = plain.run({**point, x: base + step * _STEP * direction}, fetches=list(of))
                expected += (
                    weight
                    / _STEP
                    * sum(float(np.sum(moved[y] * cotangents[n])) for n, y in zip(cotangent_names, of, strict=True))
                )
            found = float(np.sum(gradient * direction))
            deviation = abs(found - expected) / max(1.0, abs(expected))
            checks += 1
            if not deviation <= rtol:
                raise DerivativeMismatchError(
                    f"d{','.join(of)}/d{x} {label}: expected {expected:.9g}, found {found:.9g} "
                    f"(deviation {deviation:.2g})."
                )
            if deviation >= worst:
                worst, where = deviation, f"{x} {label}"
    if order > 1 and checks:
        again = _second(derived, point, names, [*wrt, *cotangent_names], rtol, rng)
        if again is not None:
            checks += again.checks
            if again.worst > worst:
                worst, where = again.worst, f"second order: {again.where}"
    return DerivativeReport(checks, worst, where)


def _second(
    derived: ir.Model, point: Mapping[str, Any], names: list[str], wrt: list[str], rtol: float, rng: np.random.Generator
) -> DerivativeReport | None:
    """The check of the derived model itself; values it does not depend on are left out."""
    depends = [x for x in wrt if _differentiable(derived, names, x)]
    return check_derivatives(derived, point, names, depends, order=1, rtol=rtol, rng=rng) if depends else None


def _differentiable(model: ir.Model, of: list[str], x: str) -> bool:
    from graphspec.derivatives import _prepare

    graph = model.graph
    values = ir.convenience.create_value_mapping(graph)
    needed = _prepare.leading_to(graph, [values[n] for n in of])
    return values[x] in needed


def _initializer(model: ir.Model, name: str) -> Any:
    tensor = model.graph.initializers[name].const_value
    if tensor is None:
        raise GraphSpecError(f"Initializer {name!r} has no data.")
    return tensor.numpy()


def _directions(base: Any, rng: np.random.Generator) -> list[tuple[Any, str]]:
    if base.size <= _ELEMENTS:
        units = []
        for i in range(base.size):
            unit = np.zeros(base.size, base.dtype)
            unit[i] = 1
            units.append((unit.reshape(base.shape), f"element {list(map(int, np.unravel_index(i, base.shape)))}"))
        return units
    drawn = [np.asarray(rng.standard_normal(base.shape), base.dtype) for _ in range(_DIRECTIONS)]
    return [(d / np.linalg.norm(d), f"direction {i}") for i, d in enumerate(drawn)]
