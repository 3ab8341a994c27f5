"""Shapes of spectra, which the ONNX library infers wrongly in places, and derivatives there."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives

HEAD = '<ir_version: 10, opset_import: ["" : 20]> g '
#        graph                                                                        shape of y
SHAPES = [
    ("(double[2, n, 1] x, int64 k) => (y) { y = DFT(x, k) }", (2, None, 2)),
    ("(double[2, n, 2] x) => (y) { k = Constant<value_int = 9>() y = DFT(x, k) }", (2, 9, 2)),
    ("(double[2, n, 1] x, int64 k) => (y) { y = DFT<onesided = 1>(x, k) }", (2, None, 2)),
    ("(double[2, 8, n, 1] x, int64 a) => (y) { y = DFT(x, , a) }", (None, None, None, 2)),
    ("(double[n, 6, 1] x) => (y) { y = DFT<onesided = 1>(x) }", ("n", 4, 2)),
    ("(double[n, 5, 2] x) => (y) { y = DFT<onesided = 1, inverse = 1>(x) }", ("n", 8, 1)),
    ("(double[2, 20, 1] x) => (y) { s, w = id(x) y = STFT(x, s, w) }", (2, 4, 5, 2)),
]


@pytest.mark.parametrize(("graph", "shape"), SHAPES, ids=[g.split("{")[1].strip() for g, _ in SHAPES])
def test_shape_and_derivative(graph: str, shape: tuple[object, ...]) -> None:
    graph = graph.replace("s, w = id(x)", "s = Constant<value_int = 4>() w = Cast<to = 11>(o)").replace(
        "[2, 20, 1] x)", "[2, 20, 1] x, float[8] o)"
    )
    model = gs.load(HEAD + graph)
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).inputs["y_cotangent"].shape
    assert found is not None
    assert tuple(d if not isinstance(d, str) or d == "n" else None for d in found) == shape
    rng = np.random.default_rng(0)
    feeds = {
        name: np.array(-2 if name == "a" else 7, np.int64)
        if info.dtype == "int64"
        else rng.standard_normal([d if isinstance(d, int) else 5 for d in info.shape or ()]).astype(info.dtype)
        for name, info in gs.Session(model).inputs.items()
    }
    check_derivatives(model, feeds, ["y"], ["x"])
