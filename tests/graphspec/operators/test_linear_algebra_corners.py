"""Matrix products in narrow types and odd shapes, determinants of singular matrices, Einsum's grammar."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry
from graphspec.testing import check_derivatives
from samples import Floats, Sample
from samples.build import build


def _cofactors(a: np.ndarray) -> np.ndarray:
    n = len(a)
    found = np.empty_like(a)
    for i, j in itertools.product(range(n), repeat=2):
        minor = np.delete(np.delete(a, i, 0), j, 1)
        found[i, j] = (-1) ** (i + j) * (np.linalg.det(minor) if n > 1 else 1.0)
    return found


@pytest.mark.parametrize("rank", range(5))
def test_determinant_of_any_rank_has_its_cofactors_as_slope(pull: Any, rng: np.random.Generator, rank: int) -> None:
    a = rng.standard_normal((4, rank)) @ rng.standard_normal((rank, 4))
    dY = rng.standard_normal()
    (dX,) = pull("Det", a, dY=dY)
    np.testing.assert_allclose(dX, dY * _cofactors(a), atol=1e-12)


def test_second_derivative_of_a_singular_determinant() -> None:
    """Of rank 1, the determinant and all cofactors vanish; the derivative of the cofactors does not."""
    a = np.outer([1.0, 2.0, -1.0], [0.5, 1.0, 2.0])
    model, feeds = build(Sample("Det", (Floats((3, 3)),)), [a], symbolic=False)
    once = gs.vjp(model, ["y0"], ["x0"])
    twice = gs.vjp(once, ["x0_vjp"], ["x0"])
    v = np.arange(9.0).reshape(3, 3)
    found = gs.Session(twice).run(
        {**feeds, "y0_cotangent": np.float64(1), "x0_vjp_cotangent": v}, fetches=["x0_vjp_2"]
    )["x0_vjp_2"]
    step = 1e-4
    expected = (_cofactors(a + step * v) - _cofactors(a - step * v)) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("op_type", ["MatMul", "Gemm", "Einsum"])
def test_16_bits_are_summed_in_32(run: Any, rng: np.random.Generator, op_type: str, dtype: type) -> None:
    a, b = (rng.uniform(0.5, 1, shape).astype(dtype) for shape in ((2, 700), (700, 3)))
    attributes = {"equation": "ij,jk->ik"} if op_type == "Einsum" else {}
    found = run(op_type, a, b, opset=28, **attributes)
    assert found.dtype == dtype
    exact = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=0.51 * float(ml_dtypes.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_integers(run: Any, dtype: type) -> None:
    a, b, c = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4), np.arange(4)
    a, b, c = a.astype(dtype), b.astype(dtype), c.astype(dtype)
    for found, expected in (
        (run("MatMul", a, b), a @ b),
        (run("Gemm", a, b, c, alpha=2.0, beta=3.0), 2 * (a @ b) + 3 * c),
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


def test_integer_products_with_zero_points_by_row_and_column(run: Any, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 256, (2, 5), np.uint8), rng.integers(-128, 128, (5, 3), np.int8)
    rows, columns = np.array([3, 250], np.uint8), np.array([-128, 0, 127], np.int8)
    found = run("MatMulInteger", a, b, rows, columns)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(
        found, (a.astype(int) - rows[:, None].astype(int)) @ (b.astype(int) - columns.astype(int))
    )


@pytest.mark.parametrize(
    ("op_type", "shapes", "attributes"),
    [
        pytest.param("MatMul", [(2, 3), (2, 3)], {}, id="matmul"),
        pytest.param("MatMul", [(), (3,)], {}, id="matmul-scalar"),
        pytest.param("Gemm", [(2, 3), (2, 3)], {}, id="gemm"),
        pytest.param("Gemm", [(2, 3), (3, 2), (3,)], {}, id="gemm-C"),
        pytest.param("Gemm", [(1, 3), (3, 2), (2, 2)], {}, id="gemm-C-larger"),
        pytest.param("Det", [(2, 3)], {}, id="det"),
        pytest.param("Einsum", [(2, 3), (2, 3)], {"equation": "ij,jk->ik"}, id="einsum"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(op_type: str, shapes: Any, attributes: dict[str, Any]) -> None:
    fine = {"MatMul": (2, 2), "Gemm": (2, 2), "Det": (2, 2), "Einsum": (2, 2)}[op_type]
    sample = Sample(op_type, tuple(Floats(fine) for _ in shapes), attributes)
    model, _ = build(sample, [np.ones(fine) for _ in shapes], symbolic=False)
    for value in [*model.graph.inputs, *model.graph.outputs]:
        value.shape = None
    with pytest.raises(gs.ExecutionError):
        gs.Session(model).run({f"x{i}": np.ones(shape) for i, shape in enumerate(shapes)})


@pytest.mark.parametrize(
    "equation",
    ["ij,jk->iz", "ij,jk->ii", "ij->ij", "ij,jk,kl->il", "i,jk->ik", "i1,jk->ik", "ij,j k->i→k", "..ij,jk->ik",
     "......ij,jk->ik"],
)  # fmt: skip
def test_equations_that_do_not_parse_are_refused(equation: str) -> None:
    entry = registry.find("Einsum", "", 12)  # the kernel itself, as ONNX's inference refuses some before a run
    assert entry is not None
    with pytest.raises(ValueError, match="equation"):
        entry.kernel(np.ones((2, 2)), np.ones((2, 2)), equation=equation)


@pytest.mark.parametrize("k", [-(2**63), -7, 7, 2**63 - 1])
@pytest.mark.parametrize("upper", [0, 1])
def test_diagonals_far_outside(run: Any, k: int, upper: int) -> None:
    x = np.arange(1.0, 7.0).reshape(2, 3)
    everything = (k < 0) == bool(upper)
    np.testing.assert_array_equal(run("Trilu", x, np.array(k), upper=upper), x if everything else np.zeros_like(x))


def test_a_dense_layer_takes_one_gemm_for_each_gradient() -> None:
    model = gs.load(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[n,3] x, float[3,4] w) => (float[n,4] y) { y = MatMul(x, w) }"""
    )
    derived = gs.vjp(model, ["y"], ["x", "w"])
    assert [node.op_type for node in derived.graph] == ["MatMul", "Gemm", "Gemm"]


