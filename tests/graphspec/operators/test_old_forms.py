"""Models of old opsets are converted upward before they are differentiated: that must not change what they compute."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import graphspec as gs
from graphspec.optimize import upgraded
from samples import ALL, Sample
from samples.build import arrays_of, build

OLDEST_RULES = 18
OLD = [s for s in ALL if not s.domain and s.opset < OLDEST_RULES]
REFUSED = {"Hardmax"}
"""Where ONNX's converter is known to be wrong, so that we refuse (some of) it."""


@pytest.mark.parametrize("sample", OLD, ids=lambda s: s.label)
def test_conversion_keeps_the_value(sample: Sample) -> None:
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    model, feeds = build(sample, arrays_of(sample, np.float32, rng), symbolic=False)
    before = gs.Session(model, optimize=False).run(feeds)
    try:
        newer = upgraded(model, OLDEST_RULES)
    except gs.UnsupportedError:
        assert sample.op_type in REFUSED
        return
    assert newer.graph.opset_imports[""] >= OLDEST_RULES
    after = gs.Session(newer, optimize=False).run(feeds)
    for name, expected in before.items():
        assert after[name].dtype == expected.dtype
        if expected.dtype == object:
            assert after[name].tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(after[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_scan_before_opset_9_is_refused_not_misread() -> None:
    model = gs.load(
        """<ir_version: 3, opset_import: ["" : 8]> agraph (float[1, 2] s, float[1, 3, 2] x)
        => (float[1, 2] y, float[1, 3, 2] z)
        { y, z = Scan <num_scan_inputs = 1, body = add (float[2] a, float[2] b) => (float[2] c, float[2] d)
            { c = Add (a, b)  d = Identity (c) }> (, s, x) }"""
    )
    found = gs.Session(model).run({"s": np.ones((1, 2), np.float32), "x": np.ones((1, 3, 2), np.float32)})
    assert found["y"].tolist() == [[4, 4]]
    with pytest.raises(gs.UnsupportedError, match="Scan"):
        gs.vjp(model, ["y"], ["x"])
