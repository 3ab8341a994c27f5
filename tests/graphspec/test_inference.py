"""Answers of the inference that are kept: another node that asks the same is told the same, in its own symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphspec import inference
from graphspec.inference import BLIND, infer_node, known_constant
from samples import ALL
from samples.build import arrays_of, build

FAMILIES = sorted({sample.op_type for sample in ALL})


def plainly(node: ir.Node, imports: dict[str, int]) -> list[ir.TypeAndShape | None]:
    """What ONNX says to the node itself, all constants given, nothing kept."""
    arrays = [inference._small(value, known_constant) for value in node.inputs]
    return inference._infer(node, arrays, imports, 10, known_constant)


def noted(ask: Callable[[ir.Node, dict[str, int]], Any], node: ir.Node, imports: dict[str, int]) -> Any:
    """An answer, or a refusal, as it can be compared."""
    try:
        answers = ask(node, imports)
    except onnx.shape_inference.InferenceError as error:
        return str(error)
    return [None if a is None else (repr(a.type), "?" if a.shape is None else repr(a.shape.dims)) for a in answers]


def renamed(named: dict[ir.Value, ir.Shape], names: dict[str, str | None]) -> None:
    for value, shape in named.items():
        value.shape = ir.Shape([d if isinstance(d, int) else names.get(d.value, d.value) for d in shape.dims])


@pytest.mark.parametrize("op_type", FAMILIES)
def test_kept_answers_are_those_of_onnx(op_type: str) -> None:
    rng = np.random.default_rng(1)
    for sample in (s for s in ALL if s.op_type == op_type):
        for symbolic in (False, True):
            try:
                model, _ = build(sample, arrays_of(sample, np.float32, rng), symbolic=symbolic)
            except onnx.shape_inference.InferenceError:  # a whole model's inference knows less than a node's
                continue
            node, imports = model.graph[0], model.graph.opset_imports
            named = {v: v.shape for v in node.inputs if v is not None and v.shape is not None}
            symbols = sorted({d.value for shape in named.values() for d in shape.dims if not isinstance(d, int)})
            # As they are, each by another name, all by one name (they are equal then), and without a name.
            for turn in ({}, {n: f"{n}!" for n in symbols}, dict.fromkeys(symbols, "n"), dict.fromkeys(symbols)):
                renamed(named, turn)
                expected = noted(plainly, node, imports)
                asked = [noted(infer_node, node, imports) for _ in range(2)]
                assert asked == [expected] * 2, (sample.label, turn)


def test_operators_that_need_no_constants_are_in_the_samples() -> None:
    """So that the test above, which gives ONNX the constants, holds their inference to be blind to them."""
    assert BLIND - {"Not", "And", "Or", "Xor"} <= set(FAMILIES)


def test_an_answer_is_its_owners() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, "n"]))
    for _ in range(2):
        (known,) = infer_node(ir.Node("", "Relu", [x]), {"": 21})
        assert known == ir.TypeAndShape(ir.TensorType(ir.DataType.FLOAT), ir.Shape([2, "n"]))
        assert known.shape is not None
        assert known.shape.frozen
        known.type.dtype = ir.DataType.DOUBLE


def test_answers_kept_are_bounded() -> None:
    cache = inference._Cache(3)
    for key in range(5):
        cache.put((key,), [])
        cache.get((2,))
    assert [cache.get((key,)) is not None for key in range(5)] == [False, False, True, True, True]
