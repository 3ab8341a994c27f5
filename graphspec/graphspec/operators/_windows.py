"""Windows over spatial axes, shared by convolution and pooling: sizes, paddings, and views without copies."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.operators.registry import Array


@dataclasses.dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows of one call lie; one entry per spatial axis.

    Attributes:
        kernel: Window sizes.
        strides: Steps between windows.
        dilations: Steps inside a window.
        begin, end: Padding in front and behind; ``end`` reaches to the last window of ``ceil_mode``.
        padded: What ``end`` was asked to be, without that last reach.
        out: How many windows there are.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    padded: tuple[int, ...]
    out: tuple[int, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """Sizes of the dilated windows."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def windows_of(
    spatial: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Windows:
    """Lay out windows as ONNX does for Conv and the pools.

    Raises:
        ValueError: An attribute has the wrong length or sign, or a window is larger than the padded input.
    """
    rank = len(spatial)
    kernel, strides, dilations, pads = filled(rank, kernel, strides, dilations, pads)
    begin, end = pads[:rank], pads[rank:]
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        out = [-(-size // s) for size, s in zip(spatial, strides, strict=True)]
        total = [max((o - 1) * s + e - size, 0) for o, s, e, size in zip(out, strides, extents, spatial, strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    else:
        if auto_pad == "VALID":
            begin, end = [0] * rank, [0] * rank
        out = [
            _count(size + b + e, extent, s, b + size, ceil_mode)
            for size, b, e, extent, s in zip(spatial, begin, end, extents, strides, strict=True)
        ]
    reach = [
        max(e, (o - 1) * s + extent - size - b)
        for e, o, s, extent, size, b in zip(end, out, strides, extents, spatial, begin, strict=True)
    ]
    return Windows(*(tuple(v) for v in (kernel, strides, dilations, begin, reach, end, out)))


def _count(padded: int, extent: int, stride: int, last_start: int, ceil_mode: int) -> int:
    if padded < extent:
        raise ValueError(f"the window covers {extent} elements, but the padded input has only {padded}")
    steps = (padded - extent) / stride
    count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    # A last window that would start in the padding behind is not counted.
    return count - 1 if ceil_mode and (count - 1) * stride >= last_start else count


def filled(
    rank: int,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
) -> tuple[list[int], list[int], list[int], list[int]]:
    """The four attributes with ONNX's defaults, checked for length and sign."""
    rows = {
        "kernel_shape": list(kernel),
        "strides": list(strides or [1] * rank),
        "dilations": list(dilations or [1] * rank),
    }
    for name, values in rows.items():
        if len(values) != rank or any(v < 1 for v in values):
            raise ValueError(f"{name} must hold {rank} positive numbers, not {values}")
    pads = list(pads or [0] * (2 * rank))
    if len(pads) != 2 * rank:
        raise ValueError(f"pads must hold {2 * rank} numbers, not {pads}")
    return rows["kernel_shape"], rows["strides"], rows["dilations"], pads


def pad_spatial(X: Array, begin: Sequence[int], end: Sequence[int], value: Any = 0) -> Array:
    """``X`` (N, C, ...) padded on its spatial axes; negative amounts crop."""
    if not any(begin) and not any(end):
        return X
    crop = tuple(slice(max(-b, 0), size - max(-e, 0)) for b, e, size in zip(begin, end, X.shape[2:], strict=True))
    where: tuple[Any, ...] = (..., *crop)
    widths = [(0, 0), (0, 0)] + [(max(b, 0), max(e, 0)) for b, e in zip(begin, end, strict=True)]
    return np.pad(X[where], widths, constant_values=value)


def view(X: Array, w: Windows, fill: Any = 0) -> Array:
    """All windows of ``X`` (N, C, spatial ...): shape (N, C, out ..., kernel ...), a view of the padded input."""
    rank = len(w.kernel)
    padded = pad_spatial(X, w.begin, w.end, fill)
    axes = tuple(range(2, 2 + rank))
    views = np.lib.stride_tricks.sliding_window_view(padded, w.extents, axis=axes)
    steps = tuple(slice(None, (o - 1) * s + 1, s) for o, s in zip(w.out, w.strides, strict=True))
    inside = tuple(slice(None, None, d) for d in w.dilations)
    return views[(slice(None), slice(None), *steps, *inside)]


def places(place: Sequence[int], w: Windows) -> list[slice]:
    """Where one place of the kernel lies in the padded input, over all windows."""
    return [
        slice(p * d, p * d + (o - 1) * s + 1, s)
        for p, d, o, s in zip(place, w.dilations, w.out, w.strides, strict=True)
    ]


def counts(spatial: Sequence[int], w: Windows, *, include_pad: bool) -> Array:
    """How many elements each window averages over: shape ``out``, float64."""
    total = np.ones((), dtype=np.float64)
    for axis, size in enumerate(spatial):
        low = 0 if not include_pad else -w.begin[axis]
        high = size if not include_pad else size + w.padded[axis]
        starts = np.arange(w.out[axis]) * w.strides[axis] - w.begin[axis]
        places = starts[:, None] + np.arange(w.kernel[axis]) * w.dilations[axis]
        inside = ((places >= low) & (places < high)).sum(axis=1)
        total = total[..., None] * inside
    return total
