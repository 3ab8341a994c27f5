"""Work grows with the number of nodes and no faster: calls are counted, no time is taken."""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import onnx_ir as ir
import pytest

import graphspec as gs

OPERATORS = ("Sin", "Mul", "Tanh", "Add", "Relu", "Sub", "Sigmoid", "Div", "Cos", "Neg")


def chain(length: int) -> ir.Model:
    """Elementwise nodes in a row, half of them with a second input, then a sum."""
    nodes, last = [], "x"
    for i in range(length):
        op_type = OPERATORS[i % len(OPERATORS)]
        second = ", w" if op_type in ("Mul", "Add", "Sub", "Div") else ""
        nodes.append(f"v{i} = {op_type}({last}{second})")
        last = f"v{i}"
    return ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["" : 21]>
    chain (float[n,3] x, float[3] w) => (float loss) {{
        {" ".join(nodes)}
        loss = ReduceSum<keepdims=0>({last})
    }}""")


def calls_of(work: Callable[[ir.Model], Any], model: ir.Model) -> collections.Counter[str]:
    """Calls of Python functions by name, of C functions all together."""
    counts: collections.Counter[str] = collections.Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            counts[frame.f_code.co_name] += 1
        elif event == "c_call":
            counts["C"] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work(model)
    finally:
        sys.setprofile(before)
    return counts


STAGES: dict[str, Callable[[ir.Model], Any]] = {
    "load": lambda model: gs.load(ir.to_proto(model).SerializeToString()),
    "validate": gs.validate,
    "compile": gs.Session,
    "grad": lambda model: gs.grad(model, of="loss", wrt=["x", "w"]),
    "jvp": lambda model: gs.jvp(model, of=["loss"], wrt=["x"]),
    "hvp": lambda model: gs.hvp(model, of="loss", wrt=["x"]),
}


@pytest.mark.parametrize("stage", [pytest.param(s, marks=[pytest.mark.slow] if s == "hvp" else []) for s in STAGES])
def test_calls_grow_with_the_nodes(stage: str) -> None:
    work = STAGES[stage]
    work(chain(20))  # imports, schemas, answers of the inference
    short, long = (calls_of(work, chain(length)).total() for length in (50, 150))
    assert short > 100, "the calls were not counted"
    assert long < 3.2 * short


@pytest.mark.parametrize("stage", ["compile", "grad"])
def test_onnx_is_asked_once_for_each_kind_of_node(stage: str) -> None:
    work = STAGES[stage]
    work(chain(20))
    counts = calls_of(work, chain(100))
    assert counts["infer_node"] > 100
    assert counts["infer_node_outputs"] < 5  # a sum of as many cotangents was not asked for before


def test_a_long_chain_has_no_depth() -> None:
    """Longer than Python may nest calls, there and back."""
    length = sys.getrecursionlimit() + 100
    derived = gs.grad(chain(length), of="loss", wrt=["x"])
    assert len(derived.graph) > length
