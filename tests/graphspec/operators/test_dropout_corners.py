"""Dropout in training: the mask, the seed, and a derivative through the node's own mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.operators import registry

HEAD = '<ir_version: 10, opset_import: ["" : 23]> g (double[n, 8] x{more}) => (double[n, 8] y) '
TRAINING = HEAD.format(more="") + (
    "{{ r = Constant<value = double {{{ratio}}}>() t = Constant<value = bool {{{training}}}>() h = Mul(x, x) "
    "y = Dropout{seed}(h, r, t) }}"
)
X = np.linspace(0.5, 2, 400).reshape(50, 8)


def _model(ratio: float = 0.3, training: int = 1, seed: str = "<seed = 5>") -> ir.Model:
    return gs.load(TRAINING.format(ratio=ratio, training=training, seed=seed))


@pytest.mark.parametrize("seed", ["<seed = 5>", ""], ids=["seed", "no seed"])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_value_and_derivative_share_the_mask(rng: np.random.Generator, ratio: float, seed: str) -> None:
    cotangent = rng.standard_normal(X.shape)
    found = gs.Session(gs.vjp(_model(ratio, seed=seed), ["y"], ["x"])).run({"x": X, "y_cotangent": cotangent})
    kept = found["y"] != 0
    assert abs(kept.mean() - (1 - ratio)) < 0.1
    np.testing.assert_allclose(found["y"][kept], (X * X)[kept] / (1 - ratio))
    np.testing.assert_allclose(found["x_vjp"], np.where(kept, 2 * X * cotangent / (1 - ratio), 0))


def test_second_derivative_shares_the_mask_too(rng: np.random.Generator) -> None:
    second = gs.vjp(gs.vjp(_model(), ["y"], ["x"]), ["x_vjp"], ["x"])
    a, b = rng.standard_normal(X.shape), rng.standard_normal(X.shape)
    found = gs.Session(second).run({"x": X, "y_cotangent": a, "x_vjp_cotangent": b})
    result = found[next(name for name in found if name.startswith("x_vjp") and name != "x_vjp")]
    np.testing.assert_allclose(result, np.where(found["y"] != 0, 2 * a * b / 0.7, 0))


def test_a_seed_gives_the_same_mask_each_time_and_none_another() -> None:
    seeded, free = gs.Session(_model()), gs.Session(_model(seed=""))
    np.testing.assert_array_equal(seeded.run({"x": X})["y"], seeded.run({"x": X})["y"])
    assert (free.run({"x": X})["y"] != free.run({"x": X})["y"]).any()


@pytest.mark.parametrize("training", [True, False])
def test_training_mode_at_run_time(rng: np.random.Generator, training: bool) -> None:
    model = gs.load(HEAD.format(more=", double r, bool t") + "{ y = Dropout<seed = 1>(x, r, t) }")
    cotangent = rng.standard_normal(X.shape)
    feeds = {"x": X, "r": np.array(0.25), "t": np.array(training), "y_cotangent": cotangent}
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run(feeds)
    kept = found["y"] != 0
    assert kept.all() != training
    np.testing.assert_allclose(found["x_vjp"], np.where(kept, cotangent / 0.75, 0) if training else cotangent)


def test_no_mask_is_asked_for_where_none_is_needed() -> None:
    derived = gs.vjp(_model(training=0), ["y"], ["x"])
    assert all(len(node.outputs) == 1 for node in derived.graph)


def test_the_derivative_by_the_ratio_is_refused() -> None:
    model = gs.load(HEAD.format(more=", double r, bool t") + "{ y = Dropout(x, r, t) }")
    with pytest.raises(gs.NoGradientRule, match="Dropout"):
        gs.vjp(model, ["y"], ["r"])


@pytest.mark.parametrize("ratio", [1.0, -0.1, np.nan])
def test_ratios_that_are_none_are_refused(run: Any, ratio: float) -> None:
    with pytest.raises(gs.ExecutionError, match="ratio"):
        run("Dropout", np.ones(3), np.array(ratio), np.array(True))


@pytest.mark.parametrize(("opset", "dtype"), [(7, np.float32), (10, np.bool_), (12, np.bool_)])
def test_the_mask_of_inference_is_all_ones(opset: int, dtype: type) -> None:
    entry = registry.find("Dropout", "", opset)
    assert entry is not None
    data = np.array([[1, 2]], np.float32)
    output, mask = entry(data, outputs=2)
    np.testing.assert_array_equal(output, data)
    assert mask.dtype == dtype
    assert mask.all()
    assert len(entry(data, outputs=1)) == 1


@pytest.mark.parametrize("call", ["Dropout(x, r, t)", "Bernoulli(x)", "RandomNormalLike(x)", "RandomUniformLike(x)"])
def test_equal_draws_stay_two(call: str) -> None:
    """Two nodes that draw are not one, however equal they look."""
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 23]> g (double[100] x) => (double[100] y, double[100] z) '
        f"{{ t = Constant<value = bool {{1}}>() r = Constant<value = double {{0.5}}>() y = {call} z = {call} }}"
    )
    found = gs.Session(model).run({"x": np.full(100, 0.5)})
    assert (found["y"] != found["z"]).any()
