"""Pools and convolutions: the window's attributes, alone and combined."""

from __future__ import annotations

import itertools

from counter_examples.example import Held, Point
from samples import Floats as F
from samples import Sample

WAYS = ({}, {"pads": [1, 0]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"})


def _apart(*shape: int) -> F:
    return F(shape, apart=True)


def _name(*parts: object) -> str:
    return "-".join(str(p).replace(" ", "") for p in parts)


AVERAGES = tuple(
    Sample(
        "AveragePool", (F((1, 1, 8)),),
        {"kernel_shape": [3], "strides": [stride], "dilations": [dilation], "ceil_mode": ceil, "count_include_pad": count, **way},
        id=_name(way, stride, dilation, ceil, count), order=1,  # linear: the second order repeats the first
        forward=dilation == 1 or "SAME" not in str(way),  # ONNX Runtime pads as if there were no dilation
    )
    for way, stride, dilation, ceil, count in itertools.product(WAYS, (1, 2), (1, 2), (0, 1), (0, 1))
)  # fmt: skip

MAXIMA = tuple(
    Sample(
        "MaxPool", (_apart(1, 1, 8),),
        {"kernel_shape": [3], "strides": [stride], "dilations": [dilation], "ceil_mode": ceil, **way},
        id=_name(way, stride, dilation, ceil), outputs=2,
    )
    for way, stride, dilation, ceil in itertools.product(WAYS, (1, 2), (1, 2), (0, 1))
)  # fmt: skip

CONVOLUTIONS = tuple(
    Sample(
        "Conv", (F((1, 2, 7)), F((2, 2 // group, 3)), F((2,))),
        {"strides": [stride], "dilations": [dilation], "group": group, **way}, id=_name(way, stride, dilation, group), order=1,
    )
    for way, stride, dilation, group in itertools.product(WAYS, (1, 2), (1, 2), (1, 2))
)  # fmt: skip

TRANSPOSED = tuple(
    Sample(
        "ConvTranspose", (F((1, 2, 4)), F((2, 2, 3)), F((2 * group,))),
        {"strides": [stride], "dilations": [dilation], "group": group, **way, **padding},
        id=_name(way, padding, stride, dilation, group), order=1,
    )
    for way, padding, stride, dilation, group in itertools.product(
        WAYS, ({}, {"output_padding": [1]}), (2, 3), (1, 2), (1, 2)
    )
    # ONNX's text takes the length from auto_pad alone, its shape inference adds the padding.
    if not (padding and "SAME" in str(way))
)  # fmt: skip


POINTS = [
    Point(
        "AveragePool with dilations, ceil mode, auto_pad and count_include_pad",
        held=(
            Held("AveragePool", {"dilations": [2, 3]}),
            Held("AveragePool", {"ceil_mode": 1}),
            Held("AveragePool", {"ceil_mode": 1, "count_include_pad": 1}),
            Held("AveragePool", {"auto_pad": "SAME_UPPER"}),
            Held("AveragePool", {"auto_pad": "SAME_LOWER", "count_include_pad": 1}),
            Held("AveragePool", id="3d"),
        ),
        examples=(
            Sample("AveragePool", (F((1, 2, 6, 7)),), {"kernel_shape": [2, 3], "dilations": [2, 1], "ceil_mode": 1, "strides": [2, 2], "pads": [1, 1, 0, 1], "count_include_pad": 1}, id="everything"),
            Sample("AveragePool", (F((1, 1, 4, 3, 4)),), {"kernel_shape": [2, 2, 3], "strides": [2, 1, 2], "pads": [0, 1, 1, 1, 0, 1], "ceil_mode": 1}, id="3d-ceil"),
        ),
        more=AVERAGES,
    ),
    Point(
        "MaxPool overlapping, dilated, 3-D, column-major, and with its Indices",
        held=(
            Held("MaxPool", id="overlap"),
            Held("MaxPool", {"dilations": [2, 3]}),
            Held("MaxPool", id="3d"),
            Held("MaxPool", {"storage_order": 1}),
            Held("MaxPool", {"ceil_mode": 1}),
        ),
        examples=(
            Sample("MaxPool", (_apart(1, 2, 5, 4),), {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [1, 2]}, id="indices", outputs=2),
            Sample("MaxPool", (_apart(1, 2, 4, 5),), {"kernel_shape": [2, 3], "storage_order": 1}, id="columns-indices", outputs=2),
            Sample("MaxPool", (_apart(1, 1, 4, 5, 4),), {"kernel_shape": [2, 2, 2], "dilations": [1, 2, 2], "pads": [1, 0, 0, 0, 1, 1], "strides": [2, 1, 1]}, id="3d-dilated", outputs=2),
        ),
        more=MAXIMA,
    ),
    Point(
        "Conv with auto_pad, groups, strides and dilations in 1, 2 and 3 dimensions",
        held=(
            Held("Conv", {"auto_pad": "SAME_UPPER"}),
            Held("Conv", {"auto_pad": "SAME_LOWER"}),
            Held("Conv", {"auto_pad": "VALID"}),
            Held("Conv", {"group": 2}),
            Held("Conv", {"dilations": [3, 2], "strides": [2, 1]}),
            Held("Conv", wrt=(0, 1, 2), id="1d"),
            Held("Conv", wrt=(0, 1), id="3d"),
        ),
        examples=(
            # The second order of the rule is held by the samples.
            Sample("Conv", (F((1, 2, 4, 3, 5)), F((2, 1, 2, 2, 2)), F((2,))), {"group": 2, "strides": [1, 2, 2], "dilations": [2, 1, 2], "auto_pad": "SAME_LOWER"}, id="3d-everything", order=1),
            Sample("Conv", (F((1, 4, 5, 6)), F((4, 2, 2, 3)), F((4,))), {"group": 2, "strides": [2, 2], "dilations": [2, 2], "auto_pad": "SAME_UPPER"}, id="2d-everything", order=1),
        ),
        more=CONVOLUTIONS,
    ),
    Point(
        "ConvTranspose with output padding and output shape",
        held=(
            Held("ConvTranspose", {"output_padding": [2, 1]}),
            Held("ConvTranspose", {"group": 2, "dilations": [2, 1]}),
            Held("ConvTranspose", id="3d"),
        ),
        examples=(
            Sample("ConvTranspose", (F((1, 1, 3, 3)), F((1, 2, 3, 3)), F((2,))), {"strides": [3, 2], "output_shape": [10, 8]}, id="output-shape"),
            Sample("ConvTranspose", (F((1, 1, 3, 3)), F((1, 1, 3, 3))), {"strides": [3, 2], "output_shape": [10, 8], "auto_pad": "SAME_UPPER"}, id="output-shape-same-upper"),
            Sample("ConvTranspose", (F((1, 1, 3, 3)), F((1, 1, 3, 3))), {"strides": [3, 2], "output_shape": [10, 8], "output_padding": [1, 1]}, id="output-shape-padding"),
        ),
        more=TRANSPOSED,
    ),
    Point(
        "DeformConv",
        held=(
            Held("DeformConv", wrt=(0, 1, 2)),
            Held("DeformConv", {"group": 2, "offset_group": 2}, wrt=(0, 1, 2, 3, 4)),
            Held("DeformConv", {"dilations": [2, 1]}),
        ),
        more=(
            Sample("DeformConv", (F((1, 2, 4, 4)), F((2, 1, 2, 2)), F((1, 8, 2, 2), -0.4, -0.1), F((2,))), {"group": 2, "strides": [2, 2], "pads": [1, 0, 0, 1]}, id="groups-strides", opset=22),
        ),
    ),
    Point(
        "LpPool and MaxUnpool",
        held=(Held("LpPool", {"p": 3}), Held("LpPool", {"dilations": [2, 3]}), Held("MaxUnpool", id="overwritten")),
        examples=(
            Sample("LpPool", (F((1, 1, 8), -2, -0.3),), {"kernel_shape": [3], "p": 1, "strides": [2], "ceil_mode": 1}, id="l1-negative-ceil"),
            Sample("LpPool", (F((1, 1, 8), -2, -0.3),), {"kernel_shape": [3], "p": 3, "dilations": [2], "pads": [1, 2]}, id="l3-negative"),
        ),
    ),
]  # fmt: skip
