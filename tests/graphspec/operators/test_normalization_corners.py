"""Normalizations: old forms, even windows, statistics as outputs, constant data, empty batches, 16 bits."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry
from graphspec.testing import check_derivatives
from samples import Floats, Sample
from samples.build import build

EPSILON = float(np.float32(1e-5))
F = Floats


def _check(sample: Sample, symbolic: bool = False, **how: Any) -> None:
    rng = np.random.default_rng(5)
    arrays = [x.draw(rng, np.float64) if isinstance(x, Floats) else x for x in sample.inputs]
    model, feeds = build(sample, arrays, symbolic=symbolic)
    wrt = [f"x{i}" for i, x in enumerate(sample.inputs) if isinstance(x, Floats)]
    assert check_derivatives(model, feeds, [f"y{i}" for i in sample.of], wrt, **how).checks


def _lrn(x: np.ndarray, size: int, alpha: float, beta: float, bias: float) -> np.ndarray:
    """The formula of the ONNX text, word for word."""
    y = np.empty_like(x)
    channels = x.shape[1]
    for c in range(channels):
        first, last = max(0, c - (size - 1) // 2), min(channels - 1, c + -(-(size - 1) // 2))
        y[:, c] = x[:, c] / (bias + alpha / size * np.sum(x[:, first : last + 1] ** 2, axis=1)) ** beta
    return y


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (1, 5, 2, 2, 2)], ids=["2d", "3d", "5d"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 30])
def test_lrn_of_any_rank_and_size(run: Any, rng: np.random.Generator, shape: tuple[int, ...], size: int) -> None:
    x = rng.standard_normal(shape)
    found = run("LRN", x, size=size, alpha=0.5, beta=0.6, bias=1.5)
    alpha, beta = float(np.float32(0.5)), float(np.float32(0.6))
    np.testing.assert_allclose(found, _lrn(x, size, alpha, beta, 1.5), rtol=1e-12)


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("shape", [(2, 5, 2), (1, 5, 2, 1)], ids=["3d", "4d"])
@pytest.mark.parametrize("size", [2, 4, 11])
def test_lrn_slope_of_even_sizes(shape: tuple[int, ...], size: int, symbolic: bool) -> None:
    _check(Sample("LRN", (F(shape),), {"size": size, "alpha": 0.5, "beta": 0.6}), symbolic)


def test_lrn_over_more_channels_than_are_stored() -> None:
    sample = Sample("LRN", (F((1, 300)),), {"size": 5, "alpha": 0.5})
    _check(sample, order=1)
    model, _ = build(sample, [np.ones((1, 300))], symbolic=False)
    derived = gs.vjp(model, ["y0"], ["x0"])
    constants = [value.const_value.size for value in derived.graph.initializers.values()]
    assert max(constants) < 1000


def test_group_normalization_18_is_21_with_scales_repeated(rng: np.random.Generator) -> None:
    x, scale, bias = rng.standard_normal((2, 6, 3)), rng.standard_normal(2), rng.standard_normal(2)
    old, new = registry.find("GroupNormalization", "", 18), registry.find("GroupNormalization", "", 21)
    assert old is not None
    assert new is not None
    assert old is not new
    found = old.kernel(x, scale, bias, num_groups=2, epsilon=1e-3)
    expected = new.kernel(x, np.repeat(scale, 3), np.repeat(bias, 3), num_groups=2, epsilon=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    groups = x.reshape(2, 2, -1)
    by_hand = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(found, (by_hand * scale[:, None] + bias[:, None]).reshape(x.shape), rtol=1e-12)


def test_group_normalization_18_slopes(rng: np.random.Generator) -> None:
    model = gs.load(
        """<ir_version: 10, opset_import: ["" : 18]>
        g (double[n,4,3] x, double[2] scale, double[2] bias) => (double[n,4,3] y) {
            y = GroupNormalization<num_groups = 2>(x, scale, bias)
        }"""
    )
    feeds = {"x": rng.standard_normal((2, 4, 3)), "scale": rng.standard_normal(2), "bias": rng.standard_normal(2)}
    assert check_derivatives(model, feeds, ["y"], ["x", "scale", "bias"]).checks


@pytest.mark.parametrize("num_groups", [3, 0, -2])
def test_groups_of_unequal_size_are_refused(num_groups: int) -> None:
    entry = registry.find("GroupNormalization", "", 21)
    assert entry is not None
    with pytest.raises(ValueError, match="groups of equal size"):
        entry.kernel(np.ones((2, 4, 3)), np.ones(4), np.ones(4), num_groups=num_groups)


@pytest.mark.parametrize(("opset", "attributes"), [(6, {"is_test": 0}), (7, {}), (9, {})])
def test_batch_normalization_trains_where_more_outputs_are_asked_for(
    run: Any, rng: np.random.Generator, opset: int, attributes: dict[str, int]
) -> None:
    x, scale, b = rng.standard_normal((4, 3, 2)), rng.standard_normal(3), rng.standard_normal(3)
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    Y, *statistics = run(
        "BatchNormalization", x, scale, b, mean, var, opset=opset, outputs=5, momentum=0.75, **attributes
    )
    now = [x.mean((0, 2)), x.var((0, 2))]
    by_hand = (x - now[0][:, None]) / np.sqrt(now[1] + EPSILON)[:, None] * scale[:, None] + b[:, None]
    np.testing.assert_allclose(Y, by_hand, rtol=1e-10)
    expected = [0.75 * mean + 0.25 * now[0], 0.75 * var + 0.25 * now[1], *now]
    for found, wanted in zip(statistics, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("opset", [6, 7])
def test_batch_normalization_by_activation(run: Any, rng: np.random.Generator, opset: int) -> None:
    x = rng.standard_normal((4, 3, 2))
    scale, b, mean, var = (rng.uniform(0.5, 2, (3, 2)) for _ in range(4))
    found = run("BatchNormalization", x, scale, b, mean, var, opset=opset, spatial=0)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(var + EPSILON) * scale + b, rtol=1e-12)


def test_batch_normalization_of_a_vector_has_one_channel(run: Any, pull: Any, rng: np.random.Generator) -> None:
    x, one = rng.standard_normal(5), np.array([2.0])
    found = run("BatchNormalization", x, one, one, one, one)
    np.testing.assert_allclose(found, (x - 2) / np.sqrt(2 + EPSILON) * 2 + 2, rtol=1e-12)


def test_batch_normalization_in_mixed_precision(rng: np.random.Generator) -> None:
    """X in float16 and parameters in float32, as mixed precision training has them; each gradient in its own type."""
    model = gs.load(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float16[4,3] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float16[4,3] y) {
            y = BatchNormalization(x, s, b, m, v)
        }"""
    )
    names = ["x", "s", "b", "m", "v"]
    feeds = {n: rng.uniform(0.5, 2, 3).astype(np.float32) for n in names}
    feeds["x"] = rng.standard_normal((4, 3)).astype(np.float16)
    dY = rng.standard_normal((4, 3)).astype(np.float16)
    found = gs.Session(gs.vjp(model, ["y"], names)).run({**feeds, "y_cotangent": dY})
    x, s, m, v = (feeds[n].astype(np.float64) for n in ("x", "s", "m", "v"))
    deviation = np.sqrt(v + EPSILON)
    xhat, g = (x - m) / deviation, dY.astype(np.float64)
    expected = {
        "x": g * s / deviation, "s": (g * xhat).sum(0), "b": g.sum(0), "m": -g.sum(0) * s / deviation,
        "v": -0.5 * (g * xhat).sum(0) * s / deviation**2,
    }  # fmt: skip
    for name in names:
        assert found[f"{name}_vjp"].dtype == feeds[name].dtype
        rtol = 1e-3 if name == "x" else 1e-5
        np.testing.assert_allclose(found[f"{name}_vjp"].astype(np.float64), expected[name], rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1])
