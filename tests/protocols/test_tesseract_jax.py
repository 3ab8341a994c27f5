"""JAX through tesseract-jax, as it is: our derivatives inside of its own. It is heavy: make test-clients."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is tested by make test-clients")
tesseract_jax = pytest.importorskip("tesseract_jax", reason="tesseract-jax is tested by make test-clients")

from tesseract_core import Tesseract  # noqa: E402


@pytest.fixture(autouse=True)
def _double_precision():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def test_gradients_inside_of_jax(running, rng):
    """The graph beside the same formula in JAX: -(x·x)² / 2 e^s, and s x³."""
    model = Tesseract.from_url(f"{running.url}/tesseract/posterior")
    x, s, v = rng.normal(size=3), rng.normal(size=1), rng.normal(size=3)

    def served(x, s):
        found = tesseract_jax.apply_tesseract(model, {"x": x, "s": s})
        return found["density"].sum() + (found["cubes"] ** 2).sum()

    def written(x, s):
        return (-((x @ x) ** 2) / 2 * jax.numpy.exp(s)).sum() + ((s * x**3) ** 2).sum()

    np.testing.assert_allclose(served(x, s), written(x, s))
    wanted = jax.grad(written, (0, 1))(x, s)
    for found in (jax.grad(served, (0, 1))(x, s), jax.jit(jax.grad(served, (0, 1)))(x, s)):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other)
    pushed = [jax.jvp(lambda x, f=f: f(x, s), (x,), (v,))[1] for f in (served, written)]
    np.testing.assert_allclose(*pushed)
