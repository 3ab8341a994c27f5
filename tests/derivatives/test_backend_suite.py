"""Every (case, floating-point value) pair of the ONNX backend suite: its derivative, held in four ways.

Each is checked in float64 against central differences through random cotangents, at second order, forward mode against
reverse mode, and on ONNX Runtime in float32 where that has the kernels. ``exceptions.txt`` names the rest, with
reasons. The end of the test run shows the counts.
"""

from __future__ import annotations

import collections
import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from backend_pairs import COUNTS, OUTCOMES, Case, Exempt, check_pairs, load_cases, read_exceptions

from graphspec.operators import registry

EXCEPTIONS = read_exceptions(Path(__file__).parent / "exceptions.txt")
CHUNKS = 12
# Every so many-th case is checked by `make test`; the rest are slow.
SLICE = 40

cases = functools.cache(load_cases)
Record = Callable[[str, Any], None]


def run(kind: str, chosen: list[Any], record: Record) -> None:
    found: collections.Counter[str] = collections.Counter()
    wrong = [line for case in chosen for line in check_pairs(case, EXCEPTIONS, found)]
    pairs = sum(len(Case.load(case).floats) for case in chosen)
    record("derivatives", [kind, pairs, dict(found)])
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong)
    assert sum(found[outcome] for outcome in OUTCOMES) == pairs


def test_some_node_cases(record_property: Record) -> None:
    run("node, a slice", cases("node")[7::SLICE], record_property)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_node_cases(chunk: int, record_property: Record) -> None:
    run("node", cases("node")[chunk::CHUNKS], record_property)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(COUNTS.keys() - {"node"}))
def test_model_cases(kind: str, record_property: Record) -> None:
    run(kind, cases(kind), record_property)


@pytest.mark.slow
def test_no_pair_is_missing_and_no_exception_is_stale() -> None:
    names = []
    for kind, count in COUNTS.items():
        pairs = [(case.name, value) for raw in cases(kind) for case in [Case.load(raw)] for value in case.floats]
        assert len(pairs) == count, kind
        names += pairs
    for exempt in EXCEPTIONS:
        assert exempt.reason
        assert any(exempt.covers(*pair) for pair in names), exempt


def relu(body: str = "y = Relu(x)") -> Any:
    """A case like those of the suite, all of whose numbers lie on a kink."""
    text = f'<ir_version: 10, opset_import: ["" : 21]> g (float[3] x) => (float[3] y) {{ {body} }}'
    data = [([np.zeros(3, np.float32)], [])]
    return types.SimpleNamespace(name="test_relu", model=onnx.parser.parse_model(text), data_sets=data, model_dir=None)


def test_kinks_are_stepped_around() -> None:
    found: collections.Counter[str] = collections.Counter()
    assert check_pairs(relu(), [], found) == []
    assert found["checked"] == 1


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.find("Relu", "", 21)
    monkeypatch.setattr(entry, "rule", lambda op, dY, Y, X: dY)
    found: collections.Counter[str] = collections.Counter()
    (line,) = check_pairs(relu(), [], found)
    assert "DerivativeMismatchError: reverse, d(y)/d(x), element [" in line
    assert not found


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("y = Relu(x)", "test_relu x: listed as refused, but has a derivative"),
        ("y = Bernoulli(x)", "test_relu ['x']: NoGradientRule"),
    ],
    ids=["stale", "missing"],
)
def test_exceptions_are_neither_stale_nor_missing(body: str, line: str) -> None:
    exempt = [Exempt("test_relu", "x", "refused", "")] if "Relu" in body else []
    (wrong,) = check_pairs(relu(body), exempt, collections.Counter())
    assert wrong.startswith(line)
