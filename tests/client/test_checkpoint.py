"""Values that the backward part computes anew."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec_client import GraphSpecClientError

DEEP = """<ir_version: 10, opset_import: ["" : 21]>
deep (float[n] x) => (float s) { a = Sin(x) b = Exp(a) c = Mul(b, b)
 s = ReduceSum<keepdims=0>(c) }"""
X = np.array([0.5, -1.0, 2.0], np.float32)
ASKED = {
    "grad": {"of": "s", "wrt": "x"},
    "value_and_grad": {"of": "s", "wrt": "x"},
    "vjp": {"of": "c", "wrt": "x", "cotangents": {"c": X}},
}


def gradient(found):
    return (found[1] if isinstance(found, tuple) else found)["x"]


@pytest.mark.parametrize("verb", ASKED)
def test_numbers_are_the_same_with_checkpoints(both, verb):
    model = both(lambda client: client.load(DEEP))
    kept = both.wait(getattr(model, verb)({"x": X}, **ASKED[verb]))
    anew = both.wait(getattr(model, verb)({"x": X}, **ASKED[verb], checkpoint=["a", "b"]))
    np.testing.assert_array_equal(gradient(anew), gradient(kept))
    assert np.abs(gradient(anew)).min() > 0
    with pytest.raises(GraphSpecClientError, match="nothing"):
        both.wait(getattr(model, verb)({"x": X}, **ASKED[verb], checkpoint="nothing"))


def test_a_stored_derivative_computes_anew(both):
    model = both(lambda client: client.load(DEEP))
    kept = both.wait(model.derive("grad", of="s", wrt="x"))
    anew = both.wait(model.derive("grad", of="s", wrt="x", checkpoint=["a", "b"]))
    assert kept.id != anew.id
    np.testing.assert_array_equal(*(both.wait(m.run({"x": X}))["x_grad"] for m in (kept, anew)))