def test_cotangents_of_mean_and_deviation_reach_x(axis: int) -> None:
    """ONNX hands these two out in float32 even for float64, hence the tolerance."""
    shape = (2, 3, 4)
    sample = Sample("LayerNormalization", (F(shape), F(shape[axis:])), {"axis": axis}, outputs=3, of=(0, 1, 2))
    rng = np.random.default_rng(6)
    model, feeds = build(sample, [rng.standard_normal(shape), rng.standard_normal(shape[axis:])], symbolic=False)
    assert check_derivatives(model, feeds, ["y0", "y1", "y2"], ["x0"], order=1, rtol=5e-3).checks
    assert check_derivatives(model, feeds, ["y1"], ["x0"], order=1, rtol=5e-3).checks


def test_layer_normalization_in_float32_agrees_with_float64_at_both_orders() -> None:
    """In float32 the rule takes mean and deviation from the node's own outputs, in float64 it computes them."""
    rng = np.random.default_rng(7)
    sample = Sample("LayerNormalization", (F((2, 3, 4)), F((3, 4)), F((3, 4))), {"axis": 1})
    arrays = [rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((3, 4))]
    dY, v = rng.standard_normal((2, 2, 3, 4))
    results = []
    for dtype in (np.float32, np.float64):
        model, feeds = build(sample, [a.astype(dtype) for a in arrays], symbolic=False)
        once = gs.vjp(model, ["y0"], ["x0", "x1"])
        twice = gs.vjp(once, ["x0_vjp"], ["x0", "x1", "y0_cotangent"])
        given = {**feeds, "y0_cotangent": dY.astype(dtype), "x0_vjp_cotangent": v.astype(dtype)}
        results.append(list(gs.Session(twice).run(given).values()))
        assert ("Sqrt" in [node.op_type for node in once.graph]) == (dtype == np.float64)
    for narrow, exact in zip(*results, strict=True):
        np.testing.assert_allclose(narrow, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op_type", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_16_bits_are_normalised_in_32(run: Any, pull: Any, rng: np.random.Generator, op_type: str, dtype: type) -> None:
    x, scale = (100 * rng.standard_normal((3, 300))).astype(dtype), rng.uniform(0.5, 2, 300).astype(dtype)
    dY = rng.standard_normal((3, 300)).astype(dtype)
    exact = [run(op_type, x.astype(np.float64), scale.astype(np.float64))]
    exact += pull(op_type, x.astype(np.float64), scale.astype(np.float64), dY=dY.astype(np.float64), wrt=(0, 1))
    found = [run(op_type, x, scale), *pull(op_type, x, scale, dY=dY, wrt=(0, 1))]
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == dtype
        eps = float(ml_dtypes.finfo(dtype).eps)
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=2 * eps, atol=eps * np.abs(b).max())


