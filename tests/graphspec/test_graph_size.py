"""Derived graphs stay as small as docs/derivatives.md says: its table is read, and each number is held."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from graphspec.derivatives._prepare import UPGRADED_FROM
from graphspec.optimize import optimized
from graphspec.validation.feeds import FeedChecker, marked_constants
from standard_models import STANDARD, nodes, standard

PAGE = Path(__file__).parents[2] / "docs" / "derivatives.md"
# What is computed of shapes at run time: needless where all are numbers.
OF_SHAPES = {"Shape", "Size", "Expand", "ConstantOfShape", "NonZero", "Range"}
AT_MOST_THREE_TIMES = ["3-layer perceptron", "transformer block"]


def table() -> dict[str, list[int]]:
    """Nodes of the graph, with its symbolic and with its static derivative, by the graph's name."""
    rows = re.findall(
        r"^\| ([^|]+) \| (?:vjp|grad), [^|]+ \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.M
    )
    return {name: [int(n) for n in numbers] for name, *numbers in rows}


def test_the_page_lists_the_standard_graphs() -> None:
    assert table().keys() == STANDARD.keys()


@pytest.mark.parametrize("static", [False, True], ids=["symbolic", "static"])
@pytest.mark.parametrize("name", sorted(STANDARD))
def test_derived_graphs_are_as_small_as_the_page_says(name: str, static: bool) -> None:
    model, derived = standard(name, static=static)
    forward, *both = table()[name]
    assert (nodes(model), nodes(derived)) == (forward, both[static])
    assert not static or OF_SHAPES.isdisjoint(node.op_type for node in derived.graph.all_nodes())
    assert all(node.op_type != "Constant" for node in derived.graph)
    if name in AT_MOST_THREE_TIMES:
        assert nodes(derived) <= 3 * nodes(model)


def test_constants_of_a_derivative_are_no_parameters() -> None:
    model, derived = standard("3-layer perceptron", static=True)
    derived = gs.load(gs.dumps(gs.load(gs.dumps(derived, "json")), "onnx"))
    assert marked_constants(derived)
    assert FeedChecker(derived).parameters.keys() == FeedChecker(model).parameters.keys()


@pytest.mark.parametrize(("opset", "derived"), [(13, 18), (17, 18), (18, 18), (22, 22)])
def test_a_derivative_has_the_opset_of_its_source_or_says_so(opset: int, derived: int) -> None:
    model = gs.load(f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[3] x) => (float[3] y) {{ y = Tanh(x) }}')
    found = gs.vjp(gs.vjp(model, ["y"], ["x"]), ["x_vjp"], ["x"])
    assert found.graph.opset_imports[""] == derived
    found = gs.load(gs.dumps(found, "json"))
    assert found.metadata_props.get(UPGRADED_FROM) == (str(opset) if derived != opset else None)


# A body over x (3, 4), w (4, 2) and b, the shape of b, and the operators left after optimisation.
MERGED = [
    pytest.param("h = MatMul(x, w) y = Add(h, b)", (2,), ["Gemm"], id="bias"),
    pytest.param("h = MatMul(x, w) y = Add(b, h)", (3, 1), ["Gemm"], id="bias by row, on the left"),
    pytest.param("h = MatMul(x, w) y = Add(h, b)", (5, 3, 2), ["MatMul", "Add"], id="what broadcasts the product"),
    pytest.param("h = MatMul(x, w) s = Add(h, b) y = Mul(s, h)", (2,), ["MatMul", "Add", "Mul"], id="read twice"),
    pytest.param('t = Transpose(x) y = Einsum<equation = "ji,ik->kj">(t, b)', (3, 2), ["Einsum"], id="before"),
    pytest.param('e = Einsum<equation = "ij,jk->ik">(x, w) t = Transpose(e) y = Abs(t)', (1,), ["Einsum", "Abs"],
                 id="behind"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "shape", "left"), MERGED)
def test_products_take_their_neighbours_in(body: str, shape: tuple[int, ...], left: list[str]) -> None:
    model = gs.load(
        f'<ir_version: 10, opset_import: ["" : 21]> g (float[3,4] x, float[4,2] w, float{list(shape)} b) => (float y) '
        f"{{ {body} }}"
    )
    rng = np.random.default_rng(5)
    feeds = {n: rng.standard_normal(s).astype(np.float32) for n, s in (("x", (3, 4)), ("w", (4, 2)), ("b", shape))}
    assert [node.op_type for node in optimized(model).graph] == left
    plain = gs.Session(model, optimize=False).run(feeds)["y"]
    np.testing.assert_allclose(gs.Session(model).run(feeds)["y"], plain, rtol=1e-5, atol=1e-6)
