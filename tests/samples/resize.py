"""Samples of Resize and its older form."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

IMAGE = Floats((1, 2, 4, 5))
# ONNX cannot infer anything of sizes of unknown length: those samples are differentiated in test_resize_corners.py.
UP = np.array([1, 1, 2, 1.6], dtype=np.float32)
TWICE = np.array([1, 1, 2, 2], dtype=np.float32)
DOWN = np.array([1, 1, 0.5, 0.6], dtype=np.float32)
SIZES = np.array([1, 2, 7, 7])


def _resize(label: str, scales: np.ndarray | None = None, sizes: np.ndarray | None = None, **more: object) -> Sample:
    inputs = (IMAGE, None, scales) if sizes is None else (IMAGE, None, scales, sizes)
    forward = bool(more.pop("forward", True))
    return Sample("Resize", inputs, more, id=label, wrt=(0,), of=() if scales is None else (0,), forward=forward)


SAMPLES = [
    _resize("nearest", UP),
    _resize("nearest-down", DOWN, nearest_mode="ceil"),
    _resize("nearest-asymmetric", UP, nearest_mode="floor", coordinate_transformation_mode="asymmetric"),
    _resize("nearest-ceil", UP, nearest_mode="round_prefer_ceil", coordinate_transformation_mode="align_corners"),
    _resize("linear", UP, mode="linear"),
    _resize("linear-down", DOWN, mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    _resize("linear-sizes", None, SIZES, mode="linear"),
    _resize("linear-symmetric", UP, mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
    # The scale is not rounded with the length here, as in ONNX's own cases; ONNX Runtime rounds both.
    _resize("linear-corners", DOWN, mode="linear", coordinate_transformation_mode="align_corners", forward=False),
    _resize("linear-antialias", DOWN, mode="linear", antialias=1),
    # The reference has the cubic weights in float32: scales that make them exact.
    _resize("cubic", TWICE, mode="cubic"),
    _resize("cubic-inside", UP, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5, forward=False),
    _resize("cubic-antialias", DOWN, mode="cubic", antialias=1, forward=False),
    Sample("Resize", (IMAGE, None, UP[2:]), {"mode": "linear", "axes": [2, 3]}, id="axes", wrt=(0,)),
    Sample("Resize", (Floats((2, 3)), None, np.array([2.5, 2], np.float32)), id="matrix", wrt=(0,)),
    Sample("Resize", (Floats((3,)), None, None, np.array([5])), id="vector", of=()),
    Sample(
        "Resize",
        (IMAGE, np.array([0.2, -0.1, 0.9, 0.7]), None, np.array([3, 4])),
        {
            "mode": "linear",
            "axes": [2, 3],
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "extrapolation_value": 4.0,
        },
        id="crop",
        of=(),
    ),
    Sample(
        "Resize",
        (Floats((3, 2, 2)), None, np.array([2, 1, 1], np.float32)),
        {"mode": "linear"},
        id="first-axis",
        wrt=(0,),
    ),
    Sample("Resize", (IMAGE, np.zeros(0, np.float32), UP), id="opset-11", opset=11, of=()),
    # ONNX Runtime has the old forms in float32 only, see test_resize_corners.py; the reference does not know them.
    Sample("Resize", (IMAGE, UP), {"mode": "linear"}, id="opset-10", opset=10, of=(), forward=False),
    Sample("Upsample", (IMAGE, UP), {"mode": "linear"}, id="opset-9", opset=9, of=(), forward=False),
    Sample("Upsample", (IMAGE,), {"scales": [1.0, 1.0, 2.0, 3.0]}, id="opset-7", opset=7, of=(), forward=False),
]
