"""Models of old opsets: what they compute must not change on the way up, nor their derivatives be others'."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.optimize import upgraded
from graphspec.testing import check_derivatives

HEAD = '<ir_version: 3, opset_import: ["" : 6]> g (double[2, 3, 4, 3] x, double{second} s) => (double[2, 3, 4, 3] y) '


@pytest.mark.parametrize(
    ("second", "body"),
    [
        # Where channels and columns are equally many, broadcasting along the wrong axis would go unseen.
        pytest.param((3,), "y = PRelu(x, s)", id="PRelu by channel"),
        pytest.param((1,), "y = PRelu(x, s)", id="PRelu with one slope"),
        pytest.param((3,), "y = Mul<broadcast = 1, axis = 1>(x, s)", id="channel"),
        pytest.param((3,), "y = Add<broadcast = 1, axis = 1>(x, s)", id="bias"),
        pytest.param((3, 4), "y = Mul<broadcast = 1, axis = -3>(x, s)", id="two axes"),
        pytest.param((4, 3), "y = Div<broadcast = 1>(x, s)", id="suffix"),
        pytest.param((2, 3, 4, 3), "y = Sub(x, s)", id="equal"),
        pytest.param((), "y = Mul<broadcast = 1>(x, s)", id="scalar"),
        pytest.param((3,), "h = Relu(x) t = Tanh(s) y = Mul<broadcast = 1, axis = 1>(h, t)", id="intermediates"),
    ],
)
def test_broadcasts_below_opset_7(rng: np.random.Generator, second: tuple[int, ...], body: str) -> None:
    model = gs.load(HEAD.format(second=list(second) or "") + "{ " + body + " }")
    feeds = {"x": rng.standard_normal((2, 3, 4, 3)), "s": rng.uniform(0.5, 2, second)}
    old, new = gs.Session(model), gs.Session(upgraded(model, 18))
    np.testing.assert_array_equal(old.run(feeds)["y"], new.run(feeds)["y"])
    assert check_derivatives(model, feeds, ["y"], ["x", "s"], order=1).checks


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("y = Clip<min = -0.5, max = 0.7>(x)", id="Clip"),
        pytest.param(
            "h = Tanh(x) y = Pad<pads = [0, 0, 1, 2, 0, 0, 0, 0], value = 0.3>(h)", id="Pad of an intermediate"
        ),
    ],
)
def test_attributes_that_became_inputs_have_the_dtype_of_the_rest(rng: np.random.Generator, body: str) -> None:
    """ONNX's converter makes float32 of them, whatever the model is in."""
    model = gs.load(HEAD.format(second=[1]).replace("[2, 3, 4, 3] y", "[A, B, C, D] y") + "{ " + body + " }")
    feeds = {"x": rng.uniform(-2, 2, (2, 3, 4, 3)), "s": np.ones(1)}
    assert check_derivatives(model, feeds, ["y"], ["x"]).checks


def test_broadcasts_of_unknown_rank_are_refused() -> None:
    model = gs.load(
        '<ir_version: 3, opset_import: ["" : 6]> g (double[2, 3] x, double[n] s, int64[k] d) => (double y) '
        "{ h = Reshape(x, d) y = PRelu(h, s) }"
    )
    with pytest.raises(gs.UnsupportedError, match="PRelu"):
        gs.vjp(model, ["y"], ["x"])