@pytest.mark.parametrize(
    ("op_type", "parameters", "attributes"),
    [
        ("LayerNormalization", 2, {}),
        ("RMSNormalization", 1, {}),
        ("LpNormalization", 0, {"p": 1}),
        ("LpNormalization", 0, {"p": 2}),
        ("MeanVarianceNormalization", 0, {"axes": [1]}),
    ],
)
def test_rows_of_zeros_are_finite(
    run: Any, pull: Any, rng: np.random.Generator, op_type: str, parameters: int, attributes: dict[str, Any]
) -> None:
    x = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]], np.float32)
    rest = [np.full(3, 0.5, np.float32) for _ in range(parameters)]
    Y = run(op_type, x, *rest, **attributes)
    np.testing.assert_array_equal(Y[0], np.float32(0.5 if parameters == 2 else 0))
    (dX,) = pull(op_type, x, *rest, dY=rng.standard_normal((2, 3)).astype(np.float32), **attributes)
    assert np.isfinite(dX).all()
    if op_type == "LpNormalization":
        assert not dX[0].any()
        assert dX[1].any()


@pytest.mark.parametrize("axes", [[0], [0, 2, 3], [-1]], ids=str)
def test_mean_variance_normalization_is_its_formula(run: Any, rng: np.random.Generator, axes: list[int]) -> None:
    x = rng.standard_normal((2, 3, 2, 2)) + 1e4  # the textbook's E[x²] - E[x]² would lose all figures in float32
    over = tuple(axes)
    expected = (x - x.mean(over, keepdims=True)) / (x.std(over, keepdims=True) + 1e-9)
    np.testing.assert_allclose(run("MeanVarianceNormalization", x, axes=axes), expected, rtol=1e-6)
    entry = registry.find("MeanVarianceNormalization", "", 13)
    assert entry is not None
    np.testing.assert_array_equal(entry.kernel(x), entry.kernel(x, axes=[0, 2, 3]))


@pytest.mark.parametrize(
    ("op_type", "shapes", "attributes"),
    [
        ("BatchNormalization", [(0, 3, 2), (3,), (3,), (3,), (3,)], {}),
        ("InstanceNormalization", [(0, 3, 2), (3,), (3,)], {}),
        ("LayerNormalization", [(0, 3), (3,)], {}),
        ("GroupNormalization", [(0, 4, 2), (4,), (4,)], {"num_groups": 2}),
        ("LRN", [(0, 3, 2)], {"size": 3}),
        ("LpNormalization", [(0, 3)], {}),
    ],
)
def test_empty_batches(run: Any, pull: Any, op_type: str, shapes: list[tuple[int, ...]], attributes: Any) -> None:
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    assert run(op_type, *arrays, **attributes).shape == shapes[0]
    found = pull(op_type, *arrays, dY=arrays[0], wrt=range(len(shapes)), **attributes)
    assert [d.shape for d in found] == shapes
    assert not any(d.any() for d in found)


def test_channels_that_do_not_fit_are_refused() -> None:
    entry = registry.find("BatchNormalization", "", 15)
    assert entry is not None
    with pytest.raises(ValueError, match="3 channels"):
        entry.kernel(np.ones((2, 3)), np.ones(2), np.ones(2), np.ones(2), np.ones(2))


def test_norms_other_than_1_and_2_are_refused() -> None:
    entry = registry.find("LpNormalization", "", 22)
    assert entry is not None
    with pytest.raises(ValueError, match="p is 1 or 2"):
        entry.kernel(np.ones(3), p=3)
