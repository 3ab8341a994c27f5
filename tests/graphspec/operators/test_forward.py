"""The value of every sample against ONNX Runtime, or the ONNX reference where that has no kernel."""

from __future__ import annotations

import zlib

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NotImplemented, RuntimeException

import graphspec as gs
from samples import ALL, Sample
from samples.build import arrays_of, build


def _reference(model: ir.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    """What ONNX Runtime gives, else the ONNX reference; ``None`` when neither has the operator in this dtype."""
    proto = ir.to_proto(model)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)
    except (NotImplemented, Fail, RuntimeException) as error:  # no kernel for this type or opset
        if isinstance(error, RuntimeException) and "does not support double" not in str(error):
            raise
        if model.graph.node(0).op_type in FLOAT32_ONLY and feeds["x0"].dtype == np.float64:
            return None
        return ReferenceEvaluator(proto).run(None, feeds)


# Operators that ONNX Runtime has in float32 alone and the ONNX reference cannot check; float32 is compared.
FLOAT32_ONLY = {
    "ConvTranspose": "the reference mixes groups up",
    "RNN": "the reference leaves out most attributes",
    "GRU": "the reference leaves out most attributes",
    "LSTM": "the reference leaves out most attributes",
    "GlobalLpPool": "the reference has none",
    "GridSample": "the reference computes places in float32",
    "MaxRoiPool": "the reference has none",
    "MeanVarianceNormalization": "the body that the reference runs has float32 constants",
}


@pytest.mark.parametrize("optimize", [True, False], ids=["optimized", "plain"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("sample", [s for s in ALL if s.forward], ids=lambda s: s.label)
def test_value(sample: Sample, dtype: type, optimize: bool) -> None:
    if sample.narrow and dtype == np.float64:
        pytest.skip("the schema takes float32 alone")
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    model, feeds = build(sample, arrays_of(sample, dtype, rng), symbolic=False)
    ours = gs.Session(model, optimize=optimize).run(feeds)
    with np.errstate(all="ignore"):
        theirs = _reference(model, feeds)
    if theirs is None:
        pytest.skip(f"compared in float32 alone: {FLOAT32_ONLY[sample.op_type]}")
    for (name, found), expected in zip(ours.items(), theirs, strict=True):
        assert found.dtype == (object if np.asarray(expected).dtype.kind == "U" else np.asarray(expected).dtype), name
        assert found.shape == np.asarray(expected).shape, name
        if found.dtype == object:
            assert found.tolist() == np.asarray(expected).tolist()
        else:
            tolerance = 1e-5 if dtype == np.float32 else 1e-7
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)
