"""The ONNX backend suite, through the standard backend interface, with the suite's own tolerances.

Every case must pass but those of ``exclusions.txt``, each of which has its reason there. The end of the test run shows
how many did.
"""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from backend_suite import COUNTS

from graphspec import backend

CHUNKS = 4
EXCLUDED = dict(
    line.split(maxsplit=1)
    for line in (pathlib.Path(__file__).parent / "exclusions.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


def _load(kind: str) -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own generators overflow on purpose
        return sorted(load_model_tests(kind=kind), key=lambda case: case.name)


def _proto(case: Any) -> onnx.ModelProto:
    if case.model is not None:
        return case.model
    if case.model_dir is not None:
        return onnx.load(pathlib.Path(case.model_dir) / "model.onnx")
    return onnx.load(_light(case))


def _light(case: Any) -> pathlib.Path:
    """The file of a "real" model, which the wheel ships without its weights."""
    return pathlib.Path(onnx.__file__).parents[1] / case.url


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


def _ramp(info: onnx.ValueInfoProto) -> np.ndarray:
    """The image that the suite runs the light models on: 0 to 1 in even steps."""
    shape = [d.dim_value or 1 for d in info.type.tensor_type.shape.dim]
    size = int(np.prod(shape))
    return (np.arange(size).reshape(shape) / size).astype(np.float32)


def _data_sets(case: Any, proto: onnx.ModelProto) -> list[tuple[list[Any], list[Any]]]:
    if case.data_sets is not None:
        return [([_array(v) for v in ins], [_array(v) for v in outs]) for ins, outs in case.data_sets]
    if case.model_dir is None:
        stored = {t.name for t in proto.graph.initializer}
        inputs = [_ramp(i) for i in proto.graph.input if i.name not in stored]
        path = _light(case)
        outputs = [_value(path.with_name(f"{path.stem}_output_{i}.pb"), o) for i, o in enumerate(proto.graph.output)]
        return [(inputs, outputs)]
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
    if expected.dtype == ml_dtypes.bfloat16:
        rtol = max(rtol, 2**-6)  # as the suite's runner has it
    if expected.dtype.kind not in "fiubc":  # types of ml_dtypes compare as float32
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def _run(case: Any, **options: Any) -> None:
    proto = _proto(case)
    prepared = backend.prepare(proto, device="CPU", **options)
    data_sets = _data_sets(case, proto)
    assert data_sets
    for inputs, outputs in data_sets:
        found = prepared.run(inputs)
        assert len(found) == len(outputs)
        for one, expected in zip(found, outputs, strict=True):
            _same(one, expected, case.rtol, case.atol)


def _check(cases: list[Any], record_property: Callable[[str, Any], None]) -> None:
    failures: dict[str, str] = {}
    run = [case for case in cases if case.name not in EXCLUDED]
    for case in run:
        try:
            _run(case)
        except Exception as error:  # collected, so that one run shows all
            failures[case.name] = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
    record_property("conformance", [cases[0].kind, len(run) - len(failures), len(cases)])
    assert not failures, f"{len(failures)} failed\n" + "\n".join(f"{k}: {v}" for k, v in failures.items())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_node_cases(chunk: int, record_property: Callable[[str, Any], None]) -> None:
    _check(_load("node")[chunk::CHUNKS], record_property)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(COUNTS))
def test_plain_kernels_alone_pass_too(kind: str) -> None:
    """What compiled plans and optimisations are held against: every kernel as it stands in its table."""
    failures = {}
    for case in _load(kind):
        if case.name not in EXCLUDED:
            try:
                _run(case, optimize=False)
            except Exception as error:
                failures[case.name] = f"{type(error).__name__}: {error}"[:300]
    assert not failures


@pytest.mark.parametrize("kind", sorted(COUNTS.keys() - {"node"}))
def test_model_cases(kind: str, record_property: Callable[[str, Any], None]) -> None:
    cases = _load(kind)
    assert len(cases) == COUNTS[kind]
    _check(cases, record_property)


def test_every_exclusion_is_a_case_and_has_its_reason() -> None:
    names = [case.name for case in _load("node")]
    assert len(names) == COUNTS["node"]
    assert set(EXCLUDED) <= set(names)
    assert all(EXCLUDED.values())
