"""Shapes at their edges: empty batches, sizes out of reason, text, and graphs that stay small."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry


def _kernel(op_type: str, *inputs: object, **attributes: object) -> np.ndarray:
    entry = registry.find(op_type, "", 23)
    assert entry is not None
    return entry.kernel(*inputs, **attributes)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    ("shape", "target", "expected"),
    [((0, 3, 4), (0, -1), (0, 12)), ((0, 4), (0, 2, -1), (0, 2, 2)), ((2, 0), (-1, 3, 0), None), ((0,), (-1,), (0,))],
)
def test_reshape_of_an_empty_batch(
    shape: tuple[int, ...], target: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"does not have|not determined"):
            _kernel("Reshape", np.zeros(shape), _ints(*target))
    else:
        assert _kernel("Reshape", np.zeros(shape), _ints(*target)).shape == expected


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Reshape", (X, _ints(-1, -1)), {}),
        ("Reshape", (X, _ints(4)), {}),
        ("Reshape", (X, _ints(-2, 3)), {}),
        ("Reshape", (X, _ints(2, 3, 0)), {}),
        ("Reshape", (X[:0], _ints(0, -1)), {"allowzero": 1}),
        ("Squeeze", (X, _ints(0)), {}),
        ("Unsqueeze", (X, _ints(0, 0)), {}),
        ("Unsqueeze", (X, _ints(5)), {}),
        ("Flatten", (X,), {"axis": 3}),
        ("Transpose", (X,), {"perm": [0, 0]}),
        ("Expand", (X, _ints(2, 4)), {}),
        ("Concat", (X, X[:, :2]), {"axis": 0}),
        ("Split", (X, _ints(1, 3)), {"outputs": 2, "axis": 1}),
        ("Split", (X, _ints(4, -1)), {"outputs": 2, "axis": 1}),
        ("Tile", (X, _ints(2)), {}),
        ("Tile", (X, _ints(1, -1)), {}),
        ("Slice", (X, _ints(0), _ints(1), _ints(2)), {}),
        ("Slice", (X, _ints(0), _ints(1), _ints(0), _ints(0)), {}),
        ("Slice", (X, _ints(0), _ints(1, 2)), {}),
        ("Pad", (X, _ints(1, 1)), {}),
        ("Pad", (X, _ints(-2, 0, -1, 0)), {}),
        ("Pad", (X[:0], _ints(1, 0, 1, 0)), {"mode": "edge"}),
        ("Pad", (X, _ints(1, 0, 1, 0)), {"mode": "mirror"}),
        ("DepthToSpace", (np.zeros((1, 3, 2, 2)),), {"blocksize": 2}),
        ("SpaceToDepth", (np.zeros((1, 3, 3, 2)),), {"blocksize": 2}),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_values_that_do_not_fit_are_refused(
    op_type: str, inputs: tuple[object, ...], attributes: dict[str, object]
) -> None:
    with pytest.raises((ValueError, IndexError)) as refusal:
        _kernel(op_type, *inputs, **attributes)
    assert str(refusal.value)


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("Expand", (X[:1, :1], _ints(1 << 30, 1 << 30))),
        ("Tile", (X, _ints(1 << 40, 1))),
        ("Pad", (X, _ints(0, 0, 1 << 40, 0))),
        ("OneHot", (_ints(0, 1), np.array(1 << 40), np.zeros(2))),
        ("ConstantOfShape", (_ints(1 << 31, 1 << 31),)),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_sizes_out_of_reason_are_refused_before_anything_is_allocated(op_type: str, inputs: tuple[object, ...]) -> None:
    with pytest.raises(MemoryError, match="too large"):
        _kernel(op_type, *inputs)


def test_text_moves_like_numbers() -> None:
    words = np.array([["a", "bc"], ["", "d"]], dtype=object)
    assert _kernel("Transpose", words).tolist() == [["a", ""], ["bc", "d"]]
    assert _kernel("Concat", words, words[:1], axis=0).tolist() == [["a", "bc"], ["", "d"], ["a", "bc"]]
    assert _kernel("Slice", words, _ints(-1), _ints(-3), _ints(0), _ints(-1)).tolist() == [["", "d"], ["a", "bc"]]


def test_pad_of_what_was_taken_away_is_the_same_on_both_sides() -> None:
    """What one side takes beyond the data it takes from the other side's border."""
    data = np.array([1.0, 2.0], np.float32)
    assert _kernel("Pad", data, _ints(-3, 4)).tolist() == [0, 0, 0]
    assert _kernel("Pad", data, _ints(4, -3)).tolist() == [0, 0, 0]
    assert _kernel("Pad", data, _ints(-1, 1), np.array(9.0, np.float32)).tolist() == [2, 9]


def _emitted(text: str) -> list[str]:
    """Operators of the vjp of y with respect to x that the model itself does not have."""
    model = gs.load(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    given = {node.op_type for node in model.graph} | {"Constant"}
    return [node.op_type for node in gs.vjp(model, ["y"], ["x"]).graph if node.op_type not in given]


@pytest.mark.parametrize(
    ("inputs", "outputs", "nodes", "expected"),
    [
        ("float[b, 4] x", "float[b, 2, 2] y", "<int64[3] s = {-1, 2, 2}> { y = Reshape (x, s) }", []),
        ("float[b, 4] x", "float[4, b] y", "{ y = Transpose (x) }", []),
        ("float[b, 4] x, float[b, 3] z", "float[b, 7] y", "{ y = Concat <axis = 1> (x, z) }", ["Split"]),
        ("float[b, 4] x", "float[b, 2] y", "<int64[1] s = {1}, int64[1] e = {3}> { y = Slice (x, s, e, s) }", ["Pad"]),
    ],
    ids=["Reshape", "Transpose", "Concat", "Slice"],
)
def test_derivatives_stay_small(inputs: str, outputs: str, nodes: str, expected: list[str]) -> None:
    assert _emitted(f"agraph ({inputs}) => ({outputs}) {nodes}") == expected


def test_pad_before_opset_11_is_differentiated_in_float32() -> None:
    model = gs.load(
        """<ir_version: 7, opset_import: ["" : 7]> agraph (float[2] x) => (float[5] y)
        { y = Pad <pads = [1, 2], value = 3.0> (x) }"""
    )
    assert gs.Session(model).run({"x": np.array([1, 2], np.float32)})["y"].tolist() == [3, 1, 2, 3, 3]
    cotangent = np.array([0.5, -1.5, 2.5, 7, 8], np.float32)
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run({"x": np.zeros(2, np.float32), "y_cotangent": cotangent})
    assert found["x_vjp"].tolist() == [-1.5, 2.5]
