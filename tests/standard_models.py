"""The graphs whose derivatives docs/derivatives.md counts: their shapes are small, their structures the real ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir

import graphspec as gs
from whole_models import WHOLE, whole

PRODUCT = """<ir_version: 10, opset_import: ["" : 21]>
product (float[batch,4] x, float[4,3] w) => (float[batch,3] y) { h = MatMul(x, w) y = Tanh(h) }"""
LSTM = """<ir_version: 10, opset_import: ["" : 21]>
network (float[time,batch,3] X, float[1,16,3] W, float[1,16,4] R, float[1,32] B)
    => (float[time,1,batch,4] Y, float[1,batch,4] Y_h) { Y, Y_h = LSTM<hidden_size = 4>(X, W, R, B) }"""


def product() -> ir.Model:
    """tanh(x @ w)."""
    return gs.load(PRODUCT)


def lstm() -> ir.Model:
    """One layer, one direction, any number of steps."""
    return gs.load(LSTM)


def perceptron() -> ir.Model:
    """Three layers and softmax cross-entropy."""
    return whole("perceptron", np.float32)[0]


def transformer() -> ir.Model:
    """Attention with two heads, and a GELU perceptron, each behind a layer normalization and beside a residual."""
    return whole("transformer", np.float32)[0]


def resnet() -> ir.Model:
    """ResNet-50 as it is deployed, in width 1/16 for images of 32 by 32: 53 convolutions and batch normalizations."""
    rng = np.random.default_rng(8)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def weight(name: str, array: np.ndarray) -> str:
        weights.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(op_type: str, *inputs: str, **attributes: object) -> str:
        name = f"{op_type}_{len(nodes)}"
        nodes.append(onnx.helper.make_node(op_type, inputs, [name], name, **attributes))
        return name

    def convolved(x: str, channels: int, filters: int, size: int, stride: int = 1) -> str:
        n = len(nodes)
        kernel = rng.standard_normal((filters, channels, size, size)) * (2 / (channels * size * size)) ** 0.5
        y = node(
            "Conv", x, weight(f"w{n}", kernel), kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4
        )
        moments = [
            weight(f"{kind}{n}", start * np.ones(filters)) for kind, start in zip("gbmv", (1, 0, 0, 1), strict=True)
        ]
        return node("BatchNormalization", y, *moments)

    def block(x: str, channels: int, width: int, stride: int, first: bool) -> str:
        y = node("Relu", convolved(x, channels, width, 1))
        y = node("Relu", convolved(y, width, width, 3, stride))
        y = convolved(y, width, 4 * width, 1)
        return node("Relu", node("Add", y, convolved(x, channels, 4 * width, 1, stride) if first else x))

    x = node("Relu", convolved("image", 3, 4, 7, 2))
    x = node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 4
    for stage, count in enumerate((3, 4, 6, 3)):
        width = 4 << stage
        for i in range(count):
            x = block(x, channels, width, 2 if stage and not i else 1, not i)
            channels = 4 * width
    x = node("Flatten", node("GlobalAveragePool", x))
    node("Gemm", x, weight("wfc", rng.standard_normal((channels, 10)) * 0.1), weight("bfc", np.zeros(10)))
    nodes[-1].output[0] = "logits"
    graph = onnx.helper.make_graph(
        nodes,
        "resnet50",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 10])],
        weights,
    )
    return gs.load(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10))


def trained(model: ir.Model) -> list[str]:
    """The parameters that training moves: all but the moments of batch normalizations."""
    return [name for name in model.graph.initializers if name[0] not in "mv"]


def _parameters(name: str) -> list[str]:
    return whole(name, np.float32)[2]


# Name in the page: the graph, the transform and what it is of, and what it is with respect to.
STANDARD: dict[str, tuple[Callable[[], ir.Model], str, str, Callable[[ir.Model], list[str]]]] = {
    "tanh(x @ w)": (product, "vjp", "y", lambda model: ["x", "w"]),
    "3-layer perceptron": (perceptron, "grad", WHOLE["perceptron"][1], lambda model: _parameters("perceptron")),
    "transformer block": (transformer, "vjp", WHOLE["transformer"][1], lambda model: _parameters("transformer")),
    "ResNet-50": (resnet, "vjp", "logits", trained),
    "LSTM": (lstm, "vjp", "Y", lambda model: ["X", "W", "R", "B"]),
}
# What a symbolic dimension is where the page says "static".
SIZES = {"batch": 5, "seq": 6, "time": 7}


def standard(name: str, *, static: bool) -> tuple[ir.Model, ir.Model]:
    """The graph and its derivative."""
    make, transform, of, wrt = STANDARD[name]
    model = make()
    if static:
        for value in [*model.graph.inputs, *model.graph.outputs]:
            if value.shape is not None:
                value.shape = ir.Shape([d if isinstance(d, int) else SIZES[str(d)] for d in value.shape.dims])
    return model, gs.grad(model, of, wrt(model)) if transform == "grad" else gs.vjp(model, [of], wrt(model))


def nodes(model: ir.Model) -> int:
    """How many nodes a model has, those of subgraphs included; weights and constants are none."""
    return sum(1 for node in model.graph.all_nodes() if node.op_type != "Constant")
