"""Single operators at chosen points, for the corners that samples do not reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from samples import Floats, Sample
from samples.build import build


def _model(op_type: str, arrays: Sequence[Any], opset: int, outputs: int, attributes: dict[str, Any]) -> ir.Model:
    given = [None if a is None else Floats(np.shape(a)) for a in arrays]
    sample = Sample(op_type, tuple(given), attributes, opset=opset, outputs=outputs)
    return build(sample, [None if a is None else np.asarray(a) for a in arrays], symbolic=False)[0]


def _feeds(arrays: Sequence[Any]) -> dict[str, Any]:
    return {f"x{i}": np.asarray(a) for i, a in enumerate(arrays) if a is not None}


@pytest.fixture
def run() -> Callable[..., Any]:
    """``run(op_type, *arrays, opset=, outputs=, **attributes)``: the output of one node, or the tuple of them."""

    def call(op_type: str, *arrays: Any, opset: int = 23, outputs: int = 1, **attributes: Any) -> Any:
        model = _model(op_type, arrays, opset, outputs, attributes)
        found = tuple(gs.Session(model, optimize=False).run(_feeds(arrays)).values())
        return found[0] if outputs == 1 else found

    return call


@pytest.fixture
def pull() -> Callable[..., list[Any]]:
    """``pull(op_type, *arrays, dY=, wrt=)``: the cotangents of inputs ``wrt`` for that of the first output.

    All inputs are graph inputs; those that are not floating point are fed as they are.
    """

    def call(
        op_type: str, *arrays: Any, dY: Any, wrt: Sequence[int] = (0,), opset: int = 23, **attributes: Any
    ) -> list[Any]:
        model = _model(op_type, arrays, opset, 1, attributes)
        derived = gs.vjp(model, ["y0"], [f"x{i}" for i in wrt])
        names = [f"x{i}_vjp" for i in wrt]
        found = gs.Session(derived).run({**_feeds(arrays), "y0_cotangent": np.asarray(dY)}, fetches=names)
        return [found[name] for name in names]

    return call
