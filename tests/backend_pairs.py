"""The (case, floating-point value) pairs of the ONNX backend suite, and the check of all derivatives of a case."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

import graphspec as gs
from graphspec import dtypes
from graphspec.derivatives import _prepare
from graphspec.testing import DerivativeReport, KinkError, check_derivatives
from graphspec.testing.runner import depends_on

#: Kind of case, and how many pairs there are, expanded variants and models without weights left out.
COUNTS = {"node": 1960, "simple": 29, "pytorch-converted": 164, "pytorch-operator": 53}
#: How far a feed is moved from the suite's, relative to its size: kinks and ties are left behind by trying again.
_JITTER = (0.05, 0.05, 0.05, 0.02, 0.02, 0.01, 0.01, 0.003, 0.003, 0.0)
# From this attempt on, infinities and NaN are replaced.
_FINITE_FROM = 3
# Some cases hold memory as it was found, numbers that nothing can be added to among it.
_HUGE = 1e12
# Numbers that decide shapes.
_KEPT = {"scales"}
# From this attempt on, numbers are positive, as roots and powers need them.
_POSITIVE_FROM = 6
# Up to this size a value is checked element by element, a larger one in some random directions.
_ELEMENTS, _DIRECTIONS = 6, 3


@dataclasses.dataclass(frozen=True)
class Exempt:
    """A line of the exceptions file.

    Attributes:
        case: Name of the case, or a pattern.
        value: Name of the value, or a pattern.
        how: ``refused``; or what is given to the check instead, ``order=1``, ``rtol=1e-3`` or ``of=y``; or the outputs
            that are held at 1e-3 alone, ``narrow=y``, while the others are held as ever.
        reason: Why.
    """

    case: str
    value: str
    how: str
    reason: str

    def covers(self, case: str, value: str) -> bool:
        return fnmatch.fnmatchcase(case, self.case) and fnmatch.fnmatchcase(value, self.value)

    @property
    def narrow(self) -> list[str]:
        """Outputs that have fewer digits."""
        key, _, value = self.how.partition("=")
        return value.split(",") if key == "narrow" else []

    @property
    def options(self) -> dict[str, Any]:
        key, _, value = self.how.partition("=")
        if key in ("refused", "narrow"):
            return {}
        return {key: value.split(",") if key == "of" else float(value) if key == "rtol" else int(value)}


def read_exceptions(path: Path) -> list[Exempt]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Exempt(*line.split(maxsplit=3)) for line in lines if line and not line.startswith("#")]


@dataclasses.dataclass
class Case:
    """A case of the suite: its model, the feeds of its first data set, and its floating-point values."""

    name: str
    model: ir.Model
    feeds: dict[str, Any]
    floats: list[str]
    of: list[str]

    @classmethod
    def load(cls, case: Any) -> Case:
        if case.model is not None:
            proto, inputs = case.model, case.data_sets[0][0]
        else:
            folder = Path(case.model_dir)
            proto = onnx.load(folder / "model.onnx")
            inputs = [onnx.TensorProto.FromString((folder / "test_data_set_0" / f"input_{i}.pb").read_bytes())
                      for i in range(len(list((folder / "test_data_set_0").glob("input_*.pb"))))]  # fmt: skip
        arrays = [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in inputs]
        model = gs.load(_with_elements(proto))
        graph = model.graph
        names = [v.name or "" for v in graph.inputs]
        feeds = dict(zip(names, arrays, strict=False))
        values = dict.fromkeys([*graph.inputs, *(v for v in graph.initializers.values() if case.model is None)])
        floats = [v.name or "" for v in values if _prepare.is_float(v)]
        return cls(case.name, model, feeds, floats, [v.name or "" for v in graph.outputs if _prepare.is_float(v)])


def _with_elements(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the first element of each sequence that it puts out as one more output: a tensor."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for output in proto.graph.output:
        kind = output.type
        if not kind.HasField("sequence_type") or not kind.sequence_type.elem_type.HasField("tensor_type"):
            continue
        first, zero = f"{output.name}_first", f"{output.name}_zero"
        result.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int64), zero))
        result.graph.node.append(onnx.helper.make_node("SequenceAt", [output.name, zero], [first]))
        dtype = kind.sequence_type.elem_type.tensor_type.elem_type
        result.graph.output.append(onnx.helper.make_tensor_value_info(first, dtype, None))
    return result


def load_cases(kind: str) -> list[Any]:
    """The cases of a kind, by name; expanded variants are the same graphs with function operators written out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own generators overflow on purpose
        from onnx.backend.test.loader import load_model_tests

        return sorted((c for c in load_model_tests(kind=kind) if "_expanded" not in c.name), key=lambda c: c.name)


