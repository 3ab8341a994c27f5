"""Several cotangents or tangents in one call."""

from __future__ import annotations

import numpy as np
import pytest

CURVED = """<ir_version: 10, opset_import: ["" : 21]>
curved (float[n] x) => (float s) { z = Exp(x)
 s = ReduceSum<keepdims=0>(z) }"""
X = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.mark.parametrize(
    ("verb", "of", "vectors"), [("vjp", "z", "cotangents"), ("jvp", "z", "tangents"), ("hvp", "s", "tangents")]
)
def test_each_seed_has_its_product(both, rng, verb, of, vectors):
    model = both(lambda client: client.load(CURVED))
    given = rng.standard_normal((4, 3)).astype(np.float32)
    name = "x" if vectors == "tangents" else "z"
    found = both.wait(getattr(model, verb)({"x": X}, of=of, wrt="x", **{vectors: {name: given}}, seeds=4))
    (product,) = found.values()
    np.testing.assert_allclose(product, given * np.exp(X), rtol=1e-5)
