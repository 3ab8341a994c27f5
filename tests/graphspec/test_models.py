"""Whole models: a perceptron and a transformer block, in value and derivative, against two other computations."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives
from whole_models import WHOLE, whole


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_values_and_gradients_agree_with_onnx_runtime(name: str) -> None:
    model, feeds, parameters = whole(name, np.float32)
    of = WHOLE[name][1]
    derived = gs.vjp(model, [of], ["x", *parameters])
    onnx.checker.check_model(ir.to_proto(derived), full_check=True)
    shape = gs.Session(model).run(feeds)[of].shape
    feeds = {**feeds, f"{of}_cotangent": np.random.default_rng(4).standard_normal(shape).astype(np.float32)}
    ours = gs.Session(derived).run(feeds)
    theirs = gs.Session(derived, provider="onnxruntime").run(feeds)
    assert len(ours) >= len(parameters) + 2
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=1e-4, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_gradients_agree_with_central_differences(name: str) -> None:
    model, feeds, parameters = whole(name, np.float64)
    report = check_derivatives(model, feeds, [WHOLE[name][1]], ["x", *parameters])
    assert report.checks > 100


# Nodes of the vjp with respect to all parameters, forward pass included: a regression test of smallness.
NODES = {"perceptron": 25, "transformer": 75}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_derived_graphs_stay_small(name: str) -> None:
    model, _, parameters = whole(name, np.float32)
    derived = gs.vjp(model, [WHOLE[name][1]], parameters)
    assert derived.graph.num_nodes() <= NODES[name]
