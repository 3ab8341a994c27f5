"""Derived graphs stay as small as docs/derivatives.md says: its table is read, and each number is held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import graphspec as gs
from graphspec.derivatives._prepare import UPGRADED_FROM
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
