"""Indices at their edges: what is refused, ties, half precision, NaN, and what must not be zero in silence."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.operators import registry
from graphspec.testing import check_derivatives


def _kernel(op_type: str, *inputs: object, **attributes: object) -> object:
    entry = registry.find(op_type, "", 23)
    assert entry is not None
    return entry.kernel(*inputs, **attributes)


def _model(node: str, inputs: str, outputs: str = "float[n] y") -> ir.Model:
    return gs.load(f'<ir_version: 10, opset_import: ["" : 21]> agraph ({inputs}) => ({outputs}) {{ {node} }}')


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Gather", (X, np.array([0, 2])), {}),
        ("Gather", (X, np.array([-3])), {}),
        ("Gather", (X[:0], np.array([0])), {}),
        ("GatherElements", (X, np.array([[2, 0, 0]])), {}),
        ("GatherElements", (X, np.array([[0], [-4]])), {"axis": 1}),
        ("GatherElements", (X, np.array([[0], [0], [0]])), {"axis": 1}),
        ("GatherElements", (X, np.array([0])), {}),
        ("GatherND", (X, np.array([[0, 3]])), {}),
        ("GatherND", (X, np.array([[0, 0, 0]])), {}),
        ("GatherND", (X, np.array([[0], [1], [0]])), {"batch_dims": 1}),
        ("ScatterElements", (X, np.array([[2]]), np.ones((1, 1), np.float32)), {}),
        ("ScatterElements", (X, np.array([[0]]), np.ones((1, 2), np.float32)), {}),
        ("ScatterElements", (X, np.array([[0]]), np.ones((1, 1), np.float32)), {"reduction": "mean"}),
        ("ScatterND", (X, np.array([[2]]), np.ones((1, 3), np.float32)), {}),
        ("ScatterND", (X, np.array([[2]]), np.ones((1, 3), np.float32)), {"reduction": "add"}),
        ("ScatterElements", (X, np.array([[0], [-3]]), np.ones((2, 1), np.float32)), {"reduction": "mul"}),
        ("ScatterND", (X, np.array([[0]]), np.ones((1, 1), np.float32)), {"reduction": "add"}),
        ("TopK", (X, np.array([4])), {}),
        ("OneHot", (np.array([0]), np.array(-1), np.zeros(2)), {}),
        ("Compress", (X, np.array([False, False, True])), {"axis": 0}),
        ("ReverseSequence", (X, np.array([3, 1, 1])), {}),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_values_outside_are_refused(op_type: str, inputs: tuple[object, ...], attributes: dict[str, object]) -> None:
    with pytest.raises((ValueError, IndexError)) as refusal:
        _kernel(op_type, *inputs, **attributes)
    assert str(refusal.value)


def test_a_refusal_names_the_node() -> None:
    session = gs.Session(_model("[pick] y = Gather (x, i)", "float[n] x, int64[k] i"))
    with pytest.raises(gs.ExecutionError, match=r"'pick'.*out of bounds"):
        session.run({"x": np.ones(2, np.float32), "i": np.array([5])})


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int32, np.uint8])
def test_scatter_adds_each_duplicate_in_every_dtype(dtype: type) -> None:
    out = _kernel(
        "ScatterElements", np.array([1, 2, 3], dtype), np.array([1, -2, 1, 0]), np.array([1, 2, 3, 4], dtype),
        reduction="add",
    )  # fmt: skip
    assert isinstance(out, np.ndarray)
    assert out.dtype == dtype
    assert out.astype(np.float64).tolist() == [5, 8, 3]


@pytest.mark.parametrize("width", [1, 3, 200])
@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
def test_scatter_with_rows_of_any_width(reduction: str, width: int, rng: np.random.Generator) -> None:
    data, updates = rng.standard_normal((2, 3, width)), rng.standard_normal((2, 4, width))
    indices = np.array([[[0, 1], [1, -1], [0, 1], [-2, -3]], [[1, 2], [-1, -1], [0, 1], [0, 0]]])
    expected = data.copy()
    ufunc = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    for place in np.ndindex(2, 4):
        i, j = indices[place]
        expected[i, j] = ufunc(expected[i, j], updates[place])
    found = _kernel(
        "ScatterND", data.transpose(2, 1, 0).copy().transpose(2, 1, 0), indices, updates, reduction=reduction
    )
    np.testing.assert_allclose(found, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("reduction", ["max", "min"])
def test_ties_share_the_cotangent_evenly(reduction: str) -> None:
    node = f'y = ScatterElements <reduction = "{reduction}"> (x, i, u)'
    model = _model(node, "float[3] x, int64[4] i, float[4] u", "float[3] y")
    sign = 1 if reduction == "max" else -1
    feeds = {
        "x": sign * np.array([5, 1, 7], np.float32),  # ties with one update, loses, wins
        "i": np.array([0, 1, 1, 2]),
        "u": sign * np.array([5, 2, 2, 3], np.float32),
        "y_cotangent": np.array([0.6, -1.4, 2.2], np.float32),
    }
    found = gs.Session(gs.vjp(model, ["y"], ["x", "u"])).run(feeds)
    np.testing.assert_allclose(found["x_vjp"], np.array([0.3, 0, 2.2]), rtol=1e-6)
    np.testing.assert_allclose(found["u_vjp"], np.array([0.3, -0.7, -0.7, 0]), rtol=1e-6)


def test_updates_that_are_multiplied_may_be_zero() -> None:
    """Both orders are exact where one, or several, of the numbers that meet in one place are 0."""
    model = _model(
        'y = ScatterElements <reduction = "mul"> (x, i, u)', "double[3] x, int64[6] i, double[6] u", "double[3] y"
    )
    feeds = {
        "x": np.array([3.0, 0.0, -2.0]),
        "i": np.array([0, 1, -3, 2, 2, 0]),
        "u": np.array([0.0, 2.0, 1.5, 0.0, 0.0, -4.0]),
    }
    check_derivatives(model, feeds, ["y"], ["x", "u"])


def test_one_hot_keeps_nan_where_it_is() -> None:
    model = _model("d = Constant <value_int = 3> ()  y = OneHot (i, d, v)", "int64[2] i, float[2] v", "float[2, 3] y")
    ct = np.array([[1.5, -0.25, np.nan], [2.0, 0.5, -4.0]], np.float32)
    found = gs.Session(gs.vjp(model, ["y"], ["v"])).run(
        {"i": np.array([0, 2]), "v": np.array([0.0, 1.0], np.float32), "y_cotangent": ct}
    )
    np.testing.assert_allclose(found["v_vjp"], [np.nan, 1.5 - 4.0])


def test_top_k_takes_the_first_of_equal_elements_and_nan_for_the_largest() -> None:
    x = np.array([2, 7, 7, 2, 7], np.float32)
    for largest, expected in ((1, [1, 2, 4]), (0, [0, 3, 1])):
        values, indices = _kernel("TopK", x, np.array([3]), largest=largest)  # type: ignore[misc]
        assert indices.tolist() == expected
        assert values.tolist() == x[expected].tolist()
    _, indices = _kernel("TopK", np.array([1, np.nan, 3], np.float32), np.array([1]))  # type: ignore[misc]
    assert indices.tolist() == [1]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.uint8, np.int64])
def test_top_k_in_every_dtype(dtype: type) -> None:
    x = np.array([[3, 0, 2], [1, 5, 4]]).astype(dtype)
    values, indices = _kernel("TopK", x, np.array([2]))  # type: ignore[misc]
    assert values.dtype == dtype
    assert indices.tolist() == [[0, 2], [1, 2]]


def test_gather_of_text_and_of_half_precision() -> None:
    words = np.array(["a", "bc", "d"], dtype=object)
    assert _kernel("Gather", words, np.array([1, -1])).tolist() == ["bc", "d"]  # type: ignore[attr-defined]
    brain = np.array([1, 2, 3], ml_dtypes.bfloat16)
    picked = _kernel("Gather", brain, np.array(1))
    assert isinstance(picked, np.ndarray)
    assert (picked.dtype, picked.shape, float(picked)) == (brain.dtype, (), 2.0)


def test_unique_counts_and_inverts() -> None:
    x = np.array([3, 1, 3, 2, 1])
    for ordered in (0, 1):
        values, first, inverse, counts = _kernel("Unique", x, sorted=ordered)  # type: ignore[misc]
        assert values[inverse].tolist() == x.tolist()
        assert x[first].tolist() == values.tolist()
        assert counts.tolist() == [int(np.sum(x == v)) for v in values]
        assert values.tolist() == ([1, 2, 3] if ordered else [3, 1, 2])
