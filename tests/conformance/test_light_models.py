"""The nine light models with real weights against ONNX Runtime.

As shipped, every weight is one constant, so that any image gives the same answer; here the weights are random. What is
compared is the output and what goes into the last node: where that is a Softmax, it hides much.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from graphspec import backend
from steps.weights import LIGHT, with_random_weights

NAMES = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))


# Hundreds of megabytes of weights each.
LARGE = {"bvlc_alexnet", "vgg19", "zfnet512"}


def test_there_are_nine() -> None:
    assert len(NAMES) == 9
    assert set(NAMES) > LARGE


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in NAMES])
def test_random_weights(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    model = with_random_weights(name, seed=0)
    graph = model.graph
    graph.output.append(onnx.helper.make_empty_tensor_value_info(graph.node[-1].input[0]))
    (image,) = graph.input
    feeds = {image.name: rng.standard_normal([d.dim_value for d in image.type.tensor_type.shape.dim], dtype=np.float32)}

    found = backend.run_model(model, feeds)
    path = tmp_path / "model.onnx"  # through a file: half a gigabyte need not be held twice
    onnx.save(model, path)
    del model, graph
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    expected = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    path.unlink()

    assert len(found) == len(expected) == 2
    for one, right in zip(found, expected, strict=True):
        assert np.ptp(right) > 0
        np.testing.assert_allclose(one, right, rtol=1e-3, atol=1e-5 * np.abs(right).max())
