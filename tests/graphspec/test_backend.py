"""The standard backend interface beyond what the suite calls: inputs by name, single nodes, devices, refusals."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.backend.base
import pytest

import graphspec as gs
from graphspec import backend

node = onnx.helper.make_node
MODEL = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> '
    "g (float[N] x, float[N] y) => (float[N] a, float[N] b) <float k = {2}> "
    "{ t = Mul(x, k)\n a = Sub(t, y)\n b = Neg(x) }"
)
X, Y = np.array([1, 2], np.float32), np.array([5, 1], np.float32)


def test_it_is_a_backend() -> None:
    assert issubclass(backend.GraphSpecBackend, onnx.backend.base.Backend)
    assert isinstance(backend.prepare(MODEL), onnx.backend.base.BackendRep)


@pytest.mark.parametrize(
    "inputs", [[X, Y], (X, Y), {"y": Y, "x": X}, [[1, 2], [5, 1]]], ids=["list", "tuple", "names", "nested"]
)
@pytest.mark.parametrize("model", [MODEL, MODEL.SerializeToString()], ids=["proto", "bytes"])
def test_run(model: Any, inputs: Any) -> None:
    found = backend.run_model(model, inputs)
    assert isinstance(found, tuple)
    assert [one.tolist() for one in found] == [[-3, 3], [-1, -2]]
    assert found["b"].tolist() == [-1, -2]  # type: ignore[call-overload]


def test_a_single_array_is_the_only_input() -> None:
    info = onnx.helper.make_tensor_value_info
    numbered = onnx.helper.make_graph(  # a name that is no name in Python, as exporters give them
        [node("Neg", ["x"], ["0"])], "g", [info("x", 1, ["N"])], [info("0", 1, ["N"])]
    )
    (found,) = backend.run_model(onnx.helper.make_model(numbered, ir_version=10), X)
    assert found.tolist() == [-1, -2]


def test_an_initializer_by_name() -> None:
    found = backend.prepare(MODEL).run({"x": X, "y": Y, "k": np.array(0, np.float32)})
    assert found[0].tolist() == [-5, -1]


@pytest.mark.parametrize("provider", ["numpy", "onnxruntime"])
def test_options_of_the_session(provider: str) -> None:
    found = backend.prepare(MODEL, "CPU:0", provider=provider, optimize=False, rtol=1e-3).run([X, Y])
    assert found[0].tolist() == [-3, 3]


# Node, inputs, opset, expected outputs.
NODES = {
    "positions": (node("Sub", ["x", "y"], ["z"]), [X, Y], None, [X - Y]),
    "names": (node("Sub", ["x", "y"], ["z"]), {"y": Y, "x": X}, None, [X - Y]),
    "one value twice": (node("Mul", ["x", "x"], ["z"]), [X, X], None, [X * X]),
    "one value twice, once given": (node("Mul", ["x", "x"], ["z"]), [X], None, [X * X]),
    "left out": (node("Clip", ["x", "", "y"], ["z"]), [X, np.float32(1.5)], None, [[1, 1.5]]),
    "several outputs": (node("Split", ["x"], ["a", "b"], num_outputs=2), [X], None, [[1], [2]]),
    "output left out": (node("TopK", ["x", "k"], ["", "i"]), [X, np.array([1])], None, [[1]]),
    "old opset": (
        node("Softmax", ["x"], ["z"], axis=1), [np.zeros((1, 2, 2), np.float32)], 11, [np.full((1, 2, 2), 0.25)],
    ),
    "sequence": (node("SequenceAt", ["s", "i"], ["z"]), [[X, Y], np.array(1)], None, [Y]),
    "strings": (node("StringConcat", ["x", "y"], ["z"]), [np.array(["a"]), np.array(["b"], object)], None, [["ab"]]),
    "bfloat16": (node("Neg", ["x"], ["z"]), [X.astype(ml_dtypes.bfloat16)], None, [-X]),
    "another domain": (
        node("Binarizer", ["x"], ["z"], domain="ai.onnx.ml", threshold=1.5), [X], None, [[0, 1]],
    ),
    "function body": (node("CenterCropPad", ["x", "s"], ["z"]), [np.arange(3.0), np.array([1])], None, [[1]]),
}  # fmt: skip


@pytest.mark.parametrize(("proto", "inputs", "opset", "expected"), NODES.values(), ids=NODES)
def test_run_node(proto: onnx.NodeProto, inputs: Any, opset: int | None, expected: list[Any]) -> None:
    options = {} if opset is None else {"opset_version": opset}
    found = backend.run_node(proto, inputs, **options)
    assert len(found) == len(expected)
    for one, right in zip(found, expected, strict=True):
        assert one.tolist() == np.asarray(right).tolist()


def test_devices() -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(gs.UnsupportedError, match="CUDA"):
        backend.prepare(MODEL, "CUDA")


def test_compatible() -> None:
    assert backend.is_compatible(MODEL)
    assert not backend.is_compatible(MODEL, "CUDA")
    foreign = onnx.ModelProto.FromString(MODEL.SerializeToString())
    foreign.graph.node[0].domain = "com.example"
    foreign.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    assert not backend.is_compatible(foreign)


@pytest.mark.parametrize(
    "inputs", [[X], [X, Y, Y], {"x": X}, {"x": X, "y": Y, "z": Y}], ids=["few", "many", "missing", "unknown"]
)
def test_inputs_that_do_not_fit(inputs: Any) -> None:
    with pytest.raises(gs.FeedError):
        backend.run_model(MODEL, inputs)


@pytest.mark.parametrize("inputs", [[X], {"x": X}], ids=["positions", "names"])
def test_a_node_without_its_input(inputs: Any) -> None:
    with pytest.raises(gs.FeedError, match="'y'"):
        backend.run_node(node("Sub", ["x", "y"], ["z"]), inputs)
