"""The workloads as ONNX graphs with weights and feeds, and the ratios that are aimed at."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from steps.weights import with_random_weights

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
# A name and a shape for what follows the value to make it a loss.
ENDINGS = {
    "none": "loss = Identity(value)",
    "sum": "loss = ReduceSum<keepdims=0>(value)",
    "squares": "squares = Mul(value, value) loss = ReduceMean<keepdims=0>(squares)",
    "cross-entropy": "loss = SoftmaxCrossEntropyLoss(value, t)",
}

RELU_SUM = """w1 (float[{n}] x, float[{n}] y) => (float value) {{
    two = Constant<value_float=2.0>() xy = Mul(x, y) plus = Add(xy, two) r = Relu(plus)
    value = ReduceSum<keepdims=0>(r)
    ENDING
}}"""
SINE = """w1 (float[{n}] x, float[{n}] y) => (float[{n}] value) {{
    plus = Add(x, y) s = Sin(x) value = Mul(plus, s)
    ENDING
}}"""
PERCEPTRON = """w2 (float[{n},{i}] x, int64[{n}] t) => (float value)
<float[{i},{h}] w1, float[{h}] b1, float[{h},{h}] w2, float[{h}] b2, float[{h},{classes}] w3, float[{classes}] b3> {{
    h1 = Gemm(x, w1, b1) a1 = Relu(h1)
    h2 = Gemm(a1, w2, b2) a2 = Relu(h2)
    logits = Gemm(a2, w3, b3)
    value = SoftmaxCrossEntropyLoss(logits, t)
    ENDING
}}"""
TRANSFORMER = """w3 (float[{n},{s},{d}] x) => (float[{n},{s},{d}] value)
<float[{d},{d3}] wqkv, float[{d3}] bqkv, float[{d},{d}] wo, float[{d}] bo, float[{d}] g1, float[{d}] c1,
 float[{d}] g2, float[{d}] c2, float[{d},{f}] w1, float[{f}] b1, float[{f},{d}] w2, float[{d}] b2> {{
    n1 = LayerNormalization<axis=-1>(x, g1, c1)
    mixed = MatMul(n1, wqkv) qkv = Add(mixed, bqkv)
    q, k, v = Split<axis=-1, num_outputs=3>(qkv)
    heads = Constant<value_ints=[0,0,{heads},{size}]>() joined = Constant<value_ints=[0,0,{d}]>()
    qs = Reshape(q, heads) ks = Reshape(k, heads) vs = Reshape(v, heads)
    qh = Transpose<perm=[0,2,1,3]>(qs) kh = Transpose<perm=[0,2,3,1]>(ks) vh = Transpose<perm=[0,2,1,3]>(vs)
    scores = MatMul(qh, kh) scale = Constant<value_float={scale}>() scaled = Mul(scores, scale)
    p = Softmax<axis=-1>(scaled) o = MatMul(p, vh)
    ot = Transpose<perm=[0,2,1,3]>(o) oj = Reshape(ot, joined)
    projected = MatMul(oj, wo) attended = Add(projected, bo) r1 = Add(x, attended)
    n2 = LayerNormalization<axis=-1>(r1, g2, c2)
    m1 = MatMul(n2, w1) m2 = Add(m1, b1) m3 = Gelu(m2) m4 = MatMul(m3, w2) m5 = Add(m4, b2)
    value = Add(r1, m5)
    ENDING
}}"""
_LAYER = """
    k{i} = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>({x}, w{i}, b{i})
    n{i} = BatchNormalization(k{i}, g{i}, c{i}, m{i}, v{i})
    r{i} = Relu(n{i}) p{i} = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r{i})"""
_CONVOLUTIONS = "".join(_LAYER.format(i=i, x="x" if i == 1 else f"p{i - 1}") for i in (1, 2, 3))
_CHANNELS = "".join(
    f"float[{{c{i}}},{'3' if i == 1 else f'{{c{i - 1}}}'},3,3] w{i}, "
    + "".join(f"float[{{c{i}}}] {n}{i}, " for n in "bgcmv")
    for i in (1, 2, 3)
)
CONVOLUTIONS = f"""w4 (float[{{n}},3,{{s}},{{s}}] x, int64[{{n}}] t) => (float[{{n}},{{classes}}] value)
<{_CHANNELS}float[{{features}},{{classes}}] w, float[{{classes}}] b> {{{{{_CONVOLUTIONS}
    flat = Flatten(p3)
    value = Gemm(flat, w, b)
    ENDING
}}}}"""
LSTM = """w5 (float[{s},{n},{i}] x) => (float[{s},1,{n},{h}] value)
<float[1,{h4},{i}] W, float[1,{h4},{h}] R, float[1,{h8}] B> {{
    value, hidden, cell = LSTM<hidden_size={h}>(x, W, R, B)
    ENDING
}}"""
# Elementwise steps by turns; those of two operands take the weight w.
STEPS = ("Sin", "Mul", "Tanh", "Add", "Relu", "Sub", "Sigmoid", "Mul", "Cos", "Add")
BINARY = ("Mul", "Add", "Sub")


def chain(sizes: Mapping[str, Any]) -> str:
    """Elementwise nodes in a row."""
    names = ["x", *(f"v{i}" for i in range(sizes["length"] - 1)), "value"]
    steps = (STEPS[i % len(STEPS)] for i in range(sizes["length"]))
    rows = [f"{names[i + 1]} = {step}({names[i]}{', w' if step in BINARY else ''})" for i, step in enumerate(steps)]
    n = sizes["n"]
    return f"w6 (float[{n}] x) => (float[{n}] value) <float[{n}] w> {{\n" + "\n".join(rows) + "\nENDING\n}"


def network(sizes: Mapping[str, Any]) -> onnx.ModelProto:
    """A network of the ONNX wheel, with random weights."""
    return with_random_weights(sizes["network"], 0)


@dataclasses.dataclass(frozen=True)
class Workload:
    """One workload, at full size and at one for tests.

    Attributes:
        title: What it is, for the table.
        text: ONNX text, its output ``value``, with ENDING where the loss comes; or what makes it of the sizes, or a
            whole model.
        peers: The name of the function in ``peers.py`` that computes the same.
        ending: How the value becomes a loss; none of ``ENDINGS`` where there is no gradient to be had.
        sizes: What the text names in braces.
        tiny: The same for a test, where they differ.
        targets: Our time over theirs that is aimed at, by kind of run and peer.
        inputs: Inputs to differentiate by, beside the weights.
    """

    title: str
    text: str | Callable[[Mapping[str, Any]], str | onnx.ModelProto]
    peers: str
    ending: str
    sizes: Mapping[str, Any]
    tiny: Mapping[str, Any]
    targets: Mapping[str, Mapping[str, float]]
    inputs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Built:
    """The graphs of a workload.

    Attributes:
        forward: From the feeds to ``value``.
        loss: From the feeds to ``loss``; None where there is no gradient to be had.
        feeds: The inputs.
        weights: The initializers.
        wrt: What the loss is differentiated by.
    """

    forward: onnx.ModelProto
    loss: onnx.ModelProto | None
    feeds: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    wrt: list[str]


def _both(forward: dict[str, float], gradient: dict[str, float]) -> dict[str, dict[str, float]]:
    return {"forward": forward, "gradient": gradient}


_SMALL = _both({"torch": 0.5, "ort": 0.6}, {"torch": 0.1, "ort": 0.8, "autograd": 0.05})
WORKLOADS = {
    "W1a": Workload("sum(relu(x·y + 2)), 3 elements", RELU_SUM, "relu_sum", "none", {"n": 3}, {}, _SMALL, ("x", "y")),
    "W1b": Workload("(x + y)·sin(x), 3 elements", SINE, "sine", "sum", {"n": 3}, {}, _SMALL, ("x", "y")),
    "W2": Workload(
        "perceptron 784-512-512-10, batch 128, softmax cross-entropy", PERCEPTRON, "perceptron", "none",
        {"n": 128, "i": 784, "h": 512, "classes": 10}, {"n": 4, "i": 5, "h": 6, "classes": 3},
        _both({"torch": 0.85, "ort": 1.2}, {"torch": 0.8, "ort": 1.0, "autograd": 0.33}),
    ),
    "W3": Workload(
        "transformer encoder block, d 256, 4 heads, sequence 128, batch 8", TRANSFORMER, "transformer", "squares",
        {"n": 8, "s": 128, "d": 256, "heads": 4, "f": 1024}, {"n": 2, "s": 3, "d": 8, "heads": 2, "f": 12},
        _both({"torch": 0.95, "ort": 1.3}, {"torch": 1.0, "ort": 1.05, "autograd": 0.35}),
    ),
    "W4": Workload(
        "3 × (convolution 3×3, batch normalization, ReLU, max pool), 32×32, batch 32", CONVOLUTIONS, "convolutions",
        "cross-entropy", {"n": 32, "s": 32, "c1": 32, "c2": 64, "c3": 128, "classes": 10},
        {"n": 2, "s": 8, "c1": 3, "c2": 4, "c3": 5, "classes": 3},
        _both({"torch": 0.45, "ort": 1.6}, {"torch": 1.0, "ort": 1.1}),
    ),
    "W5": Workload(
        "LSTM, hidden 128, sequence 50, batch 32", LSTM, "lstm", "squares",
        {"s": 50, "n": 32, "i": 128, "h": 128}, {"s": 3, "n": 2, "i": 4, "h": 5},
        _both({"torch": 1.2, "ort": 1.25}, {"torch": 1.15, "ort": 1.05, "autograd": 0.2}),
    ),
    "W6a": Workload(
        "chain of 1000 elementwise nodes on 64 floats", chain, "chain", "sum", {"length": 1000, "n": 64},
        {"length": 20, "n": 5}, _both({"torch": 0.12, "ort": 0.8}, {"torch": 0.1, "ort": 0.9, "autograd": 0.05}),
        ("x",),
    ),
    "W6b": Workload(
        "20 elementwise nodes on 4 M floats", chain, "chain", "", {"length": 20, "n": 1 << 22}, {"n": 5},
        {"forward": {"torch": 0.2, "ort": 0.35}},
    ),
}  # fmt: skip


NETWORKS: dict[str, dict[str, float]] = {
    "resnet50": {"torch": 0.85, "ort": 1.4},
    "squeezenet": {"ort": 1.9},
    "shufflenet": {"torch": 0.7, "ort": 2.2},
    "densenet121": {"torch": 1.15, "ort": 1.9},
}
for _name, _targets in NETWORKS.items():
    _title = f"{_name} of the ONNX wheel, batch 1, random weights"
    WORKLOADS[_name] = Workload(_title, network, "graph", "", {"network": _name}, {}, {"forward": _targets})


def build(workload: Workload, *, tiny: bool = False) -> Built:
    """The graphs of a workload, its weights and its feeds; the same on every call."""
    sizes = dict(workload.sizes) | (dict(workload.tiny) if tiny else {})
    text = workload.text(sizes) if callable(workload.text) else workload.text.format(**sizes, **_derived(sizes))
    rng = np.random.default_rng(5)
    if isinstance(text, onnx.ModelProto):
        weights = {w.name: onnx.numpy_helper.to_array(w) for w in text.graph.initializer}
        return Built(text, None, {i.name: _feed(i, rng, sizes) for i in text.graph.input}, weights, [])
    whole = onnx.parser.parse_model(HEAD + text.replace("ENDING", ENDINGS.get(workload.ending, "")))
    weights = {info.name: _weight(info, rng) for info in whole.graph.value_info}
    feeds = {info.name: _feed(info, rng, sizes) for info in whole.graph.input}
    wrt = [*workload.inputs, *(n for n in weights if n[0] not in "mv")]  # not by moments of batch normalizations
    loss = onnx.helper.make_tensor_value_info("loss", onnx.TensorProto.FLOAT, [])
    return Built(
        _ending_in(whole, whole.graph.output[0], weights),
        _ending_in(whole, loss, weights) if workload.ending else None,
        feeds,
        weights,
        wrt if workload.ending else [],
    )


def _derived(sizes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "d" in sizes:
        size = sizes["d"] // sizes["heads"]
        found |= {"d3": 3 * sizes["d"], "size": size, "scale": repr(1 / math.sqrt(size))}
    if "c3" in sizes:
        found["features"] = sizes["c3"] * (sizes["s"] // 8) ** 2
    if "h" in sizes:
        found |= {"h4": 4 * sizes["h"], "h8": 8 * sizes["h"]}
    return found


def _weight(info: onnx.ValueInfoProto, rng: np.random.Generator) -> np.ndarray:
    shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
    if len(shape) == 1 and info.name[0] in "gvw":  # scales, variances, and the factor of the chains
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:])) if len(shape) == 4 else shape[-1]
    return (rng.standard_normal(shape) / math.sqrt(fan_in)).astype(np.float32)


def _feed(info: onnx.ValueInfoProto, rng: np.random.Generator, sizes: Mapping[str, Any]) -> np.ndarray:
    shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
    if info.type.tensor_type.elem_type == onnx.TensorProto.INT64:
        return rng.integers(0, sizes["classes"], shape)
    return rng.standard_normal(shape).astype(np.float32)


def _ending_in(
    whole: onnx.ModelProto, output: onnx.ValueInfoProto, weights: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """The part of a graph that an output needs, with its weights."""
    needed, nodes = {output.name}, []
    for node in reversed(whole.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    graph = onnx.helper.make_graph(
        nodes[::-1], whole.graph.name, [i for i in whole.graph.input if i.name in needed], [output],
        [onnx.numpy_helper.from_array(w, n) for n, w in weights.items() if n in needed],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
