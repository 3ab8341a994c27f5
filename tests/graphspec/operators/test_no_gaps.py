"""The catalogue of derivatives has no gap: what moves an output has a derivative, or a reason beside it why not.

Nothing here is a list of operators: schemas say which inputs and outputs are floating point, and the samples show what
the rules give for them. What has no sample, and what a rule does not cover, must stand in a table with its reason.
"""

from __future__ import annotations

import collections

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.operators import registry
from graphspec.operators.registry import ZERO
from samples import ALL, Floats, Sample
from samples.build import arrays_of, build

DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview.training")
FLOATS = {"tensor(float16)", "tensor(float)", "tensor(double)", "tensor(bfloat16)"}
OLDEST = 7

# Inputs of an operator (in all its versions) that no derivative is taken of, and why.
UNMOVED = {
    ("CastLike", "target_type"): "only its type counts",
    ("OneHot", "indices"): "rounded to whole numbers",
    ("OneHot", "depth"): "a size",
    ("Range", "limit"): "moves the length alone",
    ("Dropout", "ratio"): "a probability of draws: refused, as a draw has no derivative in it",
    ("Bernoulli", "input"): "a probability of draws: refused, as a draw has no derivative in it",
    ("Resize", "scales"): "moves the size of the output by steps; the positions in between are refused",
    ("Resize", "roi"): "where to sample, with the size of the output: refused with that reason",
    ("Upsample", "scales"): "moves the size of the output by steps; the positions in between are refused",
}
# Operators whose samples take tensors alone cannot show: their derivatives are held elsewhere.
ELSEWHERE = {
    "Gradient": "test_gradient_operator.py",
    **dict.fromkeys(
        ("ConcatFromSequence", "Optional", "OptionalGetElement", "SequenceAt", "SequenceConstruct", "SequenceErase",
         "SequenceInsert", "SequenceMap", "SplitToSequence"), "test_sequences.py",
    ),
    **dict.fromkeys(("If", "Loop", "Scan"), "test_control_flow_derivatives.py"),
}  # fmt: skip


def _floating(schema: onnx.defs.OpSchema, formal: onnx.defs.OpSchema.FormalParameter) -> bool:
    choices = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    return bool(choices.get(formal.type_str, {formal.type_str}) & FLOATS)


def _served() -> dict[registry.Operator, onnx.defs.OpSchema]:
    """Each entry and the newest schema that it serves."""
    history = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain in DOMAINS]
    later = collections.defaultdict(list)
    for schema in history:
        later[schema.domain, schema.name].append(schema.since_version)
    found: dict[registry.Operator, onnx.defs.OpSchema] = {}
    for schema in sorted(history, key=lambda s: s.since_version):
        newer = [v for v in later[schema.domain, schema.name] if v > schema.since_version]
        gone = not schema.domain and newer and min(newer) <= OLDEST
        entry = registry.find(schema.name, schema.domain, schema.since_version)
        if entry is not None and not schema.deprecated and not gone:
            found[entry] = schema
    return found


SERVED = _served()
# Each entry with a derivative that is not ``ZERO``, and its floating inputs by name.
NEEDED = {
    entry: {x.name for x in schema.inputs if _floating(schema, x)}
    for entry, schema in SERVED.items()
    if entry.rule is not ZERO and entry.op_type not in ELSEWHERE and any(_floating(schema, y) for y in schema.outputs)
}


def _inputs(sample: Sample) -> dict[str, int]:
    """The floating inputs that a sample gives, and the place of each (the first, where it may be there often)."""
    entry = registry.find(sample.op_type, sample.domain, sample.opset)
    if entry not in NEEDED:
        return {}
    formal = SERVED[entry].inputs
    names: dict[str, int] = {}
    for i, given in enumerate(sample.inputs):
        name = formal[min(i, len(formal) - 1)].name
        floating = isinstance(given, Floats) or (given is not None and np.asarray(given).dtype.kind == "f")
        if floating and name in NEEDED[entry]:
            names.setdefault(name, i)
    return names


def _chosen() -> list[tuple[Sample, tuple[str, ...]]]:
    """As few samples as show each input of each entry once, one more where a sample has several at once."""
    missing = {entry: set(names) for entry, names in NEEDED.items()}
    given = [(s, _inputs(s)) for s in ALL if s.domain in DOMAINS]
    chosen = []
    for sample, inputs in sorted(given, key=lambda one: -len(one[1])):
        entry = registry.find(sample.op_type, sample.domain, sample.opset)
        new = missing.get(entry, set()) & inputs.keys()  # type: ignore[arg-type]
        new -= {name for op_type, name in UNMOVED if op_type == sample.op_type}
        if new and not sample.zero:
            missing[entry] -= new  # type: ignore[index]
            chosen.append((sample, tuple(sorted(new))))
    return chosen


CHOSEN = _chosen()


@pytest.mark.parametrize(("sample", "names"), CHOSEN, ids=lambda one: getattr(one, "label", None))
def test_every_floating_input_has_a_derivative(sample: Sample, names: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    model, feeds = build(sample, arrays_of(sample, np.float32 if sample.narrow else np.float64, rng), symbolic=False)
    values = gs.Session(model, optimize=False).run(feeds)
    of = [name for name, value in values.items() if getattr(value, "dtype", np.dtype("O")).kind == "f"]
    places = _inputs(sample)
    derived = gs.vjp(model, of, [f"x{places[name]}" for name in names], allow_unused=len(of) > 1)
    assert len(derived.graph.outputs) >= len(names)


def test_every_floating_input_has_a_sample() -> None:
    shown = collections.defaultdict(set)
    for sample, names in CHOSEN:
        shown[registry.find(sample.op_type, sample.domain, sample.opset)].update(names)
    missing = {
        f"{entry!r} {name}"
        for entry, names in NEEDED.items()
        for name in names
        if name not in shown[entry] and (entry.op_type, name) not in UNMOVED
    }
    assert not missing


def test_the_reasons_are_still_needed() -> None:
    known = {(entry.op_type, name) for entry, names in NEEDED.items() for name in names}
    assert UNMOVED.keys() <= known


def test_no_operator_waits_for_its_derivative() -> None:
    rows = gs.operators()
    assert len(rows) > 200
    assert {row["derivative"] for row in rows} == {"rule", "function", "zero"}
    assert all(row["runs"] for row in rows)
