"""Five models in ONNX, with float32 weights and feeds; each has a scalar ``loss``."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnx_ir as ir

from whole_models import whole

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A model and where it is differentiated.

    Attributes:
        model: ONNX, ``loss`` among its values.
        feeds: Its inputs.
        weights: The initializers that it is differentiated by.
        inputs: The inputs that it is differentiated by.
    """

    model: ir.Model
    feeds: Arrays
    weights: Arrays
    inputs: tuple[str, ...] = ()

    @property
    def wrt(self) -> list[str]:
        return [*self.inputs, *self.weights]

    @property
    def point(self) -> Arrays:
        return {**{x: self.feeds[x] for x in self.inputs}, **self.weights}


def perceptron() -> Peer:
    model, feeds, names = whole("perceptron", np.float32)
    return Peer(model, feeds, _initializers(model, names), ("x",))


def transformer() -> Peer:
    model, feeds, names = whole("transformer", np.float32)
    proto = ir.to_proto(model)
    proto.graph.node.append(onnx.helper.make_node("Mul", ["y", "y"], ["squares"]))
    proto.graph.node.append(onnx.helper.make_node("ReduceMean", ["squares"], ["loss"], keepdims=0))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("loss", onnx.TensorProto.FLOAT, []))
    model = ir.from_proto(proto)
    return Peer(model, feeds, _initializers(model, names), ("x",))


# The stem, a block with the identity, a block that halves the image and projects, and the head of a ResNet of 2015.
RESNET = """<ir_version: 10, opset_import: ["" : 21]>
resnet (float[N,3,16,16] x, int64[N] t) => (float loss, float[N,5] logits) {{
    c0 = Conv<kernel_shape=[7,7], strides=[2,2], pads=[3,3,3,3]>(x, stem)
    n0 = BatchNormalization<{training}>(c0, g0, b0, m0, v0)
    r0 = Relu(n0)
    p0 = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r0)
    c1 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(p0, k1)
    n1 = BatchNormalization<{training}>(c1, g1, b1, m1, v1)
    r1 = Relu(n1)
    c2 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r1, k2)
    n2 = BatchNormalization<{training}>(c2, g2, b2, m2, v2)
    s2 = Add(n2, p0)
    r2 = Relu(s2)
    c3 = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r2, k3)
    n3 = BatchNormalization<{training}>(c3, g3, b3, m3, v3)
    r3 = Relu(n3)
    c4 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r3, k4)
    n4 = BatchNormalization<{training}>(c4, g4, b4, m4, v4)
    c5 = Conv<kernel_shape=[1,1], strides=[2,2]>(r2, k5)
    n5 = BatchNormalization<{training}>(c5, g5, b5, m5, v5)
    s4 = Add(n4, n5)
    r4 = Relu(s4)
    pool = GlobalAveragePool(r4)
    flat = Flatten(pool)
    logits = Gemm<transB=1>(flat, w, c)
    loss = SoftmaxCrossEntropyLoss(logits, t)
}}"""
CHANNELS = (4, 4, 4, 8, 8, 8)


def resnet(training: bool = False) -> Peer:
    rng = np.random.default_rng(11)
    # Statistics of the batch are outputs too in training; the shorter form leaves them out.
    text = RESNET.format(training=f"training_mode={int(training)}")
    if training:
        for i in range(6):
            text = text.replace(f"n{i} = Batch", f"n{i}, mean{i}, var{i} = Batch")
    proto = onnx.parser.parse_model(text)
    shapes = {"stem": (4, 3, 7, 7), "k1": (4, 4, 3, 3), "k2": (4, 4, 3, 3), "k3": (8, 4, 3, 3), "k4": (8, 8, 3, 3),
              "k5": (8, 4, 1, 1), "w": (5, 8), "c": (5,)}  # fmt: skip
    weights = {n: rng.standard_normal(s) * np.sqrt(2 / max(1, np.prod(s[1:]))) for n, s in shapes.items()}
    statistics: dict[str, np.ndarray] = {}
    for i, n in enumerate(CHANNELS):
        weights |= {f"g{i}": rng.uniform(0.5, 1.5, n), f"b{i}": 0.3 * rng.standard_normal(n)}
        statistics |= {f"m{i}": 0.2 * rng.standard_normal(n), f"v{i}": rng.uniform(0.5, 2, n)}
    feeds = {"x": rng.standard_normal((3, 3, 16, 16)).astype(np.float32), "t": rng.integers(0, 5, 3)}
    return _with(proto, feeds, weights, ("x",), statistics)


LSTM = """<ir_version: 10, opset_import: ["" : 21]>
lstm (float[5,3,4] x) => (float loss, float[5,1,3,6] y) {
    y, h, c = LSTM<hidden_size=6>(x, W, R, B, , h0, c0)
    squares = Mul(y, y)
    first = ReduceMean<keepdims=0>(squares)
    second = ReduceSum<keepdims=0>(c)
    loss = Add(first, second)
}"""


def lstm() -> Peer:
    rng = np.random.default_rng(12)
    shapes = {"W": (1, 24, 4), "R": (1, 24, 6), "B": (1, 48), "h0": (1, 3, 6), "c0": (1, 3, 6)}
    weights = {n: rng.standard_normal(s) * 0.4 for n, s in shapes.items()}
    feeds = {"x": rng.standard_normal((5, 3, 4)).astype(np.float32)}
    return _with(onnx.parser.parse_model(LSTM), feeds, weights, ("x",))


# Two steps towards the root of x³ + a·x - d, for each of four pairs (a, d); the number of steps is an input.
NEWTON = """<ir_version: 10, opset_import: ["" : 21]>
newton (float[4] a, float[4] d, int64 steps) => (float loss, float[4] root) {
    root = Loop (steps, , x0) <body = b (int64 i, bool go, float[4] x) => (bool on, float[4] next) {
        on = Identity(go)
        xx = Mul(x, x)
        xxx = Mul(xx, x)
        ax = Mul(a, x)
        rise = Add(xxx, ax)
        f = Sub(rise, d)
        two = Add(xx, xx)
        three = Add(two, xx)
        slope = Add(three, a)
        step = Div(f, slope)
        next = Sub(x, step)
    }>
    squares = Mul(root, root)
    loss = ReduceSum<keepdims=0>(squares)
}"""


def newton() -> Peer:
    rng = np.random.default_rng(13)
    feeds = {"a": rng.uniform(0.5, 2, 4).astype(np.float32), "d": rng.uniform(1, 3, 4).astype(np.float32),
             "steps": np.array(2)}  # fmt: skip
    return _with(onnx.parser.parse_model(NEWTON), feeds, {"x0": rng.uniform(0.8, 1.5, 4)}, ("a", "d"))


def _initializers(model: ir.Model, names: list[str]) -> Arrays:
    return {n: np.array(model.graph.initializers[n].const_value.numpy()) for n in names}  # type: ignore[union-attr]


def _with(
    proto: onnx.ModelProto, feeds: Arrays, weights: Arrays, inputs: tuple[str, ...], constants: Arrays | None = None
) -> Peer:
    narrow = {n: np.asarray(v, np.float32) for n, v in weights.items()}
    for name, value in {**narrow, **(constants or {})}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
    return Peer(ir.from_proto(proto), feeds, narrow, inputs)


MODELS = {
    "perceptron": perceptron,
    "transformer": transformer,
    "resnet": resnet,
    "resnet-training": lambda: resnet(training=True),
    "lstm": lstm,
    "newton": newton,
}
