"""check_derivatives: what it takes, what it reports, and that it catches what is wrong, by name."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.operators import registry
from graphspec.testing import DerivativeMismatchError, KinkError, check_derivatives, in_dtype
from graphspec.testing.runner import ANALYTIC
from samples import ALL
from samples.build import arrays_of, build, wrt_names

HEAD = '<ir_version: 10, opset_import: ["" : 21]> '
PERCEPTRON = HEAD + (
    "g (float[N,3] x) => (float loss) <float[3,2] w = {1,2,-3,0.5,-1,2}, float[2] b = {0.25,-0.5}> "
    "{ h = MatMul(x, w)\n a = Add(h, b)\n t = Tanh(a)\n s = Sin(t)\n loss = ReduceMean<keepdims=0>(s) }"
)
QUICK: dict[str, Any] = {"order": 1, "forward": False, "onnxruntime": False}


def one(op_type: str, shape: str = "[3]", attributes: str = "") -> ir.Model:
    return gs.load(f"{HEAD} g (double{shape} x) => (double{shape} y) {{ y = {op_type}{attributes}(x) }}")


def rule_of(op_type: str) -> registry.Operator:
    entry = registry.find(op_type, "", 21)
    assert entry is not None
    return entry


FORMS = {
    "model": lambda model, path: model,
    "path": lambda model, path: gs.save(model, path) or path,
    "bytes": lambda model, path: ir.to_proto(model).SerializeToString(),
    "document": lambda model, path: gs.to_document(model),
    "text": lambda model, path: PERCEPTRON,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_a_float32_model_with_its_parameters(form, tmp_path, rng):
    """Differences of float32 values would be off by 1e-3 and more; all of it is computed in float64."""
    source = FORMS[form](gs.load(PERCEPTRON), tmp_path / "model.onnx")
    report = check_derivatives(source, {"x": rng.standard_normal((4, 3))}, "loss", ["x", "w", "b"])
    assert report.counts["reverse"] == 12 + 6 + 2
    assert set(report.counts) == {"reverse", "second order", "forward", "onnxruntime"}
    assert not report.left_out
    assert report.worst < 1e-8


def test_the_report_prints_the_worst_of_each_kind(rng):
    report = check_derivatives(one("Sin"), {"x": rng.uniform(-1, 1, 3)}, ["y"], ["x"])
    lines = str(report).splitlines()
    assert lines[0] == f"{report.checks} derivatives compared; allowed deviation 1e-06"
    assert [line.split(" × ")[1].split(",")[0] for line in lines[1:]] == list(report.counts)
    assert "d(y)/d(x), element [" in lines[1]
    assert report.where in str(report)


@pytest.mark.parametrize("shape", [(3,), (4, 5), (16, 16)], ids=str)
@pytest.mark.parametrize("size", [1e-4, 0.5])
def test_a_wrong_element_is_named(shape, size, monkeypatch, rng):
    """Also where directions are tried and not elements."""
    index = tuple(int(rng.integers(n)) for n in shape)
    wrong = np.ones(shape)
    wrong[index] += size

    def rule(op, dY, Y, X):
        return op.Mul(dY, op.Mul(op.Cos(X), op.const(wrong)))

    monkeypatch.setattr(rule_of("Sin"), "rule", rule)
    x = rng.uniform(-1, 1, shape)
    with pytest.raises(DerivativeMismatchError, match=r"expected .* found .* deviation") as caught:
        check_derivatives(one("Sin", str(list(shape))), {"x": x}, ["y"], ["x"])
    worst = caught.value.comparison
    assert (worst.kind, worst.value, worst.of, worst.index) == ("reverse", "x", "y", index)
    assert f"element {list(index)}" in str(caught.value)
    np.testing.assert_allclose(worst.found / worst.expected, 1 + size, rtol=1e-5)


# What is patched, and the kind of comparison that finds it: each kind alone must be able to fail.
WRONG = {
    "second order": ("Cos", lambda op, dY, Y, X: op.Mul(dY, op.Sin(X))),
    "forward": ("Mul", lambda op, dY, Y, A, B: (op.Add(op.Mul(dY, B), op.Mul(dY, B)), op.Mul(dY, A))),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_only_a_later_comparison_can_see(kind, monkeypatch, rng):
    op_type, rule = WRONG[kind]
    monkeypatch.setattr(rule_of(op_type), "rule", rule)
    x = rng.uniform(0.5, 1, 3)
    order = 1 if kind == "forward" else 2
    with pytest.raises(DerivativeMismatchError, match=r"element \[\d\]: expected") as caught:
        check_derivatives(one("Sin"), {"x": x}, ["y"], ["x"], order=order)
    assert caught.value.comparison.kind == kind


def test_a_result_that_only_onnx_runtime_gives_otherwise(monkeypatch, rng):
    """Our own kernel is patched, by less than the tolerance given: the other runtime computes as ever."""
    monkeypatch.setattr(rule_of("Cos"), "kernel", lambda X: np.cos(X) * (1 + 1e-3))
    with pytest.raises(DerivativeMismatchError, match="by ONNX Runtime") as caught:
        check_derivatives(one("Sin"), {"x": rng.uniform(-1, 1, 3)}, ["y"], ["x"], order=1, forward=False, rtol=1e-2)
    assert (caught.value.comparison.kind, caught.value.comparison.value) == ("onnxruntime", "x")


def test_a_zero_that_is_none_is_caught(monkeypatch):
    monkeypatch.setattr(rule_of("Sin"), "rule", registry.ZERO)
    with pytest.raises(DerivativeMismatchError, match="found 0 "):
        check_derivatives(one("Sin"), {"x": np.array([0.1, 0.2, 0.3])}, ["y"], ["x"], **QUICK)


def test_a_wrong_derivative_of_small_size_is_caught(monkeypatch, rng):
    """Deviations are relative to the derivative, not to 1."""
    text = (
        HEAD + "g (double[3] x) => (double[3] y) { s = Sin(x)\n k = Constant<value = double {1e-7}>()\n y = Mul(s, k) }"
    )
    monkeypatch.setattr(rule_of("Sin"), "rule", lambda op, dY, Y, X: op.Mul(dY, op.Cos(op.Add(X, X))))
    with pytest.raises(DerivativeMismatchError):
        check_derivatives(text, {"x": rng.uniform(0.5, 1, 3)}, ["y"], ["x"], **QUICK)


KINKS = {
    "kink": (one("Relu"), [1.0, 0.0, -1.0], r"slope is .* from below and .* from above.* element \[1\]"),
    "bound": (one("LeakyRelu", "[3]", "<alpha=0.5>"), [2.0, -3.0, 0.0], r"slope is .* element \[2\]"),
    "jump": (one("Floor"), [0.5, 2.0, 0.25], r"a jump.* element \[1\]"),
    "pole": (one("Reciprocal"), [1.0, 0.0, 2.0], "y is not finite there"),
    "edge": (one("Log"), [1.0, 1e-9, 2.0], r"edge of the domain.* element \[1\]"),
}


@pytest.mark.parametrize("name", KINKS)
def test_places_that_are_not_smooth_are_called_by_their_name(name):
    model, x, message = KINKS[name]
    with pytest.raises(KinkError, match=message):
        check_derivatives(model, {"x": np.array(x)}, ["y"], ["x"], **QUICK)


def test_a_kink_does_not_hide_a_wrong_derivative(monkeypatch):
    monkeypatch.setattr(rule_of("Relu"), "rule", lambda op, dY, Y, X: op.Add(dY, dY))
    with pytest.raises(DerivativeMismatchError) as caught:
        check_derivatives(one("Relu"), {"x": np.array([1.0, 0.0, -1.0])}, ["y"], ["x"], **QUICK)
    assert not isinstance(caught.value, KinkError)
    assert caught.value.comparison.index in ((0,), (2,))


@pytest.mark.parametrize("x", [1e-4, 2e-3, 1.0, 3e4, 1e9])
def test_steps_fit_where_the_first_does_not(x):
    """Beside a pole and far from 0; at 2e-3 the first step's points straddle it."""
    assert check_derivatives(one("Log"), {"x": np.full(3, x)}, ["y"], ["x"], **QUICK).worst < 1e-6
    assert check_derivatives(one("Abs"), {"x": np.full(3, x)}, ["y"], ["x"], **QUICK).worst < 1e-6


