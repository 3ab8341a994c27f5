"""The ONNX backend suite, for every case whose operators are all there.

A case that needs an operator without a kernel is counted, not run; every other case must pass with the suite's own
tolerances. ``FEWEST`` keeps the count from shrinking unseen.
"""

from __future__ import annotations

import collections
import pathlib
import warnings
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs

CHUNKS = 4
DATA = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
# Cases that no executor can be held to, each with its reason.
EXCLUDED = dict.fromkeys(
    [
        "test_bernoulli", "test_bernoulli_double", "test_bernoulli_seed",
        "test_bernoulli_expanded", "test_bernoulli_double_expanded", "test_bernoulli_seed_expanded",
    ],
    "draws random numbers without a seed; the expected output cannot be met",
)  # fmt: skip


def _load(kind: str) -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own generators overflow on purpose
        return load_model_tests(kind=kind)


def _proto(case: Any) -> onnx.ModelProto:
    return case.model if case.model is not None else onnx.load(pathlib.Path(case.model_dir) / "model.onnx")


def _value(path: pathlib.Path, info: onnx.ValueInfoProto) -> Any:
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    if kind == "optional_type":
        return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes()))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def _array(value: Any) -> Any:
    """Types that NumPy lacks come as protobuf."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _data_sets(case: Any, proto: onnx.ModelProto) -> list[tuple[list[Any], list[Any]]]:
    if case.data_sets is not None:
        return [([_array(v) for v in ins], [_array(v) for v in outs]) for ins, outs in case.data_sets]
    sets = []
    for folder in sorted(pathlib.Path(case.model_dir).glob("test_data_set_*")):
        pair = []
        for role, infos in (("input", proto.graph.input), ("output", proto.graph.output)):
            count = len(list(folder.glob(f"{role}_*.pb")))
            pair.append([_value(folder / f"{role}_{i}.pb", infos[i]) for i in range(count)])
        sets.append((pair[0], pair[1]))
    return sets


def _same(found: Any, expected: Any, rtol: float, atol: float) -> None:
    if expected is None:
        assert found is None
        return
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            _same(a, b, rtol, atol)
        return
    expected = np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    if expected.dtype.kind in "OUST":
        assert [str(v) for v in found.reshape(-1)] == [str(v) for v in expected.reshape(-1)]
        return
    assert found.dtype == expected.dtype, (found.dtype, expected.dtype)
    if expected.dtype.kind not in "fiubc":  # types of ml_dtypes compare as float32
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def _run(case: Any) -> str:
    """ "passed", or the operator that is missing; raises when the numbers differ."""
    proto = _proto(case)
    try:
        session = gs.Session(ir.from_proto(proto))
    except gs.UnsupportedError as error:
        if error.problems[0].code == "unknown-kernel":
            return str(error.problems[0].found)
        raise
    names = [i.name for i in proto.graph.input if i.name not in {t.name for t in proto.graph.initializer}]
    names = names or [i.name for i in proto.graph.input]
    for inputs, outputs in _data_sets(case, proto):
        feeds = dict(zip(names, inputs, strict=False))
        found = session.run(feeds)
        for name, expected in zip([o.name for o in proto.graph.output], outputs, strict=False):
            _same(found[name], expected, case.rtol, case.atol)
    return "passed"


def _run_all(cases: list[Any]) -> tuple[collections.Counter[str], dict[str, str]]:
    counts: collections.Counter[str] = collections.Counter()
    failures: dict[str, str] = {}
    for case in cases:
        if case.name in EXCLUDED:
            counts["excluded"] += 1
            continue
        try:
            outcome = _run(case)
        except Exception as error:  # collected, so that one run shows all
            failures[case.name] = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            continue
        counts[outcome] += 1
    return counts, failures


# Passes per kind (node: per chunk) when this was written.
FEWEST = {"simple": 0, "pytorch-converted": 0, "pytorch-operator": 0}


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_node_cases(chunk: int) -> None:
    counts, failures = _run_all(_load("node")[chunk::CHUNKS])
    print(dict(counts))
    assert not failures, "\n".join(f"{k}: {v}" for k, v in failures.items())


@pytest.mark.parametrize("kind", sorted(FEWEST))
def test_model_cases(kind: str) -> None:
    counts, failures = _run_all(_load(kind))
    print(dict(counts))
    assert not failures, "\n".join(f"{k}: {v}" for k, v in failures.items())
    assert counts["passed"] >= FEWEST[kind]
