"""The derivative of DequantizeLinear by its scale: y is linear in it, so that whole differences are exact."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import graphspec as gs
from samples import ALL, Sample
from samples.build import arrays_of, build

SAMPLES = [s for s in ALL if s.op_type == "DequantizeLinear"]


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.label)
def test_scale_of_dequantize_linear(sample: Sample, symbolic: bool) -> None:
    rng = np.random.default_rng(0)
    model, feeds = build(sample, arrays_of(sample, np.float32, rng), symbolic=symbolic)
    derived = gs.vjp(model, ["y0"], ["x1"])
    onnx.checker.check_model(ir.to_proto(derived), full_check=True)
    session = gs.Session(model)
    y, scale = session.run(feeds)["y0"], feeds["x1"]
    dy = rng.integers(-8, 8, y.shape).astype(np.float32)
    found = gs.Session(derived).run({**feeds, "y0_cotangent": dy})["x1_vjp"]
    expected = np.zeros_like(scale)
    zeros = np.zeros_like(scale)
    for i in range(scale.size):
        unit = zeros.copy()
        unit.reshape(-1)[i] = 1
        expected.reshape(-1)[i] = np.sum(dy * session.run({**feeds, "x1": unit})["y0"])
    np.testing.assert_array_equal(found, expected)
    if sample.forward:
        theirs = ort.InferenceSession(ir.to_proto(derived).SerializeToString(), providers=["CPUExecutionProvider"])
        (other,) = theirs.run(["x1_vjp"], {**feeds, "y0_cotangent": dy})
        np.testing.assert_array_equal(other, expected)


@pytest.mark.parametrize("dtype", [onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16])
def test_a_cotangent_of_another_type(dtype: int) -> None:
    """With output_dtype the cotangent has not the scale's type; that of the scale has."""
    text = f"""<ir_version: 10, opset_import: ["" : 23]>
    g (uint8[3] x, float s) => (y) {{ y = DequantizeLinear<output_dtype = {dtype}>(x, s) }}"""
    derived = gs.vjp(gs.load(text), ["y"], ["s"])
    y = gs.Session(derived).inputs["y_cotangent"]
    feeds = {"x": np.array([1, 5, 9], np.uint8), "s": np.float32(0.5)}
    cotangent = np.array([1, 2, -1]).astype(gs.dtypes.of(y.dtype).numpy)
    found = gs.Session(derived).run({**feeds, "y_cotangent": cotangent})["s_vjp"]
    assert found.dtype == np.float32
    assert found == 2


def test_small_floats_are_refused_not_zero() -> None:
    text = """<ir_version: 10, opset_import: ["" : 23]>
    g (float[3] x, float s) => (y) { q = Cast<to = 17>(x) y = DequantizeLinear(q, s) }"""
    with pytest.raises(gs.NoGradientRule):
        gs.vjp(gs.load(text), ["y"], ["x"])
