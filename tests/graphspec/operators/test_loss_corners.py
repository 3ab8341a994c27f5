"""Losses at extreme scores and at labels that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives
from samples import Floats, Sample
from samples.build import build

SCE, NLL = "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"
INF = np.inf


@pytest.mark.parametrize(
    ("scores", "label", "loss", "slopes"),
    [
        pytest.param([1e4, -1e4, 0.0], 0, 0.0, [0, 0, 0], id="right"),
        pytest.param([1e4, -1e4, 0.0], 1, 2e4, [1, -1, 0], id="wrong"),
        pytest.param([1e4, -1e4, 0.0], 2, 1e4, [1, 0, -1], id="between"),
        pytest.param([1e4, 1e4, 1e4], 2, np.log(3), [1 / 3, 1 / 3, -2 / 3], id="equal"),
        pytest.param([-1e4, -1e4, -1e4], 0, np.log(3), [-2 / 3, 1 / 3, 1 / 3], id="equal-negative"),
        pytest.param([-INF, 0.0, 0.0], 1, np.log(2), [0, -0.5, 0.5], id="masked-class"),
    ],
)
def test_cross_entropy_is_exact_in_float32(
    run: Any, pull: Any, rng: np.random.Generator, scores: list[float], label: int, loss: float, slopes: list[float]
) -> None:
    x, t = np.array([scores], np.float32), np.array([label])
    for reduction in ("none", "sum", "mean"):
        found = run(SCE, x, t, reduction=reduction)
        np.testing.assert_allclose(found.reshape(()), np.float32(loss), rtol=1e-6)
        dY = rng.uniform(0.5, 2, found.shape).astype(np.float32)
        (dX,) = pull(SCE, x, t, dY=dY, reduction=reduction)
        np.testing.assert_allclose(dX, dY * np.array([slopes], np.float32), rtol=1e-6, atol=1e-7)


def test_second_derivative_is_finite_at_extreme_scores() -> None:
    x, t = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]), np.array([1, 2])
    model, feeds = build(Sample(SCE, (Floats(x.shape), t)), [x, t], symbolic=False)
    once = gs.grad(model, "y0", ["x0"])
    twice = gs.vjp(once, ["x0_grad"], ["x0"])
    v = np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 2.0]])
    found = gs.Session(twice).run({**feeds, "x0_grad_cotangent": v}, fetches=["x0_vjp"])["x0_vjp"]
    # half (the mean of two) of (diag p - p pᵀ) v with p = (1, 0, 0) and p = (0, 1/2, 1/2)
    np.testing.assert_allclose(found, [[0, 0, 0], [0, -0.375, 0.375]], atol=1e-12)


@pytest.mark.parametrize("op_type", [SCE, NLL])
@pytest.mark.parametrize("label", [3, -1, 2**40], ids=["above", "below", "far"])
def test_labels_out_of_range_are_refused(run: Any, op_type: str, label: int) -> None:
    with pytest.raises(gs.ExecutionError, match=rf"label {label} is outside of 0\.\.2"):
        run(op_type, np.zeros((2, 3), np.float32), np.array([0, label]))


@pytest.mark.parametrize("op_type", [SCE, NLL])
@pytest.mark.parametrize("ignore", [7, -100, 1])
def test_ignored_elements_count_nowhere(
    run: Any, pull: Any, rng: np.random.Generator, op_type: str, ignore: int
) -> None:
    x, w = rng.standard_normal((4, 3)), rng.uniform(0.5, 2, 3)
    t, kept = np.array([0, ignore, 2, ignore]), [0, 2]
    for reduction in ("sum", "mean"):
        found = run(op_type, x, t, w, reduction=reduction, ignore_index=ignore)
        np.testing.assert_allclose(found, run(op_type, x[kept], t[kept], w, reduction=reduction))
        dY = rng.standard_normal()
        dX, dW = pull(op_type, x, t, w, dY=dY, wrt=(0, 2), reduction=reduction, ignore_index=ignore)
        dX_kept, dW_kept = pull(op_type, x[kept], t[kept], w, dY=dY, wrt=(0, 2), reduction=reduction)
        np.testing.assert_allclose(dX[kept], dX_kept)
        np.testing.assert_allclose(dW, dW_kept, atol=1e-15)
        assert not dX[[1, 3]].any()


def test_weights_of_zero_are_no_ignored_labels() -> None:
    x, t, w = np.array([[0.3, -0.4, 1.1], [0.2, 0.9, -0.5]]), np.array([1, 2]), np.array([1.0, 0.0, 0.7])
    model, feeds = build(Sample(NLL, (Floats(x.shape), t, Floats((3,)))), [x, t, w], symbolic=False)
    assert check_derivatives(model, feeds, ["y0"], ["x0", "x2"], order=2).checks


@pytest.mark.parametrize("op_type", [SCE, NLL])
def test_shapes_that_do_not_fit_are_refused(op_type: str) -> None:
    t = np.array([0, 1, 2])
    model, feeds = build(Sample(op_type, (Floats((2, 3)), t)), [np.zeros((2, 3)), t], symbolic=True)
    with pytest.raises(gs.ExecutionError, match="do not fit"):
        gs.Session(model).run(feeds)
