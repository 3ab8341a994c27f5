# ruff: noqa: E501 - a row of the table is a line
"""The conventions of docs/derivatives.md, each by a graph, its feeds and the gradients it gives there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import graphspec as gs

INF, NAN = np.inf, np.nan


@dataclasses.dataclass(frozen=True)
class Convention:
    """One statement of the page.

    Attributes:
        name: As the page names it.
        nodes: The nodes of a graph from ``feeds`` to y, in ONNX text.
        feeds: Values of the inputs, float64 all.
        gradients: Σ ∂y/∂x by inputs.
    """

    name: str
    nodes: str
    feeds: dict[str, npt.ArrayLike]
    gradients: dict[str, npt.ArrayLike]


def unary(name: str, node: str, x: npt.ArrayLike, dx: npt.ArrayLike) -> Convention:
    return Convention(name, node, {"x": x}, {"x": dx})


def binary(
    name: str, node: str, a: npt.ArrayLike, b: npt.ArrayLike, da: npt.ArrayLike, db: npt.ArrayLike
) -> Convention:
    return Convention(name, node, {"a": a, "b": b}, {"a": da, "b": db})


# Constants that several graphs take: the first place twice, and one.
II = "i = Constant<value = int64[2] {0, 0}>() "
ONE = "k = Constant<value = int64[1] {1}>() "

CONVENTIONS = [
    unary("Relu at 0", "y = Relu(x)", [0], [0]),
    unary("Abs at 0", "y = Abs(x)", [0], [0]),
    unary("LeakyRelu at 0", "y = LeakyRelu<alpha = 0.25>(x)", [0], [0.25]),
    Convention("PRelu at 0", "y = PRelu(x, s)", {"x": [0], "s": [0.25]}, {"x": [0.25], "s": [0]}),
    unary("ThresholdedRelu at alpha", "y = ThresholdedRelu<alpha = 1.0>(x)", [1], [0]),
    unary("Elu at 0", "y = Elu<alpha = 2.0>(x)", [0], [2]),
    unary("Celu at 0", "f = Cast<to = 1>(x) z = Celu(f) y = Cast<to = 11>(z)", [0], [1]),
    unary("Selu at 0", "y = Selu<alpha = 2.0, gamma = 1.5>(x)", [0], [3]),
    unary("Softsign at 0", "y = Softsign(x)", [0], [1]),
    unary("HardSigmoid at its corners", "y = HardSigmoid<alpha = 0.25, beta = 0.5>(x)", [-2, 2, 0], [0, 0, 0.25]),
    unary("HardSwish at its corners", "y = HardSwish(x)", [-3, 3], [0, 1]),
    unary("Shrink at lambd", "y = Shrink<lambd = 0.5>(x)", [-0.5, 0.5, 1], [0, 0, 1]),
    unary("Sign, Floor, Round", "s = Sign(x) f = Floor(x) r = Round(x) y = Sum(x, s, f, r)", [0, 1, 0.5], [1, 1, 1]),
    Convention("Clip at its bounds", "y = Clip(x, lo, hi)", {"x": [-1, 1, -2, 2, 0], "lo": -1, "hi": 1}, {"x": [1, 1, 0, 0, 1], "lo": 1, "hi": 1}),
    binary("Max of equal values", "y = Max(a, b)", [1, 2], [1, 1], [0.5, 1], [0.5, 0]),
    binary("Min of equal values", "y = Min(a, b)", [1, 2], [1, 1], [0.5, 0], [0.5, 1]),
    Convention("Max of three equal values", "y = Max(a, b, c)", {"a": [1], "b": [1], "c": [1]}, {"a": [1 / 3], "b": [1 / 3], "c": [1 / 3]}),
    unary("ReduceMax of equal values", "y = ReduceMax<keepdims = 0>(x)", [1, 2, 2], [0, 0.5, 0.5]),
    unary("ReduceMin of equal values", "y = ReduceMin<keepdims = 0>(x)", [2, 1, 1], [0, 0.5, 0.5]),
    unary("MaxPool of equal values", "y = MaxPool<kernel_shape = [2]>(x)", [[[3, 3]]], [[[1, 0]]]),
    unary("GlobalMaxPool of equal values", "y = GlobalMaxPool(x)", [[[3, 3]]], [[[1, 0]]]),
    unary("TopK of equal values", ONE + "y, j = TopK(x, k)", [2, 2], [1, 0]),
    binary("Pow, 0 to the power 0", "y = Pow(a, b)", [0], [0], [0], [0]),
    binary("Pow, base 0", "y = Pow(a, b)", [0, 0, 0], [1, 2, 0.5], [1, 0, INF], [0, 0, 0]),
    binary("Pow, base 0, negative exponent", "y = Pow(a, b)", [0], [-1], [-INF], [-INF]),
    binary("Pow, negative base", "y = Pow(a, b)", [-1], [2], [-2], [NAN]),
    unary("Sqrt at 0", "y = Sqrt(x)", [0], [INF]),
    unary("Log at 0", "y = Log(x)", [0], [INF]),
    unary("Asin and Acos at 1", "p = Asin(x) q = Acos(x) y = Sub(p, q)", [1], [INF]),
    unary("ReduceL2 at 0", "y = ReduceL2<keepdims = 0>(x)", [0, 0], [0, 0]),
    unary("ReduceL1 at 0", "y = ReduceL1<keepdims = 0>(x)", [0, -1], [0, -1]),
    unary("LpNormalization at 0", "y = LpNormalization<axis = 0, p = 2>(x)", [0, 0], [0, 0]),
    Convention("Where, NaN in the branch not taken", "c = Constant<value = bool[2] {0, 1}>() y = Where(c, a, b)", {"a": [NAN, 1], "b": [2, NAN]}, {"a": [0, 1], "b": [1, 0]}),
    unary("Where, a root behind the branch not taken", "z = Constant<value = double {0.0}>() c = Greater(x, z) s = Sqrt(x) y = Where(c, s, z)", [-1, 4], [NAN, 0.25]),
    unary("Where, the root's argument made safe", "z = Constant<value = double {0.0}>() w = Constant<value = double {1.0}>() c = Greater(x, z) p = Where(c, x, w) s = Sqrt(p) y = Where(c, s, z)", [-1, 4], [0, 0.25]),
    unary("ReduceLogSumExp, -inf beside a number", "y = ReduceLogSumExp<keepdims = 0>(x)", [-INF, 0], [0, 1]),
    unary("ReduceLogSumExp of -inf alone", "y = ReduceLogSumExp<keepdims = 0>(x)", [-INF, -INF], [0, 0]),
    unary("ReduceLogSumExp, inf beside a number", "y = ReduceLogSumExp<keepdims = 0>(x)", [INF, 0], [NAN, 0]),
    unary("Softplus far from 0", "y = Softplus(x)", [1000, -1000], [1, 0]),
    unary("Softmax of -inf beside a number", "s = Softmax(x) w = Constant<value = double[2] {1.0, 3.0}>() y = Mul(s, w)", [-INF, 0], [0, 0]),
    Convention("ScatterElements, max of equal values", II + "y = ScatterElements<reduction = \"max\">(x, i, u)", {"x": [3], "u": [3, 3]}, {"x": [1 / 3], "u": [1 / 3, 1 / 3]}),
    Convention("ScatterElements, mul with a 0", II + 'y = ScatterElements<reduction = "mul">(x, i, u)', {"x": [3], "u": [0, 2]}, {"x": [0], "u": [6, 0]}),
    Convention("ScatterElements, add to the same place", II + "y = ScatterElements<reduction = \"add\">(x, i, u)", {"x": [1, 5], "u": [2, 3]}, {"x": [1, 1], "u": [1, 1]}),
    unary("Gather, duplicates", II + "y = Gather(x, i)", [1, 5], [2, 0]),
    unary("Det of a singular matrix", "y = Det(x)", [[1, 2], [2, 4]], [[4, -2], [-2, 1]]),
    unary("ReduceProd with one 0", "y = ReduceProd<keepdims = 0>(x)", [2, 0, 3], [0, 6, 0]),
    unary("ReduceProd with two 0", "y = ReduceProd<keepdims = 0>(x)", [2, 0, 0], [0, 0, 0]),
    unary("CumProd with a 0", "k = Constant<value_int = 0>() y = CumProd(x, k)", [2, 0, 3], [1, 8, 0]),
    Convention("Mod", "y = Mod<fmod = 1>(a, b)", {"a": [5], "b": [3]}, {"a": [1], "b": [-1]}),
    unary("MaxRoiPool of equal values", "r = Constant<value = double[1, 5] {0.0, 0.0, 0.0, 1.0, 1.0}>() y = MaxRoiPool<pooled_shape = [1, 1]>(x, r)", [[[[1, 3], [3, 3]]]], [[[[0, 1], [0, 0]]]]),
    unary("Dropout outside of training", "y = Dropout(x)", [1, 2], [1, 1]),
    unary("DequantizeLinear of QuantizeLinear", "f = Cast<to = 1>(x) s = Constant<value = float {0.5}>() q = QuantizeLinear(f, s) d = DequantizeLinear(q, s) e = Cast<to = 11>(d) y = Add(x, e)", [1.2], [1]),
]  # fmt: skip


def gradients(convention: Convention) -> dict[str, npt.NDArray[np.float64]]:
    """Through a cotangent of 2 everywhere, so that none is lost unseen, and divided by it."""
    arrays = {name: np.asarray(value, np.float64) for name, value in convention.feeds.items()}
    shapes = {name: str(list(a.shape)) if a.ndim else "" for name, a in arrays.items()}
    declared = ", ".join(f"double{shape} {name}" for name, shape in shapes.items())
    opset = 26 if "CumProd" in convention.nodes else 21
    text = f'<ir_version: 10, opset_import: ["" : {opset}]> g ({declared}) => (y) {{ {convention.nodes} }}'
    derived = gs.vjp(gs.load(text), ["y"], list(arrays))
    y = gs.Session(derived).inputs["y_cotangent"].shape
    cotangent = np.full([d for d in y or () if isinstance(d, int)], 2.0)
    found = gs.Session(derived).run({**arrays, "y_cotangent": cotangent})
    return {name: found[f"{name}_vjp"] / 2 for name in arrays}


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
def test_convention(convention: Convention) -> None:
    found = gradients(convention)
    for name, expected in convention.gradients.items():
        np.testing.assert_allclose(found[name], np.asarray(expected, np.float64), rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_dropout_passes_what_it_kept(mode: str) -> None:
    """In training the cotangent is masked and scaled as the value was; without, it passes."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]> g (double[64] x) => (y) {{
        r = Constant<value = double {{0.25}}>() t = Constant<value = bool {{{int(mode == "training")}}}>()
        y = Dropout<seed = 3>(x, r, t) }}"""
    derived = gs.vjp(gs.load(text), ["y"], ["x"])
    rng = np.random.default_rng(0)
    x, cotangent = rng.uniform(1, 2, 64), rng.uniform(1, 2, 64)
    found = gs.Session(derived).run({"x": x, "y_cotangent": cotangent})
    factor = found["y"] / x
    np.testing.assert_allclose(found["x_vjp"], factor * cotangent)
    assert set(np.round(factor, 12)) == ({0.0, round(4 / 3, 12)} if mode == "training" else {1.0})


def test_the_page_holds_every_convention() -> None:
    """The rows of the page's tables start with the names of the conventions that are tested, all of them."""
    page = (Path(__file__).parents[2] / "docs" / "derivatives.md").read_text(encoding="utf-8")
    page = page.partition("\n## Words on some of them")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)
    named = [row for row in rows if row != "Where" and not row.startswith("-")]
    assert named == [convention.name for convention in CONVENTIONS]
