"""The tables against other systems: what the pages say is what was measured, and our own column still holds."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Where other systems are false in silence.
AGAIN = ("Det", "OneHot", "Where")


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "coverage"))
    return {name: importlib.import_module(name) for name in ("page", "run", "workers")}


def test_the_pages_are_what_was_measured(coverage: dict[str, ModuleType]) -> None:
    page, results = coverage["page"], coverage["page"].stored()
    text = (ROOT / "docs" / "derivatives.md").read_text(encoding="utf-8")
    assert text.partition(page.BEGIN)[2].partition(page.END)[0] == "\n" + page.summary(results)
    assert (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8") == page.full(results)


def test_every_system_was_asked_and_we_are_right(coverage: dict[str, ModuleType]) -> None:
    results = coverage["page"].stored()
    assert set(results["systems"]) == set(coverage["run"].PACKAGES)
    assert {name: c["verdicts"]["graphspec"] for name, c in results["cases"].items()
            if c["verdicts"]["graphspec"]["is"] != "right"} == {}  # fmt: skip


def test_what_has_a_derivative_was_measured(coverage: dict[str, ModuleType]) -> None:
    """All operators with a rule or a body to go through; what is left has no float that moves another."""
    import graphspec as gs

    measured = set(coverage["page"].by_operator(coverage["page"].stored()))
    rows = {row["op_type"]: row["derivative"] for row in gs.operators() if row["domain"] == "ai.onnx"}
    have = {name for name, derivative in rows.items() if derivative != "zero"}
    random = {"Bernoulli", "Multinomial"}
    of_integers = {"BlackmanWindow", "HammingWindow", "HannWindow"}
    rounded = {"DynamicQuantizeLinear"}
    sequences = {name for name in have if "Sequence" in name or "Optional" in name}
    assert have - measured - sequences == random | of_integers | rounded
    assert onnx.__version__ == coverage["page"].stored()["onnx"]


def test_our_own_column_still_holds(coverage: dict[str, ModuleType], tmp_path: Path) -> None:
    run = coverage["run"]
    cases: list[Any] = run.all_cases.cases(set(AGAIN))
    run.write(cases, tmp_path)
    found = {c.id: run.judged(c, coverage["workers"].answer("graphspec", tmp_path / f"{i:04d}"))
             for i, c in enumerate(cases)}  # fmt: skip
    assert {name: verdict for name, verdict in found.items() if verdict["is"] != "right"} == {}
    assert {c.op_type for c in cases} == set(AGAIN)


def test_a_false_answer_is_called_by_its_name(coverage: dict[str, ModuleType]) -> None:
    """Zero, NaN, another number, another shape and another value are told apart."""
    run = coverage["run"]
    case = run.all_cases.cases({"Det"})[0]
    (name,) = case.wrt
    shape, right = list(case.gradients[name].shape), case.gradients[name].reshape(-1)

    def verdict(data: Any, loss: float = case.loss, shape: list[int] = shape) -> str:
        answer = {"kind": "gradients", "loss": loss, "wide": True, "gradients": [{"shape": shape, "data": list(data)}]}
        return str(run.judged(case, answer)["is"])

    assert verdict(right) == "right"
    assert verdict(0 * right) == "zero"
    assert verdict(right * float("nan")) == "NaN"
    assert verdict(right + 1e-3) == "wrong"
    assert verdict(right, shape=[1, *shape]) == "wrong"
    assert verdict(right, loss=case.loss + 1) == "other value"
