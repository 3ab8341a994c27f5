"""The benchmarks: their graphs at a small size, and the page that tells their figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from bench import page, run, workloads
from bench.workloads import WORKLOADS

RUNS = [f"{name} {kind}" for name, w in WORKLOADS.items() for kind in ("forward", *(["gradient"] if w.ending else []))]
# Whose functions need nothing that tests do not have; the others' numbers are compared on every run.
SYSTEMS = {system: run.environment(system, run.PACKAGES[system]) for system in ("graphspec", "ort")}


@pytest.mark.parametrize("name", [name for name, w in WORKLOADS.items() if w.ending])
def test_gradients_equal_central_differences(name: str) -> None:
    built = workloads.build(WORKLOADS[name], tiny=True)
    rng, step = np.random.default_rng(6), 1e-3
    model = gs.load(built.loss)
    session, point = gs.Session(model), {**built.feeds, **built.weights}
    found = gs.Session(gs.grad(model, "loss", built.wrt)).run(built.feeds)
    direction = {n: rng.standard_normal(point[n].shape).astype(np.float32) for n in built.wrt}
    slope = sum(float(np.vdot(found[f"{n}_grad"], v)) for n, v in direction.items())
    ahead, behind = (
        session.run({**built.feeds, **{n: point[n] + np.float32(s) * v for n, v in direction.items()}})["loss"]
        for s in (step, -step)
    )
    assert slope == pytest.approx((float(ahead) - float(behind)) / (2 * step), rel=0.05, abs=0.02)
    assert abs(slope) > 1e-3


def test_competitors_agree_and_take_turns(tmp_path: Path) -> None:
    """One workload the whole way: files, processes, comparison, turns."""
    assert run.write(WORKLOADS["W4"], tmp_path, tiny=True) == ["forward", "gradient"]
    row = run.race(SYSTEMS, tmp_path, "gradient", turns=2, seconds=1e-3)
    assert row["failed"] == {}
    assert all(row["seconds"][system] > 0 for system in SYSTEMS)


def test_other_numbers_are_no_result() -> None:
    ours, close, other = ([np.array([1.0, last], np.float32)] for last in (2.0, 2.0005, 2.1))
    assert run.check({"graphspec": ours, "ort": close}) == {}
    assert list(run.check({"graphspec": ours, "ort": close, "reference": other})) == ["reference"]
    assert list(run.check({"graphspec": ours, "ort": close, "reference": [ours[0] * np.nan]})) == ["reference"]
    with pytest.raises(run.FailedError, match=r"'ort'.*output 0 differs"):
        run.check({"graphspec": ours, "ort": other})


def test_the_page_is_what_the_results_say() -> None:
    results = page.stored()
    assert page.block(results) in page.PAGE.read_text(encoding="utf-8"), "run `make bench`"
    assert list(results["rows"]) == RUNS


@pytest.mark.parametrize(("ratio", "said"), [(0.5, "met"), (0.95, "tie"), (1.05, "tie"), (1.2, "missed")])
def test_verdicts(ratio: float, said: str) -> None:
    row = {"seconds": {"graphspec": 0.85 * ratio, "torch": 1.0}, "failed": {}}
    results = {"rows": {"W2 forward": row}}
    assert f"(target 0.85, {said})" in page.table(results)
    assert ("W2 forward against PyTorch" in page.misses(results)) == (said == "missed")
