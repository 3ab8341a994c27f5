"""Sampling between pixels: GridSample, Resize, regions, windows put together."""

from __future__ import annotations

import itertools
import zlib

import numpy as np

from counter_examples.example import Held, Point
from samples import Floats as F
from samples import Sample


def _grid(shape: tuple[int, ...], sizes: tuple[int, ...], align: int, mode: str) -> np.ndarray:
    """Places inside, at the border and outside, a good way off the kinks between pixels.

    Between whole pixels for linear and cubic, between halves for nearest.
    """
    rng = np.random.default_rng(zlib.crc32(repr((shape, sizes, align, mode)).encode()))
    pixel = rng.integers(-2, max(sizes) + 1, shape) + rng.uniform(0.15, 0.35, shape) + 0.5 * rng.integers(0, 2, shape)
    size = np.array(sizes[::-1], np.float64)  # the last axis of the image comes first in the grid
    return 2 * pixel / (size - 1) - 1 if align else (2 * pixel + 1) / size - 1


def _grid_sample(mode: str, padding: str, align: int, sizes: tuple[int, ...]) -> Sample:
    rank = len(sizes)
    grid = _grid((1, *(2,) * rank, rank), sizes, align, mode)
    return Sample(
        "GridSample", (F((1, 2, *sizes)), grid), {"mode": mode, "padding_mode": padding, "align_corners": align},
        id=f"{mode}-{padding}-{align}-{rank}d", opset=22, wrt=(0,) if mode == "nearest" else (0, 1),
        order=2 if rank == 2 and mode == "linear" else 1,  # seconds each
    )  # fmt: skip


GRIDS = tuple(
    _grid_sample(mode, padding, align, sizes)
    for mode, padding, align, sizes in itertools.product(
        ("linear", "nearest", "cubic"), ("zeros", "border", "reflection"), (0, 1), ((3, 4), (2, 3, 4))
    )
)

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
UP, DOWN, ONE = [1, 1, 1.8, 1.5], [1, 1, 0.6, 0.5], [1, 1, 0.25, 0.2]


def _resize(mode: str, coordinates: str, scales: list[float], **more: object) -> Sample:
    roi = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.1]) if coordinates.startswith("tf") else None
    label = "-".join([mode, coordinates, "x".join(map(str, scales[2:])), *map(str, more.values())])
    return Sample(
        "Resize", (F((1, 1, 4, 5)), roi, np.array(scales, np.float32)),
        {"mode": mode, "coordinate_transformation_mode": coordinates, **more}, id=label, wrt=(0,), order=1,  # linear in x
    )  # fmt: skip


RESIZES = tuple(
    _resize(mode, coordinates, scales)
    for mode, coordinates, scales in itertools.product(("nearest", "linear", "cubic"), COORDINATES, (UP, DOWN, ONE))
)
ROUNDED = tuple(
    _resize("nearest", coordinates, scales, nearest_mode=rounding)
    for coordinates, scales, rounding in itertools.product(
        COORDINATES, (UP, DOWN), ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    )
)
SMOOTHED = tuple(
    _resize(mode, coordinates, scales, antialias=1, exclude_outside=outside)
    for mode, coordinates, scales, outside in itertools.product(
        ("linear", "cubic"), COORDINATES[:5], (UP, DOWN), (0, 1)
    )
)

REGIONS = np.array([[0.3, 0.6, 4.2, 3.1], [1.1, 0.7, 3.9, 4.3], [3.0, 3.2, 1.2, 2.3]])  # the last one is backwards
ZEROTH = np.array([0, 0, 0])
POOLED = {"output_height": 2, "output_width": 2}

POINTS = [
    Point(
        "GridSample in all modes",
        held=(
            *(Held("GridSample", {"padding_mode": p}, wrt=(0, 1)) for p in ("border", "reflection")),
            Held("GridSample", {"mode": "cubic"}, wrt=(0, 1)),
            Held("GridSample", {"mode": "nearest"}),
            Held("GridSample", id="3d"),
        ),
        more=GRIDS,
    ),
    Point(
        "Resize in all modes, roi and antialias included",
        held=(Held("Resize", {"mode": "cubic"}), Held("Resize", {"antialias": 1}), Held("Resize", {"exclude_outside": 1})),
        examples=(
            _resize("linear", "tf_crop_and_resize", UP, extrapolation_value=2.0),
            _resize("cubic", "tf_crop_and_resize", DOWN, extrapolation_value=2.0),
            RESIZES[5 * 3],
            SMOOTHED[-1],
        ),
        more=(*RESIZES[: 5 * 3], *RESIZES[5 * 3 + 1 :], *ROUNDED, *SMOOTHED[:-1]),
    ),
    Point(
        "RoiAlign and MaxRoiPool",
        held=(
            Held("RoiAlign", {"sampling_ratio": 2}, wrt=(0, 1)),
            Held("RoiAlign", {"coordinate_transformation_mode": "output_half_pixel"}, wrt=(0, 1)),
            Held("MaxRoiPool", id="regions"),
            Held("MaxRoiPool", {"spatial_scale": 0.5}),
        ),
        examples=(
            # The second order, which takes seconds, is among the combinations.
            Sample("RoiAlign", (F((1, 2, 5, 5), apart=True), REGIONS, ZEROTH), {**POOLED, "sampling_ratio": 2, "mode": "max"}, id="max", opset=22, wrt=(0, 1), order=1),
        ),
        more=(
            Sample("RoiAlign", (F((1, 1, 5, 5)), REGIONS, ZEROTH), POOLED, id="as-many-samples-as-elements", opset=22, wrt=(0, 1)),
            Sample("RoiAlign", (F((1, 2, 5, 5), apart=True), REGIONS, ZEROTH), {**POOLED, "mode": "max"}, id="max-as-many-samples", opset=22, wrt=(0, 1)),
            Sample("RoiAlign", (F((2, 1, 5, 5), apart=True), REGIONS, np.array([0, 1, 0])), {"output_height": 3, "output_width": 1, "mode": "max", "spatial_scale": 0.77, "coordinate_transformation_mode": "output_half_pixel"}, id="max-unshifted", opset=22, wrt=(0, 1)),
            Sample("RoiAlign", (F((2, 1, 5, 5)), REGIONS, np.array([1, 1, 0])), {"output_height": 1, "output_width": 3, "spatial_scale": 0.77, "coordinate_transformation_mode": "output_half_pixel"}, id="as-many-samples-unshifted", opset=22, wrt=(0, 1)),
        ),
    ),
    Point(
        "Col2Im, DFT and STFT",
        held=(
            Held("Col2Im", {"dilations": [2, 2]}),
            Held("Col2Im", {"strides": [2, 2]}),
            Held("Col2Im", id="3d"),
            Held("DFT", {"inverse": 1, "onesided": 1}),
            Held("DFT", {"onesided": 1}),
            Held("STFT", wrt=(0, 2), id="complex"),
        ),
        examples=(
            Sample("Col2Im", (F((1, 4, 6)), np.array([5, 6]), np.array([2, 2])), {"dilations": [2, 1], "strides": [2, 2], "pads": [1, 0, 0, 1]}, id="everything", opset=18),
        ),
    ),
]  # fmt: skip