def jittered(case: Case, attempt: int) -> dict[str, Any]:
    """The suite's feeds, each floating-point number moved a little; infinities and NaN stay at first."""
    rng = np.random.default_rng(zlib.crc32(f"{case.name} {attempt}".encode()))
    feeds = {}
    for name, feed in case.feeds.items():
        row = dtypes.BY_NUMPY.get(feed.dtype) if isinstance(feed, np.ndarray | np.generic) else None
        if name not in _KEPT and row is not None and row.is_float:
            wide = np.array(feed, np.float64)
            wide[np.isfinite(wide) & (np.abs(wide) > _HUGE)] = 1.0
            finite = wide[np.isfinite(wide)]
            if attempt >= _FINITE_FROM:
                wide[~np.isfinite(wide)] = 1.0
            size = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
            if attempt >= _POSITIVE_FROM:
                wide = np.abs(wide)
            feed = wide + _JITTER[attempt] * (size or 1.0) * rng.uniform(-1, 1, wide.shape)
        feeds[name] = feed
    return feeds


def check(case: Case, wrt: list[str], **options: Any) -> DerivativeReport:
    """``check_derivatives`` where it is smooth: at the first of some points where values can tell."""
    seed = zlib.crc32(case.name.encode())
    given = {"of": case.of, "elements": _ELEMENTS, "directions": _DIRECTIONS, **options}
    for attempt in range(len(_JITTER)):
        try:
            feeds = jittered(case, attempt)
            report = check_derivatives(case.model, feeds, wrt=wrt, rng=np.random.default_rng(seed), **given)
            if attempt > _FINITE_FROM or not any("not finite" in reason for reason in report.left_out):
                return report
        except (KinkError, gs.ExecutionError):
            if attempt == len(_JITTER) - 1:
                raise
    raise AssertionError("unreachable")


#: What became of a pair.
OUTCOMES = ("checked", "excepted", "refused", "integers only")


def check_pairs(raw: Any, exempt: list[Exempt], found: collections.Counter[str]) -> list[str]:
    """Check every pair of a case, count what became of each, and say what is wrong."""
    case = Case.load(raw)
    lines = {value: [e for e in exempt if e.covers(case.name, value)] for value in case.floats}
    refused = [value for value, its in lines.items() if any(e.how == "refused" for e in its)]
    wrong = []
    if not case.of:  # comparisons, indices, shapes: no value that could have a derivative
        found["integers only"] += len(case.floats)
        return []
    for value in refused:
        try:
            gs.vjp(case.model, case.of, [value])
            wrong.append(f"{case.name} {value}: listed as refused, but has a derivative")
        except (gs.DifferentiationError, gs.UnsupportedError):
            found["refused"] += 1
    rest = [value for value in case.floats if value not in refused]
    if not rest:
        return wrong
    excepted = [value for value in rest if lines[value]]
    options = {key: option for value in excepted for e in lines[value] for key, option in e.options.items()}
    narrow = {name for value in excepted for e in lines[value] for name in e.narrow}
    try:
        if narrow:
            wide = [name for name in case.of if name not in narrow]
            check(case, [x for x in rest if depends_on(case.model, list(narrow), [x])], rtol=1e-3)
            options["of"] = wide
        report = check(case, rest, **options)
    except Exception as error:  # collected, so that one run shows all
        return [*wrong, f"{case.name} {rest}: {type(error).__name__}: {error}".replace("\n", " ")[:400]]
    found["excepted"] += len(excepted)
    found["checked"] += len(rest) - len(excepted)
    found["zero"] += len(report.zeros)
    found["at second order"] += len(rest) if report.counts.get("second order") else 0
    found["beside infinities"] += len(rest) if any("not finite" in reason for reason in report.left_out) else 0
    found["on ONNX Runtime"] += len(rest) if report.counts.get("onnxruntime") else 0
    return wrong
