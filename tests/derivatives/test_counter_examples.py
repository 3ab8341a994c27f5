"""Counter-examples by name: each place where derivatives are easily forgotten or wrong, held by a check.

A point is held by examples of its own, checked here, or by samples, which ``test_gradients.py`` and
``test_forward_mode.py`` check one by one. Here they must exist.
"""

from __future__ import annotations

import pytest

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
    """Central differences through random cotangents, second order, forward mode, and ONNX Runtime."""
    model, feeds, of, wrt = build_example(example)
    narrow = isinstance(example, Sample) and example.narrow
    # The bodies of operators that ONNX has in float32 alone round to it, and so do the differences of their values.
    rtol = 5e-3 if narrow else 1e-6
    portable = isinstance(example, Graph) or example.forward
    report = check_derivatives(model, feeds, of, wrt, order=example.order, rtol=rtol, onnxruntime=portable)
    assert report.checks