def test_gemm_before_opset_7_with_broadcast() -> None:
    sample = Sample("Gemm", (Floats((2, 3)), Floats((4, 3)), Floats((4,))), {"transB": 1, "broadcast": 1}, opset=6)
    rng = np.random.default_rng(3)
    model, feeds = build(sample, [rng.standard_normal(s) for s in ((2, 3), (4, 3), (4,))], symbolic=False)
    found = gs.Session(model).run(feeds)["y0"]
    np.testing.assert_allclose(found, feeds["x0"] @ feeds["x1"].T + feeds["x2"])
    assert check_derivatives(model, feeds, ["y0"], ["x0", "x1", "x2"]).checks


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        pytest.param("ij,ij->ij", [(2, 3), (1, 3)], id="one-against-many"),
        pytest.param("ij,ij->i", [(2, 3), (2, 1)], id="one-against-many-summed"),
        pytest.param("...i,...i->...", [(2, 1, 3), (1, 4, 3)], id="ellipses-broadcast"),
        pytest.param("...ij->...", [(2, 3, 2)], id="summed-beside-ellipsis"),
    ],
)
def test_einsum_broadcasts_lengths_of_one(equation: str, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal(s) for s in shapes]
    sample = Sample("Einsum", tuple(Floats(s) for s in shapes), {"equation": equation})
    # ONNX's inference takes symbols under an ellipsis to be equal, so that one is declared with numbers.
    model, feeds = build(sample, arrays, symbolic=equation.count("...") < 3)
    np.testing.assert_allclose(gs.Session(model).run(feeds)["y0"], np.einsum(equation, *arrays))
    assert check_derivatives(model, feeds, ["y0"], [f"x{i}" for i in range(len(shapes))]).checks


@pytest.mark.parametrize("opset", [23, 28])
def test_stacks_of_matrices_in_bfloat16(opset: int) -> None:
    """Einsum, which is shorter, does not take the type before opset 28."""
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal(s).astype(ml_dtypes.bfloat16) for s in ((3, 4), (2, 4, 5), (2, 3, 5))]
    sample = Sample("MatMul", (Floats((3, 4)), Floats((2, 4, 5))), opset=opset)
    model, feeds = build(sample, list(arrays[:2]), symbolic=True)
    found = gs.Session(gs.vjp(model, ["y0"], ["x0", "x1"])).run({**feeds, "y0_cotangent": arrays[2]})
    A, B, dY = (a.astype(np.float64) for a in arrays)
    for name, expected in (("x0_vjp", np.einsum("bij,bkj->ik", dY, B)), ("x1_vjp", A.T @ dY)):
        assert found[name].dtype == ml_dtypes.bfloat16
        np.testing.assert_allclose(found[name].astype(np.float64), expected, rtol=0.03, atol=0.1)
