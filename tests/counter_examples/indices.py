"""Gathers, scatters, selections: negative and duplicate indices, every reduction, outputs that nobody uses."""

from __future__ import annotations

import numpy as np

from counter_examples.example import Graph, Held, Point
from samples import Floats as F
from samples import Sample


def _ints(values: object) -> np.ndarray:
    return np.array(values, np.int64)


REDUCTIONS = ("add", "mul", "max", "min")
# Along axis 1: place 0 three times, once as -3; place 2 as -1.
REPEATED = _ints([[0, -3, 0], [-1, 2, 1]])

POINTS = [
    Point(
        "OneHot's values",
        held=(
            Held("OneHot", wrt=(2,), id="last"),
            Held("OneHot", {"axis": 0}, wrt=(2,)),
            Held("OneHot", {"axis": -2}, wrt=(2,)),
        ),
        examples=(
            Sample("OneHot", (_ints([-1, 0, -1, 9]), _ints([3]), F((2,))), id="off-value-counts-the-rest"),
            Graph(
                "one-hot-of-a-parameter",
                "g (T[2] v, int64[3] i) => (T y) { d = Constant<value_int = 4>()\n h = OneHot(i, d, v)\n"
                " s = Mul(h, h)\n y = ReduceSum<keepdims = 0>(s) }",
                ("y",), ("v",), {"v": F((2,)), "i": _ints([0, 3, 3])},
            ),
        ),
    ),
    Point(
        "Gather, GatherElements and GatherND with negative and duplicate indices",
        held=(
            Held("Gather", id="rows"),
            Held("Gather", {"axis": -2}),
            Held("GatherElements", id="repeated"),
            Held("GatherND", id="elements"),
            Held("GatherND", {"batch_dims": 1}),
        ),
        examples=(
            Sample("Gather", (F((3, 2)), _ints([[0, 0], [-1, 2]])), {"axis": 0}, id="both"),
            Sample("GatherElements", (F((2, 3)), REPEATED), {"axis": 1}, id="thrice"),
            Sample("GatherND", (F((2, 2, 3)), _ints([[[-1, -1], [1, 2]], [[0, 0], [0, -3]]])), {"batch_dims": 1}, id="negative-batch"),
        ),
    ),
    Point(
        "ScatterElements and ScatterND with negative and duplicate indices, every reduction",
        held=(
            *(Held(op, {"reduction": r}, wrt=(0, 2)) for op in ("ScatterElements", "ScatterND") for r in REDUCTIONS),
            Held("ScatterElements", wrt=(0, 2), id="none"),
            Held("ScatterND", wrt=(0, 2), id="none"),
            Held("Scatter"),
        ),
        examples=(
            *(Sample("ScatterElements", (F((2, 3), -2, 2, apart=True), REPEATED, F((2, 3), -1.9, 1.7, apart=True)),
                   {"axis": 1, "reduction": reduction}, id=f"{reduction}-thrice")
            for reduction in REDUCTIONS),
            # A product by zeros: one, and two at one place.
            Sample("ScatterElements", (np.array([2.0, 0.0, 3.0]), _ints([0, 0, 1, 2, 2]), np.array([0.0, 5.0, 2.0, 0.0, 0.0])),
                   {"axis": 0, "reduction": "mul"}, id="mul-zeros", wrt=(0, 2)),
            Sample("ScatterND", (np.array([2.0, 0.0, 3.0]), _ints([[0], [-3], [1], [2], [2]]), np.array([0.0, 5.0, 2.0, 0.0, 0.0])),
                   {"reduction": "mul"}, id="mul-zeros", wrt=(0, 2)),
        ),
    ),
    Point(
        "TopK",
        held=(Held("TopK", id="largest"), Held("TopK", {"largest": 0}), Held("TopK", id="none")),
        examples=(
            Sample("TopK", (F((2, 3, 4), apart=True), _ints([2])), {"axis": 1, "sorted": 0}, id="unsorted", outputs=2),
            Graph(
                "indices-used-too",
                "g (T[2,4] x) => (T[2,2] y) { k = Constant<value_ints = [2]>()\n v, i = TopK(x, k)\n"
                " z = Mul(x, x)\n e = GatherElements<axis = 1>(z, i)\n y = Mul(e, v) }",
                ("y",), ("x",), {"x": F((2, 4), apart=True)},
            ),
        ),
    ),
    Point(
        "Split with unused outputs",
        held=(Held("Split", id="one-unused"), Held("Split", id="uneven")),
        examples=(
            Graph(
                "middle-alone",
                "g (T[2,6] x) => (T[2,2] y) { a, b, c = Split<axis = -1, num_outputs = 3>(x)\n y = Mul(b, b) }",
                ("y",), ("x",), {"x": F((2, 6))},
            ),
            Graph(
                "one-used-twice",
                "g (T[5] x) => (T[2] y) { l = Constant<value_ints = [2, 3]>()\n a, b = Split(x, l)\n s = Sin(a)\n y = Mul(a, s) }",
                ("y",), ("x",), {"x": F((5,))},
            ),
        ),
    ),
    Point(
        "ReverseSequence, TensorScatter, Compress, Unique",
        held=(
            Held("ReverseSequence", {"batch_axis": 0, "time_axis": 1}),
            Held("ReverseSequence", id="default"),
            Held("TensorScatter", wrt=(0, 1), id="linear"),
            Held("TensorScatter", {"mode": "circular"}, wrt=(0, 1)),
            Held("Compress", id="flat"),
            Held("Unique", {"axis": 1}),
        ),
        examples=(
            Sample("Unique", (np.array([2.0, 1.0, 3.0, 5.0]),), id="values", outputs=4, wrt=(0,)),
            Sample("ReverseSequence", (F((2, 4, 2)), _ints([1, 3])), {"batch_axis": 0, "time_axis": 1}, id="cube"),
        ),
    ),
    Point(
        "DequantizeLinear's scale, CenterCropPad",
        examples=(
            Sample("DequantizeLinear", (np.array([[1, -3], [7, 2]], np.int8), F((2,), 0.5, 1.5), np.array([1, -2], np.int8)), {"axis": 1}, id="scale", wrt=(1,), narrow=True, order=1),
            Sample("CenterCropPad", (F((3, 4)), _ints([5, 2])), id="both"),
        ),
    ),
    Point(
        "A value that a branch does not take",
        examples=(
            Graph(
                "where-broadcast",
                "g (T[2,1] a, T[3] b, bool[2,3] c) => (T[2,3] y) { y = Where(c, a, b) }",
                ("y",), ("a", "b"), {"a": F((2, 1)), "b": F((3,)), "c": np.array([[True, False, True], [False, False, False]])},
            ),
        ),
    ),
]  # fmt: skip
