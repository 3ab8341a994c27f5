"""Products, powers, bounds, padding, norms and Einsum, where their derivatives are easy to get wrong."""

from __future__ import annotations

import itertools

import numpy as np

from counter_examples.example import Held, Point
from samples import Floats as F
from samples import Sample


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _at(op_type: str, id: str, x: object, *more: object, opset: int = 26, **attributes: object) -> Sample:
    """At this very x."""
    return Sample(op_type, (np.array(x, np.float64), *more), attributes, id=id, opset=opset, wrt=(0,))


def _pad(id: str, pads: tuple[int, ...], mode: str, *more: object, shape: tuple[int, ...] = (4, 5)) -> Sample:
    return Sample("Pad", (F(shape), _ints(*pads), *more), {"mode": mode}, id=id)


RANK_2 = [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]
RANK_1 = [[1.0, 2, 3], [2, 4, 6], [3, 6, 9]]
REGULAR = [[2.0, -1, 0], [1, 3, 1], [0, 1, 1]]
RANK_3 = [[1.0, 0, 2, -1], [3, 0, 0, 5], [2, 1, 4, -3], [4, 0, 2, 4]]  # the fourth row is the sum of the first two
CUBE = [[[0.0, 2, 0], [1.5, -1, 3]], [[0, 0, 0.5], [2, 0, -1]]]

POINTS = [
    Point(
        "Det",
        held=(Held("Det", id="3x3"), Held("Det", id="batch"), Held("Det", id="singular"), Held("Det", id="zero")),
        examples=(
            _at("Det", "rank-2-of-3", RANK_2),
            _at("Det", "rank-1-of-3", RANK_1),
            _at("Det", "rank-3-of-4", RANK_3),
            _at("Det", "batch-with-singular", [RANK_2, REGULAR, RANK_1]),
            _at("Det", "zero-1x1", [[0.0]]),
            _at("Det", "permutation", [[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
        ),
    ),
    Point(
        "ReduceProd with zeros in the data",
        held=(Held("ReduceProd", id="zeros"), Held("ReduceProd", id="zeros-all")),
        examples=(
            _at("ReduceProd", "one-zero", [[2.0, 0, 3], [1, -2, 4]], _ints(1)),
            _at("ReduceProd", "two-zeros", [[2.0, 0, 0], [0, -2, 4]], _ints(1), keepdims=0),
            _at("ReduceProd", "one-zero-over-two-axes", [[[1.0, 2], [0, 3]], [[4, 5], [6, 7]]], _ints(0, 2)),
            _at("ReduceProd", "zeros-everywhere", np.zeros((2, 2))),
            _at("ReduceProd", "cube", CUBE, _ints(-1)),
        ),
    ),
    Point(
        "CumProd with zeros in the data",
        held=(Held("CumProd", id="zeros"), Held("CumProd", {"exclusive": 1, "reverse": 1}, id="zeros-11")),
        examples=tuple(
            _at("CumProd", f"one-zero-{exclusive}{reverse}", [2.0, 0, 3, -1], np.array(0), exclusive=exclusive, reverse=reverse)
            for exclusive, reverse in itertools.product((0, 1), (0, 1))
        ),
        more=tuple(
            _at("CumProd", f"cube-{exclusive}{reverse}", CUBE, np.array(-1), exclusive=exclusive, reverse=reverse)
            for exclusive, reverse in itertools.product((0, 1), (0, 1))
        ),
    ),
    Point(
        "Pow's exponent, and a base of 0",
        held=(Held("Pow", wrt=(0, 1), id="both"), Held("Pow", wrt=(1,), id="scalar-base")),
        examples=(
            Sample("Pow", (np.array([0.0, 0.0, 2.0]), np.array([2.0, 3.0, 2.0])), id="base-0", wrt=(0,)),
            # The second derivative by base and exponent is x^(b-1)·(1 + b·log x): not real where x < 0.
            Sample("Pow", (np.array([0.0, 0.0, 2.0]), F((3,), 1.5, 3)), id="exponent-at-base-0", wrt=(1,)),
            Sample("Pow", (F((3,), -3, -1), np.array([2.0, 3.0, -1.0])), id="negative-base", wrt=(0,)),
        ),
    ),
    Point(
        "Clip's bounds as inputs",
        held=(
            Held("Clip", wrt=(0, 1, 2), id="both"),
            Held("Clip", wrt=(1,), id="min"),
            Held("Clip", wrt=(2,), id="max"),
            Held("Clip", wrt=(1, 2), id="crossed"),
        ),
    ),
    Point(
        "Pad's value and its modes",
        held=(
            Held("Pad", {"mode": "reflect"}, id="reflect-most"),
            Held("Pad", {"mode": "edge"}, id="edge-far"),
            Held("Pad", {"mode": "wrap"}, id="wrap-far"),
            Held("Pad", wrt=(2,), id="value"),
        ),
        examples=(
            _pad("value-and-crop", (2, -1, -2, 3), "constant", F(())),
            _pad("reflect-crop-both", (2, -1, -1, 3), "reflect"),
            _pad("edge-crop", (3, -2, -1, 4), "edge"),
            _pad("wrap-crop", (3, -2, -1, 4), "wrap"),
        ),
        more=(
            _pad("reflect-3d", (1, 0, 2, 0, 1, 1), "reflect", shape=(2, 3, 4)),
            _pad("wrap-3d", (1, 4, 0, 2, 3, -1), "wrap", shape=(2, 3, 4)),
            _pad("edge-axes", (2, 1), "edge", None, _ints(-2)),
        ),
    ),
    Point(
        "Einsum with ellipses and repeated labels",
        held=(
            Held("Einsum", {"equation": "...ij,...jk->...ik"}),
            Held("Einsum", {"equation": "...ii->...i"}),
            Held("Einsum", {"equation": "iiji->j"}),
        ),
        examples=(
            Sample("Einsum", (F((2, 1, 3, 3)), F((1, 4, 3))), {"equation": "...ii,...i->..."}, id="diagonal-by-vector"),
            Sample("Einsum", (F((2, 3)), F((2, 3))), {"equation": "i...,i...->..."}, id="ellipsis-last"),
            Sample("Einsum", (F((2, 2)), F((2, 3)), F((3, 3))), {"equation": "ii,ij,jj->j"}, id="two-diagonals"),
            Sample("Einsum", (F((1, 3)), F((2, 3))), {"equation": "...j,...j"}, id="implicit-broadcast"),
        ),
    ),
    Point(
        "BatchNormalization and Dropout in training mode",
        held=(
            Held("BatchNormalization", {"training_mode": 1}, wrt=(0, 1, 2)),
            Held("Dropout", wrt=(0,), id="training"),
        ),
        examples=(
            Sample(
                "BatchNormalization", (F((3, 2, 2)), F((2,)), F((2,)), F((2,)), F((2,), 0.2, 2)),
                {"training_mode": 1, "epsilon": 1e-2, "momentum": 0.7}, id="all-outputs-all-inputs", outputs=3, of=(0, 1, 2),
            ),
        ),
    ),
    Point(
        "Norms away from 0",
        held=(Held("LpNormalization", id="l2"), Held("LpNormalization", {"p": 1}), Held("GlobalLpPool", {"p": 3})),
        examples=(
            Sample("LpNormalization", (F((2, 3, 2), 0.3, 2),), {"axis": 0, "p": 2}, id="first-axis"),
            Sample("ReduceL2", (np.array([[0.0, 0.0], [3.0, -4.0]]), _ints(0)), id="some-zeros", wrt=(0,)),
        ),
    ),
]  # fmt: skip
