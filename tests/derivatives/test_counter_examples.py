"""Counter-examples by name: each place where derivatives are easily forgotten or wrong, held by a check.

A point is held by examples of its own, checked here, or by samples, which ``test_gradients.py`` and
``test_forward_mode.py`` check one by one. Here they must exist.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from counter_examples import POINTS, Graph, Held, Point, build_example
from graphspec.testing import check_derivatives
from samples import Sample

Example = Sample | Graph
HELD = {f"{p.name}: {h.op_type} {dict(h.attributes)} {h.wrt} {h.id}": h for p in POINTS for h in p.held}
FAST = {f"{p.name}: {e.label}": e for p in POINTS for e in p.examples}
MORE = {f"{p.name}: {e.label}": e for p in POINTS for e in p.more}


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.name)
def test_every_point_is_held(point: Point) -> None:
    assert point.held or point.examples
    labels = [e.label for e in (*point.examples, *point.more)]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("held", HELD.values(), ids=HELD.keys())
def test_a_checked_sample_exists(held: Held) -> None:
    assert held.samples()


@pytest.mark.parametrize("example", FAST.values(), ids=FAST.keys())
def test_example(example: Example) -> None:
    check(example)


@pytest.mark.slow
@pytest.mark.parametrize("example", MORE.values(), ids=MORE.keys())
def test_every_combination(example: Example) -> None:
    check(example)


def check(example: Example) -> None:
    """Central differences through random cotangents, second order, and forward mode against reverse mode."""
    model, feeds, of, wrt = build_example(example)
    narrow = isinstance(example, Sample) and example.narrow
    # Differences of float32 reach three digits: these operators have no float64 in ONNX.
    report = check_derivatives(model, feeds, of, wrt, order=example.order, rtol=5e-3 if narrow else 1e-6)
    assert report.checks
    rng = np.random.default_rng(5)
    values = gs.Session(model).run(feeds, fetches=list(dict.fromkeys([*of, *wrt])))
    tangents = {f"{x}_tangent": _like(values[x], rng) for x in wrt}
    cotangents = {f"{y}_cotangent": _like(values[y], rng) for y in of}
    pushed = gs.Session(gs.jvp(model, of, wrt)).run({**feeds, **tangents})
    pulled = gs.Session(gs.vjp(model, of, wrt)).run({**feeds, **cotangents})
    forwards = sum(float(np.sum(pushed[f"{y}_jvp"] * cotangents[f"{y}_cotangent"])) for y in of)
    products = [pulled[f"{x}_vjp"] * tangents[f"{x}_tangent"] for x in wrt]
    scale = max(1.0, float(sum(np.abs(p).sum() for p in products)))
    assert abs(forwards - float(sum(p.sum() for p in products))) <= (1e-4 if narrow else 1e-9) * scale


def _like(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal(value.shape), value.dtype)
