"""A kernel's signature is the ONNX schema; every operator has samples; no derivative is forgotten in silence."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import onnx
import pytest

from graphspec.operators import registry
from samples import ALL

ENTRIES = registry.entries()


def _schemas(entry: registry.Operator) -> list[onnx.defs.OpSchema]:
    """The schema versions that an entry serves."""
    later = [
        e.since for e in ENTRIES if (e.domain, e.op_type) == (entry.domain, entry.op_type) and e.since > entry.since
    ]
    end = min(later, default=10**6)
    versions = [
        s
        for s in onnx.defs.get_all_schemas_with_history()
        if (s.name, s.domain) == (entry.op_type, entry.domain) and (not s.deprecated or s.since_version == entry.since)
    ]
    started = [s for s in versions if s.since_version <= entry.since]
    base = max((s.since_version for s in started), default=0)
    return [s for s in versions if base <= s.since_version < end]


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(v) for v in value]
    value = value.decode() if isinstance(value, bytes) else value
    return "forward" if value == "foward" else value  # GRU's first schema misspells it


@pytest.mark.parametrize("entry", ENTRIES, ids=repr)
def test_signature_is_the_schema(entry: registry.Operator) -> None:
    schemas = _schemas(entry)
    assert schemas, f"{entry!r} serves no schema version"
    for schema in schemas:
        for name, attribute in schema.attributes.items():
            if name == "consumed_inputs":
                continue
            assert name in entry.attributes, f"attribute {name} of version {schema.since_version}"
            default = attribute.default_value
            if default.type != onnx.AttributeProto.UNDEFINED:
                expected = onnx.helper.get_attribute_value(default)
                expected = _text(expected)
                found = entry.attributes[name]
                if isinstance(expected, float):
                    assert np.float32(found) == np.float32(expected), name
                else:
                    assert (list(found) if isinstance(expected, list) else found) == expected, name
        if isinstance(entry.kernel, np.ufunc):
            assert entry.kernel.nin == len(schema.inputs)
            continue
        parameters = inspect.signature(entry.kernel).parameters.values()
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        assert variadic or len(positional) >= len(schema.inputs), schema.since_version
    newest = schemas[-1]
    if (
        not isinstance(entry.kernel, np.ufunc)
        and inspect.isfunction(entry.kernel)
        and entry.kernel.__name__ != "<lambda>"
    ):
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        assert names[: len(newest.inputs)] == [i.name for i in newest.inputs]


# Samples are tensors; operators on sequences and optional values are tested in test_sequence_corners.py.
UNSAMPLED = {
    "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt", "SequenceConstruct",
    "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence",
}  # fmt: skip
# And operators on maps in test_ml_corners.py.
ON_MAPS = {"CastMap", "DictVectorizer", "ZipMap"}


def test_every_operator_has_samples() -> None:
    sampled = {(s.domain, s.op_type) for s in ALL}
    missing = {(e.domain, e.op_type) for e in ENTRIES} - sampled
    assert missing == {("", op_type) for op_type in UNSAMPLED} | {("ai.onnx.ml", op_type) for op_type in ON_MAPS}
