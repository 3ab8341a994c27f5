"""The value of every sample against ONNX Runtime, or the ONNX reference where that has no kernel."""

from __future__ import annotations

import zlib
from typing import Any

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


CASES = [
    pytest.param(sample, dtype, id=f"{sample.label}-{np.dtype(dtype)}")
    for sample in ALL
    for dtype in (np.float32, np.float64)
    if sample.forward and not (sample.narrow and dtype == np.float64)
]


@pytest.mark.parametrize(("sample", "dtype"), CASES)
def test_value(sample: Sample, dtype: type) -> None:
    """With and without optimisation, against one and the same second implementation."""
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    model, feeds = build(sample, arrays_of(sample, dtype, rng), symbolic=False)
    with np.errstate(all="ignore"):
        theirs = _reference(model, feeds)
    if theirs is None:
        pytest.skip(f"compared in float32 alone: {FLOAT32_ONLY[sample.op_type]}")
    for optimize in (True, False):
        _compare(gs.Session(model, optimize=optimize).run(feeds), theirs, 1e-5 if dtype == np.float32 else 1e-7)


def _compare(ours: dict[str, Any], theirs: list[Any], tolerance: float) -> None:
    for (name, found), given in zip(ours.items(), theirs, strict=True):
        expected = np.asarray(given)
        assert found.dtype == (object if expected.dtype.kind == "U" else expected.dtype), name
        assert found.shape == expected.shape, name
        if found.dtype == object:
            assert found.tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)