def test_random_numbers_are_the_same_at_every_step(rng):
    text = (
        HEAD
        + """g (double[40] x) => (double[40] y) {
        r = Constant<value = double {0.5}>() t = Constant<value = bool {1}>() a = Dropout(x, r, t)
        n = RandomNormalLike(x)
        b = Mul(a, n) c = Dropout(b, r, t) y = Mul(c, a) }"""
    )
    report = check_derivatives(text, {"x": rng.standard_normal(40)}, ["y"], ["x"])
    assert report.left_out == ["ONNX Runtime: random numbers are drawn by each runtime in its own way"]


def test_without_onnx_runtime_the_report_says_so(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = check_derivatives(one("Sin"), {"x": rng.standard_normal(3)}, ["y"], ["x"])
    assert "onnxruntime" not in report.counts
    assert "needs the package onnxruntime" in report.left_out[0]
    assert report.left_out[0] in str(report)


def test_what_is_computed_cannot_be_varied(rng):
    with pytest.raises(gs.NotDifferentiable, match="computed in the graph"):
        check_derivatives(PERCEPTRON, {"x": rng.standard_normal((4, 3))}, ["loss"], ["h"])


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'differences' or 'complex'"):
        check_derivatives(one("Sin"), {"x": np.ones(3)}, ["y"], ["x"], method="forward")  # type: ignore[arg-type]


ANALYTIC_SAMPLES = {s.op_type: s for s in reversed(ALL) if s.op_type in ANALYTIC and s.of and not s.zero}


@pytest.mark.parametrize("op_type", ANALYTIC_SAMPLES)
def test_complex_steps_lose_no_digits(op_type, rng):
    sample = ANALYTIC_SAMPLES[op_type]
    model, feeds = build(sample, arrays_of(sample, np.float64, rng), symbolic=False)
    report = check_derivatives(model, feeds, [f"y{i}" for i in sample.of], wrt_names(sample), method="complex", **QUICK)
    assert report.checks
    assert report.worst < 1e-13


def test_complex_steps_of_a_perceptron_at_second_order(rng):
    report = check_derivatives(PERCEPTRON, {"x": rng.standard_normal((4, 3))}, ["loss"], ["x", "w"], method="complex")
    assert report.counts["second order"]
    assert report.worst < 1e-12


def test_complex_steps_are_refused_where_they_would_be_wrong():
    with pytest.raises(gs.UnsupportedError, match=r"Abs \(node"):
        check_derivatives(one("Abs"), {"x": np.ones(3)}, ["y"], ["x"], method="complex")


DTYPES = {
    "constant": "y0 = Constant<value_float = 0.1>() y = Mul(x, y0)",
    "filled": "s = Shape(x) w = ConstantOfShape(s) y = Add(x, w)",
    "cast": "h = Cast<to = 10>(x) f = Cast<to = 1>(h) i = Cast<to = 7>(x) k = Cast<to = 1>(i) y = Add(f, k)",
    "body": 'c = Constant<value = bool {1}>() y = If(c) <then_branch = t () => (float[2] a) { a = Neg(x) }, '
            "else_branch = e () => (float[2] b) { b = Identity(x) }>",
    "resized": "r = Constant<value = float {2.0}>() e = Unsqueeze(r, z) q = Resize(x, , e) y = Slice(q, z, o)",
}  # fmt: skip


@pytest.mark.parametrize("name", DTYPES)
def test_a_model_in_another_dtype_is_the_same_model(name):
    text = HEAD + f"g (float[2] x) => (float[M] y) <int64[1] z = {{0}}, int64[1] o = {{2}}> {{ {DTYPES[name]} }}"
    wide = in_dtype(gs.load(text), ir.DataType.DOUBLE)
    gs.validate(wide).raise_for_errors()
    x = np.array([1.25, -2.5])
    found = gs.Session(wide).run({"x": x})["y"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, gs.Session(gs.load(text)).run({"x": x.astype(np.float32)})["y"], rtol=1e-6)


def test_the_page_runs_and_prints_what_stands_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "derivatives.md").read_text(encoding="utf-8")
    part = page.split("## Check your own model")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(python|text)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    assert blocks
    namespace: dict[str, Any] = {}
    for (_, code), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/derivatives.md", "exec"), namespace)
        assert printed.getvalue() == expected
