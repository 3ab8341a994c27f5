"""Whole models that several tests differentiate: a perceptron and a transformer block."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

PERCEPTRON = """<ir_version: 10, opset_import: ["" : 21]>
mlp (T[batch,7] x, int64[batch] t) => (T loss, T[batch,4] logits)
<T[7,6] w1, T[6] b1, T[6,5] w2, T[5] b2, T[5,4] w3, T[4] b3> {
    h1 = MatMul(x, w1)
    p1 = Add(h1, b1)
    a1 = Relu(p1)
    h2 = Gemm(a1, w2, b2)
    a2 = Tanh(h2)
    h3 = MatMul(a2, w3)
    logits = Add(h3, b3)
    loss = SoftmaxCrossEntropyLoss<reduction="mean">(logits, t)
}"""

# Two heads of width 4 on sequences of any length: attention, residuals, layer norms, a GELU perceptron.
TRANSFORMER = """<ir_version: 10, opset_import: ["" : 21]>
block (T[batch,seq,8] x) => (T[batch,seq,8] y)
<T[8,24] wqkv, T[8,8] wo, T[8] g1, T[8] c1, T[8] g2, T[8] c2, T[8,16] w1, T[16] b1, T[16,8] w2, T[8] b2> {
    n1 = LayerNormalization<axis=-1>(x, g1, c1)
    qkv = MatMul(n1, wqkv)
    q, k, v = Split<axis=-1, num_outputs=3>(qkv)
    split = Constant<value_ints=[0,0,2,4]>()
    qs = Reshape(q, split)
    ks = Reshape(k, split)
    vs = Reshape(v, split)
    qh = Transpose<perm=[0,2,1,3]>(qs)
    kh = Transpose<perm=[0,2,3,1]>(ks)
    vh = Transpose<perm=[0,2,1,3]>(vs)
    s = MatMul(qh, kh)
    scale32 = Constant<value_float=0.5>()
    scale = CastLike(scale32, s)
    scaled = Mul(s, scale)
    p = Softmax<axis=-1>(scaled)
    o = MatMul(p, vh)
    ot = Transpose<perm=[0,2,1,3]>(o)
    join = Constant<value_ints=[0,0,8]>()
    oj = Reshape(ot, join)
    proj = MatMul(oj, wo)
    r1 = Add(x, proj)
    n2 = LayerNormalization<axis=-1>(r1, g2, c2)
    m1 = MatMul(n2, w1)
    m2 = Add(m1, b1)
    m3 = Gelu(m2)
    m4 = MatMul(m3, w2)
    m5 = Add(m4, b2)
    y = Add(r1, m5)
}"""
WHOLE = {"perceptron": (PERCEPTRON, "loss"), "transformer": (TRANSFORMER, "y")}


def whole(name: str, dtype: type) -> tuple[ir.Model, dict[str, np.ndarray], list[str]]:
    """The model with random weights, feeds, and the names of its parameters."""
    word = "float" if dtype is np.float32 else "double"
    proto = onnx.parser.parse_model(WHOLE[name][0].replace("T[", f"{word}[").replace("T loss", f"{word} loss"))
    rng = np.random.default_rng(3)
    parameters = [info.name for info in proto.graph.value_info]  # the block before the body declares them alone
    for info in proto.graph.value_info:
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
        weights = rng.standard_normal(shape).astype(dtype) * dtype(0.5)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, info.name))
    feeds: dict[str, np.ndarray] = {}
    if name == "perceptron":
        feeds = {"x": rng.standard_normal((9, 7)).astype(dtype), "t": rng.integers(0, 4, 9)}
    else:
        feeds = {"x": rng.standard_normal((2, 3, 8)).astype(dtype)}
    return ir.from_proto(proto), feeds, parameters
