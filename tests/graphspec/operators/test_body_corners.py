"""Attention and rotary embedding through their function bodies: caches, masked rows, every axis order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives
from samples import Floats, Sample
from samples.build import build

F = Floats


def _drawn(sample: Sample, rng: np.random.Generator, dtype: type) -> list[Any]:
    return [x.draw(rng, dtype) if isinstance(x, Floats) else x for x in sample.inputs]


@pytest.mark.parametrize(
    "sample",
    [
        Sample("Attention", (F((2, 3, 4)), F((2, 5, 4)), F((2, 5, 4))),
               {"q_num_heads": 2, "kv_num_heads": 2, "is_causal": 1}, id="3d-causal"),
        Sample("Attention", (F((1, 2, 3, 4)), F((1, 2, 5, 4)), F((1, 2, 5, 3)), None, F((1, 2, 2, 4)), F((1, 2, 2, 3))),
               id="past", outputs=3, of=(0, 1, 2)),
    ],
    ids=lambda s: s.id,
)  # fmt: skip
def test_attention_slopes(sample: Sample, rng: np.random.Generator) -> None:
    model, feeds = build(sample, _drawn(sample, rng, np.float64), symbolic=False)
    wrt = [f"x{i}" for i, x in enumerate(sample.inputs) if x is not None]
    assert check_derivatives(model, feeds, [f"y{i}" for i in sample.of], wrt).checks


def test_queries_that_may_see_nothing_move_nothing(rng: np.random.Generator) -> None:
    mask = np.tril(np.ones((3, 5), np.bool_))
    mask[1] = False
    sample = Sample("Attention", (F((1, 2, 3, 4)), F((1, 2, 5, 4)), F((1, 2, 5, 3)), mask))
    model, feeds = build(sample, _drawn(sample, rng, np.float64), symbolic=False)
    assert not gs.Session(model).run(feeds)["y0"][:, :, 1].any()
    assert check_derivatives(model, feeds, ["y0"], ["x0", "x1", "x2"]).checks


@pytest.mark.parametrize(
    "sample",
    [
        Sample("RotaryEmbedding", (F((1, 2, 3, 4)), F((1, 3, 2)), F((1, 3, 2))), id="4d"),
        Sample("RotaryEmbedding", (F((1, 3, 8)), F((7, 2)), F((7, 2)), np.array([[0, 4, 2]])),
               {"num_heads": 2, "interleaved": 1}, id="3d-interleaved"),
        Sample("RotaryEmbedding", (F((1, 1, 3, 6)), F((1, 3, 2)), F((1, 3, 2))), {"rotary_embedding_dim": 4},
               id="part"),
    ],
    ids=lambda s: s.id,
)  # fmt: skip
def test_rotary_embedding_pulls_back_by_its_transpose(sample: Sample, rng: np.random.Generator) -> None:
    """The operator is linear in X (and has no float64), so its Jacobian is its value at the unit vectors."""
    arrays = _drawn(sample, rng, np.float32)
    model, feeds = build(sample, arrays, symbolic=False)
    run, shape = gs.Session(model).run, arrays[0].shape
    units = np.eye(arrays[0].size, dtype=np.float32).reshape(-1, *shape)
    jacobian = np.stack([run({**feeds, "x0": unit})["y0"].reshape(-1) for unit in units])
    dY = rng.standard_normal(shape).astype(np.float32)
    derived = gs.Session(gs.vjp(model, ["y0"], ["x0"]))
    found = derived.run({**feeds, "y0_cotangent": dY})["x0_vjp"]
    np.testing.assert_allclose(found, (jacobian @ dY.reshape(-1)).reshape(shape), rtol=1e-5, atol=1e-5)
    assert np.abs(jacobian - np.eye(len(jacobian))).max() > 0.1
