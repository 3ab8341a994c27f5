"""Samples of reductions, running sums and products, and the places of extrema."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

INTS = np.array


def _reduction(op_type: str, low: float = -3.0, high: float = 3.0, axes_input: int = 18) -> list[Sample]:
    """Axes as input (constant, and at run time where the test is symbolic), as attribute, left out; both keepdims."""

    def F(*shape: int) -> Floats:
        return Floats(shape, low, high, apart=op_type in ("ReduceMax", "ReduceMin"))

    return [
        Sample(op_type, (F(2, 3), INTS([1])), id="axis1"),
        Sample(op_type, (F(2, 3), INTS([0])), {"keepdims": 0}, id="axis0-dropped"),
        Sample(op_type, (F(2, 3, 2), INTS([0, -1])), id="two-axes"),
        Sample(op_type, (F(2, 3, 2), INTS([-1, 0])), {"keepdims": 0}, id="two-axes-dropped"),
        Sample(op_type, (F(2, 3),), id="all"),
        Sample(op_type, (F(2, 3),), {"keepdims": 0}, id="all-dropped"),
        Sample(op_type, (F(2, 2), INTS([], dtype=np.int64)), {"keepdims": 0}, id="empty-axes"),
        Sample(op_type, (F(2, 2),), {"noop_with_empty_axes": 1}, id="noop"),
        Sample(op_type, (F(2, 2), INTS([1])), {"noop_with_empty_axes": 1}, id="noop-unused"),
        Sample(op_type, (F(2, 1, 3), INTS([1])), id="axis-of-one"),
        Sample(op_type, (F(),), id="scalar"),
        *([] if op_type == "ReduceMean" else [Sample(op_type, (F(2, 0, 3), INTS([1])), id="of-nothing")]),
        Sample(op_type, (F(2, 3),), {"axes": [1]}, id="attribute", opset=axes_input - 1),
        Sample(op_type, (F(2, 3, 2),), {"axes": [0, 2], "keepdims": 0}, id="attribute-dropped", opset=11),
        Sample(op_type, (F(2, 3),), {"axes": [1]}, id="opset9", opset=9, of=()),
    ]


def _place(op_type: str) -> list[Sample]:
    F = Floats((2, 3), apart=True)
    ties = np.array([[1.0, 2.0, 2.0], [3.0, 1.0, 3.0]])
    return [
        Sample(op_type, (F,), id="axis0", of=()),
        Sample(op_type, (F,), {"axis": -1, "keepdims": 0}, id="axis-1-dropped", of=()),
        Sample(op_type, (ties,), {"axis": 1}, id="first", of=()),
        Sample(op_type, (ties,), {"axis": 1, "select_last_index": 1}, id="last", of=()),
        Sample(op_type, (F,), {"axis": 1}, id="opset9", opset=9, of=()),
    ]


def _running(op_type: str, opset: int) -> list[Sample]:
    base = [
        Sample(
            op_type, (Floats((2, 3)), np.array(axis)), {"exclusive": exclusive, "reverse": reverse},
            id=f"axis{axis}-{exclusive}{reverse}", opset=opset,
        )
        for axis in (0, -1)
        for exclusive in (0, 1)
        for reverse in (0, 1)
    ]  # fmt: skip
    return [
        *base,
        Sample(op_type, (Floats((4,)), np.array([0])), id="vector-axis", opset=opset),
        Sample(op_type, (Floats((2, 0)), np.array(1)), id="nothing", opset=opset),
    ]


_ZEROS = np.array([[0.0, 2.0, -1.5], [0.0, 0.5, 0.0]])

SAMPLES = [
    *_reduction("ReduceSum", axes_input=13),
    *_reduction("ReduceMean"),
    *_reduction("ReduceProd"),
    *_reduction("ReduceMax"),
    *_reduction("ReduceMin"),
    *_reduction("ReduceL1"),
    *_reduction("ReduceL2"),
    *_reduction("ReduceSumSquare"),
    *_reduction("ReduceLogSum", 0.2, 3.0),
    *_reduction("ReduceLogSumExp"),
    Sample("ReduceProd", (_ZEROS, INTS([1])), id="zeros", wrt=(0,)),
    Sample("ReduceProd", (_ZEROS,), id="zeros-all", wrt=(0,)),
    Sample("ReduceProd", (Floats((2, 50), 0.8, 1.2), INTS([1])), id="long", order=1),  # order 2 takes 50 times as long
    Sample("ReduceProd", (Floats((37,), 0.8, 1.2),), id="long-vector"),
    *(Sample(op, (np.arange(-3, 3).reshape(2, 3).astype(np.int32), INTS([1])), id="int32", of=())
      for op in ("ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare")),
    *_place("ArgMax"),
    *_place("ArgMin"),
    *_running("CumSum", 23),
    *_running("CumProd", 26),
    Sample("CumProd", (_ZEROS, np.array(1)), id="zeros", opset=26, wrt=(0,)),
    Sample("CumProd", (_ZEROS, np.array(1)), {"exclusive": 1, "reverse": 1}, id="zeros-11", opset=26, wrt=(0,)),
    Sample("CumSum", (Floats((3,)), np.array(0)), id="opset11", opset=11),
]  # fmt: skip
