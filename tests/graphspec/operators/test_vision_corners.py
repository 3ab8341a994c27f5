"""Sampling and regions: what the shared tests cannot compare, and what is refused."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from graphspec.operators import registry

F32 = np.float32


def _kernel(op_type: str, *inputs: Any, opset: int = 23, **attributes: Any) -> Any:
    entry = registry.find(op_type, "", opset)
    assert entry is not None
    with np.errstate(all="ignore"):
        return entry.kernel(*inputs, **attributes)


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "reflection"])
@pytest.mark.parametrize("sizes", [(5,), (3, 2, 4)], ids=["1d", "3d"])
def test_other_ranks_agree_with_the_onnx_reference(mode: str, padding: str, sizes: tuple[int, ...]) -> None:
    """ONNX Runtime has two spatial axes, and three in some modes."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((2, 2, *sizes)).astype(F32)
    grid = rng.uniform(-1.6, 1.6, (2, *[2] * len(sizes), len(sizes))).astype(F32)
    node = onnx.helper.make_node("GridSample", ["X", "grid"], ["Y"], mode=mode, padding_mode=padding)
    inputs = [onnx.helper.make_tensor_value_info(n, 1, x.shape) for n, x in (("X", X), ("grid", grid))]
    output = onnx.helper.make_tensor_value_info("Y", 1, None)
    graph = onnx.helper.make_graph([node], "g", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    expected = ReferenceEvaluator(model).run(None, {"X": X, "grid": grid})[0]
    found = _kernel("GridSample", X, grid, mode=mode, padding_mode=padding)
    assert found.dtype == F32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


IMAGE = np.arange(1, 7, dtype=F32).reshape(1, 1, 2, 3)
CENTRE, LEFT = [0.0, 0.5], [-1 / 1.5, 0.5]  # the middle and the first element of the second row


def _at(*points: list[float], dtype: Any = F32) -> np.ndarray:
    return np.array(points, dtype=dtype).reshape(1, 1, len(points), 2)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int32, np.uint8, np.complex64, np.float64])
def test_every_type_is_sampled(dtype: Any) -> None:
    found = _kernel("GridSample", IMAGE.astype(dtype), _at(CENTRE, [-1 / 3, 0.5]))
    assert found.dtype == dtype
    expected = np.array([5, 4.5]).astype(dtype)
    np.testing.assert_allclose(np.abs(found.reshape(-1)).astype(F32), np.abs(expected).astype(F32), rtol=1e-5)


def test_strings_are_sampled_to_the_nearest() -> None:
    X = np.array([[["a", "b", "c"], ["d", "e", "f"]]], dtype=object)[None]
    assert _kernel("GridSample", X, _at(CENTRE, [-3.0, 0.5]), mode="nearest").reshape(-1).tolist() == ["e", ""]
    with pytest.raises(ValueError, match="strings"):
        _kernel("GridSample", X, _at(CENTRE))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("far", [np.inf, -np.inf, np.nan, 1e30])
def test_places_at_infinity_are_outside(mode: str, far: float) -> None:
    grid = _at([far, 0.5])
    assert _kernel("GridSample", IMAGE, grid, mode=mode).item() == 0
    assert _kernel("GridSample", IMAGE, grid, mode=mode, padding_mode="border").item() in (4, 6)
    assert 0 < _kernel("GridSample", IMAGE, grid, mode=mode, padding_mode="reflection").item() < 7


def test_nothing_outside_leaks_in() -> None:
    """A place outside reads zero, even beside an element that is no number."""
    X = np.full((1, 1, 2, 3), np.nan, F32)
    assert _kernel("GridSample", X, _at([-5.0, 0.5])).item() == 0


def test_one_element_with_corners_reflects_onto_itself() -> None:
    X = np.full((1, 1, 1, 1), 7, F32)
    found = _kernel("GridSample", X, _at([0.3, 2.0]), padding_mode="reflection", align_corners=1)
    assert found.item() == 7


def test_regions_without_size_and_outside() -> None:
    rois = np.array([[1, 1, 1, 1], [500, 500, 510, 510]], F32)
    images = np.zeros(2, np.int64)
    assert not _kernel("RoiAlign", IMAGE, rois, images).any()
    unshifted = _kernel("RoiAlign", IMAGE, rois, images, coordinate_transformation_mode="output_half_pixel")
    assert unshifted.reshape(-1).tolist() == [5.5, 0]  # one element wide, read at its middle


def test_suppression_keeps_the_first_of_equal_scores_and_drops_no_boxes_without_area() -> None:
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]], F32)
    scores = np.array([[[0.5, 0.5, 0.5, np.nan]]], F32)
    found = _kernel("NonMaxSuppression", boxes, scores, np.array(9), np.array(0.0, F32))
    assert found.tolist() == [[0, 0, 0], [0, 0, 2], [0, 0, 3]]
    found = _kernel("NonMaxSuppression", boxes, scores, np.array(9), np.array(0.0, F32), np.array(0.1, F32))
    assert found.tolist() == [[0, 0, 0], [0, 0, 2]]


def test_unpooling_into_a_larger_shape() -> None:
    """Indices count in the smallest shape that the attributes allow, as in ONNX's own case; the last of equals wins."""
    X, indices = np.array([[[[1, 2], [3, 4]]]], F32), np.array([[[[5, 7], [13, 13]]]])
    found = _kernel("MaxUnpool", X, indices, np.array([1, 1, 5, 5]), kernel_shape=[2, 2], strides=[2, 2])
    assert found.shape == (1, 1, 5, 5)
    assert {(int(i), int(j)): found[0, 0, i, j] for i, j in np.argwhere(found[0, 0])} == {
        (1, 1): 1,
        (1, 3): 2,
        (3, 1): 4,
    }


