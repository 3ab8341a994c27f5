"""Samples of sampling between elements, of regions, and of images from windows."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample


def _ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _floats(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


IMAGE, GRID = F((2, 2, 3, 4)), F((2, 2, 3, 2), -1.3, 1.3, apart=True)
WIDE = F((2, 2, 3, 2), -4.3, 4.2, apart=True)
VOLUME, PLACES = F((1, 2, 3, 2, 3)), F((1, 2, 1, 2, 3), -1.2, 1.2, apart=True)
LINE, POINTS = F((2, 2, 5)), F((2, 4, 1), -1.3, 1.3, apart=True)


def _grid_sample(id: str, X: F, grid: F, opset: int = 22, **attributes: object) -> Sample:
    wrt = (0,) if attributes.get("mode") == "nearest" else (0, 1)
    return Sample("GridSample", (X, grid), attributes, id=id, opset=opset, wrt=wrt)


def _other_rank(id: str, X: F, grid: F, **attributes: object) -> Sample:
    """What ONNX Runtime has not: test_vision_corners.py holds the value against the ONNX reference."""
    return Sample("GridSample", (X, grid), attributes, id=id, opset=22, forward=False)


X, DISTINCT = F((2, 3, 6, 7)), F((2, 3, 6, 7), apart=True)
ROIS = np.array([[0.3, 0.6, 4.2, 3.1], [1.1, 1.7, 7.9, 6.3], [-3.0, -2.2, 2.4, 2.6], [2.0, 2.0, 2.2, 2.3]])
IMAGES = _ints([0, 1, 1, 0])
POOLED = {"output_height": 2, "output_width": 3}


def _roi_align(id: str, opset: int = 22, of: tuple[int, ...] = (), **attributes: object) -> Sample:
    return Sample("RoiAlign", (X, ROIS, IMAGES), {**POOLED, **attributes}, id=id, opset=opset, of=of)


def _moving_regions(id: str, opset: int = 21, **attributes: object) -> Sample:
    """Regions to differentiate with respect to: anywhere, some end before they start."""
    return Sample(
        "RoiAlign", (X, F((3, 4), -1, 7.5, apart=True), _ints([1, 0, 1])), {**POOLED, **attributes}, id=id, opset=opset
    )


BOXES = _floats(
    [[[0, 0, 1, 1], [1, 1.1, 0, 0.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [0, 100, 1, 101]]]
)
SCORES = _floats([[[0.9, 0.75, 0.6, 0.95, 0.5, 0.3], [0.1, 0.1, 0.8, 0.2, 0.2, 0.7]]])
CENTERS = np.concatenate([(BOXES[..., :2] + BOXES[..., 2:]) / 2, abs(BOXES[..., 2:] - BOXES[..., :2])], -1)


def _suppression(id: str, boxes: np.ndarray, *inputs: object, opset: int = 11, **attributes: object) -> Sample:
    return Sample("NonMaxSuppression", (boxes, SCORES, *inputs), attributes, id=id, opset=opset, of=(), narrow=True)


def _unpool(id: str, X: F, at: np.ndarray, *inputs: object, **attributes: object) -> Sample:
    return Sample("MaxUnpool", (X, at, *inputs), {"kernel_shape": [2, 2], **attributes}, id=id, opset=22)


def _deform(id: str, *inputs: object, opset: int = 22, forward: bool = True, **attributes: object) -> Sample:
    return Sample("DeformConv", inputs, attributes, id=id, opset=opset, forward=forward)


SAMPLES = [
    _grid_sample("zeros", IMAGE, GRID),
    _grid_sample("corners", IMAGE, GRID, align_corners=1),
    _grid_sample("border", IMAGE, WIDE, padding_mode="border"),
    _grid_sample("border-corners", IMAGE, GRID, padding_mode="border", align_corners=1),
    _grid_sample("reflection", IMAGE, WIDE, padding_mode="reflection"),
    _grid_sample("reflection-corners", IMAGE, WIDE, padding_mode="reflection", align_corners=1),
    _grid_sample("nearest", IMAGE, GRID, mode="nearest"),
    _grid_sample("nearest-reflection", IMAGE, WIDE, mode="nearest", padding_mode="reflection"),
    _grid_sample("nearest-border", IMAGE, WIDE, mode="nearest", padding_mode="border", align_corners=1),
    _grid_sample("cubic", IMAGE, GRID, mode="cubic"),
    Sample("GridSample", (IMAGE, GRID), {"mode": "nearest"}, id="nearest-grid", opset=22, wrt=(1,), zero=True),
    _grid_sample("cubic-border", IMAGE, GRID, mode="cubic", padding_mode="border"),
    _grid_sample("cubic-border-corners", IMAGE, F((2, 2, 3, 2), -1.35, 1.3, apart=True), mode="cubic", padding_mode="border", align_corners=1),
    _grid_sample("cubic-reflection", IMAGE, WIDE, mode="cubic", padding_mode="reflection", align_corners=1),
    _grid_sample("3d", VOLUME, PLACES),
    _grid_sample("3d-border", VOLUME, PLACES, padding_mode="border", align_corners=1),
    _grid_sample("3d-nearest", VOLUME, PLACES, mode="nearest"),
    _other_rank("3d-cubic", VOLUME, PLACES, mode="cubic"),
    _other_rank("1d", LINE, POINTS),
    _grid_sample("bilinear-16", IMAGE, GRID, 16, mode="bilinear", padding_mode="reflection"),
    _grid_sample("bicubic-16", IMAGE, GRID, 16, mode="bicubic"),
    _grid_sample("nothing", IMAGE, F((2, 0, 3, 2))),
    _roi_align("adaptive"),
    _roi_align("ratio", of=(0,), sampling_ratio=2, spatial_scale=0.75),
    _roi_align("unshifted", coordinate_transformation_mode="output_half_pixel", sampling_ratio=3),
    _roi_align("max", mode="max", sampling_ratio=2),
    _roi_align("opset-10", 10, of=(0,), sampling_ratio=2),
    _moving_regions("moving", sampling_ratio=2, spatial_scale=0.75),
    _moving_regions("moving-unshifted", coordinate_transformation_mode="output_half_pixel", sampling_ratio=1),
    _roi_align("opset-16", 16),
    Sample("MaxRoiPool", (DISTINCT, np.array([[0, 0, 0, 4, 3], [1, 2, 1, 9, 5], [1, 3, 3, 3, 3], [0, 6, 5, 2, 1.0]])), {"pooled_shape": [2, 3]}, id="regions", opset=21),
    Sample("MaxRoiPool", (DISTINCT, np.array([[1, 1, 2, 9.0, 11]])), {"pooled_shape": [3, 2], "spatial_scale": 0.5}, id="scaled", opset=21),
    _suppression("all", BOXES, _ints([6]), _floats([0.5])),
    _suppression("score", BOXES, _ints(2), _floats(0.3), _floats(0.4)),
    _suppression("centers", CENTERS, _ints([3]), _floats([0.5]), _floats([0.0]), center_point_box=1),
    _suppression("none", BOXES),
    _suppression("opset-10", BOXES, _ints([3]), _floats([0.0]), opset=10),

    Sample("Col2Im", (F((2, 8, 6)), _ints([3, 4]), _ints([2, 2])), {"strides": [1, 1]}, id="plain", opset=18),
    Sample("Col2Im", (F((1, 12, 9)), _ints([5, 5]), _ints([2, 3])), {"pads": [0, 1, 1, 1], "strides": [2, 2]}, id="pads", opset=18),
    Sample("Col2Im", (F((2, 4, 12)), _ints([5, 6]), _ints([2, 2])), {"dilations": [2, 2]}, id="dilations", opset=18),
    Sample("Col2Im", (F((1, 3, 4)), _ints([6]), _ints([3])), {"pads": [0, 0]}, id="1d", opset=18),
    Sample("Col2Im", (F((1, 8, 4)), _ints([2, 3, 3]), _ints([2, 2, 2])), {"dilations": [1, 1, 1]}, id="3d", opset=18),
    _unpool("strides", F((1, 2, 2, 2)), _ints([[[[0, 3], [9, 10]], [[20, 18], [25, 31]]]]), strides=[2, 2]),
    _unpool("pads", F((1, 1, 2, 2)), _ints([[[[1, 3], [5, 8]]]]), strides=[2, 2], pads=[1, 0, 0, 1]),
    _unpool("overwritten", F((1, 1, 2, 2)), _ints([[[[4, 4], [3, 4]]]])),
    _deform("plain", F((1, 2, 3, 4)), F((2, 2, 2, 2)), F((1, 8, 2, 3), -1.3, 1.3)),
    _deform("mask", F((2, 4, 4, 5)), F((4, 2, 2, 2)), F((2, 16, 5, 3), -1.3, 1.3), F((4,)), F((2, 8, 5, 3), 0, 1), group=2, offset_group=2, pads=[1, 0, 1, 1], strides=[1, 2], kernel_shape=[2, 2]),
    _deform("19", F((1, 2, 3, 4)), F((2, 2, 2, 2)), F((1, 8, 2, 3), -1.3, 1.3), None, F((1, 4, 2, 3)), opset=19),
    _deform("1d", F((2, 2, 6)), F((3, 2, 2)), F((2, 2, 5), -1.25, 1.2), forward=False),  # ONNX Runtime has 2-D alone
    _deform("3d", F((1, 2, 3, 2, 3)), F((1, 2, 2, 1, 2)), F((1, 12, 2, 2, 2), -1.3, 1.3), forward=False),
    _deform("dilations", F((1, 1, 5, 5)), F((1, 1, 2, 3)), F((1, 12, 3, 3), -2, 2), F((1,)), dilations=[2, 1]),
]  # fmt: skip
