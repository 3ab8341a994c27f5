"""Every rule against central differences in float64, through random cotangents, at second order and in forward mode."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NotImplemented

import graphspec as gs
from graphspec.testing import check_derivatives
from samples import ALL, Sample
from samples.build import arrays_of, build, wrt_names

DIFFERENTIABLE = [s for s in ALL if s.of]


# Many nodes each: their second order, by the same rules, is checked with the shapes known alone.
LARGE = {"Attention", "GRU", "LSTM", "RNN"}


def _cases() -> Iterator[Any]:
    """Every sample with known and with run-time shapes: the sample, whether its shapes are symbols, and the order.

    Second order costs as much again. At run-time shapes, and of large operators, the first sample of an operator has it
    here, the others in the slow set.
    """
    seen = set()
    for sample in DIFFERENTIABLE:
        for symbolic in (False, True):
            label = f"{sample.label}-{'symbolic' if symbolic else 'static'}"
            large = sample.op_type in LARGE
            order = 1 if symbolic and large else sample.order
            key = (sample.domain, sample.op_type, symbolic)
            later = order > 1 and key in seen and (symbolic or large) and not sample.zero
            if order > 1 and not sample.zero:
                seen.add(key)
            yield pytest.param(sample, symbolic, 1 if later else order, id=label)
            if later:
                yield pytest.param(sample, symbolic, order, id=f"{label}-twice", marks=pytest.mark.slow)


def _model(sample: Sample, symbolic: bool, dtype: type = np.float64):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    return build(sample, arrays_of(sample, dtype, rng), symbolic=symbolic)


@pytest.mark.parametrize(("sample", "symbolic", "order"), list(_cases()))
def test_rule_agrees_with_central_differences(sample: Sample, symbolic: bool, order: int) -> None:
    model, feeds = _model(sample, symbolic)
    of = [f"y{i}" for i in sample.of]
    if sample.zero:
        derived = gs.vjp(model, of, wrt_names(sample))
        rng = np.random.default_rng(1)
        values = gs.Session(model).run(feeds)
        cotangents = {f"{y}_cotangent": rng.standard_normal(values[y].shape) for y in of}
        found = gs.Session(derived).run({**feeds, **cotangents})
        for name in wrt_names(sample):
            assert found[f"{name}_vjp"].shape == feeds[name].shape
            assert not found[f"{name}_vjp"].any()
        if not symbolic:
            tangents = {f"{x}_tangent": rng.standard_normal(feeds[x].shape) for x in wrt_names(sample)}
            pushed = gs.Session(gs.jvp(model, of, wrt_names(sample))).run({**feeds, **tangents})
            for y in of:
                assert pushed[f"{y}_jvp"].shape == values[y].shape
                assert not pushed[f"{y}_jvp"].any()
        return
    # Element by element with the shapes known; the same numbers by run-time shapes along two random directions.
    fewer = {"elements": 9, "directions": 2} if symbolic else {}
    forward = not symbolic and order > 1  # forward mode is reverse mode twice
    report = check_derivatives(
        model, feeds, of, wrt_names(sample), order=order, forward=forward, onnxruntime=False, **fewer
    )
    assert report.checks or not sum(feeds[n].size for n in wrt_names(sample))


@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=lambda s: s.label)
def test_derived_graph_is_standard_and_portable(sample: Sample) -> None:
    """The derived model passes the full check, and ONNX Runtime computes the same numbers in float32."""
    model, feeds = _model(sample, False, np.float32)
    of = [f"y{i}" for i in sample.of]
    derived = gs.vjp(model, of, wrt_names(sample))
    proto = ir.to_proto(derived)
    onnx.checker.check_model(proto, full_check=True)
    rng = np.random.default_rng(2)
    values = gs.Session(model).run(feeds)
    cotangents = {f"{y}_cotangent": rng.standard_normal(values[y].shape).astype(values[y].dtype) for y in of}
    names = [f"{n}_vjp" for n in wrt_names(sample)]
    ours = gs.Session(derived).run({**feeds, **cotangents}, fetches=names)
    if not sample.forward:
        pytest.skip("no other runtime gives the same value, so that none gives the same derivative")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except NotImplemented as error:
        pytest.skip(f"ONNX Runtime has no kernel: {str(error)[:120]}")
    except Fail as error:
        if "is not a registered function/op" not in str(error):
            raise
        pytest.skip(f"ONNX Runtime does not know the operator: {str(error)[:120]}")
    known = {i.name for i in session.get_inputs()}
    theirs = session.run(names, {k: v for k, v in {**feeds, **cotangents}.items() if k in known})
    for name, other in zip(names, theirs, strict=True):
        np.testing.assert_allclose(ours[name], other, rtol=2e-3, atol=2e-4, err_msg=name)
