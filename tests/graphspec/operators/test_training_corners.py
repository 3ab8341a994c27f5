"""Optimisers beyond the samples: float64 stays float64 to its last digits, and tensors that do not fit are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphspec.operators import registry

R, T = np.array(0.1, np.float32), np.array(3)
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Adagrad": {},
    "Adam": {},
    "Momentum": {"alpha": 0.9, "beta": 0.5, "mode": "standard", "norm_coefficient": 0.0},
}
STATES = {"Adagrad": 1, "Adam": 2, "Momentum": 1}


def call(op_type: str, *inputs: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:
    entry = registry.find(op_type, "ai.onnx.preview.training", 1)
    assert entry is not None
    found: tuple[np.ndarray, ...] = entry(R, T, *inputs, **{**ATTRIBUTES[op_type], **attributes})
    return found


def test_adam_in_float64(rng: np.random.Generator) -> None:
    X, G, V = rng.standard_normal((3, 4, 2))
    H = rng.random((4, 2))
    X_new, V_new, H_new = call("Adam", X, G, V, H)
    v, h = 0.9 * V + 0.1 * G, 0.999 * H + 0.001 * G**2
    unbiased_v, unbiased_h = v / (1 - 0.9**3), h / (1 - 0.999**3)  # the other way to write it, with ε scaled to match
    step = float(R) * unbiased_v / (np.sqrt(unbiased_h) + 1e-6 / np.sqrt(1 - 0.999**3))
    assert X_new.dtype == V_new.dtype == H_new.dtype == np.float64
    np.testing.assert_allclose(X_new, X - step, rtol=1e-12)
    np.testing.assert_allclose(V_new, v, rtol=1e-12)
    np.testing.assert_allclose(H_new, h, rtol=1e-12)


@pytest.mark.parametrize("op_type", ATTRIBUTES)
def test_two_tensors_are_one_after_the_other(op_type: str, rng: np.random.Generator) -> None:
    roles = 2 + STATES[op_type]
    first, second = (list(rng.random((roles, *shape), dtype=np.float32)) for shape in [(2, 3), (4,)])
    both = call(op_type, *(tensor for pair in zip(first, second, strict=True) for tensor in pair))
    for found, expected in zip(both[::2] + both[1::2], call(op_type, *first) + call(op_type, *second), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("op_type", ATTRIBUTES)
def test_what_does_not_fit_is_refused(op_type: str) -> None:
    roles = 2 + STATES[op_type]
    with pytest.raises(ValueError, match="expected"):
        call(op_type, *[np.ones(3)] * (roles - 1))
    with pytest.raises(ValueError, match="shape"):
        call(op_type, np.ones(3), np.ones(4), *[np.ones(3)] * (roles - 2))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        call("Momentum", *[np.ones(3)] * 3, mode="other")