ROI = np.array([[0, 0, 1, 1]], F32)
ONE = np.zeros(1, np.int64)
BOX, SCORE = np.zeros((1, 2, 4), F32), np.zeros((1, 1, 2), F32)
COLUMNS = np.zeros((1, 4, 2), F32)
W, OFFSET = np.zeros((1, 1, 2, 2), F32), np.zeros((1, 8, 1, 2), F32)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "says"),
    [
        ("GridSample", (IMAGE, np.zeros((1, 1, 1, 3), F32)), {}, "fit"),
        ("GridSample", (IMAGE, np.zeros((2, 1, 1, 2), F32)), {}, "fit"),
        ("GridSample", (IMAGE, _at(CENTRE)), {"mode": "best"}, "best"),
        ("GridSample", (IMAGE, _at(CENTRE)), {"padding_mode": "none"}, "none"),
        ("GridSample", (IMAGE[..., :0], _at(CENTRE)), {}, "no elements"),
        ("RoiAlign", (IMAGE, ROI, ONE + 1), {}, "batch index"),
        ("RoiAlign", (IMAGE, ROI, ONE - 1), {}, "batch index"),
        ("RoiAlign", (IMAGE, ROI[:, :3], ONE), {}, "fit"),
        ("RoiAlign", (IMAGE, ROI * 1e30, ONE), {}, "far larger"),
        ("RoiAlign", (IMAGE, ROI * np.nan, ONE), {}, "finite"),
        ("RoiAlign", (IMAGE, ROI, ONE), {"sampling_ratio": 10**9}, "far larger"),
        ("RoiAlign", (IMAGE, ROI, ONE), {"output_height": 0}, "not possible"),
        ("RoiAlign", (IMAGE, ROI, ONE), {"mode": "min"}, "min"),
        ("MaxRoiPool", (IMAGE, np.array([[1, 0, 0, 1, 1]], F32)), {"pooled_shape": [1, 1]}, "batch index"),
        ("MaxRoiPool", (IMAGE, np.array([[0, 0, 0, np.inf, 1]], F32)), {"pooled_shape": [1, 1]}, "finite"),
        ("MaxRoiPool", (IMAGE, np.zeros((1, 5), F32)), {"pooled_shape": [1, 0]}, "positive"),
        ("NonMaxSuppression", (BOX, SCORE[..., :1]), {}, "fit"),
        ("NonMaxSuppression", (BOX, SCORE, np.array(1), np.array(1.5, F32)), {}, "iou_threshold"),
        ("Col2Im", (COLUMNS, np.array([3, 3]), np.array([2, 2])), {}, "has the shape"),
        ("Col2Im", (COLUMNS, np.array([2, 3]), np.array([2])), {}, "blocks"),
        ("Col2Im", (COLUMNS, np.array([-2, 3]), np.array([2, 2])), {}, "negative"),
        ("Col2Im", (COLUMNS, np.array([2, 3]), np.array([2, 0])), {}, "positive"),
        ("MaxUnpool", (IMAGE, np.full(IMAGE.shape, 99)), {"kernel_shape": [1, 1]}, "outside"),
        ("MaxUnpool", (IMAGE, np.full(IMAGE.shape, -1)), {"kernel_shape": [1, 1]}, "outside"),
        ("MaxUnpool", (IMAGE, np.zeros((1, 1, 2, 2), int)), {"kernel_shape": [1, 1]}, "fit"),
        ("MaxUnpool", (IMAGE, np.zeros(IMAGE.shape, int), np.array([1, 1, 2, 2])), {"kernel_shape": [1, 1]}, "smaller"),
        ("DeformConv", (IMAGE, W, OFFSET[:, :7]), {}, "offset"),
        ("DeformConv", (IMAGE, W, OFFSET), {"group": 2}, "fit"),
        ("DeformConv", (IMAGE, W, OFFSET), {"kernel_shape": [2, 3]}, "kernel_shape"),
        ("DeformConv", (IMAGE, W, OFFSET, np.zeros(2, F32)), {}, "B has"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_what_does_not_fit_is_refused(op_type: str, inputs: Any, attributes: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _kernel(op_type, *inputs, **attributes)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("RoiAlign", (IMAGE, ROI, ONE), {"output_height": 60000, "output_width": 60000, "sampling_ratio": 1}),
        ("MaxRoiPool", (IMAGE, np.zeros((1, 5), F32)), {"pooled_shape": [10**6, 10**6]}),
        ("Col2Im", (COLUMNS, np.array([10**6, 10**6]), np.array([2, 2])), {}),
        ("MaxUnpool", (IMAGE, np.zeros(IMAGE.shape, int)), {"kernel_shape": [10**6, 10**6]}),
        ("MaxUnpool", (IMAGE, np.zeros(IMAGE.shape, int), np.array([1, 1, 10**6, 10**6])), {"kernel_shape": [1, 1]}),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_sizes_out_of_reason_are_refused_before_memory_is_asked_for(op_type: str, inputs: Any, attributes: Any) -> None:
    with pytest.raises(MemoryError):
        _kernel(op_type, *inputs, **attributes)
