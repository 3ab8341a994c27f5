"""Resize where a sample cannot reach: old forms, cubic weights, sizes, and what it refuses."""

from __future__ import annotations

import zlib

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives
from samples.build import arrays_of, build
from samples.resize import SAMPLES

CHECKED_HERE = [s for s in SAMPLES if not s.forward and s.id != "linear-corners"]
WITH_SIZES = [s for s in SAMPLES if len(s.inputs) == 4]


def _model(sample, dtype):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    return build(sample, arrays_of(sample, dtype, rng), symbolic=False)


@pytest.mark.parametrize("sample", CHECKED_HERE, ids=lambda s: s.label)
def test_value_agrees_with_onnx_runtime_in_float32(sample) -> None:  # type: ignore[no-untyped-def]
    if sample.id == "cubic-antialias":
        pytest.skip("ONNX Runtime's antialiased weights are those of another library; the backend suite has the case")
    model, feeds = _model(sample, np.float32)
    theirs = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, feeds)[0]
    np.testing.assert_allclose(gs.Session(model).run(feeds)["y0"], theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sample", WITH_SIZES, ids=lambda s: s.label)
def test_derivative_with_sizes(sample) -> None:  # type: ignore[no-untyped-def]
    model, feeds = _model(sample, np.float64)
    assert check_derivatives(model, feeds, ["y0"], ["x0"], order=2).checks


@pytest.mark.parametrize("shape", ["[1, 2, 4, 5]", "[A, B, C, D]"], ids=["static", "symbolic"])
@pytest.mark.parametrize(
    ("mode", "policy", "axes", "sizes"),
    [
        ("linear", "not_larger", "[2, 3]", [7, 8]),
        ("cubic", "not_smaller", "[3, 2]", [2, 9]),
        ("nearest", "not_larger", "[1, 2, 3]", [3, 2, 4]),
        ("linear", "not_smaller", "[-1]", [3]),
    ],
)
def test_derivative_where_the_aspect_ratio_is_kept(mode, policy, axes, sizes, shape, rng) -> None:  # type: ignore[no-untyped-def]
    """The scale of each axis, which need not be its length by that before, comes from all of them."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]> g (double{shape} x, int64[{len(sizes)}] s) => (y) {{
        y = Resize<mode = "{mode}", axes = {axes}, keep_aspect_ratio_policy = "{policy}">(x, , , s) }}"""
    feeds = {"x": rng.standard_normal((1, 2, 4, 5)), "s": np.array(sizes)}
    report = check_derivatives(text, feeds, ["y"], ["x"], elements=4)
    # ONNX Runtime takes `axes` of one axis alone to hold for none.
    assert [reason[:12] for reason in report.left_out] == (["ONNX Runtime"] if len(sizes) == 1 else [])


def _resize(attributes: str, scales: str = "{1.0, 2.0}") -> ir.Model:
    return gs.load(
        f"""<ir_version: 10, opset_import: ["" : 21]>
        agraph (float[n, m] x) => (float[p, q] y) <float[2] s = {scales}> {{ y = Resize <{attributes}> (x, , s) }}"""
    )


@pytest.mark.parametrize(
    ("attributes", "scales", "shape", "match"),
    [
        ('mode = "nearest"', "{1.0, 2.0}", (2, 0), "empty"),
        ('mode = "nearest"', "{1.0, 1e12}", (2, 3), "memory"),
    ],
    ids=["empty", "huge"],
)
def test_refused(attributes: str, scales: str, shape: tuple[int, ...], match: str) -> None:
    session = gs.Session(_resize(attributes, scales))
    with pytest.raises((gs.ExecutionError, gs.LimitError), match=match):
        session.run({"x": np.ones(shape, np.float32)})


def test_scales_have_no_rule_yet() -> None:
    with pytest.raises(gs.NoGradientRule, match="Resize"):
        gs.vjp(_resize('mode = "linear"'), ["y"], ["s"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integers_round_and_saturate(dtype: type) -> None:
    limits = np.iinfo(dtype)
    model = gs.load(
        f"""<ir_version: 10, opset_import: ["" : 21]>
        agraph ({np.dtype(dtype).name}[2, 4] x) => ({np.dtype(dtype).name}[2, 8] y) <float[2] s = {{1.0, 2.0}}>
        {{ y = Resize <mode = "cubic"> (x, , s) }}"""
    )
    x = np.array([[limits.min, limits.max, limits.max, limits.min]] * 2, dtype=dtype)
    y = gs.Session(model).run({"x": x})["y"]
    assert y.dtype == dtype
    assert y.max() == limits.max  # the cubic overshoots there


@pytest.mark.parametrize(
    ("mode", "wrt", "reason"),
    [
        ("linear", "roi", "smoothly with the region, but no rule exists"),
        ("cubic", "roi", "smoothly with the region, but no rule exists"),
        ("nearest", "roi", "mode nearest follows it in steps"),
        ("linear", "scales", "how many elements come out"),
    ],
)
def test_a_refusal_says_truly_why_places_have_no_derivative(mode: str, wrt: str, reason: str) -> None:
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[1, 1, 4, 4] x, float[8] roi, float[4] scales) '
        "=> (float[1, 1, a, b] z) "
        f'{{ z = Resize<mode = "{mode}", coordinate_transformation_mode = "tf_crop_and_resize">(x, roi, scales) }}'
    )
    with pytest.raises(gs.NoGradientRule, match=reason):
        gs.vjp(model, ["z"], [wrt])
